"""What several seeds of one config tell together: mean, standard deviation and range of each figure.

Every function is pure. Accuracies come in as ratios (0..1) and go out in percent.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fer_jax.report.markdown import SYNTHETIC_NOTICE, mean_and_spread
from fer_jax.text import Table, align, to_markdown

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
COUNTS = ("correct", "total")

Metrics = Mapping[str, Mapping[str, Any]]
"""Part (`train`, `val` and, where there are test images, `test`) -> what `metrics.scores.summarise` gives."""


def epoch_line(records: Sequence[dict[str, Any]], *, epochs: int) -> str:
    """Say in one line how an epoch of several seeds went; the lines of a run stand in columns.

    Args:
        records: the epoch's record of each seed, two at least, as `report.markdown.epoch_line` takes.
        epochs: how many epochs the run has.
    """
    first, width = records[0], len(str(epochs))
    train, val = ([100 * record[f"{part}_accuracy"] for record in records] for part in ("train", "val"))
    objective = statistics.mean(record["objective"] for record in records)
    spread = f"{statistics.mean(val):5.1f} ± {statistics.stdev(val):4.1f} %"
    return (
        f"epoch {first['epoch']:{width}}/{epochs}"
        f"  objective {objective:6.3f}"
        f"  train {statistics.mean(train):5.1f} ± {statistics.stdev(train):4.1f} %"
        f"  val {spread} ({min(val):5.1f} to {max(val):5.1f})"
        f"  {first['images_per_second']:6.0f} img/s"
        f"  {first['seconds']:6.1f} s"
    )


def summarise_seeds(metrics: Sequence[Metrics]) -> dict[str, dict[str, dict[str, float]]]:
    """Take mean, sample standard deviation, smallest and largest of each figure over the seeds.

    Args:
        metrics: of each seed, two at least.

    Returns:
        Part -> figure -> `mean`, `sd`, `min`, `max`; ready for JSON.
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
    """Lay out accuracy and integers of each seed, one row a seed, and their mean and spread below.

    Args:
        seeds: at least two.
        metrics: of each seed.
    """
    parts, summary = list(metrics[0]), summarise_seeds(metrics)
    rows = [["seed", *(head for part in parts for head in (part, "correct / total"))]]
    for seed, figures in zip(seeds, metrics, strict=True):
        cells = [
            (
                f"{100 * figures[part]['accuracy']:.2f} %",
                f"{figures[part]['correct']:,} / {figures[part]['total']:,}",
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


def oracle_line(histories: Sequence[Sequence[dict[str, Any]]], *, is_selected: bool) -> str:
    """Say what choosing the epochs on val itself gives there, beside the figure that is reported.

    Args:
        histories: of each seed, two at least: one record an epoch.
        is_selected: the weights of the best epoch on val are what is reported, not those of the last.
    """
    curves = [[100 * record["val_accuracy"] for record in history] for history in histories]
    if is_selected:
        last = mean_and_spread([curve[-1] for curve in curves])
        return f"On val these are an oracle's figures, of its own best epochs; the last have {last} % there."
    best = mean_and_spread([max(curve) for curve in curves])
    return (
        f"Oracle: val's own best epochs have {best} % there, which is what papers report that choose the "
        "epoch on the images they measure on."
    )


def markdown_report(
    *, title: str, run: dict[str, Any], seeds: Sequence[int], metrics: Sequence[Metrics], oracle: str
) -> str:
    """Write the `report.md` of several seeds.

    Args:
        title: name and seeds.
        run: the content of their `run.json`: `command`, `selection`, `folders` of the seeds, `data`.
        seeds: at least two.
        metrics: of each seed.
        oracle: see `oracle_line`.
    """
    rows = [["part", "accuracy", "range", "balanced accuracy", "macro F1", "loss"]]
    for part, figures in summarise_seeds(metrics).items():
        low, high = (100 * figures["accuracy"][end] for end in ("min", "max"))
        rows.append(
            [
                part,
                f"**{_mean(figures['accuracy'], scale=100)} %**",
                f"{low:.2f} – {high:.2f}",
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
        f"Mean ± sample standard deviation over {len(seeds)} training seeds; data and split are the same for "
        f"all. Weights of each: {run['selection']}. Loss: plain cross-entropy in nats. {oracle}",
        f"## Each seed\n\n{to_markdown(seed_rows(seeds, metrics), left_columns=1)}",
        f"## What was run\n\n```\n{run['command']}\n```\n\n"
        f"Each seed has a folder and a report of its own:\n\n{folders}",
    ]
    return "\n\n".join(sections) + "\n"
