"""Two networks on the same images: McNemar's test, the size of the difference, and Holm's correction.

Images that both get right, or both wrong, say nothing about which is better; the others do, and there are far
fewer of them. A paired test therefore sees differences that two overlapping intervals hide.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import binomtest

LEVEL: Final = 0.05
"""Chance of calling at least one difference real that is not, over all pairs together."""

_Z: Final = NormalDist().inv_cdf(0.975)


class Discordant(NamedTuple):
    """Images that only the first or only the second of two networks gets right, and all images."""

    only_first: int
    only_second: int
    total: int

    @property
    def difference(self) -> float:
        """Accuracy of the second minus accuracy of the first, in -1..1."""
        return (self.only_second - self.only_first) / self.total


def count_discordant(first_right: np.ndarray, second_right: np.ndarray) -> Discordant:
    """Count the images that exactly one of two networks gets right; bool [N] each, in the same order, N >= 1.

    >>> count_discordant(np.array([True, True, False, True]), np.array([True, False, True, False]))
    Discordant(only_first=2, only_second=1, total=4)
    """
    return Discordant(
        int((first_right & ~second_right).sum()), int((~first_right & second_right).sum()), len(first_right)
    )


def mcnemar(counts: Discordant) -> float:
    """Compute the exact two-sided p-value of McNemar's test; 1 where no image tells the two apart.

    If both networks were equally good, each image that only one gets right would fall to either with chance
    one half (McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
    percentages"; exact by the binomial distribution).

    >>> round(mcnemar(Discordant(10, 2, 100)), 6)
    0.038574
    """
    discordant = counts.only_first + counts.only_second
    return float(binomtest(counts.only_first, discordant, 0.5).pvalue) if discordant else 1.0


def difference_interval(counts: Discordant) -> tuple[float, float]:
    """Compute a 95 % interval of the difference in accuracy, second minus first: its ends, in -1..1.

    Wald's interval for paired proportions after adding one half to each of the four cells (Agresti and Min
    2005, "Simple improved confidence intervals for comparing matched proportions").

    >>> tuple(round(end, 4) for end in difference_interval(Discordant(10, 2, 100)))
    (-0.146, -0.0108)
    """
    total = counts.total + 2
    middle = (counts.only_second - counts.only_first) / total
    variance = (counts.only_first + counts.only_second + 1) / total - middle**2
    reach = _Z * math.sqrt(variance / total)
    return max(middle - reach, -1.0), min(middle + reach, 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for how many there are, so that a family of tests errs as rarely as one test.

    The smallest is multiplied by their number, the next by one less, and so on, and none falls below the one
    before it (Holm 1979, "A simple sequentially rejective multiple test procedure"). The corrected ones, in
    0..1, are in the order of `p_values`, which may be none: a test is rejected where its own is below the
    level.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()
