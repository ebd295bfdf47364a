"""The learning-rate range test of Smith 2017 (*Cyclical Learning Rates for Training Neural Networks*, WACV).

In a short training the learning rate rises exponentially from far too low to far too high: the loss is flat
at first, then falls, then diverges. It is measured on a few fixed images, since between batches it varies as
much as it falls in so short a training. The suggested peak rate is a tenth of the highest rate that the loss
tolerates: the loss reacts late, and a run has to tolerate its rate for much longer. fastai's `lr_find` takes
a tenth of the rate with the lowest loss (its `minimum` rule), but the valley is flat, and the place of its
lowest point is chance.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from fer_jax.check.finding import Finding, make_finding
from fer_jax.report.plots import QUIET_COLOUR, TRAIN_COLOUR, VAL_COLOUR, drawing

RANGES: Final = {"sgd": (1e-3, 1.0), "adam": (1e-4, 0.1), "adamw": (1e-4, 0.1), "muon": (1e-4, 0.1)}
"""First and last rate by optimizer. Adam's steps are as large as its rate, whatever the gradient."""

STOP_FACTOR: Final = 2.0
"""The test ends when the loss is this many times the first one: it has diverged."""
SMOOTHING_RATES: Final = 1.25
"""Standard deviation of the Gaussian that smooths the losses, in rates; it is symmetric, so without delay."""
MIN_GAIN_NATS: Final = 0.05
"""Minimum fall of the smoothed loss that counts as learning."""
TOLERATED_SHARE: Final = 0.2
"""Share of the fall that may be lost again at a rate that the loss tolerates."""
SUGGESTED_SHARE: Final = 0.1
"""Factor from the highest tolerated rate to the suggested one."""
LOW_FACTOR: Final = 5.0
"""A peak rate that is smaller than the suggestion by more than this factor is called low."""


