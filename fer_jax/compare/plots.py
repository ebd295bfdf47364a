"""Plots of a comparison, as figures: curves, gaps, accuracies and McNemar's tests.

The same numbers give the same bytes on the same matplotlib. An entry is what `compare.run.describe_entry`
returns, a pair what `compare.run.compare_pairs` returns.
"""

import functools
from collections.abc import Sequence
from itertools import product
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from fer_jax import fer2013
from fer_jax.compare import text
from fer_jax.compare.text import p_text
from fer_jax.files import Json
from fer_jax.report.plots import (
    OBJECTIVE_COLOUR,
    QUIET_COLOUR,
    TRAIN_COLOUR,
    VAL_COLOUR,
    WIDE_DPI,
    drawing,
    label_cells,
    spread,
)
from fer_jax.text import signed, thousands

# Okabe and Ito's colours without yellow, which is hardly visible on white.
_RUN_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#D55E00")
_DASHES: Final[tuple[Any, ...]] = ("solid", (0, (5, 2)), (0, (1, 1.5)))
_RUN_STYLES: Final = tuple((colour, dash) for dash, colour in product(_DASHES, _RUN_COLOURS))

_PART_MARKS: Final = {"train": (TRAIN_COLOUR, "o"), "val": (VAL_COLOUR, "s"), "test": (OBJECTIVE_COLOUR, "D")}
_OTHER_MARK: Final = ("#CC79A7", "^")

_LOG_TICKS: Final = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000)
_PANELS_A_ROW: Final = 4
_FULL_COLOUR_POINTS: Final = 10.0
_MARGIN_LETTERS: Final = 16

KINDS: Final = ("accuracies", "tests", "curves", "gaps")
"""The plots of a comparison."""


def plot(result: Json, kind: str) -> Figure:
    """Draw one of `KINDS` of a comparison; `result` is the content of `compare.json`."""
    runs = result["runs"]
    if kind == "accuracies":
        return plot_accuracies(runs, result["parts"], title="Accuracy with interval or spread")
    if kind == "tests":
        images = f"{thousands(result['images'])} images of {result['part']}"
        return plot_tests(runs, result["pairs"], title=f"Difference in points, {images}")
    if kind == "curves":
        return plot_curves(runs, title=text.title(result))
    return plot_gaps(runs, title="Gap between train and val, in points")


def plot_curves(entries: Sequence[Json], *, title: str) -> Figure:
    """Draw validation and training accuracy of all runs over the epochs; 1600 pixels wide.

    A line is the mean over the seeds of a run, the band its range, at the epochs that all of them measured.
    If one run is much longer than another, the axis of the epochs is logarithmic.

    Args:
        entries: `label` and `seeds`, each with `history`: `epoch`, `train_accuracy`, `val_accuracy` (0..1).
        title: above the panels.
    """
    with drawing(title=title, size=(9, 4.8), dpi=WIDE_DPI) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, part, words in zip(panels, ("val", "train"), ("Validation", "Training"), strict=True):
            add_curves(axes, entries, part)
            axes.set_title(f"{words} accuracy, eval mode")
        panels[0].set_ylabel("accuracy (%)")
    return figure


def add_curves(axes: Axes, entries: Sequence[Json], part: str) -> None:
    """Draw the accuracy of all runs on a part over the epochs, with the same limits for every part."""
    lengths = [int(_epochs(entry)[-1]) for entry in entries]
    is_log = max(lengths) > 2.5 * min(lengths)
    values = [
        100 * value
        for entry in entries
        for seed in entry["seeds"]
        for each in ("train", "val")
        for value in seed["history"][f"{each}_accuracy"]
    ]
    # Show at least ten points, so that flat curves look flat.
    span = max(max(values) - min(values), 10)
    axes.set_ylim(min(values) - 0.06 * span, min(values) + 1.06 * span)
    _set_epochs(axes, max(lengths), is_log=is_log)
    _draw_runs(axes, entries, part)
    axes.set_xlabel("epoch (logarithmic)" if is_log else "epoch")


def _set_epochs(axes: Axes, epochs: int, *, is_log: bool) -> None:
    if not is_log:
        axes.set_xlim(0.5, epochs + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        return
    axes.set_xscale("log")
    axes.set_xlim(0.9, 1.08 * epochs)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in _LOG_TICKS if tick <= epochs]))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _epochs(entry: Json) -> np.ndarray:
    """Return the epochs that all seeds of an entry measured, int64 [epochs], at least one.

    Seeds differ where they ended early or have another `train.measure_epochs`.
    """
    return functools.reduce(np.intersect1d, [seed["history"]["epoch"] for seed in entry["seeds"]])


