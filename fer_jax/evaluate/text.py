"""The text of an evaluation: tables of metrics, classes and calibration for the terminal."""

import statistics
from collections.abc import Sequence
from typing import Final

from fer_jax.evaluate import robustness
from fer_jax.files import Json
from fer_jax.report import markdown
from fer_jax.text import Table, align, counted, decimal, interval, mean_and_spread, percent

_RATIOS: Final = {
    "accuracy": "accuracy",
    "top2_accuracy": "top-2 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "ece": "calibration error",
}


def members_table(members: Sequence[Json]) -> str:
    """Lay out the results of each member alone, and their mean, for the terminal."""
    rows: Table = [["run", "accuracy", "correct", "of", "loss, nats"]]
    for each in members:
        counts = [f"{each[name]:,}" for name in ("correct", "total")]
        rows.append([each["run"], percent(each["accuracy"], digits=2), *counts, f"{each['loss']:.4f}"])
    mean = mean_and_spread([100 * each["accuracy"] for each in members], digits=2)
    loss = statistics.mean(each["loss"] for each in members)
    rows.append(["mean", f"{mean} %", "", "", f"{loss:.4f}"])
    return align(rows)


def describe(result: Json) -> str:
    """Lay out an evaluation for the terminal, in tables."""
    parts = [members_table(result["members"])] if "members" in result else []
    parts += [_metrics_table(result), _class_table(result), markdown.confusion_table(result["confusion"])]
    parts.append(_calibration_lines(result))
    if result["robustness"] is not None:
        parts.append(robustness.table(result["robustness"]))
    return "\n\n".join(parts)


def _metrics_table(result: Json) -> str:
    intervals, total = result["intervals"], result["total"]
    rows: Table = [["", "value", "95 % interval"]]
    ratios = result | {"ece": result["calibration"]["ece"]}
    for name, words in _RATIOS.items():
        ends = interval(intervals[name], scale=100, digits=2)
        rows.append([words, percent(ratios[name], digits=2), ends])
    rows.append(["mean ROC-AUC", decimal(result["macro_roc_auc"]), interval(intervals["macro_roc_auc"])])
    rows.append(["loss, nats", decimal(result["loss"], digits=4), interval(intervals["loss"])])
    lines = align(rows).splitlines()
    lines[1] += f"   {result['correct']:,} of {total:,}"
    lines[2] += f"   {result['top2_correct']:,}"
    count = len(result["views"])
    shown = (
        "one view"
        if count == 1
        else f"{counted(count, 'view')}, logits averaged: {', '.join(result['views'])}"
    )
    return "\n".join(
        [*lines, f"{counted(intervals['resamples'], 'bootstrap resample')} of the images; {shown}"]
    )


def _class_table(result: Json) -> str:
    rows: Table = [["class", "precision", "recall", "F1", "ROC-AUC", "95 % interval", "count", "predicted"]]
    for each in result["per_class"]:
        label = each["label"]
        rows.append(
            [
                label,
                *(percent(each[name], digits=2) for name in ("precision", "recall", "f1")),
                decimal(result["roc_auc"][label]),
                interval(result["intervals"]["roc_auc"][label]),
                f"{each['count']:,}",
                f"{each['predicted']:,}",
            ]
        )
    return align(rows)


def _calibration_lines(result: Json) -> str:
    found, scaled = result["calibration"], result["calibration"]["scaled"]
    if scaled is None:
        return f"calibration: ECE {percent(found['ece'], digits=2)}; no temperature was fitted"
    line = (
        f"temperature {found['temperature']:.3f}, fitted on {found['fitted_on']}: "
        f"ECE {percent(found['ece'], digits=2)} -> {percent(scaled['ece'], digits=2)}, "
        f"loss {result['loss']:.4f} -> {scaled['loss']:.4f}"
    )
    if result["split"] == found["fitted_on"]:
        line += "\nfitted and measured on the same images, which flatters the gain a little"
    return line
