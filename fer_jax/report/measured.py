"""What a run's page shows of each measured part: the results of `evaluate`, or of the end of training."""

from typing import Final

from fer_jax.files import Json, reading
from fer_jax.metrics.scores import list_names
from fer_jax.report import markdown
from fer_jax.report.charts import abstention_chart, reliability_chart, robustness_charts
from fer_jax.report.story import PARTS, Story
from fer_jax.text import MISSING, Table, confidence, decimal, interval, number, percent, signed, thousands

FIGURES: Final = {
    "accuracy": ("accuracy", 100, 1, " %"),
    "top2_accuracy": ("top-2 accuracy", 100, 1, " %"),
    "balanced_accuracy": ("balanced accuracy", 100, 1, " %"),
    "macro_f1": ("macro F1", 100, 1, " %"),
    "macro_roc_auc": ("macro ROC-AUC", 1, 3, ""),
    "loss": ("loss", 1, 3, " nats"),
    "ece": ("ECE", 100, 1, " %"),
}
"""Metric of `evaluate` -> its name on the page, scale, decimals and unit."""

_MOST_CONFUSED: Final = 3
"""How many pairs of classes the text about a confusion matrix names."""

_CORRUPTIONS_SHOWN: Final = 3
_MISTAKES_SHOWN: Final = 8
_NEIGHBOURS_SHOWN: Final = 1
_FACES_SHOWN: Final = 3
_TILES_OF_A_FACE: Final = 3
"""What is shown before the rest is folded; a face with its two maps."""


def describe_parts(story: Story) -> list[Json]:
    """Describe each measured part: by `evaluate` if it has run, otherwise by the end of training.

    Returns:
        One entry per part, in the order of `PARTS`, as the macros of `measured.html.j2` take it.
    """
    measured = []
    for part, title in PARTS.items():
        evaluated = story.evaluations.get(part)
        figures = evaluated or (story.metrics.get(part) if part != "train" else None)
        if figures is None:
            continue
        with reading(story.folder / f"{story.stems.get(part, 'metrics')}.json"):
            measured.append(_describe_part(story, part, title, figures))
    return measured


def _describe_part(story: Story, part: str, title: str, figures: Json) -> Json:
    sheets, mistakes = story.sheets.get(part, {}), figures.get("mistakes", [])
    return {
        "part": part,
        "title": f"{title}: {thousands(figures['total'])} images",
        "command": story.evaluate_command(part),
        "figures": figures,
        "views": views_note(figures),
        "confusion": confusion_rows(figures),
        "confused": confused(figures),
        "classes": figures["per_class"],
        "calibration": _calibration(figures, part),
        "abstention": _abstention(figures.get("abstention"), part),
        "robustness": _robustness(figures.get("robustness"), part),
        "mistakes": _mistakes(mistakes, sheets.get("mistakes")),
        "saliency": _saliency(sheets.get("saliency")),
        "neighbours": _neighbours(mistakes, sheets.get("neighbours")),
    }


def interval_rows(measured: list[Json]) -> Table:
    """Lay out what `evaluate` measured, one column per part, each number with its bootstrap interval.

    Args:
        measured: what `describe_parts` returns.

    Returns:
        The table; empty if `evaluate` has not run.
    """
    with_intervals = [each for each in measured if "intervals" in each["figures"]]
    if not with_intervals:
        return []
    rows = [["", *(each["part"] for each in with_intervals)]]
    for name, (words, scale, digits, unit) in FIGURES.items():
        cells = []
        for each in with_intervals:
            figures = each["figures"]
            value = figures["calibration"]["ece"] if name == "ece" else figures[name]
            ends = figures["intervals"][name]
            cell = MISSING if value is None else decimal(scale * value, digits=digits) + unit
            if value is not None and ends is not None:
                cell += f" ({interval(ends, scale=scale, digits=digits)})"
            cells.append(cell)
        rows.append([words, *cells])
    rows.append(["views", *(f"{len(each['figures']['views'])}" for each in with_intervals)])
    return rows


def beside_rows(measured: list[Json]) -> Table:
    """Lay out what stands beside the accuracies that `evaluate` measured, see `markdown.parts_table`.

    `measured` is what `describe_parts` returns.
    """
    return markdown.parts_table([(each["part"], each["figures"]) for each in measured])


def views_note(figures: Json) -> str:
    """Describe the views whose logits were averaged; empty if it was the image alone."""
    views = figures.get("views", [])
    if len(views) < 2:
        return ""
    return f"Logits are averaged over {len(views)} views of each image: {'; '.join(views)}."


def confusion_rows(figures: Json) -> list[Json]:
    """Turn the confusion matrix of a part into rows of cells, each with its count and its share of the row.

    Args:
        figures: what `metrics.scores.summarise` returns.
    """
    rows = []
    pairs = zip(list_names(figures), figures["confusion"], strict=True)
    for index, (label, counts) in enumerate(pairs):
        total = sum(counts)
        cells = [
            {"count": count, "share": count / total if total else 0.0, "is_right": column == index}
            for column, count in enumerate(counts)
        ]
        rows.append({"label": label, "total": total, "cells": cells})
    return rows


def confused(figures: Json) -> list[Json]:
    """Find the most frequent confusions of a part, by their fraction of the true class.

    Returns:
        At most three of `true`, `predicted`, `count` and `share`, the largest fraction first.
    """
    names = list_names(figures)
    pairs = [
        {"true": row["label"], "predicted": name, "count": cell["count"], "share": cell["share"]}
        for row in confusion_rows(figures)
        for name, cell in zip(names, row["cells"], strict=True)
        if not cell["is_right"] and cell["count"]
    ]
    return sorted(pairs, key=lambda pair: -pair["share"])[:_MOST_CONFUSED]


