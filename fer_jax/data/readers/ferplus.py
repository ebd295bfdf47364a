"""FER+: ten annotators' votes for each row of FER2013, from Microsoft's fer2013new.csv.

Source: Barsoum, Zhang, Canton Ferrer, Zhang, *Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution* (2016). The file has no pixels: its rows are in the order of fer2013.csv.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.data.readers.file_kinds import check_source
from fer_jax.errors import DataError
from fer_jax.files import expand_home, suggest_path
from fer_jax.text import counted

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
"""The annotators' choices, in the file's order; NF: not a face."""

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
"""The choice for each of `fer2013.NAMES`."""

HEADER: Final = ("Usage", "Image name", *CHOICES)

UNDECIDED: Final = -1
"""The label where the votes choose no expression of FER2013."""

UNNAMED: Final = -1
"""The number of an image without a name."""

ANNOTATORS: Final = 10

_OTHER: Final = "give another file of votes (--labels.ferplus; evaluate, audit and verify: --ferplus)"
_CURE: Final = "download fer2013new.csv again from https://github.com/microsoft/FERPlus"
# Labels and votes agree on two rows of three; those of different files, on about one of five.
_LEAST_AGREEMENT: Final = 0.4
_SHOWN_ROWS: Final = 3


@dataclass(frozen=True, eq=False)
class Votes:
    """The votes of N rows.

    Attributes:
        counts: int64 [N, 10], votes by `CHOICES`; ten a row, in a few rows fewer, but at least one.
        usages: int64 [N], index into `fer2013.USAGES`.
        numbers: int64 [N], rows of fer2013.csv by their images' names, -1 where there is none; None: unknown.
    """

    counts: np.ndarray
    usages: np.ndarray
    numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.counts)

    def seven(self) -> np.ndarray:
        """Return the votes for FER2013's expressions: int64 [N, 7], in the order of `fer2013.LABELS`."""
        return self.of_classes(fer2013.CLASS_COUNT)

    def of_classes(self, count: int) -> np.ndarray:
        """Return the votes for the first C of `fer2013.NAMES`, seven or eight: int64 [N, C]."""
        return self.counts[:, [CHOICES.index(name) for name in CHOICE_OF_LABEL[:count]]]

    def majority(self) -> np.ndarray:
        """Return the expression with the most votes of all ten choices, int64 [N], as in `fer2013.LABELS`.

        `UNDECIDED` where two choices have the most, or where contempt, unknown or "not a face" has.
        """
        seven, most = self.seven(), self.counts.max(axis=1)
        is_alone = (self.counts == most[:, None]).sum(axis=1) == 1
        return np.where(is_alone & (seven.max(axis=1) == most), seven.argmax(axis=1), UNDECIDED)

    def is_absolute(self) -> np.ndarray:
        """Whether one choice has more than half of the votes, bool [N]."""
        return 2 * self.counts.max(axis=1) > self.counts.sum(axis=1)

    def is_no_face(self) -> np.ndarray:
        """Whether at least half of the votes are "not a face", bool [N]."""
        return 2 * self.counts[:, CHOICES.index("NF")] >= self.counts.sum(axis=1)


def find(path: Path) -> Path:
    """Find a file of votes, `~` for the home folder included.

    Raises:
        DataError: there is no such file.
    """
    found = expand_home(path)
    if not found.is_file():
        raise DataError(f"there is no file of FER+ votes {path}{suggest_path(found) or f'; {_OTHER}'}")
    return found


def read(path: Path) -> Votes:
    """Read fer2013new.csv, with rows of any usages.

    Raises:
        DataError: the file is missing or not FER+'s, or a row is malformed.
    """
    try:
        check_source(path)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror}; {_OTHER}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: found text that is not UTF-8; wanted FER+'s CSV file; {_CURE}") from None
    lines = text.replace("\r\n", "\n").split("\n")
    came = tuple(name.strip() for name in lines[0].split(","))
    if came != HEADER:
        first = f"{lines[0][:60]!r}" if text else "nothing"
        raise DataError(f"{path}, line 1: found {first}; wanted FER+'s header `{','.join(HEADER)}`; {_CURE}")
    rows = [
        _parse(line, f"{path}, line {number}") for number, line in enumerate(lines[1:], 2) if line.strip()
    ]
    if not rows:
        raise DataError(f"{path}: found no row after the header; wanted one for each row of FER2013; {_CURE}")
    table = np.array(rows, np.int64)
    return Votes(counts=table[:, 2:], usages=table[:, 0], numbers=table[:, 1])


