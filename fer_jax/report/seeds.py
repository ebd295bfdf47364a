"""The text of several seeds of one config: mean, standard deviation and range of each metric.

Accuracies are ratios (0..1) in the records, and percent in the text.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fer_jax.metrics.history import keep_measured, no_better_note
from fer_jax.report.markdown import SYNTHETIC_NOTICE
from fer_jax.report.story import SCORES_NOTE
from fer_jax.text import Table, align, interval, mean_and_spread, percent, thousands, to_markdown

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
_MEASURED_LETTERS: Final = 59

Metrics = Mapping[str, Mapping[str, Any]]
"""Part (`train`, `val` and, if there are test images, `test`) -> what `metrics.scores.summarise` returns."""


def epoch_line(records: Sequence[dict[str, Any]], *, epochs: int) -> str:
    """Write an epoch of several seeds as one line; the lines of a run form columns.

    Args:
        records: the epoch's record of each seed, at least two, as `report.markdown.epoch_line` takes.
        epochs: number of epochs of the run.
    """
    first, width = records[0], len(str(epochs))
    objective, measured = statistics.mean(record["objective"] for record in records), " " * _MEASURED_LETTERS
    if keep_measured([first]):
        train, val = ([100 * record[f"{part}_accuracy"] for record in records] for part in ("train", "val"))
        spread, ends = f"{statistics.mean(val):5.1f} ± {statistics.stdev(val):4.1f} %", [min(val), max(val)]
        measured = (
            f"  train {statistics.mean(train):5.1f} ± {statistics.stdev(train):4.1f} %"
            f"  val {spread} {f'({ends[0]:.1f} to {ends[1]:.1f})':>16}"
        )
    return (
        f"epoch {first['epoch']:{width}}/{epochs}"
        f"  objective {objective:6.3f}"
        f"{measured}"
        f"  {first['images_per_second']:6.0f} img/s"
        f"  {first['seconds']:6.1f} s"
    )


def summarise_seeds(metrics: Sequence[Metrics]) -> dict[str, dict[str, dict[str, float]]]:
    """Compute mean, sample standard deviation, minimum and maximum of each metric over the seeds.

    Args:
        metrics: of each seed, at least two.

    Returns:
        Part -> metric -> `mean`, `sd`, `min`, `max`; ready for JSON.
    """
    return {
        part: {figure: _spread([each[part][figure] for each in metrics]) for figure in FIGURES}
        for part in metrics[0]
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": statistics.mean(values),
        "sd": statistics.stdev(values),
        "min": min(values),
        "max": max(values),
    }


def seed_rows(seeds: Sequence[int], metrics: Sequence[Metrics]) -> Table:
    """List the accuracy of each seed, with counts, and below it mean and standard deviation.

    Args:
        seeds: at least two.
        metrics: of each seed.
    """
    parts, summary = list(metrics[0]), summarise_seeds(metrics)
    rows = [["seed", *(head for part in parts for head in (part, "correct / total"))]]
    for seed, figures in zip(seeds, metrics, strict=True):
        cells = [
            (
                percent(figures[part]["accuracy"], digits=2),
                f"{thousands(figures[part]['correct'])} / {thousands(figures[part]['total'])}",
            )
            for part in parts
        ]
        rows.append([str(seed), *(cell for pair in cells for cell in pair)])
    means = [(_mean(summary[part]["accuracy"], scale=100) + " %", "") for part in parts]
    return [*rows, ["mean ± sd", *(cell for pair in means for cell in pair)]]


def _mean(spread: dict[str, float], *, scale: int) -> str:
    digits = 2 if scale == 100 else 4
    return f"{scale * spread['mean']:.{digits}f} ± {scale * spread['sd']:.{digits}f}"


def seeds_table(seeds: Sequence[int], metrics: Sequence[Metrics]) -> str:
    """Lay out `seed_rows` for the terminal."""
    return align(seed_rows(seeds, metrics))


def best_epoch_note(histories: Sequence[Sequence[dict[str, Any]]], *, is_selected: bool) -> str:
    """Compare the reported epochs with the best ones on val.

    Args:
        histories: of each seed, at least two: one record per epoch.
        is_selected: whether the best epochs on val are reported, rather than the last.
    """
    seen = [keep_measured(history) for history in histories]
    curves = [[100 * record["val_accuracy"] for record in history] for history in seen]
    if is_selected:
        last = mean_and_spread([curve[-1] for curve in curves])
        return (
            "The epochs were chosen for their val accuracy, which is therefore optimistic; the last epochs "
            f"have {last} %."
        )
    if all(curve[-1] == max(curve) for curve in curves):
        return no_better_note(histories[0])
    best = mean_and_spread([max(curve) for curve in curves])
    return (
        f"The epochs with the highest val accuracy have {best} %. They are not reported: chosen on the "
        "images that they are measured on, they would be optimistic."
    )


def markdown_report(
    *, title: str, run: dict[str, Any], seeds: Sequence[int], metrics: Sequence[Metrics], best_epochs: str
) -> str:
    """Write the `report.md` of several seeds.

    Args:
        title: name and seeds.
        run: content of their `run.json`: `command`, `selection`, `folders` of the seeds, `data`.
        seeds: at least two.
        metrics: of each seed.
        best_epochs: see `best_epoch_note`.
    """
    rows = [["part", "accuracy", "range", "balanced accuracy", "macro F1", "loss"]]
    for part, figures in summarise_seeds(metrics).items():
        rows.append(
            [
                part,
                f"**{_mean(figures['accuracy'], scale=100)} %**",
                interval([figures["accuracy"]["min"], figures["accuracy"]["max"]], scale=100, digits=2),
                f"{_mean(figures['balanced_accuracy'], scale=100)} %",
                f"{_mean(figures['macro_f1'], scale=100)} %",
                _mean(figures["loss"], scale=1),
            ]
        )
    warning = [f"> [!WARNING]\n> {SYNTHETIC_NOTICE}"] if run["data"]["is_synthetic"] else []
    folders = "\n".join(
        f"- seed {seed}: `{folder}`" for seed, folder in zip(seeds, run["folders"], strict=True)
    )
    sections = [
        f"# {title}",
        *warning,
        f"## Result\n\n{to_markdown(rows, left_columns=1)}\n\n"
        f"Mean ± sample standard deviation over {len(seeds)} training seeds, with the same data and split. "
        f"Weights of each: {run['selection']}. {best_epochs} {SCORES_NOTE}",
        f"## Each seed\n\n{to_markdown(seed_rows(seeds, metrics), left_columns=1)}",
        f"## What was run\n\n```\n{run['command']}\n```\n\n"
        f"Each seed has its own folder and report:\n\n{folders}",
    ]
    return "\n\n".join(sections) + "\n"
