"""The text of a run: lines and tables for the terminal, and `report.md`.

Accuracies are ratios (0..1) in the records, and percent in the text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fer_jax.files import Json, reading, write_text
from fer_jax.metrics.history import keep_measured
from fer_jax.metrics.scores import list_names, tells_copies_apart
from fer_jax.report.story import (
    CURVES_NOTE,
    NO_LAYERS,
    REPRODUCE_NOTE,
    RESULT_NOTE,
    Layers,
    Story,
    gather,
    layer_rows,
)
from fer_jax.text import (
    MISSING,
    Table,
    align,
    counted,
    decimal,
    escape,
    interval,
    percent,
    thousands,
    to_markdown,
)

REPORT: Final = "report.md"
"""Name of a run's report in its folder."""

_MEASURED_LETTERS: Final = 42
_LONGEST_LINE: Final = 110
"""Letters of a line of a table on the terminal."""

_COVERAGES_SHOWN: Final = (1.0, 0.9, 0.8, 0.7, 0.5)

SYNTHETIC_NOTICE: Final = (
    "**SYNTHETIC FACES: NOT A FER2013 RESULT.** The numbers below say nothing about real faces."
)


def epoch_line(record: Json, *, epochs: int) -> str:
    """Write an epoch as one line; the lines of a run form columns.

    Args:
        record: `epoch` (from 1), `objective` (nats), `rate`, `images_per_second`, `seconds`, `is_best`; if
            the epoch was measured also `train_loss`, `val_loss` (nats), `train_accuracy` and `val_accuracy`
            (0..1).
        epochs: number of epochs of the run.
    """
    width, measured = len(str(epochs)), " " * _MEASURED_LETTERS
    if keep_measured([record]):
        measured = (
            f"  train {record['train_loss']:6.3f} {100 * record['train_accuracy']:5.1f} %"
            f"  val {record['val_loss']:6.3f} {100 * record['val_accuracy']:5.1f} %"
        )
    line = (
        f"epoch {record['epoch']:{width}}/{epochs}"
        f"  objective {record['objective']:6.3f}"
        f"{measured}"
        f"  rate {record['rate']:.1e}"
        f"  {record['images_per_second']:6,.0f} img/s"
        f"  {record['seconds']:6.1f} s"
    )
    return line + "  best" if record["is_best"] else line


def layer_table(layers: Layers) -> str:
    """Lay out the layers of a network and their totals for the terminal."""
    return align(layer_rows(layers))


def metrics_table(metrics: Json) -> str:
    """Lay out the metrics of one part for the terminal.

    Args:
        metrics: what `metrics.scores.summarise` returns.
    """
    ends = [metrics["accuracy_low"], metrics["accuracy_high"]]
    summary = [
        ["accuracy", percent(metrics["accuracy"], digits=2)],
        ["balanced accuracy", percent(metrics["balanced_accuracy"], digits=2)],
        ["macro F1", percent(metrics["macro_f1"], digits=2)],
        ["loss", decimal(metrics["loss"], digits=4)],
    ]
    lines = align(summary).splitlines()
    counts = f"{thousands(metrics['correct'])} of {thousands(metrics['total'])}"
    lines[0] += f"   {counts}, 95 % interval {interval(ends, scale=100, digits=2)}"
    lines[-1] += " nats"
    return "\n".join([*lines, "", align(_class_rows(metrics))])


def confusion_table(metrics: Json) -> str:
    """Lay out the confusion matrix of one part for the terminal: rows are true classes, columns predicted.

    Many classes, and long names, would make lines longer than a screen: there the columns are numbered.

    Args:
        metrics: what `metrics.scores.summarise` returns.
    """
    names = list_names(metrics)
    rows = [["true \\ predicted", *names]]
    rows += [[label, *map(thousands, row)] for label, row in zip(names, metrics["confusion"], strict=True)]
    if len(align(rows).partition("\n")[0]) > _LONGEST_LINE:
        heads = [str(number) for number in range(1, len(names) + 1)]
        numbered = [
            [f"{name} {head}", *row[1:]] for name, head, row in zip(names, heads, rows[1:], strict=True)
        ]
        rows = [[rows[0][0], *heads], *numbered]
    return align(rows)


