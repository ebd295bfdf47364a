"""Examples: labelled faces as arrays, the one form in which every source hands over its data."""

import hashlib
from dataclasses import dataclass

import numpy as np

from fer_jax import fer2013


@dataclass(frozen=True)
class Examples:
    """N faces with their labels.

    Attributes:
        images: uint8 [N, 48, 48, 1], 0 black to 255 white.
        labels: int32 [N], 0..6 as in `fer2013.LABELS`, or -1 where the file gives none; by FER+'s votes also
            7, contempt, see `fer2013.NAMES`.
        usages: int32 [N], index into `fer2013.USAGES`, or -1 where the file gives none.
        description: one line for people: what the data is and where it came from.
        sha256: of the arrays above, hex; the same data has the same hash whatever file it came from.
        skipped_rows: messages of the rows that `--on-bad-row skip` left out.
    """

    images: np.ndarray
    labels: np.ndarray
    usages: np.ndarray
    description: str
    sha256: str
    skipped_rows: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


def class_counts(labels: np.ndarray, *, classes: int = fer2013.CLASS_COUNT) -> tuple[int, ...]:
    """Count the rows of each class.

    Args:
        labels: int [N], 0..C-1; -1 is not counted.
        classes: C.

    Returns:
        C counts, in the order of `fer2013.NAMES`.

    >>> class_counts(np.array([3, 3, 0, -1]))
    (1, 0, 0, 2, 0, 0, 0)
    """
    labelled = labels[labels != fer2013.UNLABELLED]
    return tuple(int(n) for n in np.bincount(labelled, minlength=classes))


def hash_arrays(images: np.ndarray, labels: np.ndarray, usages: np.ndarray) -> str:
    """SHA-256 of the bytes of the three arrays of Examples, hex.

    >>> hash_arrays(np.zeros((1, 48, 48, 1), np.uint8), np.zeros(1, np.int32), np.zeros(1, np.int32))[:8]
    '35956830'
    """
    digest = hashlib.sha256()
    for array in (images, labels, usages):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
