"""Charts of a page: SVG inside its HTML, so that text is readable on a phone, in light and dark mode.

matplotlib draws them like the PNG files; their colours become the variables of `templates/page.css`.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import matplotlib.style
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from fer_jax import fer2013
from fer_jax.metrics.history import keep_measured
from fer_jax.metrics.scores import wilson_interval
from fer_jax.report import plots
from fer_jax.text import percent

_VARIABLES: Final = {
    plots.TRAIN_COLOUR: "--train",
    plots.VAL_COLOUR: "--val",
    plots.OBJECTIVE_COLOUR: "--objective",
    plots.RATE_COLOUR: "--rate",
    "#E69F00": "--run2",
    "#CC79A7": "--run4",
    "#56B4E9": "--run5",
    plots.QUIET_COLOUR: "--quiet",
    plots.GRID_COLOUR: "--line",
    "#000000": "--ink",
    "#ffffff": "--paper",
}
"""Colour of a plot -> variable of the style sheet."""

_DASHES: Final = (0, (4, 3))
_PIXELS_A_POINT: Final = 1.2
"""How large a chart becomes at most, so that its text is as large as the page's notes."""


class Chart(NamedTuple):
    """A chart of a page.

    Attributes:
        title: above it.
        words: beside the title, such as a unit.
        svg: the chart, whose width is that of its place on the page.
        width_px: its largest width.
    """

    title: str
    words: str
    svg: Markup
    width_px: int


def make_chart(
    title: str, words: str, draw: Callable[[Figure], None], *, alt: str, size: tuple[float, float]
) -> Chart:
    """Draw a chart with the colours of the page, in light and dark mode.

    Args:
        title: above it.
        words: beside the title.
        draw: draws on an empty figure.
        alt: what it shows, for readers who cannot see it.
        size: width and height in inches; a page shows the text larger on a smaller chart.
    """
    # The salt names the markers of a chart, which a page must not confuse with another chart's.
    style = {"svg.fonttype": "none", "svg.hashsalt": alt, "font.size": 11, "lines.linewidth": 2}
    with matplotlib.style.context([*plots.STYLE, style]):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    _, _, drawn = buffer.getvalue().partition("<svg")
    box = re.search(r'viewBox="[^"]*"', drawn)[0]  # type: ignore[index]
    body = drawn[drawn.index(">") + 1 :]
    # Rules for the whole page, names that repeat from chart to chart, and clipping, which no chart needs.
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<(style|clipPath).*?</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r'(?<=<g) id="[^"]*"| clip-path="[^"]*"|;? font-family: [^;"]*', "", body)
    for colour, name in _VARIABLES.items():
        body = body.replace(colour.lower(), f"var({name})")
    svg = Markup(f'<svg {box} role="img" aria-label="{escape(alt)}">{body}')
    return Chart(title, words, svg, round(_PIXELS_A_POINT * 72 * size[0]))


def curve_charts(history: Sequence[Mapping[str, Any]], measured_epoch: int) -> list[Chart]:
    """Draw accuracy, loss and learning rate over the epochs.

    Args:
        history: one record per epoch, at least one of them measured, as `report.markdown.epoch_line` takes.
        measured_epoch: the epoch whose weights are the result; it is marked.
    """
    last = keep_measured(history)[-1]
    panels: tuple[tuple[str, str, Any, tuple[str, ...]], ...] = (
        ("Accuracy", "%", plots.add_accuracy, ("train_accuracy", "val_accuracy")),
        ("Cross-entropy", "nats", plots.add_loss, ("train_loss", "val_loss", "objective")),
        ("Learning rate", "no unit", plots.add_rate, ("rate",)),
    )
    charts = []
    for title, unit, draw, names in panels:
        scale = 100 if unit == "%" else 1
        ends = ", ".join(f"{name.partition('_')[0]} {scale * last[name]:.4g}" for name in names)
        alt = f"{title} ({unit}) over {len(history)} epochs. After the last: {ends}."
        draw_panel = partial(_draw_epochs, draw=draw, history=history, measured_epoch=measured_epoch)
        charts.append(make_chart(title, f"({unit})", draw_panel, alt=alt, size=(5.4, 3.3)))
    return charts


