"""The list that an audit writes and a training run applies: audit.csv, one line for each doubtful row.

People may edit `action` in a spreadsheet. Rows are identified by number, so every line carries the hash of
its data, and a list for other data is refused.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from fer_jax.config.data import DataConfig
from fer_jax.data.examples import Examples
from fer_jax.data.readers.file_kinds import check_source, printable
from fer_jax.data.split import Split
from fer_jax.errors import DataError
from fer_jax.files import Json, expand_home, suggest_path
from fer_jax.text import join, percent

_NEEDED: Final = ("row", "action", "data_sha256")
_WRITER: Final = "the audit.csv that `python -m fer_jax.audit` wrote"

Action = Literal["keep", "drop"]


class Line(NamedTuple):
    """One line of the list: what an audit found about a row.

    Attributes:
        row: of the Examples, from 0.
        usage: its name; empty where the data states none.
        label: its name, as in the data.
        reason: why the row is listed; several are joined by "; ".
        group: the smallest row of its group of copies; None for a row without copies.
        suggested: name of a better label; None without one.
        confidence: of the suggestion, 0..1.
        action: whether training leaves the row out.
    """

    row: int
    usage: str
    label: str
    reason: str
    group: int | None
    suggested: str | None
    confidence: float | None
    action: Action


COLUMNS: Final = (*Line._fields, "data_sha256")


def to_csv(lines: Iterable[Line], sha256: str) -> str:
    """Write a list as CSV, with the hash of the data, see `Examples`, in each line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        confidence = None if line.confidence is None else f"{line.confidence:.4f}"
        writer.writerow([*line[:6], confidence, line.action, sha256])
    return text.getvalue()


def find(named: str) -> Path:
    """Find a list, `~` for the home folder included.

    Raises:
        DataError: there is no such file.
    """
    path = expand_home(named)
    if not path.is_file():
        near = suggest_path(path) or f"; give {_WRITER}"
        raise DataError(f"data.drop (--drop) is {named}, and there is no such file{near}")
    return path


def read_dropped(path: Path, examples: Examples) -> np.ndarray:
    """Read the rows that a list drops.

    Args:
        path: what `to_csv` wrote, perhaps edited: columns may move, and only `row`, `action` and
            `data_sha256` are needed.
        examples: the data to train on.

    Returns:
        int64 [D], sorted rows whose action is `drop`.

    Raises:
        DataError: the file is missing or no such list, a line is malformed, or the list is for other data.
    """
    try:
        check_source(path)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"data.drop (--drop) is {path}, which cannot be read: {error.strerror}; give {_WRITER}"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"data.drop (--drop) is {path}, which is not UTF-8 text; give {_WRITER}") from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        actions = _read_actions(reader, path, examples)
    except csv.Error as error:  # Such as a field of more than 131,072 characters.
        raise DataError(
            f"{path}, line {reader.line_num or 1}: it is not CSV: {error}; give {_WRITER}"
        ) from None
    return np.array(sorted(row for row, action in actions.items() if action == "drop"), np.int64)


def _read_actions(reader: "csv.DictReader[str]", path: Path, examples: Examples) -> dict[int, str]:
    """Read the action for each row that is listed."""
    columns = list(reader.fieldnames or ())
    for name in _NEEDED:
        if columns.count(name) != 1:
            came = f"are several columns {name!r}" if name in columns else f"is no column {name!r}"
            raise DataError(f"{path}, line 1: there {came}; give {_WRITER}")
    actions: dict[int, str] = {}
    for fields in reader:
        where = f"{path}, line {reader.line_num}"
        if None in fields:
            raise DataError(f"{where}: found more fields than columns; wanted {len(columns)}; correct it")
        row, action = _parse(fields, where, examples)
        if actions.setdefault(row, action) != action:
            raise DataError(
                f"{where}: row {row} is listed twice, to keep and to drop; delete one of the lines"
            )
    return actions


def _parse(fields: dict[str, str | None], where: str, examples: Examples) -> tuple[int, str]:
    """Check a line and return its row and action."""
    row, action, sha256 = ((fields[name] or "").strip() for name in _NEEDED)
    if sha256 != examples.sha256:
        raise DataError(
            f"{where}: it is for other data (SHA-256 {printable(sha256[:12]) or 'missing'}), and this is "
            f"{examples.description} (SHA-256 {examples.sha256[:12]}); audit this data, or train on the other"
        )
    if not (row.isascii() and row.isdigit() and len(row) <= 9 and int(row) < len(examples)):
        raise DataError(
            f"{where}, row: found {row[:40]!r}; wanted a number in 0..{len(examples) - 1}; correct it"
        )
    if action not in ("keep", "drop"):
        raise DataError(f"{where}, action: found {action[:40]!r}; wanted keep or drop; correct it")
    return int(row), action


def leave_out(
    split: Split, dropped: np.ndarray, labels: np.ndarray, names: Sequence[str], *, max_fraction: float
) -> Split:
    """Take rows, int [D], out of the training part; the other parts stay, so that results are comparable.

    Args:
        split: rows of each part.
        dropped: rows to leave out.
        labels: int [N], of all rows.
        names: of the classes.
        max_fraction: of the training part that may be left out, 0..1.

    Raises:
        DataError: a class vanishes from the training part, or more of it goes.

    >>> split = Split(np.array([0, 1, 4]), np.array([2]), np.array([3]))
    >>> left = leave_out(split, np.array([1, 2]), np.zeros(5, np.int64), ["calm"], max_fraction=0.5)
    >>> left.train.tolist(), left.val.tolist()
    ([0, 4], [2])
    """
    train = split.train[~np.isin(split.train, dropped)]
    gone = len(split.train) - len(train)
    of_part = f"{gone:,} of the {len(split.train):,} rows of the training part"
    vanished = np.setdiff1d(labels[split.train], labels[train])
    if len(vanished):
        lost = join([names[label] for label in vanished])
        raise DataError(
            f"the list drops {of_part}, and nothing is left of {lost}; change `drop` to `keep` for some of "
            "them, or leave out --drop"
        )
    if gone > max_fraction * len(split.train):
        raise DataError(
            f"the list drops {of_part}, {percent(gone / len(split.train))}, and data.max_drop_fraction "
            f"allows {percent(max_fraction)}; look at the list, and if it is right allow more with "
            "--data.max-drop-fraction"
        )
    return replace(split, train=train)


def apply_drop_list(config: DataConfig, examples: Examples, split: Split) -> tuple[Split, Json | None]:
    """Drop the rows that the config's list marks, if the config names one.

    Returns:
        The split, and for the record `list` (the path) and `rows` (how many were dropped); None without a
        list.

    Raises:
        DataError: see `read_dropped` and `leave_out`.
    """
    if config.drop is None:
        return split, None
    dropped = read_dropped(find(config.drop), examples)
    left = leave_out(split, dropped, examples.labels, examples.names, max_fraction=config.max_drop_fraction)
    return left, {"list": config.drop, "rows": len(split.train) - len(left.train)}
