"""The plot of the scaling benchmark: a panel for each quantity that was varied."""

import statistics
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, write_png


class Panel(NamedTuple):
    """The labels of a panel.

    Attributes:
        title: above it.
        x: of the horizontal axis.
        y: of the vertical axis.
        factor: from seconds to the unit of the vertical axis.
    """

    title: str
    x: str
    y: str
    factor: float


PANELS = {
    "batch": Panel("Batch size", "images per step", "ms per step", 1000),
    "width": Panel("Width", "factor on the features of every block", "ms per step", 1000),
    "images": Panel("Images", "synthetic faces, 56 % of them for training", "s per epoch", 1),
    "seeds": Panel("Seeds trained together", "replicas in one program", "s per epoch", 1),
}


def plot(content: dict[str, Any], path: Path) -> None:
    """Draw the medians and ranges that `benchmarks.throughput.scaling` measured; dashed: how the work grows.

    Args:
        content: its JSON.
        path: the PNG to write.
    """
    rows = [row for row in content["results"] if row["what"] in PANELS]
    kinds = list(dict.fromkeys(row["what"] for row in rows))
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(3.4 * max(1, len(kinds)), 3.4), dpi=160, layout="constrained")
        figure.suptitle(
            f"{content['settings']['config']['name']} on {content['machine']}, {content['device']}; "
            "dashed: proportional to the images, the multiplications, the seeds",
            x=0.01,
            ha="left",
            fontsize=11,
            fontweight="bold",
        )
        for number, what in enumerate(kinds, 1):
            axes = figure.add_subplot(1, len(kinds), number)
            _draw(axes, [row for row in rows if row["what"] == what], PANELS[what])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(figure, path)


def _draw(axes: Axes, rows: list[dict[str, Any]], panel: Panel) -> None:
    rows = sorted(rows, key=lambda row: row["value"])
    values = [row["value"] for row in rows]
    seconds = [[each for samples in row["samples_s"] for each in samples] for row in rows]
    medians = [panel.factor * statistics.median(each) for each in seconds]
    axes.plot(
        values,
        [medians[0] * row["work"] / rows[0]["work"] for row in rows],
        color=QUIET_COLOUR,
        linewidth=1.2,
        linestyle=(0, (4, 3)),
    )
    ends = [[panel.factor * min(each) for each in seconds], [panel.factor * max(each) for each in seconds]]
    axes.plot(values, medians, color=TRAIN_COLOUR, marker="o", markersize=4)
    axes.vlines(values, ends[0], ends[1], color=TRAIN_COLOUR, linewidth=1.2)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.4g}")
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
