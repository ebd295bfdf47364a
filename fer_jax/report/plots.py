"""Plots of a run: learning curves and a confusion matrix, as figures, which `write_png` writes.

They are drawn without pyplot's global state; the same numbers give the same bytes on the same matplotlib.
"""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_jax.files import replacing
from fer_jax.text import percent, signed

# Okabe and Ito's colours, which colour-blind readers can tell apart.
TRAIN_COLOUR = "#0072B2"
VAL_COLOUR = "#D55E00"
OBJECTIVE_COLOUR = "#009E73"
RATE_COLOUR = "#555555"
QUIET_COLOUR = "#777777"
GRID_COLOUR = "#e6e6e6"

# "default" comes first, so that the user's matplotlibrc has no effect.
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
        "grid.color": GRID_COLOUR,
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.9,
        "lines.solid_capstyle": "round",
    },
]


History = Sequence[Mapping[str, Any]]
"""One record per epoch."""
Curve = tuple[list[int], list[float]]
"""Epochs and values."""

WIDE_DPI = 1600 / 9
"""Dots per inch of a figure that is 9 inches and 1600 pixels wide."""


_WIDE_CELLS = 8
"""Most classes of a confusion matrix whose cells are about 0.8 inches wide; those of more are smaller."""
_LEAST_WIDTH, _LEAST_HEIGHT = 6.5, 3.5
"""Of a confusion matrix of few classes, in inches: its title needs room."""
_LETTER = 0.085
"""Width of a letter of a name, in inches."""


def plot_curves(history: History, *, title: str, measured_epoch: int) -> Figure:
    """Draw accuracy, loss and learning rate over the epochs; 1600 × 800 pixels.

    Args:
        history: one record per epoch, with `epoch` (from 1), `objective` (nats) and `rate`; those that were
            measured, at least one, have `train_accuracy`, `val_accuracy` (0..1), `train_loss` and `val_loss`.
        title: above the panels.
        measured_epoch: the epoch whose weights are the result; it is marked.
    """
    with drawing(title=title, size=(9, 4.5), dpi=WIDE_DPI) as figure:
        grid = figure.add_gridspec(2, 2, height_ratios=(3.4, 1), wspace=0.04)
        places = (grid[:, 0], add_accuracy), (grid[0, 1], add_loss), (grid[1, 1], add_rate)
        for place, draw in places:
            axes = figure.add_subplot(place)
            draw(axes, history, measured_epoch)
            axes.tick_params(labelbottom=draw is not add_loss)
    return figure


def add_accuracy(axes: Axes, history: History, measured_epoch: int) -> None:
    """Draw train and val accuracy in percent over the epochs, and the gap at the measured one."""
    curves = {
        "train": (TRAIN_COLOUR, _curve(history, "train_accuracy", scale=100)),
        "val": (VAL_COLOUR, _curve(history, "val_accuracy", scale=100)),
    }
    values = [value for _, (_, ys) in curves.values() for value in ys]
    # Show at least ten points, so that a flat curve looks flat.
    span = max(max(values) - min(values), 10)
    middle = (max(values) + min(values)) / 2
    # Leave room below the curves for the text about the measured epoch.
    axes.set_ylim(middle - 0.75 * span, middle + 0.56 * span)
    _draw_curves(axes, history, curves, measured_epoch)

    measured = next(record for record in history if record["epoch"] == measured_epoch)
    train, val = 100 * measured["train_accuracy"], 100 * measured["val_accuracy"]
    axes.vlines(measured_epoch, min(train, val), max(train, val), color="black", linewidth=1.6, zorder=3)
    look: Any = {"facecolor": "white", "edgecolor": VAL_COLOUR, "linewidth": 2}
    axes.scatter([measured_epoch], [val], s=60, zorder=4, **look)
    words = f"epoch {measured_epoch}: val {val:.1f} %\ngap train − val: {signed(train - val)} points"
    look = {"ha": "right", "linespacing": 1.4, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 2}}
    axes.text(0.985, 0.03, words, transform=axes.transAxes, **look)
    axes.set_title("Accuracy, eval mode, no augmentation")
    axes.set_ylabel("accuracy (%)")
    axes.set_xlabel("epoch")


