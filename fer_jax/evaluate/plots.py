"""Pictures of what `evaluate` measures: the reliability diagram and the robustness sheet, as PNG files.

Drawn in the style of `pictures`; the same figures give the same bytes on the same matplotlib.
"""

from pathlib import Path
from typing import Any, Final

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from fer_jax import fer2013
from fer_jax.metrics.scores import wilson_interval
from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, VAL_COLOUR, write_png

_BAR_COLOUR: Final = "#9ec9e2"
_PANELS_A_ROW: Final = 3


def plot_reliability(calibration: dict[str, Any], path: Path, *, title: str) -> None:
    """Draw accuracy against confidence, before and after the temperature, over the confidences' histogram.

    1600 × 1067 pixels, or half as wide where there is no temperature.

    Args:
        calibration: `ece` and `bins` of `metrics.calibration.describe`; `temperature` and `scaled` (with `ece` and
            `bins`), or None for both.
        path: the PNG to write. It is replaced in one step.
        title: written above the panels.
    """
    panels = [("As the network says it", calibration)]
    if calibration["scaled"] is not None:
        words = f"Divided by the temperature {calibration['temperature']:.2f}"
        panels.append((words, calibration["scaled"]))
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(4.5 * len(panels), 6), dpi=1600 / 9, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        ratios = {"height_ratios": (3, 1)}
        grid = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, gridspec_kw=ratios)
        for column, (words, figures) in enumerate(panels):
            diagram, histogram = grid[:, column]
            _draw_reliability(diagram, figures["bins"])
            _draw_histogram(histogram, figures["bins"])
            diagram.set_title(f"{words}: ECE {100 * figures['ece']:.1f} %")
            if column == 0:
                diagram.set_ylabel("accuracy (%)")
                histogram.set_ylabel("images (%)")
        write_png(figure, path)


def _draw_reliability(axes: Axes, bins: list[dict[str, Any]]) -> None:
    axes.plot([0, 100], [0, 100], color=QUIET_COLOUR, linewidth=1.2, linestyle=(0, (4, 3)), zorder=3)
    words = "above the line: too modest,\nmore often right than it says;\nbelow the line: too sure"
    axes.text(3, 97, words, ha="left", va="top", fontsize=9, linespacing=1.4)
    full = [each for each in bins if each["count"]]
    left = [100 * each["low"] for each in full]
    width = 100 / len(bins)
    heights = [100 * each["accuracy"] for each in full]
    confidences = [100 * each["confidence"] for each in full]
    axes.bar(left, heights, width, align="edge", color=_BAR_COLOUR, edgecolor="white", zorder=2)
    ends = np.array(
        [wilson_interval(round(each["accuracy"] * each["count"]), each["count"]) for each in full]
    )
    reach = np.abs(100 * ends.T - heights)
    # A bin of few images says little, and the bar over its 95 % interval shows it.
    axes.errorbar(
        confidences, heights, reach, fmt="o", color=TRAIN_COLOUR, markersize=5, elinewidth=1.1, zorder=4
    )
    axes.set(xlim=(0, 100), ylim=(0, 100))


def _draw_histogram(axes: Axes, bins: list[dict[str, Any]]) -> None:
    total = sum(each["count"] for each in bins)
    shares = [100 * each["count"] / total for each in bins]
    left = [100 * each["low"] for each in bins]
    axes.bar(left, shares, 100 / len(bins), align="edge", color=QUIET_COLOUR, edgecolor="white", zorder=2)
    axes.set_xlabel("confidence (%)")


def plot_robustness(robustness: dict[str, Any], path: Path, *, title: str) -> None:
    """Draw accuracy against the strength of each corruption, a panel each; 1600 pixels wide.

    Args:
        robustness: what `evaluate.robustness.measure` returns.
        path: the PNG to write. It is replaced in one step.
        title: written above the panels.
    """
    corruptions, total = robustness["corruptions"], robustness["total"]
    clean = 100 * robustness["clean_correct"] / total
    rows = -(-len(corruptions) // _PANELS_A_ROW)
    chance = 100 / robustness.get("classes", fer2013.CLASS_COUNT)
    best = max([robustness["clean_correct"], *(n for each in corruptions for n in each["correct"])])
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(9, 0.6 + 2.35 * rows), dpi=1600 / 9, layout="constrained")
        words = f"{title}, {total:,} images; bands are 95 % intervals"
        figure.suptitle(words, x=0.01, ha="left", fontsize=13, fontweight="bold")
        panels = figure.subplots(rows, _PANELS_A_ROW, sharey=True, squeeze=False).flatten()
        for axes, corruption in zip(panels, corruptions, strict=False):
            _draw_corruption(axes, corruption, total)
            axes.axhline(clean, color="black", linewidth=1.2)
            axes.axhline(chance, color=QUIET_COLOUR, linewidth=1.2, linestyle=(0, (1, 2)))
        for axes in panels[len(corruptions) :]:
            axes.set_axis_off()
        panels[0].set_ylim(0, min(1.12 * max(100 * best / total, 50), 104))
        panels[0].yaxis.set_major_locator(MultipleLocator(20))
        panels[0].text(5.3, clean, "clean", ha="right", va="bottom", fontsize=9)
        panels[0].text(5.3, chance, "guessing", ha="right", va="top", fontsize=9, color=QUIET_COLOUR)
        for axes in panels[::_PANELS_A_ROW]:
            axes.set_ylabel("accuracy (%)")
        write_png(figure, path)


def _draw_corruption(axes: Axes, corruption: dict[str, Any], total: int) -> None:
    places = range(1, len(corruption["levels"]) + 1)
    ends = 100 * np.array([wilson_interval(correct, total) for correct in corruption["correct"]])
    axes.fill_between(places, ends[:, 0], ends[:, 1], color=VAL_COLOUR, alpha=0.2, linewidth=0)
    accuracies = [100 * correct / total for correct in corruption["correct"]]
    axes.plot(places, accuracies, color=VAL_COLOUR, marker="o", markersize=4)
    axes.set_xlim(0.7, len(places) + 0.3)
    axes.set_xticks(places, [f"{level:g}" for level in corruption["levels"]])
    axes.set_title(corruption["name"])
    axes.set_xlabel(corruption["what"], fontsize=9)
