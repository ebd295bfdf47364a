"""The plot of an audit: how many of the first listed rows the annotators dispute."""

from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, PercentFormatter, StrMethodFormatter

from fer_jax.files import Json
from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, write_png


def plot_precision(votes: Json, path: Path) -> None:
    """Draw how many of the first k listed rows the annotators dispute; 1440 × 720 pixels.

    `votes` is what `rules.check_by_votes` returns.
    """
    k = [each["k"] for each in votes["first"]]
    base = votes["all"]["disputed"]["share"]
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(9, 4.5), dpi=160, layout="constrained")
        axes = figure.add_subplot()
        low, share, high = (
            [100 * each[name] for each in votes["first"]] for name in ("low", "share", "high")
        )
        axes.fill_between(k, low, high, color=TRAIN_COLOUR, alpha=0.2, linewidth=0)
        axes.plot(k, share, color=TRAIN_COLOUR, marker="o" if len(k) == 1 else "")
        axes.axhline(100 * base, color=QUIET_COLOUR, linestyle=(0, (4, 3)))
        axes.text(k[0], 100 * base + 1.5, f"all rows: {100 * base:.1f} %", color=QUIET_COLOUR)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.4)))
        axes.set_ylim(0, 103)
        axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        axes.set_title("Rows that the annotators dispute among the first k of the list, with 95 % interval")
        axes.set_xlabel("first k rows of the list, the worst first")
        axes.set_ylabel("disputed rows (%)")
        write_png(figure, path)