def _parse(line: str, where: str) -> list[int]:
    """Parse a row: the number of its usage, that of its image, and its ten counts."""
    usage, *rest = (field.strip() for field in line.split(","))
    if usage not in fer2013.USAGES:
        raise DataError(
            f"{where}, Usage: found {usage[:40]!r}; wanted one of {', '.join(fer2013.USAGES)}; {_CURE}"
        )
    if len(rest) != len(HEADER) - 1:
        raise DataError(f"{where}: found {len(rest) + 1} fields; wanted {len(HEADER)}; {_CURE}")
    # An image that nobody took for a face has no name; names are not needed, but tell which rows are missing.
    name, *votes = rest
    match = re.fullmatch(r"fer([0-9]{7})\.png", name, re.ASCII)
    for choice, text in zip(CHOICES, votes, strict=True):
        if not (text.isascii() and text.isdigit() and len(text) <= 2):
            raise DataError(f"{where}, {choice}: found {text[:40]!r}; wanted a count of votes; {_CURE}")
    counts = [int(text) for text in votes]
    if not 1 <= sum(counts) <= ANNOTATORS:
        raise DataError(f"{where}: found {sum(counts)} votes; wanted 1 to {ANNOTATORS}; {_CURE}")
    return [fer2013.USAGES.index(usage), int(match[1]) if match else UNNAMED, *counts]


def _describe_missing(votes: Votes, usage: int, *, rows: int) -> str:
    """Name the rows of a usage that the votes lack; empty where the names of their images do not tell."""
    if votes.numbers is None:
        return ""
    numbers = votes.numbers[votes.usages == usage]
    first = sum(list(fer2013.ROW_COUNTS.values())[:usage])
    missing = np.setdiff1d(np.arange(first, first + rows), numbers)
    if (numbers == UNNAMED).any() or len(missing) != rows - len(numbers):
        return ""
    names = ", ".join(f"fer{number:07d}.png" for number in missing[:_SHOWN_ROWS])
    more = f" and {len(missing) - _SHOWN_ROWS:,} more" if len(missing) > _SHOWN_ROWS else ""
    return (
        f"; the votes lack {counted(len(missing), 'row')}, {names}{more}: no row without an image's name is "
        "left, as if a program had dropped them as empty"
    )


def match(votes: Votes, labels: np.ndarray, usages: np.ndarray, *, where: str) -> Votes:
    """Match votes with the rows of a FER2013 file: usage by usage, in the order of both files.

    Args:
        votes: of one file; usages that the data lacks are ignored.
        labels: int [N], 0..6, of the data.
        usages: int [N], of the data; a row without a usage counts as Training.
        where: both files, for messages.

    Returns:
        Votes of N rows, in the data's order.

    Raises:
        DataError: a usage has different numbers of rows in both, or labels and votes agree too rarely.
    """
    usages = np.where(usages == fer2013.UNLABELLED, fer2013.USAGES.index("Training"), usages)
    order = np.empty(len(usages), np.int64)
    for usage in np.unique(usages):
        theirs, ours = np.flatnonzero(votes.usages == usage), np.flatnonzero(usages == usage)
        if len(theirs) != len(ours):
            raise DataError(
                f"{where}: there are votes for {len(theirs):,} {fer2013.USAGES[usage]} rows, and the data "
                f"has {len(ours):,}; wanted as many, since rows are matched by their order"
                f"{_describe_missing(votes, int(usage), rows=len(ours))}; give FER+'s complete file, "
                "and data without missing rows"
            )
        order[ours] = theirs
    matched = Votes(votes.counts[order], votes.usages[order])
    majority = matched.majority()
    is_decided = majority != UNDECIDED
    agreement = float((majority == labels)[is_decided].mean()) if is_decided.any() else 0.0
    if agreement < _LEAST_AGREEMENT:
        raise DataError(
            f"{where}: labels and votes agree on {100 * agreement:.0f} % of the rows; wanted at least "
            f"{100 * _LEAST_AGREEMENT:.0f} %: the files do not belong together; give files in Kaggle's "
            "order"
        )
    return matched