def _draw_epochs(figure: Figure, *, draw: Any, history: Any, measured_epoch: int) -> None:
    axes = figure.add_subplot()
    draw(axes, history, measured_epoch)
    axes.set(title="", ylabel="", xlabel="epoch")


def reliability_chart(title: str, bins: Sequence[Mapping[str, Any]], *, part: str) -> Chart:
    """Draw a reliability diagram: accuracy of the predictions in each bin of confidence, and their number.

    Args:
        title: above it.
        bins: `low`, `high` (0..1), `count`, `confidence` and `accuracy` (0..1; None in an empty bin).
        part: the measured images, for readers who cannot see the chart.
    """

    def draw(figure: Figure) -> None:
        diagram, histogram = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        add_reliability(diagram, bins)
        add_histogram(histogram, bins)
        diagram.set_ylabel("accuracy (%)")
        histogram.set_ylabel("images (%)")

    told = "; ".join(
        f"confidence {percent(each['confidence'], digits=0)}, accuracy {percent(each['accuracy'], digits=0)}"
        for each in bins
        if each["count"]
    )
    alt = f"Reliability diagram, {part}, {title}: {told}."
    return make_chart(title, "", draw, alt=alt, size=(4, 3.7))


def add_reliability(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """Draw accuracy against confidence (both in percent), with the 95 % interval of each bin's accuracy."""
    axes.plot([0, 100], [0, 100], color=plots.QUIET_COLOUR, linewidth=1.2, linestyle=_DASHES, zorder=3)
    full = [each for each in bins if each["count"]]
    left = [100 * each["low"] for each in full]
    heights = [100 * each["accuracy"] for each in full]
    confidences = [100 * each["confidence"] for each in full]
    look: Any = {"color": plots.TRAIN_COLOUR, "alpha": 0.38, "edgecolor": "white", "zorder": 2}
    axes.bar(left, heights, 100 / len(bins), align="edge", **look)
    counts = [(round(each["accuracy"] * each["count"]), each["count"]) for each in full]
    reach = np.abs(100 * np.array([wilson_interval(*each) for each in counts]).T - heights)
    # A bin of few images is uncertain, which the bar of its 95 % interval shows.
    look = {"color": plots.TRAIN_COLOUR, "markersize": 5, "elinewidth": 1.1, "zorder": 4}
    axes.errorbar(confidences, heights, reach, fmt="o", **look)
    axes.set(xlim=(0, 100), ylim=(0, 100))


def add_histogram(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """Draw the fraction of the images in each bin of confidence, in percent."""
    total = sum(each["count"] for each in bins)
    heights = [100 * each["count"] / total for each in bins]
    left = [100 * each["low"] for each in bins]
    look: Any = {"color": plots.QUIET_COLOUR, "edgecolor": "white", "zorder": 2}
    axes.bar(left, heights, 100 / len(bins), align="edge", **look)
    axes.set_xlabel("confidence (%)")


def abstention_chart(abstention: Mapping[str, Any], *, part: str) -> Chart:
    """Draw accuracy against the fraction of the images that are answered, the most certain ones.

    Args:
        abstention: see `add_abstention`.
        part: the measured images, for readers who cannot see the chart.
    """

    def draw(figure: Figure) -> None:
        add_abstention(figure.add_subplot(), abstention)

    told = "; ".join(
        f"{percent(each['coverage'], digits=0)} of the images, accuracy {percent(each['accuracy'])}"
        for each in abstention["curve"]
    )
    return make_chart(
        "Accuracy of the most certain answers", "", draw, alt=f"Abstention, {part}: {told}.", size=(5.4, 3.3)
    )


def add_abstention(axes: Axes, abstention: Mapping[str, Any]) -> None:
    """Draw accuracy with its 95 % interval against the fraction of answered images (both in percent).

    Args:
        axes: to draw on.
        abstention: `curve` and `thresholds`, as `metrics.abstention.measure` returns them; a dot stands for
            each threshold.
    """
    curve = abstention["curve"]
    coverages = [100 * each["coverage"] for each in curve]
    low, accuracies, high = (
        [100 * each[name] for each in curve] for name in ("accuracy_low", "accuracy", "accuracy_high")
    )
    axes.fill_between(coverages, low, high, color=plots.VAL_COLOUR, alpha=0.2, linewidth=0)
    axes.plot(coverages, accuracies, color=plots.VAL_COLOUR)
    for each in abstention["thresholds"]:
        if each["accuracy"] is None:
            continue
        place = 100 * each["answered"] / each["images"], 100 * each["accuracy"]
        axes.plot(*place, color=plots.TRAIN_COLOUR, marker="o", markersize=5)
        axes.annotate(
            f"{each['threshold']:.2f}", place, xytext=(4, 4), textcoords="offset points", fontsize="small"
        )
    lowest = 10 * ((min(low) - 1) // 10)
    axes.set(xlim=(0, 103), ylim=(max(lowest, 0), 101), xlabel="answered images (%)", ylabel="accuracy (%)")


def robustness_charts(robustness: Mapping[str, Any], *, part: str) -> list[Chart]:
    """Draw accuracy against the strength of each corruption: charts with one vertical scale.

    Args:
        robustness: `total`, `clean_correct`, `classes` (by default seven) and `corruptions`:
            `name`, `what`, five `levels`, five `correct`.
        part: the measured images, for readers who cannot see the charts.
    """
    total, clean = robustness["total"], robustness["clean_correct"]
    most = max([clean, *(correct for each in robustness["corruptions"] for correct in each["correct"])])
    charts = []
    for each in robustness["corruptions"]:
        pairs = zip(each["levels"], each["correct"], strict=True)
        told = ", ".join(f"{level:g}: {100 * correct / total:.1f} %" for level, correct in pairs)
        alt = f"Accuracy of {part} under {each['name']} ({each['what']}). "
        alt += f"Clean {100 * clean / total:.1f} %; {told}."

        def draw(figure: Figure, each: Mapping[str, Any] = each) -> None:
            axes = figure.add_subplot()
            axes.set_ylim(0, min(114 * most / total, 104))
            axes.yaxis.set_major_locator(MultipleLocator(20 if 2 * most > total else 10))
            add_corruption(axes, each, robustness)
            axes.set_ylabel("accuracy (%)")

        charts.append(make_chart(each["name"].capitalize(), "", draw, alt=alt, size=(4, 2.8)))
    return charts


def add_corruption(axes: Axes, corruption: Mapping[str, Any], robustness: Mapping[str, Any]) -> None:
    """Draw accuracy (in percent) with its 95 % interval against the strength, clean accuracy and chance.

    The strengths keep their distances, and grow to the right: an axis of a level that falls is reversed.
    """
    total, levels = robustness["total"], corruption["levels"]
    ends = 100 * np.array([wilson_interval(correct, total) for correct in corruption["correct"]])
    axes.fill_between(levels, ends[:, 0], ends[:, 1], color=plots.VAL_COLOUR, alpha=0.2, linewidth=0)
    accuracies = [100 * correct / total for correct in corruption["correct"]]
    axes.plot(levels, accuracies, color=plots.VAL_COLOUR, marker="o", markersize=4)
    clean = 100 * robustness["clean_correct"] / total
    chance = 100 / robustness.get("classes", fer2013.CLASS_COUNT)
    look: Any = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "fontsize": "small"}
    axes.axhline(clean, color="black", linewidth=1.2, linestyle=_DASHES)
    axes.annotate("clean", (0.99, clean), xytext=(0, 3), ha="right", va="bottom", **look)
    axes.axhline(chance, color=plots.QUIET_COLOUR, linewidth=1.2, linestyle=(0, (1, 2)))
    axes.annotate("chance", (0.01, chance), xytext=(0, -3), ha="left", va="top", **look)
    margin = 0.06 * (levels[-1] - levels[0])
    axes.set_xlim(levels[0] - margin, levels[-1] + margin)
    axes.set_xticks(levels, [f"{level:g}" for level in levels])
    axes.set_xlabel(corruption["what"])
