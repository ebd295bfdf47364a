"""The plot of the roofline benchmark: the rates of the step's parts under the machine's two limits."""

import math
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, VAL_COLOUR, spread, write_png

COLOURS = {"PyTorch": VAL_COLOUR, "JAX": TRAIN_COLOUR}
KINDS = {
    "o": ("forward", ("convolution", "product")),
    "<": ("gradient by input", ("convolution by input", "product by input")),
    "^": ("gradient by kernel", ("convolution by kernel", "product by kernel")),
    "s": ("norm, ReLU, pool, drop", ("rest",)),
    "D": ("gradient of these", ("rest gradient",)),
    "*": ("optimizer", ("update",)),
}
"""By marker: its name in the legend, and its parts."""
MARKERS = {name: marker for marker, (_, names) in KINDS.items() for name in names}


def plot(content: dict[str, Any], path: Path) -> None:
    """Plot GFLOP/s over FLOP per byte, both logarithmic, from the JSON of `benchmarks.roofline`.

    Args:
        content: the JSON.
        path: the PNG to write.
    """
    rows = [row for row in content["parts"] if row["method"] in COLOURS and row["name"] in MARKERS]
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(10, 7), dpi=160, layout="constrained")
        settings = content["settings"]
        title = (
            f"The train step of {settings['config']['name']}, batch {settings['batch_size']}, part by part"
        )
        figure.suptitle(
            f"{title}; {content['machine']}, {content['device']}",
            x=0.01,
            ha="left",
            fontsize=11,
            fontweight="bold",
        )
        axes = figure.add_subplot()
        _draw_roofs(axes, rows, content["peak_flop_per_s"] / 1e9, content["bandwidth_byte_per_s"] / 1e9)
        for (method, colour), side in zip(COLOURS.items(), (-1, 1), strict=True):
            _draw_dots(axes, [row for row in rows if row["method"] == method], colour, side=side)
        _draw_legend(axes, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(figure, path)


def _draw_roofs(axes: Axes, rows: list[dict[str, Any]], peak: float, bandwidth: float) -> None:
    """Set the axes and draw the two limits, in GFLOP/s and GB/s."""
    intensities = [row["flop"] / row["byte"] for row in rows] + [peak / bandwidth]
    heights = [row["flop_per_s"] / 1e9 for row in rows] + [peak]
    left, right = min(intensities) / 2, max(intensities) * 2
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(min(heights) / 2, max(heights) * 2.2))
    xs = np.array([left, peak / bandwidth, right])
    axes.plot(xs, np.minimum(peak, bandwidth * xs), color="black", linewidth=1.6, zorder=2)
    axes.text(right / 1.05, peak * 1.06, f"matrix products: {peak:.0f} GFLOP/s", ha="right", va="bottom")
    # Only arrays in the caches can be above this line, so there is room for a label.
    half_way = (left * peak / bandwidth) ** 0.5
    axes.annotate(
        f"memory: {bandwidth:.1f} GB/s",
        (half_way, bandwidth * half_way),
        xytext=(-8, 2),
        textcoords="offset points",
        ha="right",
    )
    axes.set_xlabel("FLOP per byte moved")
    axes.set_ylabel("GFLOP/s")


def _draw_dots(axes: Axes, rows: list[dict[str, Any]], colour: str, *, side: int) -> None:
    """Draw the points of one library, each with its layer: a block's number, D(ense) or L(ogits).

    Args:
        axes: with their limits set.
        rows: the library's.
        colour: the library's.
        side: -1 moves the points a little to the left, 1 to the right, since both libraries' points have
            the same x.
    """
    low, high = (math.log(each) for each in axes.get_ylim())
    columns: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        # Labels that would overlap form a column.
        columns.setdefault(round(10 * math.log(row["flop"] / row["byte"])), []).append(row)
    for column in columns.values():
        wishes = [(math.log(row["flop_per_s"] / 1e9) - low) / (high - low) for row in column]
        for row, height in zip(column, spread(wishes, min_gap=0.016), strict=True):
            x, y = row["flop"] / row["byte"], row["flop_per_s"] / 1e9
            beside = axes.transData + ScaledTranslation(4 * side / 72, 0, axes.figure.dpi_scale_trans)
            axes.plot([x], [y], color=colour, marker=MARKERS[row["name"]], markersize=6, transform=beside)
            label = row["layer"].removeprefix("block")
            axes.annotate(
                {"dense": "D", "logits": "L", "optimizer": ""}.get(label, label),
                (x, math.exp(low + height * (high - low))),
                xytext=(10 * side, 0),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                color=colour,
                fontsize=7.5,
            )


def _draw_legend(axes: Axes, rows: list[dict[str, Any]]) -> None:
    methods = {row["method"] for row in rows}
    shapes: list[tuple[str, str, str]] = [
        (colour, "o", method) for method, colour in COLOURS.items() if method in methods
    ]
    shapes += [(QUIET_COLOUR, marker, title) for marker, (title, _) in KINDS.items()]
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=7, linestyle="", label=label)
        for colour, marker, label in shapes
    ]
    title = "number: block; D: dense; L: logits"
    axes.legend(handles=handles, loc="lower right", title=title, alignment="left")