def add_loss(axes: Axes, history: History, measured_epoch: int) -> None:
    """Draw train loss, val loss and objective in nats over the epochs."""
    curves = {
        "train": (TRAIN_COLOUR, _curve(history, "train_loss")),
        "val": (VAL_COLOUR, _curve(history, "val_loss")),
        "objective": (OBJECTIVE_COLOUR, _curve(history, "objective")),
    }
    values = [value for _, (_, ys) in curves.values() for value in ys]
    span = max(max(values) - min(values), 0.1)
    axes.set_ylim(min(values) - 0.06 * span, min(values) + 1.06 * span)
    _draw_curves(axes, history, curves, measured_epoch)
    axes.set_title("Loss (objective: the training loss)")
    axes.set_ylabel("cross-entropy (nats)")


def add_rate(axes: Axes, history: History, measured_epoch: int) -> None:
    """Draw the learning rate over the epochs."""
    rates = _curve(history, "rate")
    # A run of a single epoch whose schedule ends at 0 has no other learning rate.
    top = max(rates[1]) or 1.0
    axes.set_ylim(0, 1.2 * top)
    _draw_curves(axes, history, {"": (RATE_COLOUR, rates)}, measured_epoch)
    axes.set_yticks([0, top], ["0", f"{top:.2g}"])
    axes.set_title("Learning rate")
    axes.set_xlabel("epoch")


def _curve(history: History, name: str, *, scale: int = 1) -> Curve:
    """Read a curve from the records that have it."""
    there = [record for record in history if name in record]
    return [record["epoch"] for record in there], [scale * record[name] for record in there]


