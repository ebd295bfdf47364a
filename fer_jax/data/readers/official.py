"""Knows FER2013 by its counts: which official part some rows are, and what to tell people about them."""

from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.data.examples import class_counts
from fer_jax.errors import DataError

MERGED_TEST: Final = (
    f"{fer2013.MERGED_TEST_ROWS:,} rows with no usage are PublicTest and PrivateTest merged, and nothing in "
    "them tells which is which"
)


def find_usage(counts: tuple[int, ...]) -> int:
    """Name the official part that has these counts.

    Args:
        counts: rows of each class, in the order of `fer2013.LABELS`.

    Returns:
        Index into `fer2013.USAGES`; -1 where it is none of them.

    >>> find_usage((467, 56, 496, 895, 653, 415, 607)), find_usage((1, 1, 1, 1, 1, 1, 1))
    (1, -1)
    """
    found = [name for name, official in fer2013.CLASS_COUNTS.items() if official == counts]
    return fer2013.USAGES.index(found[0]) if found else fer2013.UNLABELLED


def refuse_merged(counts: tuple[int, ...], skipped: int, where: str) -> None:
    """Refuse labelled rows without usage that are several official parts put together.

    Args:
        counts: rows of each class.
        skipped: bad rows that were left out.
        where: the file, for messages.

    Raises:
        DataError: there are 7,178 rows, the merged test, or as many as of Training and other parts.
    """
    rows = sum(counts) + skipped
    cure = "wanted files that say it: icml_face_data.csv or fer2013.csv, or train.csv to train alone"
    if rows == fer2013.MERGED_TEST_ROWS:
        raise DataError(f"{where}: {MERGED_TEST}, so a result on them compares with no other; {cure}")
    training, public, private = fer2013.ROW_COUNTS.values()
    if rows in (training + public, training + private, training + public + private):
        raise DataError(
            f"{where}: {rows:,} rows with no usage are Training and test rows merged, so a run on them "
            f"would train on what tests; {cure}"
        )


def describe_rows(labels: np.ndarray, usages: np.ndarray) -> str:
    """Say how many rows of each usage there are, and whether they are the official ones.

    Args:
        labels: int32 [N], 0..6, or -1.
        usages: int32 [N], index into `fer2013.USAGES`, or -1.

    >>> describe_rows(np.array([0, 3]), np.array([1, -1]))
    '1 PublicTest row (not the official 3,589), 1 row with no usage'
    """
    parts = []
    for usage, name in enumerate(fer2013.USAGES):
        of_usage = labels[usages == usage]
        if len(of_usage):
            parts.append(f"{_count(len(of_usage), f'{name} row')} ({_compare(of_usage, name)})")
    others = int((usages == fer2013.UNLABELLED).sum())
    if others:
        parts.append(f"{_count(others, 'row')} with no usage")
    unlabelled = int((labels == fer2013.UNLABELLED).sum())
    return ", ".join(parts) + (f", {unlabelled:,} of them unlabelled" if unlabelled else "")


def _compare(labels: np.ndarray, usage: str) -> str:
    counts, official = class_counts(labels), fer2013.CLASS_COUNTS[usage]
    if counts == official:
        return "the official counts"
    if len(labels) != sum(official):
        return f"not the official {sum(official):,}"
    wrong = [
        f"{came:,} {name} for {wanted:,}"
        for name, came, wanted in zip(fer2013.LABELS, counts, official, strict=True)
        if came != wanted
    ]
    return f"the official number, but {', '.join(wrong)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"
