"""The learning-rate range test of Smith 2017 (*Cyclical Learning Rates for Training Neural Networks*, WACV).

A short training whose rate rises exponentially from far too low to far too high: the loss first stands still,
then falls, then breaks out. The loss is that of a few fixed images: from batch to batch it varies as much as
so short a training gains. The suggested peak rate is a tenth of the highest rate that the loss bears: it
answers late, and a run has to bear its rate for long. fastai's `lr_find` takes a tenth of the rate of the
lowest loss (its `minimum` rule); but the valley is flat, and where its lowest point lies is chance.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from fer_jax.check.finding import Finding, make_finding
from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, VAL_COLOUR, write_png

RANGES: Final = {"sgd": (1e-4, 1.0), "adam": (1e-5, 0.1), "adamw": (1e-5, 0.1), "muon": (1e-5, 0.1)}
"""First and last rate by optimizer. Adam's steps are as long as its rate, whatever the gradient."""

STOP_FACTOR: Final = 2.0
"""The test ends where the loss is this many times the first one: nothing is to be learnt beyond."""
SMOOTHING_RATES: Final = 1.25
"""Standard deviation of the Gaussian that smooths the losses; it looks both ways, so it delays nothing."""
MIN_GAIN_NATS: Final = 0.05
"""Least fall of the smoothed loss that counts as learning."""
BORNE_SHARE: Final = 0.2
"""Share of the fall that the loss may lose again at a rate that it bears."""
SUGGESTED_SHARE: Final = 0.1
"""What the highest rate that the loss bears is multiplied by."""
LOW_FACTOR: Final = 5.0
"""A peak rate this many times below the suggestion is called low."""


@dataclass(frozen=True)
class RateRange:
    """What a range test found.

    Attributes:
        rates: float64 [S], those that were tried, S >= 1.
        losses: float64 [S], before the steps at each rate, finite.
        smoothed: float64 [S].
        lowest_rate: rate of the lowest smoothed loss.
        lowest_loss: that loss.
        steepest_rate: rate at which the smoothed loss falls fastest.
        highest_rate: highest rate up to which the loss stays near the lowest, see `BORNE_SHARE`.
        breaks_at: rate beyond the lowest at which half of the fall is lost again, or at which the test had to
            end; infinite where the loss was still down at the end.
        suggested: peak rate; None where no rate made the loss fall.
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
    """Make the rates: float64 [count], from the first to the last, each the same multiple of the one before.

    >>> make_ramp(0.01, 1.0, 3).tolist()
    [0.01, 0.1, 1.0]
    """
    return np.geomspace(first, last, count)


def run_ramp(try_rate: Callable[[int, float], float], rates: np.ndarray) -> Iterator[float]:
    """Try one rate after the other until the loss breaks out.

    Args:
        try_rate: (number of the rate, rate) -> the loss now; then trains a little at that rate.
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
    """Read a range test.

    Args:
        rates: float [R], of the whole ramp.
        losses: float [S], 1 <= S <= R, as far as the test came.
    """
    is_cut = len(losses) < len(rates)
    all_rates, rates = rates, rates[: len(losses)]
    start = losses[0]
    smoothed = gaussian_filter1d(np.minimum(losses, STOP_FACTOR * start), SMOOTHING_RATES, mode="nearest")
    lowest = int(smoothed.argmin())
    gain = max(start - float(smoothed[lowest]), 0.0)
    slopes = np.gradient(smoothed, np.log(rates)) if len(rates) > 1 else np.zeros(1)
    lost = np.where(np.arange(len(rates)) > lowest, smoothed - smoothed[lowest], 0.0)
    is_borne = np.logical_and.accumulate(lost <= BORNE_SHARE * gain)
    is_broken = lost > gain / 2
    highest_rate = float(rates[is_borne][-1])
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
    """Judge the config's peak rate by a range test.

    Args:
        found: what it found; None where already the first loss was not finite.
        peak_rate: the config's.
    """
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
            advice="the network learns at no rate within the test: take off dropout and augmentation first, "
            "then look at the network and the data",
            figures={"peak_rate": peak_rate},
        )
    suggested, verdict = found.suggested, "fits"
    if peak_rate >= found.breaks_at:
        verdict = "is too high"
    elif peak_rate > found.highest_rate:
        verdict = "is high"
    elif LOW_FACTOR * peak_rate < suggested:
        verdict = "is low"
    breaks = (
        f"breaks out at {found.breaks_at:.1e}" if math.isfinite(found.breaks_at) else "does not break out"
    )
    return make_finding(
        name,
        is_failed=verdict == "is too high",
        is_warned=verdict != "fits",
        measured=f"peak {peak_rate:.1e} {verdict}: {peak_rate / suggested:.2g} times the suggested "
        f"{suggested:.1e}; the loss bears up to {found.highest_rate:.1e} and {breaks}",
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


def plot_range(found: RateRange, path: Path, *, peak_rate: float, title: str) -> None:
    """Draw the loss over the rate, with the suggestion and the config's peak rate; 1280 × 720 pixels.

    Args:
        found: see `read_ramp`.
        path: the PNG to write. It is replaced in one step.
        peak_rate: the config's.
        title: written above.
    """
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(8, 4.5), dpi=160, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
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
            label=f"highest borne, {found.highest_rate:.1e}",
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
        write_png(figure, path)
