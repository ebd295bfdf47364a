"""The text of an evaluation: tables of metrics, classes and calibration for the terminal."""

from collections.abc import Sequence

import numpy as np

from fer_jax.evaluate import robustness
from fer_jax.files import Json
from fer_jax.report import markdown
from fer_jax.text import Table, align


def members_table(members: Sequence[Json]) -> str:
    """Lay out how each member does alone, and their mean, for the terminal."""
    rows: Table = [["run", "accuracy", "correct", "of", "loss, nats"]]
    rows += [
        [
            each["run"],
            f"{100 * each['accuracy']:.2f} %",
            f"{each['correct']:,}",
            f"{each['total']:,}",
            f"{each['loss']:.4f}",
        ]
        for each in members
    ]
    accuracies = np.array([each["accuracy"] for each in members])
    spread = 100 * accuracies.std(ddof=1)
    mean_loss = np.mean([each["loss"] for each in members])
    rows.append(["mean", f"{100 * accuracies.mean():.2f} ± {spread:.2f} %", "", "", f"{mean_loss:.4f}"])
    return align(rows)


def describe(result: Json) -> str:
    """Lay out the figures of an evaluation for the terminal, in tables."""
    parts = [_figures_table(result), _class_table(result), markdown.confusion_table(result["confusion"])]
    parts.append(_calibration_lines(result))
    if result["robustness"] is not None:
        parts.append(robustness.table(result["robustness"]))
    return "\n\n".join(parts)


def _figures_table(result: Json) -> str:
    intervals, total = result["intervals"], result["total"]
    rows: Table = [["", "value", "95 % interval"]]
    for name, words in (
        ("accuracy", "accuracy"),
        ("top2_accuracy", "top-2 accuracy"),
        ("balanced_accuracy", "balanced accuracy"),
        ("macro_f1", "macro F1"),
    ):
        rows.append([words, f"{_percent(result[name])} %", _percent_interval(intervals[name])])
    ece = result["calibration"]["ece"]
    rows.append(["calibration error", f"{_percent(ece)} %", _percent_interval(intervals["ece"])])
    auc = result["macro_roc_auc"]
    rows.append(["mean ROC-AUC", _decimal(auc), _decimal_interval(intervals["macro_roc_auc"])])
    rows.append(["loss, nats", f"{result['loss']:.4f}", _decimal_interval(intervals["loss"])])
    lines = align(rows).splitlines()
    lines[1] += f"   {result['correct']:,} of {total:,}"
    lines[2] += f"   {result['top2_correct']:,}"
    count = len(result["views"])
    shown = "one view" if count == 1 else f"{count} views, logits averaged: {', '.join(result['views'])}"
    return "\n".join([*lines, f"{intervals['resamples']:,} bootstrap resamples of the images; {shown}"])


def _class_table(result: Json) -> str:
    rows: Table = [["class", "precision", "recall", "F1", "ROC-AUC", "95 % interval", "count", "predicted"]]
    for each in result["per_class"]:
        label = each["label"]
        rows.append(
            [
                label,
                *(_percent(each[name]) for name in ("precision", "recall", "f1")),
                _decimal(result["roc_auc"][label]),
                _decimal_interval(result["intervals"]["roc_auc"][label]),
                f"{each['count']:,}",
                f"{each['predicted']:,}",
            ]
        )
    return align(rows)


def _calibration_lines(result: Json) -> str:
    found, scaled = result["calibration"], result["calibration"]["scaled"]
    if scaled is None:
        return f"calibration: ECE {_percent(found['ece'])} %; no temperature was fitted"
    line = (
        f"temperature {found['temperature']:.3f}, fitted on {found['fitted_on']}: "
        f"ECE {_percent(found['ece'])} % -> {_percent(scaled['ece'])} %, "
        f"loss {result['loss']:.4f} -> {scaled['loss']:.4f}"
    )
    if result["split"] == found["fitted_on"]:
        line += "\nfitted and measured on the same images, which flatters what it gains a little"
    return line


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.2f}"


def _percent_interval(ends: list[float] | None) -> str:
    return "-" if ends is None else f"{_percent(ends[0])} to {_percent(ends[1])}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _decimal_interval(ends: list[float] | None) -> str:
    return "-" if ends is None else f"{_decimal(ends[0])} to {_decimal(ends[1])}"
