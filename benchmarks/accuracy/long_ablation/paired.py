"""Which images the seeds of an ingredient get right, and gains that are paired by seed and image."""

import numpy as np


def to_text(is_right: np.ndarray) -> list[str]:
    """Write which of N images each of K seeds gets right, bool [K, N], in hexadecimal digits, for JSON."""
    return [np.packbits(each).tobytes().hex() for each in is_right]


def from_text(texts: list[str], total: int) -> np.ndarray:
    """Read what `to_text` wrote for `total` images: bool [K, total].

    >>> from_text(to_text(np.array([[True, False, True]])), 3).tolist()
    [[True, False, True]]
    """
    packed = np.array([np.frombuffer(bytes.fromhex(text), np.uint8) for text in texts])
    return np.unpackbits(packed, axis=1, count=total).astype(bool)


def measure_gain(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Compute the gain in accuracy, the mean over seeds, and its standard error over the images, in points.

    The error is that of paired differences: images that a change does not move add nothing to it. It holds
    for these seeds.

    Args:
        before: bool [K, N], the images that each seed gets right.
        after: bool [K, N], the same after a change.

    >>> before = np.array([[True, False], [False, True]])
    >>> measure_gain(before, np.array([[True, True], [True, True]]))  # each image gains one of two seeds
    (50.0, 0.0)
    """
    gains = after.mean(axis=0) - before.mean(axis=0)
    return 100 * float(gains.mean()), 100 * float(gains.std()) / len(gains) ** 0.5
