"""Charts of a page: numbers to places in an SVG's own units. `templates/charts.html.j2` draws them.

A page's charts are SVG and not PNG, so that their words stay readable on a phone and follow light and dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from matplotlib.ticker import MaxNLocator

from fer_jax import fer2013
from fer_jax.metrics.scores import wilson_interval
from fer_jax.report.plots import spread

_LABEL_GAP: Final = 0.085
"""Least distance between two names beside a chart, as a share of its height."""
_MOST_DOTS: Final = 12
"""A longer line shows no dots."""
_ROUNDING: Final = 1
"""Decimals of a place: a tenth of a unit is a tenth of a pixel."""


class Frame(NamedTuple):
    """The drawing area of a chart and the values at its edges.

    Attributes:
        width, height: of the whole SVG.
        left, right, top, bottom: edges of the drawing area.
        low_x, high_x, low_y, high_y: values at these edges.
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    def at_x(self, value: float) -> float:
        """Place a value along x."""
        share = (value - self.low_x) / (self.high_x - self.low_x)
        return round(self.left + share * (self.right - self.left), _ROUNDING)

    def at_y(self, value: float) -> float:
        """Place a value along y, which grows downwards in an SVG."""
        share = (value - self.low_y) / (self.high_y - self.low_y)
        return round(self.bottom - share * (self.bottom - self.top), _ROUNDING)


class Tick(NamedTuple):
    """A tick: its place along the axis and its words."""

    at: float
    text: str


class Line(NamedTuple):
    """A line: name, style (a class of the style sheet), corners and the height of its name."""

    name: str
    style: str
    points: list[tuple[float, float]]
    label_y: float
    has_dots: bool


class Bar(NamedTuple):
    """A bin of a reliability diagram.

    Attributes:
        left, width: of the bin.
        top: its accuracy.
        middle: its mean confidence.
        low, high: the 95 % interval of its accuracy.
        share_top: its share of the images, in the strip below.
    """

    left: float
    width: float
    top: float
    middle: float
    low: float
    high: float
    share_top: float


@dataclass(frozen=True)
class Chart:
    """A chart, ready to be drawn.

    Attributes:
        title: above it.
        alt: what it shows, for those who cannot see it.
        frame: its measures.
        x_label, y_label: of the axes, with units.
        x_ticks, y_ticks: places and words.
        lines: may be none.
        bars: may be none.
        guide_x: place of a vertical line; None for none.
        guide_y: place of a horizontal line; None for none.
        chance_y: place of the accuracy of a guess; None where it is not shown.
    """

    title: str
    alt: str
    frame: Frame
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    guide_x: float | None = None
    guide_y: float | None = None
    chance_y: float | None = None


def curve_charts(history: Sequence[Mapping[str, Any]], measured_epoch: int) -> list[Chart]:
    """Lay out accuracy, loss and learning rate over the epochs.

    Args:
        history: one record an epoch, at least one, as `report.markdown.epoch_line` takes.
        measured_epoch: whose weights are the run's result; it is marked.
    """
    accuracy = {name: [100 * record[f"{name}_accuracy"] for record in history] for name in ("train", "val")}
    losses = {
        "train": [record["train_loss"] for record in history],
        "val": [record["val_loss"] for record in history],
        "objective": [record["objective"] for record in history],
    }
    rates = {"rate": [record["rate"] for record in history]}
    epochs = [record["epoch"] for record in history]
    # A flat run must not look lively: at least ten points and a tenth of a nat are shown.
    return [
        _over_epochs("Accuracy", "%", accuracy, epochs, measured_epoch, least_span=10),
        _over_epochs("Cross-entropy", "nats", losses, epochs, measured_epoch, least_span=0.1),
        _over_epochs("Learning rate", "no unit", rates, epochs, measured_epoch, least_span=1e-9, low=0.0),
    ]


def _over_epochs(
    title: str,
    y_label: str,
    values: Mapping[str, Sequence[float]],
    epochs: Sequence[int],
    measured_epoch: int,
    *,
    least_span: float,
    low: float | None = None,
) -> Chart:
    every = [value for ys in values.values() for value in ys]
    bottom = min(every) if low is None else low
    span = max(max(every) - bottom, least_span)
    margin = 0.06 * span
    frame = Frame(
        *(360, 230, 46, 290, 10, 186),
        low_x=epochs[0] - 0.5,
        high_x=epochs[-1] + 0.5,
        low_y=bottom - (margin if low is None else 0),
        high_y=bottom + span + margin,
    )
    ends = ", ".join(f"{name} {ys[-1]:.4g}" for name, ys in values.items())
    return Chart(
        title=title,
        alt=f"{title}{f' ({y_label})' if y_label else ''} over {len(epochs)} epochs. After the last: {ends}.",
        frame=frame,
        x_label="epoch",
        y_label=y_label,
        x_ticks=_ticks(frame.at_x, epochs[0], epochs[-1], count=6, is_whole=True),
        y_ticks=_ticks(frame.at_y, frame.low_y, frame.high_y, count=5, is_whole=False),
        lines=_lines(frame, epochs, values),
        guide_x=frame.at_x(measured_epoch),
    )


