"""Pictures of a run as PNG files: learning curves and a confusion matrix.

They are drawn by matplotlib's Agg renderer without any global figure, and the same numbers give the
same bytes on the same matplotlib.
"""

import io
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_jax.fer2013 import names_of
from fer_jax.files import replacing

# Okabe and Ito's colours, told apart by colour-blind readers.
TRAIN_COLOUR = "#0072B2"
VAL_COLOUR = "#D55E00"
OBJECTIVE_COLOUR = "#009E73"
RATE_COLOUR = "#555555"
QUIET_COLOUR = "#777777"

# "default" first, so that a user's own matplotlibrc changes nothing.
STYLE: list[Any] = [
    "default",
    {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "grid.color": "#e6e6e6",
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.9,
        "lines.solid_capstyle": "round",
    },
]


def plot_curves(history: list[dict[str, Any]], path: Path, *, title: str, measured_epoch: int) -> None:
    """Draw accuracy, loss and learning rate over the epochs; 1600 × 800 pixels.

    Args:
        history: one record an epoch, at least one, with `epoch` (from 1), `train_accuracy` and
            `val_accuracy` (0..1), `train_loss`, `val_loss` and `objective` (nats) and `rate`.
        path: the PNG to write. It is replaced in one step, so a reader never sees half a picture.
        title: written above the panels.
        measured_epoch: the epoch whose weights are the run's result; it is marked.
    """
    measured = next(record for record in history if record["epoch"] == measured_epoch)
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(9, 4.5), dpi=1600 / 9, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        grid = figure.add_gridspec(2, 2, height_ratios=(3.4, 1), wspace=0.04)
        accuracy = figure.add_subplot(grid[:, 0])
        loss = figure.add_subplot(grid[0, 1])
        rate = figure.add_subplot(grid[1, 1])
        _draw_accuracy(accuracy, history, measured)
        _draw_loss(loss, history)
        _draw_rate(rate, history)
        for axes in (accuracy, loss, rate):
            axes.axvline(measured_epoch, color=QUIET_COLOUR, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
            axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        loss.tick_params(labelbottom=False)
        write_png(figure, path)


def _draw_accuracy(axes: Axes, history: list[dict[str, Any]], measured: dict[str, Any]) -> None:
    curves = {
        "train": (TRAIN_COLOUR, [100 * record["train_accuracy"] for record in history]),
        "val": (VAL_COLOUR, [100 * record["val_accuracy"] for record in history]),
    }
    values = [value for _, ys in curves.values() for value in ys]
    # A flat run must not look lively, so at least ten points are shown.
    span = max(max(values) - min(values), 10)
    middle = (max(values) + min(values)) / 2
    # The room below the curves holds the words about the measured epoch.
    axes.set_ylim(middle - 0.75 * span, middle + 0.56 * span)
    _draw_curves(axes, history, curves)

    train, val = 100 * measured["train_accuracy"], 100 * measured["val_accuracy"]
    axes.vlines(measured["epoch"], min(train, val), max(train, val), color="black", linewidth=1.6, zorder=3)
    axes.scatter(
        [measured["epoch"]], [val], s=60, facecolor="white", edgecolor=VAL_COLOUR, linewidth=2, zorder=4
    )
    gap = f"{train - val:+.1f}".replace("-", "−")
    axes.text(
        0.985,
        0.03,
        f"epoch {measured['epoch']}: val {val:.1f} %\ngap train − val: {gap} points",
        transform=axes.transAxes,
        ha="right",
        linespacing=1.4,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )
    axes.set_title("Accuracy, eval mode, no augmentation")
    axes.set_ylabel("accuracy (%)")
    axes.set_xlabel("epoch")


def _draw_loss(axes: Axes, history: list[dict[str, Any]]) -> None:
    curves = {
        "train": (TRAIN_COLOUR, [record["train_loss"] for record in history]),
        "val": (VAL_COLOUR, [record["val_loss"] for record in history]),
        "objective": (OBJECTIVE_COLOUR, [record["objective"] for record in history]),
    }
    values = [value for _, ys in curves.values() for value in ys]
    span = max(max(values) - min(values), 0.1)
    axes.set_ylim(min(values) - 0.06 * span, min(values) + 1.06 * span)
    _draw_curves(axes, history, curves)
    axes.set_title("Loss; the objective is what training minimises")
    axes.set_ylabel("cross-entropy (nats)")


def _draw_rate(axes: Axes, history: list[dict[str, Any]]) -> None:
    rates = [record["rate"] for record in history]
    epochs = [record["epoch"] for record in history]
    axes.plot(epochs, rates, color=RATE_COLOUR, marker=_marker(len(history)), markersize=4)
    # A single epoch whose schedule ends at 0 has no other rate to show.
    top = max(rates) or 1.0
    axes.set_ylim(0, 1.2 * top)
    axes.set_yticks([0, top], ["0", f"{top:.2g}"])
    axes.set_title("Learning rate")
    axes.set_xlabel("epoch")


def _draw_curves(
    axes: Axes, history: list[dict[str, Any]], curves: dict[str, tuple[str, list[float]]]
) -> None:
    """Draw lines and write each one's name at its right end. The y limits must be set before."""
    epochs = [record["epoch"] for record in history]
    low, high = axes.get_ylim()
    heights = spread([(ys[-1] - low) / (high - low) for _, ys in curves.values()], min_gap=0.075)
    for (name, (colour, ys)), height in zip(curves.items(), heights, strict=True):
        axes.plot(epochs, ys, color=colour, marker=_marker(len(history)), markersize=4, zorder=2)
        axes.text(
            1.015,
            height,
            name,
            color=colour,
            fontweight="bold",
            transform=axes.transAxes,
            ha="left",
            va="center",
        )


def _marker(epoch_count: int) -> str:
    # A line of one point is invisible, and a short line reads better with dots.
    return "o" if epoch_count <= 12 else ""


def spread(heights: list[float], *, min_gap: float) -> list[float]:
    """Push labels apart until none overlap, keeping their order.

    Args:
        heights: where the labels would like to be.
        min_gap: least distance between two neighbours, in the same unit.

    Returns:
        New heights, in the order given. Labels that touch are centred on their mean wish.

    >>> [round(height, 3) for height in spread([0.5, 0.9, 0.52], min_gap=0.1)]
    [0.46, 0.9, 0.56]
    """
    groups: list[list[int]] = []
    bottoms: list[float] = []
    for index in sorted(range(len(heights)), key=lambda each: heights[each]):
        group = [index]
        bottom = heights[index]
        while groups and bottoms[-1] + min_gap * len(groups[-1]) > bottom:
            bottoms.pop()
            group = groups.pop() + group
            mean = sum(heights[each] for each in group) / len(group)
            bottom = mean - min_gap * (len(group) - 1) / 2
        groups.append(group)
        bottoms.append(bottom)
    placed = {
        index: bottom + min_gap * rank
        for group, bottom in zip(groups, bottoms, strict=True)
        for rank, index in enumerate(group)
    }
    return [placed[index] for index in range(len(heights))]


def plot_confusion(confusion: np.ndarray, path: Path, *, title: str) -> None:
    """Draw a confusion matrix, each row shaded by its shares; 1120 × 1040 pixels.

    A cell shows its share of the row and its count; the right margin shows the recall and the row's
    size. A class without examples shows counts only.

    Args:
        confusion: int [C, C], examples by true class (row) and predicted class (column).
        path: the PNG to write. It is replaced in one step.
        title: written above the matrix.
    """
    row_sums = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(row_sums, 1)
    names = names_of(len(confusion))
    places, margin = range(len(names)), len(names) - 0.38
    with matplotlib.style.context([*STYLE, {"axes.grid": False}]):
        figure = Figure(figsize=(len(names), len(names) - 0.5), dpi=160, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row in places:
            for column in places:
                _write_cell(axes, confusion, shares, row, column)
            recall = f"{100 * shares[row, row]:.1f} %" if row_sums[row, 0] else "–"
            words = f"{recall}\nof {row_sums[row, 0]:,}"
            axes.text(margin, row, words, ha="left", va="center", linespacing=1.35)
        axes.text(margin, -0.62, "recall", ha="left", va="bottom", fontweight="bold")
        axes.set_xticks(places, names)
        axes.set_yticks(places, names)
        axes.set_xticks([place + 0.5 for place in places][:-1], minor=True)
        axes.set_yticks([place + 0.5 for place in places][:-1], minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.set_axisbelow(False)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted", fontweight="bold")
        axes.set_ylabel("true", fontweight="bold")
        write_png(figure, path)


def _write_cell(axes: Axes, confusion: np.ndarray, shares: np.ndarray, row: int, column: int) -> None:
    colour = "white" if shares[row, column] > 0.55 else "black"
    weight = "bold" if row == column else "normal"
    percent = f"{100 * shares[row, column]:.0f} %" if confusion[row].any() else "–"
    axes.text(
        column, row - 0.14, percent, ha="center", va="center", color=colour, fontweight=weight, fontsize=11.5
    )
    axes.text(column, row + 0.2, f"{confusion[row, column]:,}", ha="center", va="center", color=colour)


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, in one step; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # Without its version in the file, the same picture is the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    with replacing(path) as new:
        new.write_bytes(buffer.getvalue())
