"""The bootstrap: how far a metric would move if other images of the same kind had been measured.

Images are drawn from those measured, with replacement and as many as there are, and the figure is computed
on each such resample; the middle 95 % of its values are the interval (the percentile interval: Efron 1979,
"Bootstrap Methods: Another Look at the Jackknife"; Efron and Tibshirani 1993, "An Introduction to the
Bootstrap", chapter 13). It covers the choice of images alone: another training seed would move the metrics
too. An image's resample count is a weight, so a figure is computed for many resamples at once.
"""

import warnings
from collections.abc import Callable
from typing import Final

import numpy as np

RESAMPLES: Final = 1000
LEVEL: Final = 0.95

Figures = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Weights float64 [R, N] of the images -> name -> float64 [R] or [R, K], NaN where a figure has no value."""

_AT_A_TIME: Final = 50
"""Resamples whose weights are in memory together. It is part of every result: the order of the draws."""


def draw_weights(rng: np.random.Generator, *, images: int, resamples: int) -> np.ndarray:
    """Draw how often each image is in each resample: float64 [R, N], whose rows sum to N."""
    drawn = rng.integers(images, size=(resamples, images))
    drawn += images * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * images)
    return counts.reshape(resamples, images).astype(np.float64)


def resample(rng: np.random.Generator, figures: Figures, *, images: int) -> dict[str, np.ndarray]:
    """Compute each figure of N >= 1 images on 1000 resamples: name -> float64 [1000] or [1000, K]."""
    parts = []
    for start in range(0, RESAMPLES, _AT_A_TIME):
        resamples = min(_AT_A_TIME, RESAMPLES - start)
        parts.append(figures(draw_weights(rng, images=images, resamples=resamples)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(values: np.ndarray) -> np.ndarray:
    """Take the 95 % percentile interval of a figure, from its values float64 [R] or [R, K] on R resamples.

    Returns:
        float64 [2] or [2, K], the lower and the upper ends. Resamples in which a figure has no value (such as
        the recall of a class that is not in them) are left out of its interval. NaN where none has one, and
        where all have the same: resamples of images that are all right do not say that others would be.
    """
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    with warnings.catch_warnings():
        # NumPy warns where all values are NaN, which is what NaN then says.
        warnings.simplefilter("ignore", RuntimeWarning)
        ends = np.nanquantile(values, tails, axis=0)
    return np.where(ends[0] == ends[1], np.nan, ends)


def distance_interval(value: float, distances: np.ndarray) -> np.ndarray:
    """Compute an interval of a metric that is a norm, such as a sum of absolute values.

    Noise makes a norm larger, on a resample twice over: where the true one is 0, the whole percentile
    interval lies above it. But two norms differ by no more than the norm of the difference of their vectors,
    which does centre on the measured one. With many images the interval covers the true norm in about 95 % of
    cases or more; with few, or with hardly any errors, resamples vary too little, and it does so less often.

    Args:
        value: the measured norm, >= 0.
        distances: float64 [R], between the measured vector and that of each of R resamples.

    Returns:
        float64 [2], the lower and the upper end, >= 0.

    >>> distance_interval(0.05, np.full(1000, 0.02)).round(2).tolist()
    [0.03, 0.07]
    """
    reach = np.quantile(distances, LEVEL)
    return np.maximum([value - reach, value + reach], 0.0)
