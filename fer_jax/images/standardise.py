"""Standardise gray levels with the mean and standard deviation of the training images, in NumPy or JAX."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image


class PixelStats(NamedTuple):
    """Mean and standard deviation of the training images, in gray levels 0..255."""

    mean: float
    std: float


def measure(images: np.ndarray) -> PixelStats:
    """Measure the mean and standard deviation over all pixels.

    The images are uint8 [N, 48, 48, 1], those of training alone. The deviation is at least 1 gray level:
    uniform images would divide by zero.

    >>> measure(np.array([0, 255], np.uint8))
    PixelStats(mean=127.5, std=127.5)
    """
    # Counting the 256 levels is exact: no float sum over 46 million pixels. Pillow counts them in place, and
    # NumPy would first make an integer of eight bytes of each.
    counts = np.array(Image.fromarray(images.reshape(len(images), -1)).histogram())
    levels = np.arange(256)
    mean = float((counts * levels).sum() / counts.sum())
    variance = float((counts * (levels - mean) ** 2).sum() / counts.sum())
    return PixelStats(mean, max(variance**0.5, 1.0))


def standardise(images: Any, stats: PixelStats) -> Any:
    """Turn gray levels uint8 [...], NumPy or JAX, into float32 [...] with mean 0 and standard deviation 1."""
    return (images.astype("float32") - stats.mean) * (1.0 / stats.std)
