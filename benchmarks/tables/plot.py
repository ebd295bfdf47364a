"""The plot of the step benchmark: a panel of bars for each network. Part of `benchmarks.tables`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, VAL_COLOUR, write_png

FAR = 3.0
"""A peak more than this many times the longest bar is written instead of drawn, to keep the bars long."""

Rows = Sequence[Mapping[str, Any]]
"""Rows of the step benchmark's JSON, without those of `gemm`."""


def plot(panels: Mapping[str, Rows], path: Path) -> None:
    """Draw each step's img/s, its range, and the img/s at the machine's peak in matrix products.

    Args:
        panels: each network's rows, by the title above its bars.
        path: the PNG to write; 1440 pixels wide.
    """
    with matplotlib.style.context(STYLE):
        heights = [0.31 * len(rows) + 0.75 for rows in panels.values()]
        figure = Figure(figsize=(9, sum(heights)), dpi=160, layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, (title, rows) in zip(grid[:, 0], panels.items(), strict=True):
            _draw(axes, rows)
            axes.set_title(title)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(figure, path)


def _draw(axes: Axes, rows: Rows) -> None:
    """Draw one network's bars, each with the peak in its precision."""
    longest = max(row["images_per_s"] for row in rows)
    # The rate at the machine's peak, if the step were only matrix products.
    peaks = [row["images_per_s"] / row["share_of_peak"] for row in rows if row["share_of_peak"]]
    near = [peak for peak in peaks if peak <= FAR * longest]
    # Room for the labels after the marks or, if a peak is far off, after the longest bar.
    right = max(1.25 * max([longest, *near]), (1.5 if len(near) < len(peaks) else 1.25) * longest)
    axes.set_xlim(0, right)
    told = set()
    for place, row in enumerate(rows):
        is_ours, rate = row["name"].startswith("jax"), row["images_per_s"]
        axes.barh(place, rate, height=0.66, color=TRAIN_COLOUR if is_ours else VAL_COLOUR)
        spread = row["spread_s"]
        ends = [rate * spread["median"] / spread[end] for end in ("max", "min")]
        axes.hlines(place, *ends, color="black", linewidth=1.3)
        axes.vlines(ends, place - 0.13, place + 0.13, color="black", linewidth=1.3)
        axes.text(0.006 * right, place, _write_rate(rate), color="white", va="center", fontweight="bold")
        if not row["share_of_peak"]:
            continue
        peak = rate / row["share_of_peak"]
        words = f"GEMM peak {_write_rate(peak)}"
        is_near = peak < right
        if is_near:
            axes.vlines(peak, place - 0.42, place + 0.42, color=QUIET_COLOUR, linewidth=2)
        if words not in told:
            told.add(words)
            # Winograd multiplies less than is counted, so a bar can end beyond the peak.
            after = max(peak, *ends) + 0.008 * right
            where, words = (after, words) if is_near else (right, f"{words} →")
            axes.text(where, place, words, color=QUIET_COLOUR, va="center", ha="left" if is_near else "right")
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(visible=False, axis="y")


def _write_rate(rate: float) -> str:
    return f"{rate:,.{0 if rate >= 100 else 1}f}"
