"""Changes of accuracy that are paired: by the seeds and by the images that both sides have."""

from collections.abc import Sequence

import numpy as np


def count_moved(before: np.ndarray, after: np.ndarray) -> list[int]:
    """Count the images by how many of K seeds get them right that did not, less those that no longer do.

    Args:
        before: bool [K, N], the images that each seed gets right.
        after: bool [K, N], the same after a change.

    Returns:
        Counts of the images with -K, ..., 0, ..., K seeds; they add up to N.

    >>> count_moved(np.array([[True, False, False]]), np.array([[False, True, False]]))
    [1, 1, 1]
    """
    seeds = len(before)
    moved = after.sum(axis=0) - before.sum(axis=0)
    counts: list[int] = np.bincount(moved + seeds, minlength=2 * seeds + 1).tolist()
    return counts


def measure_gain(moved: Sequence[int]) -> tuple[float, float]:
    """Compute the gain in accuracy, the mean over seeds, and its standard error over the images, in points.

    The error is that of paired differences: images that a change does not move add nothing to it. It holds
    for these seeds.

    Args:
        moved: see `count_moved`.

    >>> measure_gain([0, 50, 0, 50, 0])  # half of the images lose one of two seeds, half gain one
    (0.0, 5.0)
    """
    seeds, total = len(moved) // 2, sum(moved)
    gains = [(place - seeds) / seeds for place in range(len(moved))]
    mean = sum(gain * count for gain, count in zip(gains, moved, strict=True)) / total
    variance = sum((gain - mean) ** 2 * count for gain, count in zip(gains, moved, strict=True)) / total
    return 100 * mean, 100 * (variance / total) ** 0.5
