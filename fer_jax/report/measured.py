"""What a run's page shows of each measured part: the figures of `evaluate`, or of the end of training."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fer_jax.fer2013 import NAMES, names_of
from fer_jax.files import Json, read_json
from fer_jax.images.views import CHOICES
from fer_jax.report.charts import reliability_chart, robustness_charts
from fer_jax.text import Table, signed

PARTS: Final = {
    "val": "Validation",
    "test": "Test",
    "train": "Training",
    "PublicTest": "PublicTest",
    "PrivateTest": "PrivateTest",
    "all": "All rows of the file",
}
"""Part -> its name on the page, in the order in which they are shown."""

FIGURES: Final = {
    "accuracy": ("accuracy", 100, 1, " %"),
    "top2_accuracy": ("top-2 accuracy", 100, 1, " %"),
    "balanced_accuracy": ("balanced accuracy", 100, 1, " %"),
    "macro_f1": ("macro F1", 100, 1, " %"),
    "macro_roc_auc": ("macro ROC-AUC", 1, 3, ""),
    "loss": ("loss", 1, 3, " nats"),
    "ece": ("ECE", 100, 1, " %"),
}
"""Figure of `evaluate` -> its name on the page, scale, decimals and unit."""

_MOST_CONFUSED: Final = 3
"""How many pairs of classes the words about a confusion matrix name."""


def gather_measurements(folder: Path, metrics: Mapping[str, Any], *, trained_on: str) -> list[Json]:
    """Gather what is known of each part: from `evaluate` where it ran, else from the end of training.

    Args:
        folder: the run's.
        metrics: the content of its `metrics.json`; empty where there is none.
        trained_on: SHA-256 of the data that it was trained on.

    Returns:
        One entry a part, in the order of `PARTS`: what the macros of `measured.html.j2` show.
    """
    measured = []
    for part, title in PARTS.items():
        evaluated = read_if_there(folder / f"evaluate_{part}.json")
        figures = evaluated or (metrics.get(part) if part != "train" else None)
        if figures is None:
            continue
        sheets = read_if_there(folder / f"evaluate_{part}_faces.json") if evaluated else None
        sheets = sheets or {}
        measured.append(
            {
                "part": part,
                "title": f"{title}: {figures['total']:,} images",
                "is_evaluated": evaluated is not None,
                "command": evaluate_command(folder, part) + _options(figures, trained_on),
                "figures": figures,
                "views": views_note(figures),
                "confusion": confusion_rows(figures["confusion"]),
                "confused": confused(figures["confusion"]),
                "calibration": _calibration(figures),
                "robustness": _robustness(figures.get("robustness")),
                "mistakes": _mistakes(figures.get("mistakes", []), sheets.get("mistakes")),
                "saliency": sheets.get("saliency"),
                "neighbours": _neighbours(figures.get("mistakes", []), sheets.get("neighbours")),
            }
        )
    return measured


def read_if_there(path: Path) -> Any:
    """Read a JSON file that may be missing: None."""
    return read_json(path) if path.exists() else None


def evaluate_command(folder: Path, part: str) -> str:
    """Write the command that measures a part of a run."""
    return f"python -m fer_jax.evaluate {shlex.quote(str(folder))} --split {part}"


def _options(figures: Json, trained_on: str) -> str:
    """Write the options without which `evaluate` would measure something else."""
    choices = [choice for choice, names in CHOICES.items() if list(names) == figures.get("views")]
    views = f" --views {choices[0]}" if choices and choices[0] != "single" else ""
    is_other = figures.get("data", {}).get("sha256", trained_on) != trained_on
    return views + (" --data FILE" if is_other else "")


def interval_rows(measured: list[Json]) -> Table:
    """Lay out what `evaluate` measured, one column a part, each figure with its bootstrap interval.

    Args:
        measured: what `gather_measurements` gave.

    Returns:
        The table; empty where `evaluate` did not run.
    """
    with_intervals = [each for each in measured if "intervals" in each["figures"]]
    if not with_intervals:
        return []
    rows = [["figure", *(each["part"] for each in with_intervals)]]
    for name, (words, scale, digits, unit) in FIGURES.items():
        cells = []
        for each in with_intervals:
            figures = each["figures"]
            value = figures["calibration"]["ece"] if name == "ece" else figures[name]
            ends = figures["intervals"][name]
            if value is None:
                cells.append("–")
                continue
            interval = (
                "" if ends is None else " (" + " – ".join(f"{scale * end:.{digits}f}" for end in ends) + ")"
            )
            cells.append(f"{scale * value:.{digits}f}{unit}{interval}")
        rows.append([words, *cells])
    rows.append(["views", *(f"{len(each['figures']['views'])}" for each in with_intervals)])
    return rows


def views_note(figures: Json) -> str:
    """Say over which views the logits were averaged; nothing where it was the image alone."""
    views = figures.get("views", [])
    if len(views) < 2:
        return ""
    return f"Logits are averaged over {len(views)} views of each image: {'; '.join(views)}."


def confusion_rows(confusion: list[list[int]]) -> list[Json]:
    """Turn a confusion matrix into rows of cells, each with its count and its share of the row.

    Args:
        confusion: [C][C], examples by true class (row) and predicted class (column).
    """
    rows = []
    for index, (label, counts) in enumerate(zip(names_of(len(confusion)), confusion, strict=True)):
        total = sum(counts)
        cells = [
            {"count": count, "share": count / total if total else 0.0, "is_right": column == index}
            for column, count in enumerate(counts)
        ]
        rows.append({"label": label, "total": total, "cells": cells})
    return rows


def confused(confusion: list[list[int]]) -> list[Json]:
    """Find the pairs of classes that are taken for one another most often, by the share of the true class.

    Returns:
        At most three of `true`, `predicted`, `count`, `share`, the largest share first.
    """
    pairs = [
        {
            "true": NAMES[row["index"]],
            "predicted": NAMES[column],
            "count": cell["count"],
            "share": cell["share"],
        }
        for row in ({"index": index, **each} for index, each in enumerate(confusion_rows(confusion)))
        for column, cell in enumerate(row["cells"])
        if not cell["is_right"] and cell["count"]
    ]
    return sorted(pairs, key=lambda pair: -pair["share"])[:_MOST_CONFUSED]


def _calibration(figures: Json) -> Json | None:
    calibration = figures.get("calibration")
    if calibration is None:
        return None
    filled = [each for each in calibration["bins"] if each["count"]]
    confidence = sum(each["count"] * each["confidence"] for each in filled) / figures["total"]
    scaled = calibration["scaled"]
    rows = [["confidence", "images", "mean confidence", "accuracy", "difference"]]
    for each in filled:
        difference = 100 * (each["accuracy"] - each["confidence"])
        rows.append(
            [
                f"{100 * each['low']:.0f} – {100 * each['high']:.0f} %",
                f"{each['count']:,}",
                f"{100 * each['confidence']:.1f} %",
                f"{100 * each['accuracy']:.1f} %",
                signed(difference),
            ]
        )
    charts = [reliability_chart("As trained", calibration["bins"])]
    if scaled is not None:
        words = f"With temperature {calibration['temperature']:.2f}"
        charts.append(reliability_chart(words, scaled["bins"]))
    return {
        **calibration,
        "loss": figures["loss"],
        "confidence": confidence,
        "excess": 100 * (confidence - figures["accuracy"]),
        "interval": figures.get("intervals", {}).get("ece"),
        "charts": charts,
        "rows": rows,
    }


def _robustness(robustness: Json | None) -> Json | None:
    if not robustness:
        return None
    total, clean = robustness["total"], robustness["clean_correct"]
    rows, drops = [["corruption", "strengths", "1", "2", "3", "4", "5", "drop at 5"]], {}
    for each in robustness["corruptions"]:
        shares = [100 * correct / total for correct in each["correct"]]
        drops[each["name"]] = 100 * clean / total - shares[-1]
        levels = ", ".join(f"{level:g}".replace("-", "−") for level in each["levels"])
        rows.append(
            [
                each["name"],
                f"{each['what']}: {levels}",
                *(f"{share:.1f}" for share in shares),
                f"{drops[each['name']]:.1f}",
            ]
        )
    return {
        "total": total,
        "clean": clean / total,
        "charts": robustness_charts(robustness),
        "rows": rows,
        "worst": max(drops, key=lambda name: drops[name]),
        "worst_drop": max(drops.values()),
    }


def _mistakes(mistakes: list[Json], sheet: Json | None) -> Json | None:
    if not mistakes and sheet is None:
        return None
    rows = [["row", "true", "predicted", "confidence"]]
    for each in mistakes:
        rows.append([f"{each['row']}", each["true"], each["predicted"], _confidence(each["confidence"])])
    if sheet is not None:
        # The rows of the picture mean nothing: the page breaks them where its width asks for it.
        tiles = [tile for row in sheet["rows"] for tile in row["tiles"]]
        sheet = sheet | {"rows": [{"label": "", "tiles": tiles}]}
    return {"count": len(mistakes), "rows": rows, "sheet": sheet}


def _confidence(probability: float) -> str:
    # No network is quite sure: 0.9997 is not 100 %.
    return f"{100 * probability:.1f} %" if probability < 0.9995 else "> 99.9 %"


def _neighbours(mistakes: list[Json], sheet: Json | None) -> Json | None:
    found = [each for each in mistakes if each.get("neighbours")]
    if not found and sheet is None:
        return None
    rows = [["row", "true", "predicted", "nearest training images: label (row, distance)"]]
    for each in found:
        near = (f"{one['label']} ({one['row']}, {one['distance']:.3f})" for one in each["neighbours"])
        rows.append([f"{each['row']}", each["true"], each["predicted"], ", ".join(near)])
    return {"rows": rows if found else [], "sheet": sheet}
