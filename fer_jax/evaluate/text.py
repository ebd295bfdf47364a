"""The text of an evaluation: tables of metrics, classes and calibration for the terminal."""

import statistics
from collections.abc import Sequence
from typing import Final

from fer_jax.evaluate import robustness
from fer_jax.files import Json
from fer_jax.metrics.scores import tells_copies_apart
from fer_jax.report import markdown
from fer_jax.text import Table, align, counted, decimal, interval, mean_and_spread, percent

_RATIOS: Final = {
    "accuracy": "accuracy",
    "top2_accuracy": "top-2 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "ece": "calibration error",
}
FEW_IMAGES: Final = 100
"""With fewer validation images a temperature says little."""


def members_table(members: Sequence[Json]) -> str:
    """Lay out the results of each member alone, and their mean, for the terminal."""
    has_copies = any(tells_copies_apart(each) for each in members)
    without = ["without copies", "correct", "of"] if has_copies else []
    kind = "weights" if "weights" in members[0] else "run"
    rows: Table = [[kind, "accuracy", "correct", "of", *without, "loss, nats"]]
    for each in members:
        kinds = [each, each["copy_free"]] if has_copies else [each]
        cells = [cell for counts in kinds for cell in _accuracy_cells(counts)]
        rows.append(
            [each["run"] if kind == "run" else each["weights"]["name"], *cells, f"{each['loss']:.4f}"]
        )
    rows.append(["mean", *_mean_cells(members)])
    if has_copies:
        rows[-1] += _mean_cells([each["copy_free"] for each in members])
    loss = statistics.mean(each["loss"] for each in members)
    rows[-1].append(f"{loss:.4f}")
    return align(rows)


def _accuracy_cells(counts: Json) -> list[str]:
    return [percent(counts["accuracy"], digits=2), f"{counts['correct']:,}", f"{counts['total']:,}"]


def _mean_cells(counts: Sequence[Json]) -> list[str]:
    return [f"{mean_and_spread([100 * each['accuracy'] for each in counts], digits=2)} %", "", ""]


def describe(result: Json) -> str:
    """Lay out an evaluation for the terminal, in tables."""
    parts = [members_table(result["members"])] if "members" in result else []
    parts += [_metrics_table(result), _class_table(result), markdown.confusion_table(result)]
    parts.append(_calibration_lines(result))
    if "abstention" in result:
        abstention = result["abstention"]
        parts.append(
            f"{align(markdown.abstention_table(abstention))}\n{markdown.abstention_note(abstention)}"
        )
    if result.get("raters") is not None:
        parts.append(markdown.raters_sentence(result["raters"]))
    if result["robustness"] is not None:
        parts.append(robustness.table(result["robustness"]))
    return "\n\n".join(parts)


def _metrics_table(result: Json) -> str:
    intervals = result["intervals"]
    rows: Table = [["", "value", "95 % interval"]]
    counts = [""]
    ratios = result | {"ece": result["calibration"]["ece"]}
    of = {"accuracy": f"   {result['correct']:,} of {result['total']:,}"}
    of["top2_accuracy"] = f"   {result['top2_correct']:,}"
    for name, words in _RATIOS.items():
        ends = interval(intervals[name], scale=100, digits=2)
        rows.append([words, percent(ratios[name], digits=2), ends])
        counts.append(of.get(name, ""))
        if name == "accuracy" and tells_copies_apart(result):
            without = result["copy_free"]
            rows.append(
                ["  without copies", percent(without["accuracy"], digits=2), markdown.wilson_ends(without)]
            )
            counts.append(f"   {without['correct']:,} of {without['total']:,}, Wilson's interval")
    rows.append(["mean ROC-AUC", decimal(result["macro_roc_auc"]), interval(intervals["macro_roc_auc"])])
    rows.append(["loss, nats", decimal(result["loss"], digits=4), interval(intervals["loss"])])
    lines = [line + more for line, more in zip(align(rows).splitlines(), [*counts, "", ""], strict=True)]
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
    if result["abstention"]["is_chosen_here"]:
        line += "\nfitted on images that are measured too, which flatters the gain a little"
        if result["total"] < FEW_IMAGES:
            line += f"; {counted(result['total'], 'image')} are too few to rely on a temperature"
    return line
