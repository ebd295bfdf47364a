"""Kaggle's CSV text -> arrays, every row checked.

NumPy parses the pixels of many rows at once and only tells whether all of them are good. Where they are not,
plain Python parses the same rows one by one and finds what is wrong. Both read physical lines, so an
unterminated quote costs its own line and never the ones below it.
"""

import difflib
import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.errors import DataError

COLUMNS: Final = ("emotion", "pixels", "Usage")

WANTED_HEADER: Final = (
    "wanted the header `emotion,pixels`, `pixels`, `emotion,pixels,Usage` or `emotion, Usage, pixels`"
)

_CURE: Final = "correct or delete it, or leave bad rows out with --on-bad-row skip"
_SHOWN_CHARS: Final = 40

# A chunk of about 0.5 MB stays in the processor's cache: twice as fast as 1,024 rows.
_CHUNK_ROWS: Final = 64

_LABELS: Final = {str(label).encode(): label for label in range(fer2013.CLASS_COUNT)}
_USAGES: Final = {name.encode(): usage for usage, name in enumerate(fer2013.USAGES)}

_UTF16: Final = ("UTF-16 text", "save it as UTF-8")
_FOREIGN_STARTS: Final = {
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"\x89PNG": ("a PNG image", "give a CSV file, or a folder of images"),
    b"\xff\xd8\xff": ("a JPEG image", "give a CSV file, or a folder of images"),
    b"\x1f\x8b": ("a gzip archive", "unpack it"),
    b"PK\x03\x04": ("a zip archive within a zip archive", "unpack the outer one"),
    b"<": ("a web page, perhaps for signing in", "sign in and download the file again"),
}
"""First bytes of a file that is not CSV -> what it is, and what to do."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The good rows of one file.

    Attributes:
        images: uint8 [N, 48, 48, 1].
        labels: int32 [N], 0..6, or -1 where the file has no `emotion` column.
        usages: int32 [N], index into `fer2013.USAGES`, or -1 where the file has no `Usage` column.
        skipped: one message for each bad row that was left out.
    """

    images: np.ndarray
    labels: np.ndarray
    usages: np.ndarray
    skipped: tuple[str, ...]


class _RowError(Exception):
    """What is wrong with one row: the field, what was found, what was wanted."""


def shorten(text: bytes) -> str:
    """Quote some text, short enough for a message.

    >>> shorten(b"1 2" * 100)
    "'1 21 21 21 21 21 21 21 21 21 21 21 21 21'…"
    """
    try:
        shown = repr(text.decode()[:_SHOWN_CHARS])
    except UnicodeDecodeError:
        shown = repr(text[:_SHOWN_CHARS])
    return shown + ("…" if len(text) > _SHOWN_CHARS else "")


def read_header(line: bytes, where: str) -> tuple[str, ...]:
    r"""Read the file's first line: members of `COLUMNS` in the file's order, `pixels` among them.

    Raises:
        DataError: the line is not a header of Kaggle's files.

    >>> read_header(b"emotion, Usage, pixels\r\n", "icml_face_data.csv")
    ('emotion', 'Usage', 'pixels')
    """
    _refuse_foreign(line, where)
    names = [name.strip().strip('"').strip() for name in line.decode("utf-8-sig").split(",")]
    if names[0][:1].isdigit():
        raise DataError(
            f"{where}, line 1: found {shorten(line.strip())}, a row; {WANTED_HEADER}; "
            "put the right header above it"
        )
    spelling = {column.casefold(): column for column in COLUMNS}
    for name in names:
        if name.casefold() not in spelling:
            close = difflib.get_close_matches(name.casefold(), spelling, n=1)
            hint = f" (did you mean {spelling[close[0]]!r}?)" if close else ""
            raise DataError(
                f"{where}, line 1: unknown column {shorten(name.encode())}{hint}; {WANTED_HEADER}"
            )
    columns = tuple(spelling[name.casefold()] for name in names)
    for column in columns:
        if columns.count(column) > 1:
            raise DataError(
                f"{where}, line 1: column {column!r} stands {columns.count(column)} times; "
                "wanted each column once; delete the others, with their fields"
            )
    if "pixels" not in columns:
        raise DataError(f"{where}, line 1: column 'pixels' is missing, found {names}; {WANTED_HEADER}")
    return columns


def _refuse_foreign(line: bytes, where: str) -> None:
    """Refuse a file that is not UTF-8 text, by its first line."""
    if not line:
        raise DataError(
            f"{where}: the file is empty; {WANTED_HEADER}, then one row for each face; download it again"
        )
    found = next((found for start, found in _FOREIGN_STARTS.items() if line.startswith(start)), None)
    if not found and b"\0" in line:
        found = (
            _UTF16 if line[1:2] == b"\0" or line[:1] == b"\0" else ("binary data", "download the file again")
        )
    if not found and b"\r" in line.rstrip(b"\r\n"):
        found = ("text with bare CR line endings", "save it with LF or CRLF line endings")
    try:
        line.decode()
    except UnicodeDecodeError:
        found = found or ("text that is not UTF-8", "save it as UTF-8")
    if found:
        kind, cure = found
        start = shorten(line[:20].rstrip())
        raise DataError(
            f"{where}, line 1: found {kind}, which begins with {start}; wanted a CSV file in UTF-8; {cure}"
        )


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
                raise DataError(f"{where}, {messages[0]}; {_CURE}")
            skipped += messages
        chunks.append(arrays)
        number += len(chunk)
    if not sum(len(labels) for _, labels, _ in chunks):
        came = "no row after the header"
        if skipped:
            came = f"all {len(skipped)} rows are bad, the first: {skipped[0]}"
        raise DataError(f"{where}: {came}; wanted one row for each face; download the file again")
    pixels, labels, usages = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return Rows(pixels.reshape(-1, *fer2013.IMAGE_SHAPE), labels, usages, tuple(skipped))


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
        raise _RowError(
            f"fields: found {len(fields)} in {shorten(line.rstrip())}; "
            f"wanted {len(columns)}: {', '.join(columns)}"
        )
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
        raise _RowError(f"field emotion: found {shorten(row['emotion'])}; wanted a label, an integer in 0..6")
    return label


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