def _draw_curves(
    axes: Axes, history: History, curves: dict[str, tuple[str, Curve]], measured_epoch: int
) -> None:
    """Draw lines with their names at the right end, and mark an epoch. The y limits must be set before."""
    epochs = [record["epoch"] for record in history]
    low, high = axes.get_ylim()
    heights = spread([(ys[-1] - low) / (high - low) for _, (_, ys) in curves.values()], min_gap=0.075)
    for (name, (colour, (xs, ys))), height in zip(curves.items(), heights, strict=True):
        # A line of one point is invisible, and a short line is easier to read with dots.
        look: Any = {"marker": "o" if len(xs) <= 12 else "", "markersize": 4, "zorder": 2}
        axes.plot(xs, ys, color=colour, **look)
        axes.text(1.015, height, name, color=colour, fontweight="bold", va="center", transform=axes.transAxes)
    axes.axvline(measured_epoch, color=QUIET_COLOUR, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def spread(heights: list[float], *, min_gap: float) -> list[float]:
    """Push labels apart until none overlap, keeping their order.

    Args:
        heights: the preferred positions.
        min_gap: smallest distance between two neighbours, in the same unit.

    Returns:
        New heights, in the given order. Labels that touch are centred on their mean preferred position.

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


def plot_confusion(confusion: np.ndarray, names: Sequence[str], *, title: str) -> Figure:
    """Draw a confusion matrix, shaded by the fractions of each row; for FER2013 1120 × 1040 pixels.

    A cell shows its percentage of the row and its count; the right margin shows recall and size of the row.
    A class without examples shows counts only. Names that are wider than a cell stand upright below it.

    Args:
        confusion: int [C, C], examples by true class (row) and predicted class (column).
        names: of the C classes.
        title: above the matrix.
    """
    row_sums = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(row_sums, 1)
    places, margin = range(len(names)), len(names) - 0.38
    size, is_upright = _size_matrix(names)
    with drawing(title=title, size=size, dpi=160, grid=False) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row in places:
            for column in places:
                _write_cell(axes, confusion, shares, row, column)
            recall = percent(shares[row, row] if row_sums[row, 0] else None)
            words = f"{recall}\nof {row_sums[row, 0]:,}"
            axes.text(margin, row, words, ha="left", va="center", linespacing=1.35)
        axes.text(margin, -0.62, "recall", ha="left", va="bottom", fontweight="bold")
        label_cells(axes, names, names)
        if is_upright:
            axes.tick_params(axis="x", labelrotation=90)
        axes.set_xlabel("predicted", fontweight="bold")
        axes.set_ylabel("true", fontweight="bold")
    return figure


def _size_matrix(names: Sequence[str]) -> tuple[tuple[float, float], bool]:
    """Choose width and height of a confusion matrix, in inches, and whether the names below it stand upright.

    Up to eight classes have cells of about 0.8 inches, which hold a name like "surprise"; more have smaller
    ones, whose numbers still have room.
    """
    classes, longest = len(names), max(map(len, names))
    side = min(classes, _WIDE_CELLS + 0.65 * (classes - _WIDE_CELLS))
    width, height = max(side, _LEAST_WIDTH), max(side - 0.5, _LEAST_HEIGHT)
    is_upright = _LETTER * longest > (width - 1.6) / classes
    width += _LETTER * max(longest - 8, 0)
    return (width, height + (_LETTER * longest if is_upright else 0)), is_upright


def _write_cell(axes: Axes, confusion: np.ndarray, shares: np.ndarray, row: int, column: int) -> None:
    size = 11.5 if len(confusion) <= _WIDE_CELLS else 9
    colour = "white" if shares[row, column] > 0.55 else "black"
    weight = "bold" if row == column else "normal"
    words = percent(shares[row, column] if confusion[row].any() else None, digits=0)
    look: Any = {"ha": "center", "va": "center", "color": colour}
    axes.text(column, row - 0.14, words, fontweight=weight, fontsize=size, **look)
    axes.text(column, row + 0.2, f"{confusion[row, column]:,}", fontsize=size - 1.5, **look)


def label_cells(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Label the columns and rows of a matrix drawn by `imshow`, and separate its cells by white lines."""
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.set_axisbelow(False)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


class _StyledFigure(Figure):
    """A figure in the common style, wherever it is drawn: the style of the user's matplotlib has no effect.

    A notebook shows it as a picture, with or without pyplot.
    """

    def __init__(self, style: Sequence[Any], **options: Any) -> None:
        """Make an empty figure; `options` are those of `matplotlib.figure.Figure`."""
        self._style = style
        super().__init__(**options)

    def draw(self, renderer: RendererBase) -> None:
        """Draw the figure; matplotlib makes some parts, such as ticks, only now."""
        with matplotlib.style.context(self._style):
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save the figure, as `matplotlib.figure.Figure` does."""
        with matplotlib.style.context(self._style):
            super().savefig(fname, **options)

    def _repr_png_(self) -> tuple[bytes, dict[str, float]]:
        """Show the figure in a notebook, at 96 CSS pixels an inch whatever its resolution."""
        width, height = 96 * self.get_size_inches()
        return to_png(self), {"width": float(width), "height": float(height)}


@contextmanager
def drawing(
    *, title: str, size: tuple[float, float], dpi: float, grid: str | bool = "both"
) -> Iterator[Figure]:
    """Draw a figure in the common style; `write_png` writes it.

    Args:
        title: in bold letters at the top left.
        size: width and height in inches.
        dpi: pixels per inch.
        grid: axes with grid lines, "both", "x" or "y"; False for none.
    """
    style = [*STYLE, {"axes.grid": bool(grid), "axes.grid.axis": grid or "both"}]
    with matplotlib.style.context(style):
        figure = _StyledFigure(style, figsize=size, dpi=dpi, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        yield figure


def to_png(figure: Figure) -> bytes:
    """Encode a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The font lacks the letters of some scripts, in which classes may be named: boxes stand for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # matplotlib would write its version into the file.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically; the same figure gives the same bytes."""
    with replacing(path) as new:
        new.write_bytes(to_png(figure))