def wilson_ends(counts: Json) -> str:
    """Write the ends of an accuracy's Wilson interval, in percent."""
    ends = None if counts["accuracy"] is None else [counts["accuracy_low"], counts["accuracy_high"]]
    return interval(ends, scale=100, digits=2)


def abstention_table(abstention: Json) -> Table:
    """Lay out the accuracy on the most certain images: by threshold, or without one by coverage."""
    if not abstention["thresholds"]:
        rows: Table = [["most certain", "images", "correct", "accuracy", "95 % interval"]]
        for each in abstention["curve"]:
            if each["coverage"] in _COVERAGES_SHOWN:
                rows.append([percent(each["coverage"], digits=0), *_answered_cells(each)])
        return rows
    rows = [["left out", "threshold", "of", "answered", "correct", "accuracy", "95 % interval"]]
    for each in abstention["thresholds"]:
        threshold, images = decimal(each["threshold"]), f"{each['images']:,}"
        rows.append([percent(each["left_out"], digits=0), threshold, images, *_answered_cells(each)])
    return rows


def _answered_cells(each: Json) -> list[str]:
    counts = [f"{each['answered']:,}", f"{each['correct']:,}"]
    return [*counts, percent(each["accuracy"], digits=2), wilson_ends(each)]


def abstention_note(abstention: Json) -> str:
    """Say what the table of `abstention_table` shows."""
    if not abstention["thresholds"]:
        return "the most certain images of these; no threshold was chosen, for want of other images"
    line = (
        f"left out: the least certain part of {abstention['chosen_on']}, on which the threshold is chosen; "
        "images with a lower confidence are not answered"
    )
    if abstention["is_chosen_here"]:
        line += "\nchosen on images that are measured too, which flatters a little"
    return line


def raters_sentence(raters: Json) -> str:
    """Say how often one human rater and the network agree with the other raters."""
    rater, network = raters["rater"], raters["network"]
    return (
        f"one human rater of FER+ against the others: {percent(rater['accuracy'], digits=2)} "
        f"({rater['expected_correct']:,.1f} of {counted(raters['total'], 'image')}, "
        f"{raters['votes']:,} votes);\nthe network against the same raters: "
        f"{percent(network['accuracy'], digits=2)} ({network['expected_correct']:,.1f})"
    )


def parts_table(parts: Sequence[tuple[str, Json]]) -> Table:
    """Lay out for each part its accuracy, the one without copies, and one human rater.

    Args:
        parts: name and what `evaluate` has measured.

    Returns:
        The table, with a column only for what is known of some part; empty if that is nothing.
    """
    has_copies = any(tells_copies_apart(figures) for _, figures in parts)
    has_raters = any(figures.get("raters") is not None for _, figures in parts)
    if not has_copies and not has_raters:
        return []
    head = ["", "accuracy", *(["without copies"] if has_copies else [])]
    rows: Table = [[*head, *(["one human rater", "network, same raters"] if has_raters else [])]]
    for name, figures in parts:
        kinds = [figures, *([figures.get("copy_free")] if has_copies else [])]
        cells = [MISSING if each is None else _with_counts(each) for each in kinds]
        if has_raters:
            cells += _rater_cells(figures.get("raters"))
        rows.append([name, *cells])
    return rows


def _with_counts(each: Json) -> str:
    counts = f"{thousands(each['correct'])} of {thousands(each['total'])}"
    return f"{percent(each['accuracy'])} ({counts})"


def _rater_cells(raters: Json | None) -> list[str]:
    if raters is None:
        return [MISSING, MISSING]
    rater, network = raters["rater"], raters["network"]
    counts = f"{rater['expected_correct']:,.1f} of {thousands(raters['total'])}"
    return [
        f"{percent(rater['accuracy'])} ({counts})",
        f"{percent(network['accuracy'])} ({network['expected_correct']:,.1f})",
    ]


