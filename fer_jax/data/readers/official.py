"""The official parts of FER2013, recognised by their class counts, and descriptions of rows."""

from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.data.examples import class_counts, hash_content
from fer_jax.errors import DataError
from fer_jax.text import counted

MERGED_TEST: Final = (
    f"{fer2013.MERGED_TEST_ROWS:,} rows with no usage are PublicTest and PrivateTest merged, with nothing in "
    "them to tell which is which"
)

CONTEMPT: Final = (
    "FER2013 has no contempt (7 in CK+ and FER+), and only networks with eight classes know it: the released "
    "`ferplus`, and those trained on FER+'s votes (labels.source ferplus, model.classes 8)"
)
CONTEMPT_CURE: Final = "leave it out with --on-bad-row skip, which counts it, or remove it"

_ALPHABETICAL: Final = sorted(range(fer2013.CLASS_COUNT), key=fer2013.LABELS.__getitem__)

_OTHER_ORDERS: Final[dict[str, tuple[int, ...]]] = {
    "FER2013 in alphabetical order (4 neutral, 5 sad, 6 surprise)": tuple(
        fer2013.CLASS_COUNTS["Training"][label] for label in _ALPHABETICAL
    ),
    "AffectNet (0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 angry)": (
        *(74874, 134415, 25459, 14090, 6378, 3803, 24882),
    ),
    "RAF-DB counted from 0 (0 surprise, 1 fear, 2 disgust, 3 happy, 4 sad, 5 angry, 6 neutral)": (
        *(1290, 281, 717, 4772, 1982, 705, 2524),
    ),
}
"""Data sets in another order of the same seven expressions -> training images by number, as published:
Mollahosseini et al. 2017 (AffectNet), Li, Deng and Du 2017 (RAF-DB)."""

# Shares of classes that differ by less than this in sum are those of one data set, cut at random.
_SAME_SHARES: Final = 0.06
_LEAST_ROWS: Final = 700


def find_usage(counts: tuple[int, ...]) -> int:
    """Find the official part with these class counts: an index into `fer2013.USAGES`; -1 for none of them.

    >>> find_usage((467, 56, 496, 895, 653, 415, 607)), find_usage((1, 1, 1, 1, 1, 1, 1))
    (1, -1)
    """
    found = [name for name, official in fer2013.CLASS_COUNTS.items() if official == counts]
    return fer2013.USAGES.index(found[0]) if found else fer2013.UNLABELLED


def refuse_merged(counts: tuple[int, ...], skipped: int, where: str) -> None:
    """Refuse labelled rows without usages, bad ones that were left out included, that are merged parts.

    Raises:
        DataError: there are 7,178 rows, the merged test, or as many as in Training and other parts.
    """
    rows = sum(counts) + skipped
    cure = "wanted icml_face_data.csv or fer2013.csv, which have usages, or train.csv to train alone"
    if rows == fer2013.MERGED_TEST_ROWS:
        raise DataError(f"{where}: {MERGED_TEST}, so a result on them is not comparable; {cure}")
    training, public, private = fer2013.ROW_COUNTS.values()
    if rows in (training + public, training + private, training + public + private):
        raise DataError(
            f"{where}: {rows:,} rows with no usage are Training and test rows merged, so a run on them "
            f"would train on test rows; {cure}"
        )


def describe_other(rows: int) -> str:
    """Say why the images of a folder called test or validation get no usage."""
    return (
        f"its {counted(rows, 'image')} are neither PublicTest nor PrivateTest, which have "
        f"{fer2013.ROW_COUNTS['PublicTest']:,} each; to measure a network on them, give that "
        "folder to evaluate with --data, and --split all"
    )


def list_unofficial(labels: np.ndarray, usages: np.ndarray) -> list[str]:
    """Caution about test rows that a file calls by an official name, but whose counts are not official.

    >>> list_unofficial(np.array([0, 3]), np.array([1, -1]))[0][:55]
    "the file's PublicTest is not the official one: figures "
    """
    named = [
        name
        for usage, name in enumerate(fer2013.USAGES)
        if name != "Training"
        and (labels[usages == usage] != fer2013.UNLABELLED).any()
        and class_counts(labels[usages == usage]) != fer2013.CLASS_COUNTS[name]
    ]
    return [
        f"the file's {name} is not the official one: figures on it cannot be compared with others"
        for name in named
    ]


def refuse_other_order(counts: tuple[int, ...], where: str) -> None:
    """Refuse numbers 0..6 whose class counts are those of a data set with another order.

    Args:
        counts: rows by number; of too few nothing is said.
        where: for messages.

    Raises:
        DataError: the shares of the classes are another data set's, and not FER2013's.
    """
    rows = sum(counts)
    if rows < _LEAST_ROWS:
        return

    def distance(others: tuple[int, ...]) -> float:
        return sum(abs(n / rows - other / sum(others)) for n, other in zip(counts, others, strict=True))

    own = min(map(distance, fer2013.CLASS_COUNTS.values()))
    name = min(_OTHER_ORDERS, key=lambda name: distance(_OTHER_ORDERS[name]))
    if distance(_OTHER_ORDERS[name]) < min(own, _SAME_SHARES):
        raise DataError(
            f"{where}: the numbers of images by class, {', '.join(map(str, counts))}, are those of {name}; "
            "wanted FER2013's order, 0 angry to 6 neutral; number the classes anew, or name folders of "
            "images by words"
        )


def describe_rows(labels: np.ndarray, usages: np.ndarray, images: np.ndarray) -> str:
    """Describe how many rows each usage has, and whether they are the official ones.

    Args:
        labels: int32 [N].
        usages: int32 [N].
        images: uint8 [N, 48, 48, 1].

    >>> describe_rows(np.array([0, 3]), np.array([1, -1]), np.zeros((2, 48, 48, 1), np.uint8))
    '1 PublicTest row (not the official 3,589), 1 row with no usage'
    """
    parts = []
    for usage, name in enumerate(fer2013.USAGES):
        is_usage = usages == usage
        if is_usage.any():
            rows = counted(int(is_usage.sum()), f"{name} row")
            parts.append(f"{rows} ({_compare(labels[is_usage], images[is_usage], name)})")
    others = int((usages == fer2013.UNLABELLED).sum())
    if others:
        parts.append(f"{counted(others, 'row')} with no usage")
    unlabelled = int((labels == fer2013.UNLABELLED).sum())
    return ", ".join(parts) + (f", {unlabelled:,} of them unlabelled" if unlabelled else "")


def _compare(labels: np.ndarray, images: np.ndarray, usage: str) -> str:
    counts, official = class_counts(labels), fer2013.CLASS_COUNTS[usage]
    if counts == official:
        known = fer2013.CONTENT_SHA256.get(usage)
        is_other = known is not None and hash_content(images, labels) != known
        return "the official counts" + (", but other pixels: saved as JPEG, or changed" if is_other else "")
    if len(labels) != sum(official):
        return f"not the official {sum(official):,}"
    wrong = [
        f"{came:,} {name} for {wanted:,}"
        for name, came, wanted in zip(fer2013.LABELS, counts, official, strict=True)
        if came != wanted
    ]
    return f"the official number, but {', '.join(wrong)}"
