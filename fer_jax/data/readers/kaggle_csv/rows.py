"""Kaggle's CSV text -> arrays, every row checked.

NumPy parses the pixels of many rows at once and only tells whether all of them are good. Where they are not,
plain Python parses the same rows one by one and finds what is wrong. Both read physical lines, so an
unterminated quote costs its own line and never the ones below it.
"""

import io
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.readers import official
from fer_jax.data.readers.file_kinds import shorten
from fer_jax.data.readers.folder_names import describe_order, parse_label
from fer_jax.data.readers.kaggle_csv.header import read_header
from fer_jax.errors import DataError

_CURE: Final = "correct or delete it, or leave bad rows out with --on-bad-row skip"

# A chunk of about 0.5 MB stays in the processor's cache: twice as fast as 1,024 rows.
_CHUNK_ROWS: Final = 64

_LABELS: Final = {str(label).encode(): label for label in range(fer2013.CLASS_COUNT)}
_USAGES: Final = {name.encode(): usage for usage, name in enumerate(fer2013.USAGES)}

_PIXELS_CURE: Final = "wanted only the numbers, separated by single spaces: ' '.join(map(str, pixels))"
# What marks the message of a row of contempt; with skip these are counted.
_CONTEMPT: Final = "contempt in CK+ and FER+"
_CONTEMPT_LABEL: Final = str(fer2013.CLASS_COUNT).encode()


@dataclass(frozen=True, eq=False)
class Rows:
    """The good rows of one file.

    Attributes:
        images: uint8 [N, 48, 48, 1].
        labels: int32 [N], 0..6, or -1 where the file has no `emotion` column.
        usages: int32 [N], index into `fer2013.USAGES`, or -1 where the file has no `Usage` column.
        skipped: one message for each bad row that was left out.
        contempt_rows: how many of these are labelled 7, contempt.
    """

    images: np.ndarray
    labels: np.ndarray
    usages: np.ndarray
    skipped: tuple[str, ...]
    contempt_rows: int = 0


class _RowError(Exception):
    """What is wrong with one row: the field, what was found, what was wanted."""


def parse(text: bytes, *, where: str, on_bad_row: BadRow) -> Rows:
    """Parse and check the text of a file.

    Lines end with LF or CRLF. Blank lines are ignored, as are blanks around a field and one pair of double
    quotes around it. A pixel has one to three digits, with one blank between two pixels.

    Args:
        text: UTF-8, with or without a byte-order mark.
        where: the file, for messages.
        on_bad_row: stop at the first malformed row, or skip these and list them.

    Raises:
        DataError: the header or, with stop, a row is malformed, or no good row is left.
    """
    lines = io.BytesIO(text)
    columns = read_header(lines.readline(), where)
    chunks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    skipped: list[str] = []
    number = 2
    while chunk := list(itertools.islice(lines, _CHUNK_ROWS)):
        arrays = _parse_chunk(chunk, columns)
        if arrays is None:
            arrays, messages = _parse_one_by_one(chunk, columns, first_number=number)
            if messages and on_bad_row == "stop":
                cure = (
                    _CURE
                    if _CONTEMPT not in messages[0]
                    else f"{official.CONTEMPT}; {official.CONTEMPT_CURE}"
                )
                raise DataError(f"{where}, {messages[0]}; {cure}")
            skipped += messages
        chunks.append(arrays)
        number += len(chunk)
    if not sum(len(labels) for _, labels, _ in chunks):
        came = "no row after the header"
        if skipped:
            came = f"all {len(skipped)} rows are bad, the first: {skipped[0]}"
        raise DataError(f"{where}: {came}; wanted one row for each face; download the file again")
    contempt_rows = sum(_CONTEMPT in message for message in skipped)
    pixels, labels, usages = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return Rows(pixels.reshape(-1, *fer2013.IMAGE_SHAPE), labels, usages, tuple(skipped), contempt_rows)


