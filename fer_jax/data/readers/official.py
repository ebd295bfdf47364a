"""The official parts of FER2013, recognised by their class counts, and descriptions of rows."""

from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.data.examples import class_counts
from fer_jax.errors import DataError
from fer_jax.text import counted

MERGED_TEST: Final = (
    f"{fer2013.MERGED_TEST_ROWS:,} rows with no usage are PublicTest and PrivateTest merged, with nothing in "
    "them to tell which is which"
)


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


def describe_rows(labels: np.ndarray, usages: np.ndarray) -> str:
    """Describe how many rows each usage has, and whether they are the official ones.

    >>> describe_rows(np.array([0, 3]), np.array([1, -1]))
    '1 PublicTest row (not the official 3,589), 1 row with no usage'
    """
    parts = []
    for usage, name in enumerate(fer2013.USAGES):
        of_usage = labels[usages == usage]
        if len(of_usage):
            parts.append(f"{counted(len(of_usage), f'{name} row')} ({_compare(of_usage, name)})")
    others = int((usages == fer2013.UNLABELLED).sum())
    if others:
        parts.append(f"{counted(others, 'row')} with no usage")
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
