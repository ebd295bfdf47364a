"""Plots of what `evaluate` measures: reliability, abstention and robustness, as figures and as PNG files.

In the style of `report.plots`; the same numbers give the same bytes with the same matplotlib.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from fer_jax.metrics.scores import list_names
from fer_jax.report.charts import add_abstention, add_corruption, add_histogram, add_reliability
from fer_jax.report.plots import WIDE_DPI, drawing, plot_confusion, write_png

_HOW_TO_READ: Final = (
    "above the line: underconfident,\nmore often right than it says;\nbelow the line: overconfident"
)
_ABSTENTION: Final = "The most certain answers; dots: thresholds of the confidence"
_PANELS_A_ROW: Final = 3


def plot_reliability(calibration: dict[str, Any], *, title: str) -> Figure:
    """Draw accuracy against confidence, before and after the temperature, over the confidences' histogram.

    `calibration` is what `metrics.predictions.calibrate` returns. The figure has 1600 × 1067 pixels,
    or is half as wide where there is no temperature.
    """
    panels = [("Uncalibrated", calibration)]
    if calibration["scaled"] is not None:
        words = f"Divided by the temperature {calibration['temperature']:.2f}"
        panels.append((words, calibration["scaled"]))
    with drawing(title=title, size=(4.5 * len(panels), 6), dpi=WIDE_DPI) as figure:
        ratios = {"height_ratios": (3, 1)}
        grid = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, gridspec_kw=ratios)
        for column, (words, figures) in enumerate(panels):
            diagram, histogram = grid[:, column]
            add_reliability(diagram, figures["bins"])
            add_histogram(histogram, figures["bins"])
            diagram.text(3, 97, _HOW_TO_READ, ha="left", va="top", fontsize=9, linespacing=1.4)
            diagram.set_title(f"{words}: ECE {100 * figures['ece']:.1f} %")
            if column == 0:
                diagram.set_ylabel("accuracy (%)")
                histogram.set_ylabel("images (%)")
    return figure


def plot_abstention(abstention: dict[str, Any], *, title: str) -> Figure:
    """Draw accuracy against the fraction of answered images; 1067 × 711 pixels.

    `abstention` is what `metrics.abstention.measure` returns.
    """
    with drawing(title=title, size=(6, 4), dpi=WIDE_DPI) as figure:
        axes = figure.subplots()
        add_abstention(axes, abstention)
        axes.set_title(_ABSTENTION if abstention["thresholds"] else "The most certain answers")
    return figure


def plot_robustness(robustness: dict[str, Any], *, title: str) -> Figure:
    """Draw accuracy against the strength of each corruption, a panel each; 1600 pixels wide.

    `robustness` is what `evaluate.robustness.measure` returns.
    """
    corruptions, total = robustness["corruptions"], robustness["total"]
    rows = -(-len(corruptions) // _PANELS_A_ROW)
    best = max([robustness["clean_correct"], *(n for each in corruptions for n in each["correct"])])
    words = f"{title}, {total:,} images; bands are 95 % intervals"
    with drawing(title=words, size=(9, 0.6 + 2.35 * rows), dpi=WIDE_DPI) as figure:
        panels = figure.subplots(rows, _PANELS_A_ROW, sharey=True, squeeze=False).flatten()
        for axes, corruption in zip(panels, corruptions, strict=False):
            add_corruption(axes, corruption, robustness)
            axes.set_title(corruption["name"])
            axes.xaxis.label.set_fontsize(9)
        for axes in panels[len(corruptions) :]:
            axes.set_axis_off()
        panels[0].set_ylim(0, min(1.12 * max(100 * best / total, 50), 104))
        panels[0].yaxis.set_major_locator(MultipleLocator(20))
        for axes in panels[::_PANELS_A_ROW]:
            axes.set_ylabel("accuracy (%)")
    return figure


def draw(result: dict[str, Any], *, title: str, stem: Path) -> dict[str, str]:
    """Write the plots of an evaluation as PNG files.

    Args:
        result: the content of `evaluate_PART.json`.
        title: above each plot.
        stem: path and start of the files' names.

    Returns:
        Plot -> file name; without `robustness` if that was not measured.
    """
    is_fitted_here = result["calibration"]["scaled"] and result["abstention"]["is_chosen_here"]
    seen = "; the temperature is fitted on images among these" if is_fitted_here else ""
    figures = {
        "confusion": plot_confusion(np.array(result["confusion"]), list_names(result), title=title),
        "reliability": plot_reliability(result["calibration"], title=title + seen),
        "abstention": plot_abstention(result["abstention"], title=title),
    }
    if result["robustness"] is None:
        # One of an earlier evaluation would look as if it belonged to this one.
        stem.with_name(f"{stem.name}_robustness.png").unlink(missing_ok=True)
    else:
        figures["robustness"] = plot_robustness(result["robustness"], title=title)
    for name, figure in figures.items():
        write_png(figure, stem.with_name(f"{stem.name}_{name}.png"))
    return {name: f"{stem.name}_{name}.png" for name in figures}
