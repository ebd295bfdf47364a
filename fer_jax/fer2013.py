"""Facts about FER2013: names, shapes, counts and checksums.

Source of the counts: Kaggle's *Challenges in Representation Learning* (2013), checked against the files.
"""

from collections.abc import Sequence
from typing import Final

LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Label names; the position is Kaggle's `emotion` number."""

CLASS_COUNT: Final = len(LABELS)

IMAGE_SHAPE: Final = (48, 48, 1)
"""Height, width and channels of an image; uint8, 0 black to 255 white."""

PIXEL_COUNT: Final = 48 * 48

USAGES: Final = ("Training", "PublicTest", "PrivateTest")
"""Kaggle's `Usage` names, in file order."""

UNLABELLED: Final = -1
"""Label or usage of a row for which the file has none."""

CLASS_COUNTS: Final[dict[str, tuple[int, ...]]] = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}
"""Official rows by usage and class."""

ROW_COUNTS: Final[dict[str, int]] = {usage: sum(counts) for usage, counts in CLASS_COUNTS.items()}
"""Official rows by usage: 28,709, 3,589 and 3,589."""

MERGED_TEST_ROWS: Final = ROW_COUNTS["PublicTest"] + ROW_COUNTS["PrivateTest"]
"""7,178: the "test" of the folder mirrors, which is PublicTest and PrivateTest merged."""

KNOWN_MD5: Final[dict[str, str]] = {
    "3f0dfb3d3fd99c811a1299cb947e3131": "Kaggle's train.csv",
}
"""MD5 of a file's bytes -> what the file is."""

CONTENT_SHA256: Final[dict[str, str]] = {
    "Training": "d5be02510af349503a1fe36759c09d1bbeb3d393d5293e4e055ab04c10313862",
    "PublicTest": "8a7bba6d76d9ba5c37ec258b3e00f3d67cfce24a9b70b765675d8cb06f78c1b1",
}
"""Official images and labels by usage, hashed without their order, see `data.examples.hash_content`.
PrivateTest's is not known: Kaggle's train.csv and PublicTest are what this was computed from."""

NAMES: Final = (*LABELS, "contempt")
"""Names of FER+'s eight classes: FER2013's seven in their order, and contempt."""


def are_known(names: Sequence[str]) -> bool:
    """Whether names of classes are FER2013's or FER+'s, in their order, and not those of other data."""
    return tuple(names) in (LABELS, NAMES)


def names_of(count: int) -> tuple[str, ...]:
    """Return the names of classes that nobody named, in the order of a network's outputs.

    Args:
        count: its outputs; of 7 or 8 they are the classes of FER2013 or of FER+.

    >>> names_of(8)[6:], names_of(2)
    (('neutral', 'contempt'), ('0', '1'))
    """
    return NAMES[:count] if count in (CLASS_COUNT, len(NAMES)) else tuple(map(str, range(count)))
