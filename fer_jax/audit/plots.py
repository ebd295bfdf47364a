"""The plot of an audit: how many of the first listed rows the annotators dispute."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, StrMethodFormatter

from fer_jax.files import Json
from fer_jax.report.plots import QUIET_COLOUR, TRAIN_COLOUR, drawing


def plot_precision(votes: Json) -> Figure:
    """Draw how many of the first k listed rows the annotators dispute; 1440 × 720 pixels.

    `votes` is what `rules.check_by_votes` returns.
    """
    title = "Rows that the annotators dispute among the first k of the list, with 95 % interval"
    with drawing(title=title, size=(9, 4.5), dpi=160) as figure:
        add_precision(figure.add_subplot(), votes)
    return figure


def add_precision(axes: Axes, votes: Json) -> None:
    """Draw the share of disputed rows among the first k, with its 95 % interval, and that of all rows."""
    k = [each["k"] for each in votes["first"]]
    base = votes["all"]["disputed"]["share"]
    low, share, high = ([100 * each[name] for each in votes["first"]] for name in ("low", "share", "high"))
    axes.fill_between(k, low, high, color=TRAIN_COLOUR, alpha=0.2, linewidth=0)
    axes.plot(k, share, color=TRAIN_COLOUR, marker="o" if len(k) == 1 else "")
    axes.axhline(100 * base, color=QUIET_COLOUR, linestyle=(0, (4, 3)))
    axes.text(k[0], 100 * base + 1.5, f"all rows: {100 * base:.1f} %", color=QUIET_COLOUR)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.4)))
    axes.set_ylim(0, 103)
    axes.set_xlabel("first k rows of the list, the worst first")
    axes.set_ylabel("disputed rows (%)")
