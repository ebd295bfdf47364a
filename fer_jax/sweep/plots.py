"""Plots of a sweep as PNG files: its history, the importance of each field, and a slice along each field.

The style is that of `report.plots`; the same results give the same bytes with the same matplotlib.
"""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_jax.files import Json
from fer_jax.report.plots import QUIET_COLOUR, TRAIN_COLOUR, VAL_COLOUR, WIDE_DPI, drawing, write_png
from fer_jax.sweep.text import rank, show

_PANELS_A_ROW: Final = 3


def draw(result: Json, folder: Path) -> list[str]:
    """Draw all plots for which there are results.

    Returns:
        The file names: `history.png` and `slices.png` if there is a complete trial, `importances.png` if
        importances were measured.
    """
    complete = rank(result["trials"])
    if not complete:
        return []
    title, names = f"Sweep {result['name']}", ["history.png", "slices.png"]
    write_png(_plot_history(result["trials"], title), folder / "history.png")
    write_png(_plot_slices(complete, result["space"], title), folder / "slices.png")
    if result["importances"]:
        names.append("importances.png")
        write_png(_plot_importances(result["importances"], title), folder / "importances.png")
    return names


def _plot_history(trials: list[Json], title: str) -> Figure:
    """Draw the accuracy of each trial in order, and the best so far; 1600 × 800 pixels."""
    with drawing(title=title, size=(9, 4.5), dpi=WIDE_DPI) as figure:
        axes = figure.add_subplot()
        complete = [trial for trial in trials if trial["state"] == "complete"]
        stopped = [trial for trial in trials if trial["state"] == "pruned" and trial["curve"]]
        numbers, values = _points(complete)
        axes.scatter(numbers, values, color=TRAIN_COLOUR, s=30, zorder=3, label="complete")
        if stopped:
            axes.scatter(
                [trial["number"] for trial in stopped],
                [100 * trial["curve"][-1] for trial in stopped],
                facecolor="none",
                edgecolor=QUIET_COLOUR,
                s=30,
                label="given up, at its last epoch",
            )
        best = np.maximum.accumulate(values)
        last = max(trial["number"] for trial in trials)
        axes.step([*numbers, last], [*best, best[-1]], where="post", color=VAL_COLOUR, label="best so far")
        axes.set(xlabel="trial", ylabel="accuracy on the hold-out (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
    return figure


def _plot_importances(importances: dict[str, float], title: str) -> Figure:
    """Draw a bar for each field, the largest on top; 1600 pixels wide."""
    words = f"{title}: what determines whether a trial is in the best tenth"
    size = (9, 1.6 + 0.35 * len(importances))
    with drawing(title=words, size=size, dpi=WIDE_DPI, grid="x") as figure:
        axes = figure.add_subplot()
        names, shares = list(importances), [100 * share for share in importances.values()]
        axes.barh(names, shares, color=TRAIN_COLOUR, height=0.65)
        for place, share in enumerate(shares):
            axes.text(share, place, f" {share:.0f} %", va="center", fontsize=9)
        axes.invert_yaxis()
        axes.set_xlabel("share of the importance (PED-ANOVA, %)")
        axes.set_xlim(0, 1.12 * max([*shares, 1]))
    return figure


def _plot_slices(complete: list[Json], space: Json, title: str) -> Figure:
    """Draw accuracy over each field, one panel per field, with the best trial marked; 1600 pixels wide."""
    rows = -(-len(space) // _PANELS_A_ROW)
    words, size = f"{title}: complete trials along each field", (9, 0.7 + 2.4 * rows)
    with drawing(title=words, size=size, dpi=WIDE_DPI) as figure:
        panels = figure.subplots(rows, _PANELS_A_ROW, sharey=True, squeeze=False).flatten()
        for axes, (name, domain) in zip(panels, space.items(), strict=False):
            _draw_slice(axes, complete, name, domain)
            axes.set_title(name)
        for axes in panels[len(space) :]:
            axes.set_axis_off()
        for axes in panels[::_PANELS_A_ROW]:
            axes.set_ylabel("accuracy (%)")
    return figure


def _draw_slice(axes: Axes, complete: list[Json], name: str, domain: Json) -> None:
    _, values = _points(complete)
    params = [trial["params"][name] for trial in complete]
    if choices := domain.get("choices"):
        params = [choices.index(param) for param in params]
        axes.set_xticks(range(len(choices)), [show(value) for value in choices])
        axes.set_xlim(-0.5, len(choices) - 0.5)
    else:
        axes.set_xscale("log" if domain["kind"].startswith("log") else "linear")
        axes.set_xlim(domain["low"], domain["high"])
    colours = [VAL_COLOUR if trial is complete[0] else TRAIN_COLOUR for trial in complete]
    axes.scatter(params, values, c=colours, s=20, alpha=0.8, clip_on=False, zorder=3)


def _points(trials: list[Json]) -> tuple[list[int], list[float]]:
    return [trial["number"] for trial in trials], [100 * trial["value"] for trial in trials]