def _parse_chunk(
    chunk: list[bytes], columns: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Parse rows together: pixels uint8 [n, 2304], labels and usages int32 [n]; None if any is bad."""
    try:
        rows = [_split_line(line, columns) for line in chunk]
        labels = [_label(row) for row in rows]
        usages = [_usage(row) for row in rows]
    except _RowError:
        return None
    pixels = _parse_pixels([row["pixels"] for row in rows])
    return None if pixels is None else (pixels, np.array(labels, np.int32), np.array(usages, np.int32))


def _parse_pixels(fields: list[bytes]) -> np.ndarray | None:
    """Parse the pixels of rows together: uint8 [n, 2304]; None if any is bad."""
    # Three blanks in front: each number has three bytes before its end, whatever its length.
    text = np.frombuffer(b"   " + b" ".join(fields) + b" ", np.uint8)
    is_blank = text == ord(" ")
    digit = text - np.uint8(ord("0"))  # what is below "0" wraps to above 9
    if not ((digit <= 9) | is_blank).all():
        return None
    has_empty_number = (is_blank[2:-1] & is_blank[3:]).any()
    has_only_short_numbers = (is_blank[:-3] | is_blank[1:-2] | is_blank[2:-1] | is_blank[3:]).all()
    if has_empty_number or not has_only_short_numbers:
        return None
    end = np.flatnonzero(is_blank[3:])  # of each number, in the text without the three blanks
    row_end = np.cumsum([len(field) + 1 for field in fields]) - 1
    if (
        len(end) != len(fields) * fer2013.PIXEL_COUNT
        or (end[fer2013.PIXEL_COUNT - 1 :: fer2013.PIXEL_COUNT] != row_end).any()
    ):
        return None
    digit *= ~is_blank
    # Before a number of one digit there is a blank, and before that a digit of the previous number.
    hundreds = digit.take(end) * ~is_blank[1:].take(end)
    value = digit[2:].take(end) + digit[1:].take(end) * np.uint16(10) + hundreds * np.uint16(100)
    if value.max() > 255:
        return None
    return value.astype(np.uint8).reshape(len(fields), fer2013.PIXEL_COUNT)


def _parse_one_by_one(
    chunk: Iterable[bytes], columns: tuple[str, ...], *, first_number: int
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], list[str]]:
    """Parse the good rows as `_parse_chunk` does; one message for each bad row."""
    good: list[tuple[list[int], int, int]] = []
    messages = []
    header = [column.lower().encode() for column in columns]
    for number, line in enumerate(chunk, first_number):
        if not line.strip():
            continue
        try:
            row = _split_line(line, columns)
            good.append((_check_pixels(row["pixels"]), _label(row), _usage(row)))
        except _RowError as error:
            problem = str(error)
            if [field.strip(b' "').lower() for field in line.rstrip().split(b",")] == header:
                problem = "found the header again; wanted a face"
            elif not line.endswith(b"\n"):
                problem += "; the line has no line ending: the file may be truncated"
            messages.append(f"line {number}, {problem}")
    pixels = np.array([pixels for pixels, _, _ in good], np.uint8).reshape(-1, fer2013.PIXEL_COUNT)
    labels, usages = (np.array([row[i] for row in good], np.int32) for i in (1, 2))
    return (pixels, labels, usages), messages


def _split_line(line: bytes, columns: tuple[str, ...]) -> dict[str, bytes]:
    """Split a line into its fields by column name."""
    fields = line.removesuffix(b"\n").removesuffix(b"\r").split(b",")
    if len(fields) != len(columns):
        came = (
            f"found {len(fields):,} in {shorten(line.rstrip())}; wanted {len(columns)}: {', '.join(columns)}"
        )
        if len(fields) > fer2013.PIXEL_COUNT:
            came += (
                f"; pixels have {'a comma' if b'[' not in line else 'brackets and commas'}; {_PIXELS_CURE}"
            )
        raise _RowError(f"fields: {came}")
    return {
        column: _unquote(field.strip(b" "), column) for column, field in zip(columns, fields, strict=True)
    }


def _unquote(field: bytes, column: str) -> bytes:
    if b'"' not in field:
        return field
    inner = field[1:-1]
    if len(field) < 2 or field[0] != ord('"') or field[-1] != ord('"') or b'"' in inner:
        raise _RowError(
            f"field {column}: found {shorten(field)}, a quote that is not closed on this line or is "
            "inside the field; wanted no quotes, or one before and one after the field"
        )
    return inner.strip(b" ")


def _label(row: dict[str, bytes]) -> int:
    label = _LABELS.get(row["emotion"]) if "emotion" in row else fer2013.UNLABELLED
    if label is None:
        raise _RowError(f"field emotion: found {shorten(row['emotion'])}{_explain_label(row['emotion'])}")
    return label


def _explain_label(field: bytes) -> str:
    """Say what a label is that is no integer in 0..6, and what was wanted."""
    wanted = f"; wanted a label, an integer in 0..{fer2013.CLASS_COUNT - 1}"
    if field == _CONTEMPT_LABEL:
        return f", {_CONTEMPT}{wanted}"
    if re.fullmatch(rb"[0-9]+\.0*", field):
        return (
            f", a decimal number, as pandas writes a column with a gap{wanted}: table['emotion'].astype(int)"
        )
    word = parse_label(field.decode(errors="replace"))
    return wanted if word is None else f", a word{wanted}: {describe_order()}"


def _usage(row: dict[str, bytes]) -> int:
    usage = _USAGES.get(row["Usage"]) if "Usage" in row else fer2013.UNLABELLED
    if usage is None:
        raise _RowError(
            f"field Usage: found {shorten(row['Usage'])}; wanted {', '.join(fer2013.USAGES[:-1])} or "
            f"{fer2013.USAGES[-1]}"
        )
    return usage


def _check_pixels(field: bytes) -> list[int]:
    """Read one row's pixels, number by number."""
    if field.startswith(b"["):
        if b"..." in field:
            raise _RowError(
                f"field pixels: found {shorten(field)}, an array printed with `...`: its pixels are lost; "
                "start again from the original file"
            )
        raise _RowError(f"field pixels: found {shorten(field)}, a list; {_PIXELS_CURE}")
    numbers = field.split(b" ")
    for position, number in enumerate(numbers, 1):
        if not (number.isdigit() and len(number) <= 3 and int(number) <= 255):
            came = shorten(number) if number else "nothing (an extra blank, or an empty field)"
            raise _RowError(f"field pixels, number {position}: found {came}; wanted an integer in 0..255")
    if len(numbers) != fer2013.PIXEL_COUNT:
        raise _RowError(
            f"field pixels: found {len(numbers):,} numbers; wanted {fer2013.PIXEL_COUNT:,}, 48 × 48"
        )
    return [int(number) for number in numbers]