def _curves(entry: Json, part: str) -> np.ndarray:
    """Return the accuracies of an entry at its `_epochs`, in percent; float64 [seeds, epochs]."""
    shared, histories = _epochs(entry), [seed["history"] for seed in entry["seeds"]]
    return 100 * np.array(
        [np.array(each[f"{part}_accuracy"])[np.isin(each["epoch"], shared)] for each in histories]
    )


def _draw_runs(axes: Axes, entries: Sequence[Json], part: str) -> None:
    """Draw a line for each run, with its name in the margin. The y limits must be set before.

    Names that are too long for the margin stand below.
    """
    has_margin = max(len(entry["label"]) for entry in entries) <= _MARGIN_LETTERS
    low, high = axes.get_ylim()
    ends = [_curves(entry, part).mean(axis=0)[-1] for entry in entries]
    gap = min(0.055, 0.95 / len(entries))
    heights = spread([(end - low) / (high - low) for end in ends], min_gap=gap)
    for index, (entry, end, height) in enumerate(zip(entries, ends, heights, strict=True)):
        colour, dash = _RUN_STYLES[index % len(_RUN_STYLES)]
        epochs, curves = _epochs(entry), _curves(entry, part)
        if len(curves) > 1:
            axes.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2, lw=0)
        axes.plot(epochs, curves.mean(axis=0), color=colour, linestyle=dash, zorder=3, label=entry["label"])
        axes.plot(epochs[-1], end, color=colour, marker="o", markersize=5, zorder=4)
        if not has_margin:
            continue
        axes.annotate(
            entry["label"],
            xy=(epochs[-1], end),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontweight="bold",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "alpha": 0.55, "shrinkB": 0},
        )
    if not has_margin:
        axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.18), frameon=False)


def plot_gaps(entries: Sequence[Json], *, title: str) -> Figure:
    """Draw train and validation accuracy of each run in a panel of its own; 1600 pixels wide.

    Args:
        entries: as `plot_curves` takes, with `gap`: train − val of each seed, in points.
        title: above the panels.
    """
    columns = min(len(entries), _PANELS_A_ROW)
    rows = -(-len(entries) // columns)
    with drawing(title=title, size=(9, 0.7 + 2.2 * rows), dpi=WIDE_DPI) as figure:
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes, entry in zip(panels.flat, entries, strict=False):
            add_gap(axes, entry)
            gap = float(np.mean(entry["gap"]))
            axes.set_title(f"{entry['label']}: gap {signed(gap)}")
        for axes in panels.flat[len(entries) :]:
            axes.set_axis_off()
        for axes in panels[:, 0]:
            axes.set_ylabel("accuracy (%)")
        figure.legend(
            handles=part_handles(("train", "val")), loc="outside upper right", ncols=2, frameon=False
        )
    return figure


def part_handles(parts: Sequence[str]) -> list[Line2D]:
    """Make the entries of a legend of the parts whose curves are drawn."""
    return [Line2D([], [], color=_PART_MARKS[part][0], label=part) for part in parts]


def add_gap(axes: Axes, entry: Json) -> None:
    """Draw train and validation accuracy of a run over the epochs, on a scale from 0 to 100 %."""
    epochs = _epochs(entry)
    train, val = (_curves(entry, part).mean(axis=0) for part in ("train", "val"))
    axes.fill_between(epochs, train, val, color=QUIET_COLOUR, alpha=0.22, linewidth=0)
    marker = "o" if len(epochs) <= 12 else ""
    for values, part in ((train, "train"), (val, "val")):
        axes.plot(epochs, values, color=_PART_MARKS[part][0], marker=marker, markersize=3.5)
    axes.set_ylim(0, 101)
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")


def plot_accuracies(entries: Sequence[Json], parts: Sequence[str], *, title: str) -> Figure:
    """Draw the accuracies of all runs with interval or spread; 1600 pixels wide.

    One seed: Wilson's 95 % interval. Several seeds: each seed, and mean ± standard deviation. The numbers of
    the notebook are hollow.

    Args:
        entries: `label`, `notebook` (None, or part -> text or None) and `seeds`, each with `parts`: part ->
            `correct`, `total`, `low` and `high` (0..1).
        parts: to draw, in their order.
        title: above the plot.
    """
    with drawing(title=title, size=(9, 1.5 + 0.6 * len(entries)), dpi=WIDE_DPI, grid="x") as figure:
        add_accuracies(figure, entries, parts)
    return figure


def add_accuracies(figure: Figure, entries: Sequence[Json], parts: Sequence[str]) -> None:
    """Draw what `plot_accuracies` does on an empty figure."""
    marks = {part: _PART_MARKS.get(part, _OTHER_MARK) for part in parts}
    axes = figure.add_subplot()
    for row, entry in enumerate(entries):
        for place, part in enumerate(parts):
            height = row + 0.22 * (place - (len(parts) - 1) / 2)
            _draw_accuracy(axes, entry, part, height, marks[part])
    chance = 100 / len(entries[0].get("class_names", fer2013.LABELS))
    axes.axvline(chance, color=QUIET_COLOUR, linewidth=1.2, linestyle=(0, (1, 2)))
    axes.text(chance, -0.62, " chance", color=QUIET_COLOUR, fontsize=9, va="center")
    axes.set_yticks(range(len(entries)), [entry["label"] for entry in entries])
    axes.set_ylim(len(entries) - 0.5, -0.8)
    axes.set_xlim(0, 101)
    axes.set_xlabel("accuracy (%)")
    handles = [
        Line2D([], [], color=colour, marker=mark, label=part) for part, (colour, mark) in marks.items()
    ]
    if any(entry["notebook"] for entry in entries):
        hollow = {"color": "black", "marker": "o", "markerfacecolor": "white", "linestyle": ""}
        handles.append(Line2D([], [], label="notebook", **hollow))  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False)


