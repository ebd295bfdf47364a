"""What a run tells people: lines and tables for the terminal, `report.md`, the README's ladder of runs.

Every function is pure: plain numbers in, text out. Accuracies come in as ratios (0..1) and go out in percent.
"""

import statistics
from collections.abc import Sequence
from typing import Any

from fer_jax.config.changes import list_differences
from fer_jax.fer2013 import names_of
from fer_jax.models.summary import Layer
from fer_jax.text import Table, align, escape, to_markdown

SYNTHETIC_NOTICE = (
    "**SYNTHETIC FACES: NOT A FER2013 RESULT.** The figures below say nothing about real faces."
)


def epoch_line(record: dict[str, Any], *, epochs: int) -> str:
    """Say in one line how an epoch went; the lines of a run stand in columns.

    Args:
        record: the epoch's figures: `epoch` (from 1), `objective`, `train_loss`, `val_loss` (nats),
            `train_accuracy`, `val_accuracy` (0..1), `rate`, `images_per_second`, `seconds`, `is_best`.
        epochs: how many epochs the run has.
    """
    width = len(str(epochs))
    line = (
        f"epoch {record['epoch']:{width}}/{epochs}"
        f"  objective {record['objective']:6.3f}"
        f"  train {record['train_loss']:6.3f} {100 * record['train_accuracy']:5.1f} %"
        f"  val {record['val_loss']:6.3f} {100 * record['val_accuracy']:5.1f} %"
        f"  rate {record['rate']:.1e}"
        f"  {record['images_per_second']:6.0f} img/s"
        f"  {record['seconds']:6.1f} s"
    )
    return line + "  best" if record["is_best"] else line


def layer_table(layers: list[Layer]) -> str:
    """Lay out the layers of a network and their totals for the terminal.

    Args:
        layers: what `models.summary.list_layers` returns.
    """
    rows = [["layer", "output", "parameters", "MACs"]]
    for name, shape, parameters, macs in layers:
        rows.append([name, " × ".join(map(str, shape)), f"{parameters:,}", f"{macs:,}" if macs else "-"])
    totals = [sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)]
    rows.append(["total", "", *(f"{total:,}" for total in totals)])
    return align(rows)


def metrics_table(metrics: dict[str, Any]) -> str:
    """Lay out the figures of one split for the terminal.

    Args:
        metrics: what `metrics.scores.summarise` returns.
    """
    low, high = 100 * metrics["accuracy_low"], 100 * metrics["accuracy_high"]
    summary = [
        ["accuracy", _percent(metrics["accuracy"], "-")],
        ["balanced accuracy", _percent(metrics["balanced_accuracy"], "-")],
        ["macro F1", _percent(metrics["macro_f1"], "-")],
        ["loss", f"{metrics['loss']:.4f}"],
    ]
    lines = align(summary).splitlines()
    lines[0] += f"   {metrics['correct']} of {metrics['total']}, 95 % interval {low:.2f} to {high:.2f}"
    lines[-1] += " nats"
    return "\n".join([*lines, "", align(_class_rows(metrics, missing="-"))])


def confusion_table(confusion: Sequence[Sequence[int]]) -> str:
    """Lay out a confusion matrix for the terminal.

    Args:
        confusion: [C][C], examples by true class (row) and predicted class (column).
    """
    names = names_of(len(confusion))
    rows = [["true \\ predicted", *names]]
    rows += [[label, *(str(count) for count in row)] for label, row in zip(names, confusion, strict=True)]
    return align(rows)


def markdown_report(
    *,
    name: str,
    run: dict[str, Any],
    config: dict[str, Any],
    history: list[dict[str, Any]],
    metrics: dict[str, dict[str, Any]],
) -> str:
    """Write a run's `report.md`.

    Args:
        name: of the run.
        run: the content of `run.json`.
        config: the content of `config.json`, every field resolved.
        history: one record an epoch, at least one, as `epoch_line` takes.
        metrics: what `metrics.scores.summarise` returns, by part: `train`, `val` and, where there are test
            images, `test`; all of the weights that `run["selection"]` names.

    Returns:
        Markdown that shows `curves.png` and `confusion_val.png` beside it.
    """
    sections = [f"# {name}"]
    if run["data"]["is_synthetic"]:
        sections.append(f"> [!WARNING]\n> {SYNTHETIC_NOTICE}")
    sections += [
        _result_section(run, history, metrics),
        _curves_section(config),
        "## Classes\n\n![confusion matrix of the validation images](confusion_val.png)",
        *(_class_section(part, metrics[part]) for part in metrics if part != "train"),
        _setting_section(run, config),
        _reproduce_section(run),
    ]
    return "\n\n".join(sections) + "\n"


