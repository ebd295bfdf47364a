"""Manifests: a table of pictures, CSV or Parquet, with the columns `path`, `label`, `split` and `group`.

Paths are relative to the folder of the manifest, and stay in it.
"""

import contextlib
import csv
import difflib
import importlib.util
import io
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from fer_jax.config.data import OWN_PARTS
from fer_jax.config.model import unify_name
from fer_jax.data.readers.file_kinds import find_kind, printable, shorten
from fer_jax.data.readers.folder_names import PARTS
from fer_jax.data.readers.own.pictures import Labelled, leaves_folder
from fer_jax.errors import ConfigError, DataError
from fer_jax.fer2013 import UNLABELLED, USAGES

COLUMNS: Final = ("path", "label", "split", "group")
NAMES: Final = ("manifest.csv", "manifest.parquet")
"""What a manifest is called that is looked for in a folder of pictures."""

_WANTED: Final = "wanted path,label and, if you like, split and group"
_PARQUET_START: Final = b"PAR1"
_HEADER_BYTES: Final = 4096
_MOST_FIELD_LETTERS: Final = 4096

Fields = dict[str, str]


def is_manifest(start: bytes) -> bool:
    r"""Whether a file that begins so is a manifest: Parquet, or CSV with a column `path` and no `pixels`.

    >>> is_manifest(b"path,label\n"), is_manifest(b"emotion,pixels\n")
    (True, False)
    """
    if start.startswith(_PARQUET_START):
        return True
    names = _split_header(start[:_HEADER_BYTES].partition(b"\n")[0].decode(errors="replace"))
    return "path" in names and "pixels" not in names


def is_pixels(start: bytes) -> bool:
    """Whether a file that begins so is a CSV file of FER2013, with a column of pixels."""
    return "pixels" in _split_header(start.partition(b"\n")[0].decode(errors="replace"))


def read_start(path: Path) -> bytes:
    """Read what `is_manifest` needs; nothing of what is no file, or cannot be read."""
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(_HEADER_BYTES)
    return b""


def parse(content: bytes, *, where: str, folder: str) -> tuple[list[Labelled], list[str]]:
    """Parse a manifest.

    Args:
        content: of the file.
        where: the file, for messages.
        folder: that the paths are in, within the files, with `/` at its end; empty for the root.

    Returns:
        The good rows, and a message for each bad one.

    Raises:
        DataError: it is damaged, or its columns are others.
        ConfigError: a package for Parquet is missing.
    """
    is_parquet = content.startswith(_PARQUET_START)
    rows = _read_parquet(content, where) if is_parquet else _read_csv(content, where)
    good: list[Labelled] = []
    messages: list[str] = []
    lines: dict[str, tuple[str, str]] = {}
    parts: dict[str, tuple[int, str]] = {}
    for line, fields in rows:
        try:
            if isinstance(fields, _RowError):
                raise fields
            each = _check(fields, line, folder)
            _compare(each, line, lines, parts)
        except _RowError as error:
            messages.append(f"{line}: {error}")
            continue
        good.append(each)
    if not good:
        first = f"the first of {len(messages)} bad rows: {messages[0]}" if messages else "no row"
        raise DataError(f"{where}: found {first}; wanted one row for each picture; correct the manifest")
    return good, messages


class _RowError(Exception):
    """What is wrong with one row."""


def _check(fields: Fields, line: str, folder: str) -> Labelled:
    path = fields["path"].replace("\\", "/").removeprefix("./")
    shown = repr(printable(path[:200]))
    if not path:
        raise _RowError("found no path; wanted the path of a picture")
    if "\0" in path or len(path) > _MOST_FIELD_LETTERS:
        raise _RowError(f"found the path {shown}; wanted the path of a picture")
    if leaves_folder(path):
        raise _RowError(
            f"found the path {shown}, which leaves the folder of the manifest; wanted a path below it"
        )
    part = UNLABELLED
    if "split" in fields:
        if fields["split"].casefold() not in PARTS:
            raise _RowError(f"found the split {fields['split'][:40]!r}; wanted train, val or test")
        part = USAGES.index(PARTS[fields["split"].casefold()])
    where, label = f"{line}, {printable(path)}", unify_name(fields["label"])
    return Labelled(folder + posixpath.normpath(path), where, label, part, fields.get("group", ""))


