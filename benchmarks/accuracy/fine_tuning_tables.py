"""The section of the fine-tuning benchmark in the docs: its table and its picture, from the JSON."""

import statistics
from pathlib import Path
from typing import Final

from benchmarks.harness import bench
from fer_jax.files import Json
from fer_jax.metrics.scores import wilson_interval
from fer_jax.report.plots import OBJECTIVE_COLOUR, drawing, write_png
from fer_jax.text import Table, mean_and_spread, to_markdown

PICTURE: Final = "fine_tuning.png"
"""The picture, in docs/images."""


def _accuracies(content: Json, way: str, rows: int) -> list[float]:
    """List the accuracies of a way with so many rows, in percent, by seed."""
    found = sorted(
        (each["seed"], 100 * each["correct"] / each["total"])
        for each in content["results"]
        if each["way"] == way and each["rows"] == rows
    )
    return [accuracy for _, accuracy in found]


def _list_sizes(content: Json) -> list[int]:
    return sorted({each["rows"] for each in content["results"]})


def table(content: Json) -> str:
    """Return the table: accuracy of each way by the number of own rows, and the gains over new weights."""
    ways = content["settings"]["ways"]
    titles = {name: ways[name]["title"] for name in ways}
    tuned = [name for name in ways if name != "new"]
    rows: Table = [["own rows", "seeds", "steps", *titles.values(), *(f"gain, {titles[n]}" for n in tuned)]]
    for size in _list_sizes(content):
        base = _accuracies(content, "new", size)
        steps = next(each["steps"] for each in content["results"] if each["rows"] == size)
        row = [f"{size:,}", str(len(base)), f"{steps:,}"]
        row += [mean_and_spread(_accuracies(content, name, size)) for name in ways]
        for name in tuned:
            gains = [a - b for a, b in zip(_accuracies(content, name, size), base, strict=True)]
            row.append(f"{statistics.mean(gains):+.1f}")
        rows.append(row)
    return to_markdown(rows, left_columns=0)


def describe(content: Json) -> str:
    """Return the section: the picture, the table, and what they are about."""
    ancestor, settings = content["ancestor"], content["settings"]
    low, high = (100 * end for end in wilson_interval(ancestor["correct"], ancestor["total"]))
    share = 100 * ancestor["correct"] / ancestor["total"]
    rates = "; ".join(
        f"{way['title']}: {' or '.join(f'{rate:g}' for rate in way['rates'])}"
        for way in settings["ways"].values()
    )
    note = f" {bench.UNCOMMITTED.capitalize()}." if bench.has_uncommitted(content) else ""
    return "\n\n".join(
        [
            f"![Accuracy by the number of own rows](../images/{PICTURE})",
            table(content),
            f"Accuracy in percent on {ancestor['total']:,} test rows, mean ± standard deviation over the "
            "seeds, each with its own rows; the gain is the mean over the same rows and seeds. Of the own "
            f"rows four fifths are trained on, in batches of {settings['batch_size']}, and one fifth chooses "
            f"the learning rate ({rates}). The ancestor, {settings['config']['train']['epochs']} epochs on "
            f"{ancestor['train_images']:,} other rows with FER2013's labels, has {share:.1f} % "
            f"({low:.1f} to {high:.1f}) without any own row. {content['machine']}.{note}",
        ]
    )


def draw(content: Json, path: Path) -> None:
    """Draw the accuracy by the number of own rows, a line for each way, with standard deviations."""
    ancestor, sizes = content["ancestor"], _list_sizes(content)
    with drawing(title="Fine-tuning on few rows", size=(7.2, 4.2), dpi=160) as figure:
        axes = figure.add_subplot()
        for name, way in content["settings"]["ways"].items():
            found = [_accuracies(content, name, size) for size in sizes]
            axes.errorbar(
                sizes,
                [statistics.mean(each) for each in found],
                [statistics.stdev(each) if len(each) > 1 else 0.0 for each in found],
                color=way["colour"],
                marker="o",
                markersize=4,
                capsize=3,
                label=way["title"],
            )
        as_it_is = 100 * ancestor["correct"] / ancestor["total"]
        axes.axhline(as_it_is, color=OBJECTIVE_COLOUR, linestyle="--", label="the ancestor as it is")
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("own rows, a fifth of them to choose the learning rate")
        axes.set_ylabel("accuracy on the test rows, %")
        axes.legend(loc="lower right", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(figure, path)