def _result_section(
    run: dict[str, Any], history: list[dict[str, Any]], metrics: dict[str, dict[str, Any]]
) -> str:
    rows = [["part", "accuracy", "95 % interval", "correct / total", "balanced accuracy", "macro F1", "loss"]]
    for part, figures in metrics.items():
        low, high = 100 * figures["accuracy_low"], 100 * figures["accuracy_high"]
        rows.append(
            [
                part,
                f"**{_percent(figures['accuracy'])}**",
                f"{low:.2f} – {high:.2f}",
                f"{figures['correct']:,} / {figures['total']:,}",
                _percent(figures["balanced_accuracy"]),
                _percent(figures["macro_f1"]),
                f"{figures['loss']:.4f}",
            ]
        )
    gap = 100 * (metrics["train"]["accuracy"] - metrics["val"]["accuracy"])
    return (
        f"## Result\n\n{to_markdown(rows, left_columns=1)}\n\n"
        f"Weights of epoch {run['measured_epoch']} of {history[-1]['epoch']}: {run['selection']}. "
        "Loss: plain cross-entropy in nats. Interval: Wilson, over the "
        f"choice of images alone; another training seed moves the figures too. "
        f"{oracle_line(run, history)}\n\n"
        f"**Gap train − val: {_signed(gap)} points.** This is the variance gap: what the network knows about "
        "its training images and cannot carry over to new ones. Both sides are measured in eval mode on "
        "images without augmentation, so neither dropout nor augmentation makes or hides it."
    )


def oracle_line(run: dict[str, Any], history: list[dict[str, Any]]) -> str:
    """Say what choosing the epoch on val itself gives there, beside the figure of the epoch that is reported.

    Args:
        run: the content of `run.json`; its `measured_epoch` counts.
        history: one record an epoch, at least one.
    """
    best = max(history, key=lambda record: record["val_accuracy"])
    if best["epoch"] == run["measured_epoch"]:
        last = _percent(history[-1]["val_accuracy"])
        return f"On val this is an oracle's figure, its own best epoch; the last epoch has {last} there."
    return (
        f"Oracle: val's own best epoch, {best['epoch']}, has {_percent(best['val_accuracy'])} there, which "
        "is what papers report that choose the epoch on the images they measure on."
    )


def _curves_section(config: dict[str, Any]) -> str:
    wanted = config["train"]["train_eval_examples"]
    subset = f"up to {wanted:,} of its" if wanted else "all its"
    return (
        "## Curves\n\n![accuracy, loss and learning rate over the epochs](curves.png)\n\n"
        f"The curve of train counts {subset} images after each epoch; the table above counts all."
    )


def _class_section(part: str, metrics: dict[str, Any]) -> str:
    return f"### By class: {part}\n\n{to_markdown(_class_rows(metrics, missing='–'), left_columns=1)}"