def write(folder: Path) -> Path:
    """Write `report.md` from the files in a finished run's folder.

    It shows `curves.png` and `confusion_val.png` beside it.

    Raises:
        RunError: a file is missing or damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    with reading(folder):
        text = render(gather(folder))
    write_text(folder / REPORT, text)
    return folder / REPORT


def render(story: Story) -> str:
    """Write the story of a finished run in Markdown."""
    matrix = "![confusion matrix of the validation images](confusion_val.png)"
    curves = "![accuracy, loss and learning rate over the epochs](curves.png)"
    classes = [
        f"### By class: {part}\n\n{to_markdown(_class_rows(metrics), left_columns=1)}"
        for part, metrics in story.metrics.items()
        if part != "train"
    ]
    commands = "\n".join(story.reproduce_commands())
    sections = [
        f"# {story.title}",
        *([f"> [!WARNING]\n> {SYNTHETIC_NOTICE}"] if story.is_synthetic else []),
        _result_section(story),
        f"## Curves\n\n{curves}\n\n{CURVES_NOTE} {_train_note(story)}",
        f"## Confusion\n\n{matrix}",
        *classes,
        _run_section(story),
        f"## Data\n\n{escape(story.run['data']['description'])}\n\n{story.split_note}\n\n"
        + to_markdown(story.class_counts, left_columns=1),
        f"## How to reproduce\n\n```\n{commands}\n```\n\n{_facts(story.identity)}\n\n{REPRODUCE_NOTE} Every "
        "setting is in `config.json`.",
    ]
    return "\n\n".join(sections) + "\n"


def _result_section(story: Story) -> str:
    rows = [["part", "accuracy", "95 % interval", "correct / total", "balanced accuracy", "macro F1", "loss"]]
    for part, metrics in story.metrics.items():
        ends = [metrics["accuracy_low"], metrics["accuracy_high"]]
        rows.append(
            [
                part,
                f"**{percent(metrics['accuracy'], digits=2)}**",
                interval(ends, scale=100, digits=2),
                f"{thousands(metrics['correct'])} / {thousands(metrics['total'])}",
                percent(metrics["balanced_accuracy"], digits=2),
                percent(metrics["macro_f1"], digits=2),
                decimal(metrics["loss"], digits=4),
            ]
        )
    return (
        f"## Result\n\n{to_markdown(rows, left_columns=1)}\n\n"
        f"{story.weights_sentence} {RESULT_NOTE}\n\n{story.gap_note}"
    )


def _train_note(story: Story) -> str:
    wanted = story.config.train.train_eval_examples
    subset = f"up to {thousands(wanted)} of the" if wanted else "all"
    return f"Train is measured on {subset} training images here, and on all of them in the table above."


def _run_section(story: Story) -> str:
    size = f"{thousands(story.run['parameters'])} parameters, {thousands(story.run['macs'])} MACs per image"
    layers = to_markdown(story.layers, left_columns=1) if story.layers else NO_LAYERS
    settings = (
        to_markdown([[escape(cell) for cell in row] for row in story.settings], left_columns=3)
        if story.settings
        else "Every setting is at its default."
    )
    return (
        f"## What was run\n\n```\n{story.run['command']}\n```\n\n"
        f"{_facts([*story.facts, ('network', size)])}\n\n"
        f"### Settings that differ from the defaults\n\n{settings}\n\n"
        f"### The network\n\n{layers}"
    )


def _facts(facts: Sequence[tuple[str, Any]]) -> str:
    return to_markdown([["", ""], *([name, escape(value)] for name, value in facts)], left_columns=2)


def _class_rows(metrics: Json) -> Table:
    rows = [["class", "precision", "recall", "F1", "count", "predicted"]]
    for each in metrics["per_class"]:
        ratios = [percent(each[name], digits=2) for name in ("precision", "recall", "f1")]
        rows.append([each["label"], *ratios, thousands(each["count"]), thousands(each["predicted"])])
    return rows