def _draw_accuracy(axes: Axes, entry: Json, part: str, height: float, mark: tuple[str, str]) -> None:
    colour, marker = mark
    counts = [seed["parts"][part] for seed in entry["seeds"] if part in seed["parts"]]
    values = np.array([100 * each["correct"] / each["total"] for each in counts])
    if len(values) == 1:
        ends = [100 * counts[0]["low"], 100 * counts[0]["high"]]
    elif len(values):
        mean, sd = values.mean(), values.std(ddof=1)
        ends = [mean - sd, mean + sd]
        axes.scatter(values, [height] * len(values), s=10, color=colour, alpha=0.45, linewidth=0, zorder=3)
    if len(values):
        axes.hlines(height, *ends, color=colour, linewidth=1.8, zorder=2)
        axes.plot(values.mean(), height, color=colour, marker=marker, markersize=5.5, zorder=4)
    told = (entry["notebook"] or {}).get(part)
    if told is not None:
        place = float(told.strip("≈≤ "))
        axes.plot(place, height, color=colour, marker=marker, markersize=6, markerfacecolor="white", zorder=5)
        if not told[0].isdigit():
            # On the side away from our own number.
            is_right = len(values) > 0 and values.mean() < place
            axes.annotate(
                told,
                xy=(place, height),
                xytext=(6 if is_right else -6, 0),
                textcoords="offset points",
                ha="left" if is_right else "right",
                va="center",
                color=colour,
                fontsize=8.5,
            )


def largest_difference(pairs: Sequence[Json]) -> float:
    """Choose the difference that has the full colour, in points: small ones are pale, even of two runs."""
    return max(_FULL_COLOUR_POINTS, *(100 * abs(pair["difference"]) for pair in pairs))


def plot_tests(entries: Sequence[Json], pairs: Sequence[Json], *, title: str) -> Figure:
    """Draw the difference in accuracy of each pair of runs, gray if it is not significant.

    Args:
        entries: `label`.
        pairs: one for each two entries: `first` and `second` (their numbers, the first before the second),
            `difference` (second minus first, −1..1), `p_holm` and `is_real`.
        title: above the plot.
    """
    size = len(entries) - 1
    most = largest_difference(pairs)
    colours = np.ones((size, size, 4))
    colour_map = matplotlib.colormaps["RdBu"]
    inches = (max(2.2 + 0.95 * size, 5.2), 1.5 + 0.62 * size)
    with drawing(title=title, size=inches, dpi=160, grid=False) as figure:
        axes = figure.add_subplot()
        for pair in pairs:
            row, column, points = pair["second"] - 1, pair["first"], 100 * pair["difference"]
            shade = 0.5 + 0.45 * points / most
            colours[row, column] = colour_map(shade) if pair["is_real"] else (0.9, 0.9, 0.9, 1)
            ink = "white" if pair["is_real"] and abs(shade - 0.5) > 0.3 else "black"
            weight = "bold" if pair["is_real"] else "normal"
            place: Json = {"ha": "center", "va": "center", "color": ink}
            axes.text(column, row - 0.16, signed(points), fontweight=weight, fontsize=11, **place)
            axes.text(column, row + 0.22, p_text(pair["p_holm"]), fontsize=8.5, **place)
        axes.imshow(colours, aspect="auto")
        labels = [entry["label"] for entry in entries]
        label_cells(axes, labels[:-1], labels[1:])
        axes.set_xlabel("… minus this run (gray: not significant)")
        axes.set_ylabel("accuracy of this run …")
    return figure