@dataclass(frozen=True, eq=False)
class RateRange:
    """The result of a range test.

    Attributes:
        rates: float64 [S], those that were tried, S >= 1.
        losses: float64 [S], before the steps at each rate, finite.
        smoothed: float64 [S].
        lowest_rate: rate of the lowest smoothed loss.
        lowest_loss: that loss.
        steepest_rate: rate at which the smoothed loss falls fastest.
        highest_rate: highest rate up to which the loss stays near the lowest, see `TOLERATED_SHARE`.
        breaks_at: rate beyond the lowest at which half of the fall is lost again, or at which the test had to
            end; infinite if the loss was still low at the end.
        suggested: peak rate; None if no rate made the loss fall.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    lowest_rate: float
    lowest_loss: float
    steepest_rate: float
    highest_rate: float
    breaks_at: float
    suggested: float | None


def make_ramp(first: float, last: float, count: int) -> np.ndarray:
    """Make the rates, float64 [count], in a geometric sequence from the first to the last.

    >>> make_ramp(0.01, 1.0, 3).tolist()
    [0.01, 0.1, 1.0]
    """
    return np.geomspace(first, last, count)


def run_ramp(try_rate: Callable[[int, float], float], rates: np.ndarray) -> Iterator[float]:
    """Try one rate after the other until the loss diverges.

    Args:
        try_rate: (number of the rate, rate) -> the loss before a few steps at that rate, which it takes.
        rates: see `make_ramp`.

    Yields:
        The losses. The last is the first beyond `STOP_FACTOR`; one that is not finite is left out.
    """
    start = math.nan
    for number, rate in enumerate(rates):
        loss = try_rate(number, float(rate))
        if not math.isfinite(loss):
            return
        yield loss
        start = loss if number == 0 else start
        if loss > STOP_FACTOR * start:
            return


def read_ramp(rates: np.ndarray, losses: np.ndarray) -> RateRange:
    """Evaluate a range test: rates float [R], the complete ramp; losses float [S] to its end, 1 <= S <= R."""
    is_cut = len(losses) < len(rates)
    all_rates, rates = rates, rates[: len(losses)]
    start = losses[0]
    smoothed = gaussian_filter1d(np.minimum(losses, STOP_FACTOR * start), SMOOTHING_RATES, mode="nearest")
    lowest = int(smoothed.argmin())
    gain = max(start - float(smoothed[lowest]), 0.0)
    slopes = np.gradient(smoothed, np.log(rates)) if len(rates) > 1 else np.zeros(1)
    lost = np.where(np.arange(len(rates)) > lowest, smoothed - smoothed[lowest], 0.0)
    is_tolerated = np.logical_and.accumulate(lost <= TOLERATED_SHARE * gain)
    is_broken = lost > gain / 2
    highest_rate = float(rates[is_tolerated][-1])
    breaks_at = float(all_rates[len(losses)]) if is_cut else math.inf
    return RateRange(
        rates=rates,
        losses=losses,
        smoothed=smoothed,
        lowest_rate=float(rates[lowest]),
        lowest_loss=float(smoothed[lowest]),
        steepest_rate=float(rates[slopes[: lowest + 1].argmin()]),
        highest_rate=highest_rate,
        breaks_at=float(rates[is_broken.argmax()]) if is_broken.any() else breaks_at,
        suggested=SUGGESTED_SHARE * highest_rate if gain >= MIN_GAIN_NATS else None,
    )


def check_rate(found: RateRange | None, peak_rate: float) -> Finding:
    """Judge the config's peak learning rate by a range test; None: the very first loss was not finite."""
    name = "learning rate"
    if found is None or found.suggested is None:
        fall = (
            "the first loss is not finite"
            if found is None
            else f"no rate made the loss fall from {found.losses[0]:.2f}"
        )
        return make_finding(
            name,
            is_failed=found is None,
            is_warned=True,
            measured=f"{fall}; the config's peak is {peak_rate:.1e}",
            wanted=f"a fall of at least {MIN_GAIN_NATS} nats at some rate",
            advice="the network learns at no learning rate of the test: turn off dropout and augmentation "
            "first, then look at the network and the data",
            figures={"peak_rate": peak_rate},
        )
    suggested, verdict = found.suggested, "fits"
    if peak_rate >= found.breaks_at:
        verdict = "is too high"
    elif peak_rate > found.highest_rate:
        verdict = "is high"
    elif LOW_FACTOR * peak_rate < suggested:
        verdict = "is low"
    breaks = f"diverges at {found.breaks_at:.1e}" if math.isfinite(found.breaks_at) else "does not diverge"
    return make_finding(
        name,
        is_failed=verdict == "is too high",
        is_warned=verdict != "fits",
        measured=f"peak {peak_rate:.1e} {verdict}: {peak_rate / suggested:.2g} times the suggested "
        f"{suggested:.1e}; the loss tolerates up to {found.highest_rate:.1e} and {breaks}",
        wanted=f"{suggested / LOW_FACTOR:.1e}..{found.highest_rate:.1e}",
        advice=f"set optimizer.peak_rate to about {suggested:.1e}",
        figures={
            "peak_rate": peak_rate,
            "suggested": suggested,
            "lowest_rate": found.lowest_rate,
            "steepest_rate": found.steepest_rate,
            "highest_rate": found.highest_rate,
            "breaks_at": found.breaks_at,
        },
    )


def plot_range(found: RateRange, *, peak_rate: float, title: str) -> Figure:
    """Draw the loss over the learning rate, with the suggested and the config's peak; 1280 × 720 pixels."""
    with drawing(title=title, size=(8, 4.5), dpi=160) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.plot(
            found.rates, found.losses, ".", color=QUIET_COLOUR, alpha=0.6, label="loss of the fixed images"
        )
        axes.plot(found.rates, found.smoothed, color=TRAIN_COLOUR, label="smoothed")
        axes.plot(
            [found.highest_rate],
            found.smoothed[found.rates == found.highest_rate],
            "o",
            color=TRAIN_COLOUR,
            label=f"highest tolerated, {found.highest_rate:.1e}",
        )
        marks = [(peak_rate, "the config's peak", VAL_COLOUR, "--")]
        if found.suggested is not None:
            marks.append((found.suggested, "suggested peak", "black", "-"))
        for rate, name, colour, dashes in marks:
            axes.axvline(rate, color=colour, linewidth=1.6, linestyle=dashes, label=f"{name}, {rate:.1e}")
        room = max(found.losses[0] - found.lowest_loss, MIN_GAIN_NATS)
        axes.set_ylim(found.lowest_loss - 0.2 * room, found.losses[0] + 0.3 * room)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("cross-entropy (nats)")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9)
    return figure
