"""Gray levels to the numbers a network sees: standardised with the training images' mean and deviation.

Works on NumPy and JAX arrays alike.
"""

from typing import Any, NamedTuple

import numpy as np


class PixelStats(NamedTuple):
    """Mean and standard deviation of the training images, in gray levels 0..255."""

    mean: float
    std: float


def measure(images: np.ndarray) -> PixelStats:
    """Measure the mean and standard deviation over all pixels.

    Args:
        images: uint8 [N, 48, 48, 1], the training images alone.

    Returns:
        Both in gray levels. The deviation is at least 1, so that flat images do not divide by zero.

    >>> measure(np.array([0, 255], np.uint8))
    PixelStats(mean=127.5, std=127.5)
    """
    # Counting the 256 levels is exact: no float sum over 46 million pixels.
    counts = np.bincount(images.ravel(), minlength=256)
    levels = np.arange(256)
    mean = float((counts * levels).sum() / counts.sum())
    variance = float((counts * (levels - mean) ** 2).sum() / counts.sum())
    return PixelStats(mean, max(variance**0.5, 1.0))


def standardise(images: Any, stats: PixelStats) -> Any:
    """Turn uint8 gray levels into float32 of mean 0 and deviation 1.

    Args:
        images: uint8 [B, 48, 48, 1], a NumPy or JAX array.
        stats: of the training images.

    Returns:
        float32 [B, 48, 48, 1], of the same kind as `images`.
    """
    return (images.astype("float32") - stats.mean) * (1.0 / stats.std)