def _lines(frame: Frame, xs: Sequence[float], values: Mapping[str, Sequence[float]]) -> tuple[Line, ...]:
    tall = frame.bottom - frame.top
    wishes = [(frame.bottom - frame.at_y(ys[-1])) / tall for ys in values.values()]
    heights = spread(wishes, min_gap=_LABEL_GAP)
    return tuple(
        Line(
            name=name,
            style=name,
            points=[(frame.at_x(x), frame.at_y(y)) for x, y in zip(xs, ys, strict=True)],
            label_y=round(frame.bottom - height * tall, _ROUNDING),
            has_dots=len(xs) <= _MOST_DOTS,
        )
        for (name, ys), height in zip(values.items(), heights, strict=True)
    )


def _ticks(place: Any, low: float, high: float, *, count: int, is_whole: bool) -> list[Tick]:
    locator = MaxNLocator(nbins=count, integer=is_whole, steps=[1, 2, 2.5, 5, 10], min_n_ticks=1)
    # A tick a hair outside is the edge itself, moved by rounding.
    slack = 1e-6 * (high - low)
    values = [
        float(value) for value in locator.tick_values(low, high) if low - slack <= value <= high + slack
    ]
    return [Tick(place(value), f"{value:.6g}".replace("-", "−")) for value in values]


def reliability_chart(title: str, bins: Sequence[Mapping[str, Any]]) -> Chart:
    """Lay out a reliability diagram: accuracy of the predictions in each bin of confidence.

    Args:
        title: above it.
        bins: `low`, `high` (0..1), `count`, `confidence` and `accuracy` (0..1; None in an empty bin).
    """
    frame = Frame(*(300, 300, 44, 290, 10, 206), low_x=0, high_x=100, low_y=0, high_y=100)
    share_bottom, share_top = 258, 216
    most = max(each["count"] for each in bins)
    filled = [each for each in bins if each["count"]]
    bars = []
    for each in filled:
        left, right = frame.at_x(100 * each["low"]), frame.at_x(100 * each["high"])
        low, high = wilson_interval(round(each["accuracy"] * each["count"]), each["count"])
        bars.append(
            Bar(
                left=left,
                width=round(right - left, _ROUNDING),
                top=frame.at_y(100 * each["accuracy"]),
                middle=frame.at_x(100 * each["confidence"]),
                low=frame.at_y(100 * low),
                high=frame.at_y(100 * high),
                share_top=round(share_bottom - each["count"] / most * (share_bottom - share_top), _ROUNDING),
            )
        )
    told = "; ".join(
        f"confidence {100 * each['confidence']:.0f} %, right {100 * each['accuracy']:.0f} %"
        for each in filled
    )
    edges = [Tick(frame.at_x(value), str(value)) for value in range(0, 101, 20)]
    return Chart(
        title=title,
        alt=f"Reliability diagram, {title}: {told}.",
        frame=frame,
        x_label="confidence (%)",
        y_label="accuracy (%)",
        x_ticks=edges,
        y_ticks=[Tick(frame.at_y(value), str(value)) for value in range(0, 101, 20)],
        bars=tuple(bars),
        # Where the bars of the shares stand.
        guide_y=share_bottom,
    )


def robustness_charts(robustness: Mapping[str, Any]) -> list[Chart]:
    """Lay out accuracy against the strength of each corruption, all on one scale; small multiples.

    Args:
        robustness: `total`, `clean_correct`, `classes` (seven where it is not said) and `corruptions`:
            `name`, `what`, five `levels`, five `correct`.
    """
    total, clean = robustness["total"], 100 * robustness["clean_correct"] / robustness["total"]
    shares = [[100 * correct / total for correct in each["correct"]] for each in robustness["corruptions"]]
    top = max([clean, *(share for each in shares for share in each)])
    charts = []
    for each, values in zip(robustness["corruptions"], shares, strict=True):
        frame = Frame(
            *(180, 128, 28, 172, 8, 104), low_x=-0.3, high_x=len(values) + 0.3, low_y=0, high_y=1.08 * top
        )
        line = _lines(frame, range(len(values) + 1), {"val": [clean, *values]})
        told = ", ".join(
            f"{level:g}: {value:.1f} %" for level, value in zip(each["levels"], values, strict=True)
        )
        charts.append(
            Chart(
                title=each["name"],
                alt=f"Accuracy under {each['name']} ({each['what']}). Clean {clean:.1f} %; {told}.",
                frame=frame,
                x_label=each["what"],
                y_label="accuracy (%)",
                x_ticks=[
                    Tick(frame.at_x(place), f"{level:g}".replace("-", "−"))
                    for place, level in enumerate(each["levels"], start=1)
                ],
                y_ticks=_ticks(frame.at_y, 0, frame.high_y, count=3, is_whole=True),
                lines=line,
                guide_y=frame.at_y(clean),
                chance_y=frame.at_y(100 / robustness.get("classes", fer2013.CLASS_COUNT)),
            )
        )
    return charts