def _calibration(figures: Json, part: str) -> Json | None:
    calibration = figures.get("calibration")
    if calibration is None:
        return None
    filled = [each for each in calibration["bins"] if each["count"]]
    mean_confidence = sum(each["count"] * each["confidence"] for each in filled) / figures["total"]
    scaled = calibration["scaled"]
    rows = [["confidence", "images", "mean confidence", "accuracy", "difference"]]
    for each in filled:
        difference = 100 * (each["accuracy"] - each["confidence"])
        rows.append(
            [
                f"{interval([each['low'], each['high']], scale=100, digits=0)} %",
                thousands(each["count"]),
                percent(each["confidence"]),
                percent(each["accuracy"]),
                signed(difference),
            ]
        )
    charts = [reliability_chart("As trained", calibration["bins"], part=part)]
    if scaled is not None:
        words = f"With temperature {calibration['temperature']:.2f}"
        charts.append(reliability_chart(words, scaled["bins"], part=part))
    return {
        **calibration,
        "loss": figures["loss"],
        "confidence": mean_confidence,
        "excess": 100 * (mean_confidence - figures["accuracy"]),
        "interval": figures.get("intervals", {}).get("ece"),
        "is_fitted_here": figures.get("abstention", {}).get(
            "is_chosen_here", part == calibration["fitted_on"]
        ),
        "charts": charts,
        "rows": rows,
    }


def _abstention(abstention: Json | None, part: str) -> Json | None:
    if abstention is None:
        return None
    return {
        **abstention,
        "all": abstention["curve"][0],
        "chart": abstention_chart(abstention, part=part),
        "table": markdown.abstention_table(abstention),
        "note": markdown.abstention_note(abstention).replace("\n", "; "),
    }


def _robustness(robustness: Json | None, part: str) -> Json | None:
    if not robustness:
        return None
    total, clean = robustness["total"], robustness["clean_correct"]
    # The largest drop at full strength first.
    corruptions = sorted(robustness["corruptions"], key=lambda each: each["correct"][-1])
    rows, drops = [["corruption", "strengths", "1", "2", "3", "4", "5", "drop at 5"]], {}
    for each in corruptions:
        accuracies = [100 * correct / total for correct in each["correct"]]
        drops[each["name"]] = 100 * clean / total - accuracies[-1]
        levels = ", ".join(map(number, each["levels"]))
        rows.append(
            [
                each["name"],
                f"{each['what']}: {levels}",
                *(decimal(accuracy, digits=1) for accuracy in accuracies),
                decimal(drops[each["name"]], digits=1),
            ]
        )
    return {
        "total": total,
        "clean": clean / total,
        "charts": robustness_charts({**robustness, "corruptions": corruptions}, part=part),
        "shown": _CORRUPTIONS_SHOWN,
        "rows": rows,
        "worst": max(drops, key=lambda name: drops[name]),
        "worst_drop": max(drops.values()),
    }


def _mistakes(mistakes: list[Json], sheet: Json | None) -> Json | None:
    if not mistakes and sheet is None:
        return None
    rows = [["row", "true", "predicted", "confidence"]]
    for each in mistakes:
        rows.append([f"{each['row']}", each["true"], each["predicted"], confidence(each["confidence"])])
    if sheet is not None:
        # The rows of the sheet have no meaning: the page breaks the tiles to fit its width.
        tiles = [tile for row in sheet["rows"] for tile in row["tiles"]]
        first, rest = tiles[:_MISTAKES_SHOWN], tiles[_MISTAKES_SHOWN:]
        sheet = {
            "subtitle": sheet["subtitle"],
            "first": [{"label": "", "tiles": first}],
            "rest": [{"label": "", "tiles": rest}] if rest else [],
            "rest_count": len(rest),
        }
    return {"count": len(mistakes), "rows": rows, "sheet": sheet}


def _saliency(sheet: Json | None) -> Json | None:
    """Lay out the faces with their maps: the first of each class, then the second, and so on."""
    if sheet is None:
        return None
    width = _TILES_OF_A_FACE
    most = max(len(row["tiles"]) for row in sheet["rows"])
    faces = [
        {"label": row["label"], "tiles": row["tiles"][place : place + width]}
        for place in range(0, most, width)
        for row in sheet["rows"]
        if row["tiles"][place:]
    ]
    return {"subtitle": sheet["subtitle"], "first": faces[:_FACES_SHOWN], "rest": faces[_FACES_SHOWN:]}


def _neighbours(mistakes: list[Json], sheet: Json | None) -> Json | None:
    found = [each for each in mistakes if each.get("neighbours")]
    if not found and sheet is None:
        return None
    rows = [["row", "true", "predicted", "nearest training images: label (row, distance)"]]
    for each in found:
        near = (f"{one['label']} ({one['row']}, {one['distance']:.3f})" for one in each["neighbours"])
        rows.append([f"{each['row']}", each["true"], each["predicted"], ", ".join(near)])
    if sheet is not None:
        first, rest = sheet["rows"][:_NEIGHBOURS_SHOWN], sheet["rows"][_NEIGHBOURS_SHOWN:]
        sheet = {"subtitle": sheet["subtitle"], "first": first, "rest": rest}
    return {"rows": rows if found else [], "sheet": sheet}
