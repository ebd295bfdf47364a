"""The first line of Kaggle's CSV files; what other programs make of them is refused by name."""

import difflib
from typing import Final

from fer_jax import fer2013
from fer_jax.data.readers import ferplus, file_kinds
from fer_jax.data.readers.file_kinds import shorten
from fer_jax.data.readers.folder_names import FERPLUS_OUTPUT
from fer_jax.errors import DataError

COLUMNS: Final = ("emotion", "pixels", "Usage")

WANTED_HEADER: Final = (
    "wanted the header `emotion,pixels`, `pixels`, `emotion,pixels,Usage` or `emotion, Usage, pixels`"
)

_SEPARATORS: Final = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_INDEX_NAMES: Final = ("", "index", "level_0")
_LABEL_NAMES: Final = ("class", "classes", "expression", "label", "labels", "target", "y")
# No file of faces has as many columns, unless each pixel has its own.
_MANY_COLUMNS: Final = 100


def read_header(line: bytes, where: str) -> tuple[str, ...]:
    r"""Read the file's first line: members of `COLUMNS` in the file's order, `pixels` among them.

    Raises:
        DataError: the line is not a header of Kaggle's files.

    >>> read_header(b"emotion, Usage, pixels\r\n", "icml_face_data.csv")
    ('emotion', 'Usage', 'pixels')
    """
    _refuse_foreign(line, where)
    text = line.decode("utf-8-sig")
    names = [_strip(name) for name in text.split(",")]
    if names[0][:1].isdigit():
        raise DataError(
            f"{where}, line 1: found {shorten(line.strip())}, a row; {WANTED_HEADER}; "
            "put the right header above it"
        )
    _refuse_saved_again(text, names, where)
    spelling = {column.casefold(): column for column in COLUMNS}
    for name in names:
        if name.casefold() not in spelling:
            raise DataError(
                f"{where}, line 1: unknown column {shorten(name.encode())}{_hint(name, names)}; "
                f"{WANTED_HEADER}"
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


def _strip(name: str) -> str:
    return name.strip().strip('"').strip()


def _refuse_saved_again(text: str, names: list[str], where: str) -> None:
    """Refuse a header that another program wrote, with what to do there."""
    for separator, words in _SEPARATORS.items():
        if "pixels" in [_strip(name).casefold() for name in text.split(separator)] and separator in text:
            raise DataError(
                f"{where}, line 1: the separator is {words}; wanted a comma; save it again with commas "
                "(pandas: sep=',')"
            )
    if names == list(ferplus.HEADER):
        raise DataError(
            f"{where}, line 1: these are FER+'s votes, which have no pixels; give fer2013.csv with "
            "--data, and this file with --labels.ferplus"
        )
    if names[0].startswith("fer0"):
        raise DataError(f"{where}, line 1: found {shorten(text.strip().encode())}; {FERPLUS_OUTPUT}")
    if len(names) > _MANY_COLUMNS:
        raise DataError(
            f"{where}, line 1: found {len(names):,} columns, perhaps one for each pixel; wanted one "
            f"field with all {fer2013.PIXEL_COUNT:,} pixels of a face, separated by spaces; {WANTED_HEADER}"
        )
    for number, name in enumerate(names, 1):
        is_index = name.casefold() in _INDEX_NAMES if number == 1 else name == ""
        if is_index or name.casefold().startswith("unnamed:"):
            raise DataError(
                f"{where}, line 1: column {number} is {name!r}, the index of a DataFrame; save it again "
                "without it: table[['emotion', 'pixels', 'Usage']].to_csv('fer2013.csv', index=False)"
            )


def _hint(name: str, names: list[str]) -> str:
    """Say what a column may be that is not Kaggle's."""
    if name.casefold() in _LABEL_NAMES and "emotion" not in [each.casefold() for each in names]:
        return " (is it 'emotion'? name it so, if its numbers are FER2013's)"
    close = difflib.get_close_matches(name.casefold(), [column.casefold() for column in COLUMNS], n=1)
    if close:
        return f" (did you mean {close[0]!r}?)" if close[0] != "usage" else " (did you mean 'Usage'?)"
    if "pixels" in [each.casefold() for each in names]:
        return ", which Kaggle's files do not have: leave it out (pandas: usecols)"
    return ""


def _refuse_foreign(line: bytes, where: str) -> None:
    """Refuse a file that is not UTF-8 text, by its first line."""
    if not line:
        raise DataError(
            f"{where}: the file is empty; {WANTED_HEADER}, then one row for each face; download it again"
        )
    found = file_kinds.find_kind(line)
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
