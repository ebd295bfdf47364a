"""What a file is, by its first bytes, and whether it is small enough to be read."""

import stat
from pathlib import Path
from typing import Final

from fer_jax.errors import DataError

MOST_BYTES: Final = 2**30
"""Of a CSV file, and of a member of an archive, unpacked: more than three times FER2013's complete file."""

SHOWN_CHARS: Final = 40

_UTF16: Final = ("UTF-16 text", "save it as UTF-8")
_PANDAS: Final = "save it as CSV: pandas.{}(FILE).to_csv('fer2013.csv', index=False)"
_IMAGE_CURE: Final = "give a CSV file, or a folder of images"
_ARRAY_CURE: Final = "save its rows as CSV: emotion,pixels with the pixels of a face in one field"

_KINDS: Final = {
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"\x89PNG": ("a PNG image", _IMAGE_CURE),
    b"\xff\xd8\xff": ("a JPEG image", _IMAGE_CURE),
    b"GIF8": ("a GIF image", _IMAGE_CURE),
    b"\x1f\x8b": ("a gzip archive in an archive", "unpack the outer one"),
    b"BZh": ("a bzip2 archive in an archive", "unpack the outer one"),
    b"\xfd7zXZ": ("an xz archive in an archive", "unpack the outer one"),
    b"PK\x03\x04": ("a zip archive within an archive", "unpack the outer one"),
    b"Rar!": ("a RAR archive", "unpack it (unrar x FILE) and give the CSV file or the folder in it"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it (7z x FILE) and give the CSV file or the folder in it"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it (unzstd FILE)"),
    b"PAR1": ("a Parquet file", _PANDAS.format("read_parquet")),
    b"ARROW1": ("a Feather file", _PANDAS.format("read_feather")),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", _PANDAS.format("read_excel")),
    b"\x93NUMPY": ("a NumPy array", _ARRAY_CURE),
    b"\x89HDF": ("an HDF5 file", _ARRAY_CURE),
    b"MATLAB": ("a MATLAB file", _ARRAY_CURE),
    **{
        bytes([0x80, protocol]): ("a pickle, which is never opened: it can run code", _ARRAY_CURE)
        for protocol in range(2, 6)
    },
    b"SQLite format 3": ("an SQLite database", _PANDAS.format("read_sql")),
    b"%PDF": ("a PDF file", "download the data again"),
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "fetch it: git lfs pull"),
    b"{": ("JSON", _PANDAS.format("read_json")),
    b"<": ("a web page, perhaps for signing in", "sign in and download the file again"),
}
"""First bytes of a file that is not CSV -> what it is, and what to do."""


def shorten(text: bytes) -> str:
    """Quote some text, short enough for a message.

    >>> shorten(b"1 2" * 100)
    "'1 21 21 21 21 21 21 21 21 21 21 21 21 21'…"
    """
    try:
        shown = repr(text.decode()[:SHOWN_CHARS])
    except UnicodeDecodeError:
        shown = repr(text[:SHOWN_CHARS])
    return shown + ("…" if len(text) > SHOWN_CHARS else "")


def printable(name: str) -> str:
    r"""Write a file's name so that a message can hold it: control characters and broken bytes are escaped.

    >>> printable("sad/1.png"), printable("a\x1b[2J")
    ('sad/1.png', 'a\\x1b[2J')
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)


def find_kind(start: bytes) -> tuple[str, str] | None:
    """Find what a file is that begins so, and what to do; None where it may be CSV.

    >>> find_kind(b"PAR1...")[0], find_kind(b"emotion,pixels")
    ('a Parquet file', None)
    """
    found = next((found for first, found in _KINDS.items() if start.startswith(first)), None)
    if found is None and b"\0" in start:
        is_utf16 = (start[:1] == b"\0") != (start[1:2] == b"\0")
        found = _UTF16 if is_utf16 else ("binary data", "download the file again")
    return found


def check_source(path: Path) -> None:
    """Check, before a byte is read, that a path is a folder, or a file of a size that can be read.

    Raises:
        DataError: it is something else, or too large.
        OSError: it is not there, or may not be looked at.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: it is neither a file nor a folder; write the data to a file and give that")
    check_size(status.st_size, str(path))


def check_size(size: int, where: str) -> None:
    """Refuse what is larger than `MOST_BYTES`.

    Raises:
        DataError: it is.
    """
    if size > MOST_BYTES:
        raise DataError(
            f"{where}: it has {size / 2**30:,.1f} GiB; at most {MOST_BYTES // 2**30} GiB is read, and "
            "FER2013's complete CSV file has 0.3; give that, or a part of yours"
        )
