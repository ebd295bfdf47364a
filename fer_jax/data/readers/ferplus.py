"""FER+: ten annotators' votes for each row of FER2013, from Microsoft's fer2013new.csv.

Source: Barsoum, Zhang, Canton Ferrer, Zhang, *Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution* (2016). The file has no pixels: its rows stand in the order of fer2013.csv.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.errors import DataError

CHOICES: Final = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""What an annotator could choose, in the file's order; NF: this is not a face."""

CHOICE_OF_LABEL: Final = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "neutral",
    "contempt",
)
"""The choice behind each of `fer2013.NAMES`."""

HEADER: Final = ("Usage", "Image name", *CHOICES)

UNDECIDED: Final = -1
"""Stands where the votes name no expression of FER2013."""

ANNOTATORS: Final = 10

_SEVEN: Final = [CHOICES.index(name) for name in CHOICE_OF_LABEL[: fer2013.CLASS_COUNT]]
_CURE: Final = "get fer2013new.csv again from https://github.com/microsoft/FERPlus"
# Labels and votes agree on two rows of three; files that do not belong together, on about one of five.
_LEAST_AGREEMENT: Final = 0.4


@dataclass(frozen=True)
class Votes:
    """The votes of N rows.

    Attributes:
        counts: int64 [N, 10], votes by `CHOICES`; ten a row, in a few rows fewer, and never none.
        usages: int64 [N], index into `fer2013.USAGES`.
    """

    counts: np.ndarray
    usages: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    def seven(self) -> np.ndarray:
        """Take the votes for FER2013's expressions alone: int64 [N, 7], in the order of `fer2013.LABELS`."""
        return self.counts[:, _SEVEN]

    def majority(self) -> np.ndarray:
        """Name the expression that got the most votes of all ten choices.

        Returns:
            int64 [N], 0..6 as in `fer2013.LABELS`; `UNDECIDED` where two choices share the lead, or where
            contempt, unknown or "not a face" leads.
        """
        seven, most = self.seven(), self.counts.max(axis=1)
        is_alone = (self.counts == most[:, None]).sum(axis=1) == 1
        return np.where(is_alone & (seven.max(axis=1) == most), seven.argmax(axis=1), UNDECIDED)

    def is_absolute(self) -> np.ndarray:
        """Say, bool [N], where one choice got more than half of the votes."""
        return 2 * self.counts.max(axis=1) > self.counts.sum(axis=1)

    def is_no_face(self) -> np.ndarray:
        """Say, bool [N], where at least half of the votes are "not a face"."""
        return 2 * self.counts[:, CHOICES.index("NF")] >= self.counts.sum(axis=1)


def read(path: Path) -> Votes:
    """Read fer2013new.csv.

    Args:
        path: the file; rows of any usages.

    Raises:
        DataError: the file is missing or is another one, or a row is malformed.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror}; give another --ferplus") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: came no UTF-8 text; wanted FER+'s CSV file; {_CURE}") from None
    came = tuple(name.strip() for name in lines[0].split(",")) if lines else ()
    if came != HEADER:
        first = f"{lines[0][:60]!r}" if lines else "nothing"
        raise DataError(f"{path}, line 1: came {first}; wanted FER+'s header `{','.join(HEADER)}`; {_CURE}")
    rows = [
        _parse(line, f"{path}, line {number}") for number, line in enumerate(lines[1:], 2) if line.strip()
    ]
    if not rows:
        raise DataError(f"{path}: came no row after the header; wanted one for each row of FER2013; {_CURE}")
    table = np.array(rows, np.int64)
    return Votes(counts=table[:, 1:], usages=table[:, 0])


def _parse(line: str, where: str) -> list[int]:
    """Parse a row into the number of its usage and its ten counts."""
    usage, *rest = (field.strip() for field in line.split(","))
    if usage not in fer2013.USAGES:
        raise DataError(
            f"{where}, Usage: came {usage[:40]!r}; wanted one of {', '.join(fer2013.USAGES)}; {_CURE}"
        )
    if len(rest) != len(HEADER) - 1:
        raise DataError(f"{where}: came {len(rest) + 1} fields; wanted {len(HEADER)}; {_CURE}")
    # A picture that nobody took for a face has no name, and a name is not needed.
    votes = rest[1:]
    for choice, text in zip(CHOICES, votes, strict=True):
        if not (text.isascii() and text.isdigit() and len(text) <= 2):
            raise DataError(f"{where}, {choice}: came {text[:40]!r}; wanted a count of votes; {_CURE}")
    counts = [int(text) for text in votes]
    if not 1 <= sum(counts) <= ANNOTATORS:
        raise DataError(f"{where}: came {sum(counts)} votes; wanted 1 to {ANNOTATORS}; {_CURE}")
    return [fer2013.USAGES.index(usage), *counts]


def match(votes: Votes, labels: np.ndarray, usages: np.ndarray, *, where: str) -> Votes:
    """Put the votes beside the rows of a FER2013 file, usage by usage, in the order of both files.

    Args:
        votes: of one file; usages that the data lacks are passed over.
        labels: int [N], 0..6, of the data.
        usages: int [N], of the data; a row of no stated usage counts as Training.
        where: both files, for messages.

    Returns:
        Votes of N rows, in the data's order.

    Raises:
        DataError: a usage has other numbers of rows in the two, or labels and votes agree too seldom.
    """
    usages = np.where(usages == fer2013.UNLABELLED, fer2013.USAGES.index("Training"), usages)
    order = np.empty(len(usages), np.int64)
    for usage in np.unique(usages):
        theirs, ours = np.flatnonzero(votes.usages == usage), np.flatnonzero(usages == usage)
        if len(theirs) != len(ours):
            raise DataError(
                f"{where}: there are votes for {len(theirs):,} {fer2013.USAGES[usage]} rows, and the data "
                f"has {len(ours):,}; wanted as many, as they are joined by their order; give the whole file "
                "of FER+ and data from which no row was left out"
            )
        order[ours] = theirs
    matched = Votes(votes.counts[order], votes.usages[order])
    majority = matched.majority()
    is_decided = majority != UNDECIDED
    agreement = float((majority == labels)[is_decided].mean()) if is_decided.any() else 0.0
    if agreement < _LEAST_AGREEMENT:
        raise DataError(
            f"{where}: labels and votes agree on {100 * agreement:.0f} % of the rows; wanted at least "
            f"{100 * _LEAST_AGREEMENT:.0f} %, else the two do not belong together; give files in Kaggle's "
            "order"
        )
    return matched
