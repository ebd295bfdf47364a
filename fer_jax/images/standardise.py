"""Standardise gray levels with the mean and standard deviation of the training images, in NumPy or JAX."""

from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

_CHUNK_IMAGES: Final = 8192
"""Images that are counted at a time."""


class PixelStats(NamedTuple):
    """Mean and standard deviation of the training images, in gray levels 0..255."""

    mean: float
    std: float


def measure(images: np.ndarray, rows: np.ndarray | None = None) -> PixelStats:
    """Measure the mean and standard deviation over all pixels.

    The deviation is at least 1 gray level: uniform images would divide by zero.

    Args:
        images: uint8 [N, 48, 48, 1]; a mapped file is read chunk by chunk.
        rows: int [Ntrain], of the images of training; None: all.

    >>> measure(np.array([0, 255], np.uint8))
    PixelStats(mean=127.5, std=127.5)
    """
    counts = np.zeros(256, np.int64)
    for first in range(0, len(images) if rows is None else len(rows), _CHUNK_IMAGES):
        place = slice(first, first + _CHUNK_IMAGES)
        some = images[place if rows is None else rows[place]]
        # Counting the 256 levels is exact: no float sum over 46 million pixels. Pillow counts them in place,
        # and NumPy would first make an integer of eight bytes of each.
        counts += Image.fromarray(some.reshape(len(some), -1)).histogram()
    levels = np.arange(256)
    mean = float((counts * levels).sum() / counts.sum())
    variance = float((counts * (levels - mean) ** 2).sum() / counts.sum())
    return PixelStats(mean, max(variance**0.5, 1.0))


def standardise(images: Any, stats: PixelStats) -> Any:
    """Turn gray levels uint8 [...], NumPy or JAX, into float32 [...] with mean 0 and standard deviation 1."""
    return (images.astype("float32") - stats.mean) * (1.0 / stats.std)