def _compare(
    each: Labelled, line: str, lines: dict[str, tuple[str, str]], parts: dict[str, tuple[int, str]]
) -> None:
    """Refuse a row that contradicts an earlier one; remember it otherwise."""
    if each.name in lines:
        first_line, label = lines[each.name]
        same = "with the same label" if label == each.label else f"there labelled {label[:40]!r}"
        raise _RowError(
            f"found the picture {printable(each.name)} labelled {each.label[:40]!r}, which {first_line} has "
            f"already, {same}; wanted each picture once"
        )
    if each.group:
        part, first_line = parts.setdefault(each.group, (each.part, line))
        if part != each.part:
            raise _RowError(
                f"found the group {each.group[:40]!r} in {OWN_PARTS[each.part]}, and {first_line} has it in "
                f"{OWN_PARTS[part]}; wanted a group in one part"
            )
    lines[each.name] = (line, each.label)


def _split_header(line: str) -> list[str]:
    return [name.strip().strip('"').strip().casefold() for name in line.removeprefix("\ufeff").split(",")]


def _check_columns(names: list[str], where: str) -> None:
    for name in names:
        if name not in COLUMNS:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; leave it out"
            raise DataError(f"{where}: unknown column {shorten(name.encode())}; {_WANTED}{hint}")
        if names.count(name) > 1:
            raise DataError(
                f"{where}: the column {name!r} is there {names.count(name)} times; wanted it once"
            )
    for name in ("path", "label"):
        if name not in names:
            raise DataError(f"{where}: there is no column {name!r}; {_WANTED}")


def _read_csv(content: bytes, where: str) -> Iterator[tuple[str, "Fields | _RowError"]]:
    """Yield the line and the fields of each row, or what is wrong with it as a row of CSV."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        kind, cure = find_kind(content[:_HEADER_BYTES]) or ("text that is not UTF-8", "save it as UTF-8")
        raise DataError(f"{where}: found {kind}; {cure}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = _split_header(",".join(next(reader, [])))
        _check_columns(names, f"{where}, line 1")
        for values in reader:
            if not any(map(str.strip, values)):
                continue
            line = f"line {reader.line_num}"
            if len(values) != len(names):
                yield (
                    line,
                    _RowError(
                        f"found {len(values)} fields in {shorten(','.join(values).encode())}; wanted "
                        f"{len(names)}: {','.join(names)}; put quotes around a field with a comma"
                    ),
                )
                continue
            yield line, {name: value.strip() for name, value in zip(names, values, strict=True)}
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: {error}; save it as CSV with commas") from None


def _read_parquet(content: bytes, where: str) -> Iterator[tuple[str, Fields]]:
    """Yield the number and the fields of each row."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            f"{where} is a Parquet file, which takes the package pyarrow, not installed here; "
            "`pip install 'fer-jax[parquet]'` installs it; or save the manifest as CSV"
        )
    import pandas as pd

    try:
        table = pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    except Exception as error:  # A damaged file can raise anything.
        raise DataError(f"{where}: it cannot be read as Parquet: {printable(str(error)[:200])}") from None
    names = [str(name).strip().casefold() for name in table.columns]
    if "pixels" in names:
        raise DataError(
            f"{where}: found FER2013's rows of pixels as Parquet; save them as CSV: "
            "pandas.read_parquet(FILE).to_csv('fer2013.csv', index=False)"
        )
    _check_columns(names, where)
    columns: list[Iterable[Any]] = [table.iloc[:, number] for number in range(len(names))]
    for number, values in enumerate(zip(*columns, strict=True), 1):
        yield (
            f"row {number}",
            {
                name: _to_text(value, f"{where}, row {number}, column {name}")
                for name, value in zip(names, values, strict=True)
            },
        )


def _to_text(value: Any, where: str) -> str:
    """Write a value of a Parquet file as CSV would have it; pandas makes whole numbers with a gap floats."""
    import pandas as pd

    if isinstance(value, bytes) or not pd.api.types.is_scalar(value):
        raise DataError(
            f"{where}: found a value of type {type(value).__name__}; wanted text or a number; save the "
            "column as text"
        )
    if pd.isna(value):  # None, NaN, or the NA of a nullable column.
        return ""
    if pd.api.types.is_float(value) and value.is_integer():
        return str(int(value))
    return str(value).strip()