def _setting_section(run: dict[str, Any], config: dict[str, Any]) -> str:
    sizes = ", ".join(f"{part} {size:,}" for part, size in run["split"]["sizes"].items())
    copies = ", ".join(f"{n:,} of {part}" for part, n in run["split"]["copies_of_training_images"].items())
    finished = run["finished"] if run["finished"] is not None else "not finished"
    facts = [
        ["", ""],
        ["data", escape(run["data"]["description"])],
        ["data SHA-256", f"`{run['data']['sha256']}`"],
        ["split", sizes],
        ["copies of training images", copies],
        ["split SHA-256", f"`{run['split']['sha256']}`"],
        ["parameters", f"{run['parameters']:,}"],
        ["MACs an image", f"{run['macs']:,}"],
        ["started", run["started"]],
        ["finished", finished],
        ["time", _describe_time(run)],
        ["device", escape(run["device"])],
        ["machine", escape(run["machine"])],
        ["versions", ", ".join(f"{package} {version}" for package, version in run["versions"].items())],
        ["git commit", f"`{run['git']}`" if run["git"] is not None else "none: not run from a git checkout"],
    ]
    changed = [["field", "this run", "default"], *list_differences(config)]
    return (
        f"## What was run\n\n```\n{run['command']}\n```\n\n{to_markdown(facts, left_columns=2)}\n\n"
        f"### Settings that differ from the defaults\n\n{to_markdown(changed, left_columns=3)}\n\n"
        "Every setting is in `config.json`."
    )


def _describe_time(run: dict[str, Any]) -> str:
    text = f"{_duration(run['seconds_total'])}; {run['seconds_per_epoch']:.1f} s an epoch (median)"
    together = run.get("seeds_together", 1)
    return text if together == 1 else f"{text}, of {together} seeds together"


def _reproduce_section(run: dict[str, Any]) -> str:
    commit = (run["git"] or "").removesuffix("-dirty")
    checkout = [f"git checkout {commit}"] if commit else []
    if commit != (run["git"] or ""):
        checkout.append("# and the changes that were not committed then")
    commands = "\n".join([*checkout, run["command"]])
    return (
        f"## How to reproduce\n\n```\n{commands}\n```\n\n"
        "The data and the split are the same if their SHA-256 above are. The same versions on the same kind "
        "of machine are needed for the same bits; elsewhere expect the same figures up to the spread "
        "between seeds."
    )


def ladder_table(results: dict[str, Any]) -> str:
    """Write the README's table of all runs beside the notebook's figures.

    Args:
        results: `machine`, and `rows` of `name`, `change`, `notebook` (`train`, `val`, `test`: percent,
            a word such as `"≤ 51"`, or None), `parameters`, `seconds_per_epoch` and `seeds`, at least
            one: each with `correct` and `total` of `train`, `val` and `test`.

    Returns:
        Markdown: the table and the line that explains it.
    """
    parts = ("train", "val", "test")
    measured = [*parts, "gap", "seeds", "parameters", "s an epoch"]
    table = [["run", "what changed", "notebook train / val / test", *measured]]
    for row in results["rows"]:
        percents = {
            part: [100 * seed[part]["correct"] / seed[part]["total"] for seed in row["seeds"]]
            for part in parts
        }
        gaps = [train - val for train, val in zip(percents["train"], percents["val"], strict=True)]
        notebook = [row["notebook"][part] for part in parts]
        table.append(
            [
                row["name"],
                escape(row["change"]),
                " / ".join("–" if figure is None else str(figure) for figure in notebook),
                *(mean_and_spread(percents[part]) for part in parts),
                mean_and_spread(gaps),
                str(len(row["seeds"])),
                f"{row['parameters']:,}",
                f"{row['seconds_per_epoch']:.1f}",
            ]
        )
    return (
        f"{to_markdown(table, left_columns=2)}\n\n"
        "Accuracies in percent, ours as mean ± standard deviation over the training seeds (one seed has "
        "no spread). Gap: train − val, in points. A dash: the notebook does not say. "
        f"Machine: {results['machine']}."
    )


def _class_rows(metrics: dict[str, Any], *, missing: str) -> Table:
    rows = [["class", "precision", "recall", "F1", "count", "predicted"]]
    for each in metrics["per_class"]:
        ratios = [_percent(each[figure], missing) for figure in ("precision", "recall", "f1")]
        rows.append([each["label"], *ratios, f"{each['count']}", f"{each['predicted']}"])
    return rows


def mean_and_spread(values: list[float]) -> str:
    """Write mean ± sample standard deviation with one decimal; one value has no spread."""
    mean = _minus(f"{statistics.mean(values):.1f}")
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _percent(ratio: float | None, missing: str = "–") -> str:
    return missing if ratio is None else f"{100 * ratio:.2f} %"


def _signed(points: float) -> str:
    return _minus(f"{points:+.1f}")


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
