"""Slow, strict readers of the same formats, written from their documentation: what ours must agree with.

None of them uses fer_jax's readers, NumPy's parsing or a library that ours use for the format, except Pillow,
whose pixels are read one by one. Each raises `Refused` for what is not in the format.
"""

import io
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from PIL import Image, ImageOps

from benchmarks.reliability.fuzz_edits import Files
from fer_jax.config.data import BadRow

Row = tuple[bytes, int, int]
"""2,304 gray levels, the label and the number of the usage; -1 where the file has none."""

_USAGES: Final = ("Training", "PublicTest", "PrivateTest")
_WORDS: Final = (
    *(("angry", "anger"), ("disgust", "disgusted"), ("fear", "fearful"), ("happy", "happiness")),
    *(("sad", "sadness"), ("surprise", "surprised"), ("neutral", "neutrality"), ("contempt", "contemptuous")),
)
_TEST_PARTS: Final = ("val", "valid", "validation", "publictest", "test", "testing", "privatetest")
_LITTER: Final = (
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information"),
    *("@eadir", "#recycle", "#snapshot", "lost+found"),
)
_VOTES: Final = [
    "Usage",
    "Image name",
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
]


class RefusedError(Exception):
    """The input is not in the format."""


Members = Mapping[str, bytes | RefusedError]
"""Path within an archive -> content, or what is wrong with it."""


def require(holds: bool, problem: str) -> None:
    """Refuse an input for which a rule does not hold."""
    if not holds:
        raise RefusedError(problem)


def keep_good(rows: Iterator[Row | None], on_bad_row: BadRow) -> list[Row]:
    """Collect the rows; a bad one, None, is left out or refused."""
    kept = []
    for row in rows:
        require(row is not None or on_bad_row == "skip", "a bad row")
        if row is not None:
            kept.append(row)
    require(bool(kept), "no good row")
    return kept


def read_csv(content: bytes, on_bad_row: BadRow) -> list[Row]:
    """Read Kaggle's CSV, character by character."""
    lines = _split(content, b"\n")
    try:
        head = lines[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError("the header is not UTF-8") from error
    require("\0" not in head and "\r" not in head.rstrip("\r"), "the header is not text")
    # Blanks, quotes and the case of a column's name do not matter, in that order from outside.
    names = [name.strip().strip('"').strip().casefold() for name in head.removeprefix("\ufeff").split(",")]
    require("pixels" in names and len(set(names)) == len(names), "columns")
    require(set(names) <= {"emotion", "pixels", "usage"}, "columns")
    return keep_good((_row(line, names) for line in lines[1:] if line.strip(b" \t\r\x0b\x0c")), on_bad_row)


def _split(content: bytes, mark: bytes) -> list[bytes]:
    """Split at a mark of one byte, by hand."""
    parts, part = [], bytearray()
    for byte in content:
        if byte == mark[0]:
            parts.append(bytes(part))
            part = bytearray()
        else:
            part.append(byte)
    return [*parts, bytes(part)]


def _row(line: bytes, names: list[str]) -> Row | None:
    fields = _split(line[:-1] if line.endswith(b"\r") else line, b",")
    if len(fields) != len(names):
        return None
    found = {}
    for name, field in zip(names, fields, strict=True):
        field = field.strip(b" ")
        if field[:1] == b'"' and field[-1:] == b'"' and len(field) > 1:
            field = field[1:-1].strip(b" ")
        if b'"' in field:
            return None
        found[name] = field
    label, usage = found.get("emotion"), found.get("usage")
    if label is not None and not (len(label) == 1 and label in b"0123456"):
        return None
    if usage is not None and usage not in [each.encode() for each in _USAGES]:
        return None
    levels = _levels(found["pixels"])
    if levels is None:
        return None
    at = -1 if usage is None else [each.encode() for each in _USAGES].index(usage)
    return levels, -1 if label is None else label[0] - ord("0"), at


@lru_cache(256)
def _levels(field: bytes) -> bytes | None:
    """Read the gray levels of a face; None where one is bad, or their number is."""
    levels = [_level(number) for number in _split(field, b" ")]
    return bytes(levels) if len(levels) == 2304 and -1 not in levels else None


def _level(number: bytes) -> int:
    """Read a gray level of one to three digits; -1 for anything else."""
    value = 0
    for byte in number:
        if not ord("0") <= byte <= ord("9"):
            return -1
        value = 10 * value + byte - ord("0")
    return value if 1 <= len(number) <= 3 and value <= 255 else -1


def read_images(files: Members, on_bad_row: BadRow) -> list[Row]:
    """Read a folder of images; what ours accepts must be what this finds."""
    rows = []
    for name in sorted(files):
        parts = [part for part in name.split("/") if part not in ("", ".")]
        label = _folder_label(parts[-2]) if len(parts) > 1 else None
        is_image = name.lower().endswith((".png", ".jpg", ".jpeg"))
        if _is_litter(parts) or not (is_image or label is not None):
            continue
        require(label is not None, "a folder that is no label")
        is_test = len(parts) > 2 and parts[-3].casefold() in _TEST_PARTS
        # Parts of a test that are not the official ones are left out, and so is contempt.
        if not is_image or not is_test or label == 7:
            levels = _gray_levels(take(files, name)) if is_image and label != 7 else None
            rows.append(None if levels is None else (levels, label or 0, -1))
    return keep_good(iter(rows), on_bad_row)


def _is_litter(parts: list[str]) -> bool:
    return any(
        part.startswith((".", "__", "~$")) or part.lower() in _LITTER or "zone.identifier" in part.lower()
        for part in parts
    )


def _folder_label(name: str) -> int | None:
    match = re.fullmatch(r"([0-9]?)[ _.-]*([a-z]*)", name.strip().casefold())
    if match is None or not any(match.groups()):
        return None
    of_word = next((label for label, words in enumerate(_WORDS) if match[2] in words), None)
    if not match[1]:
        return of_word
    number = int(match[1])
    if not match[2]:
        return number if number < 7 else None
    return number if of_word == number else None


@lru_cache(256)
def _gray_levels(content: bytes) -> bytes | None:
    """Read an image of 48 × 48 pixels one by one; None where it is bad, or has a colour."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            if opened.format not in ("PNG", "JPEG") or opened.mode not in ("L", "RGB"):
                return None
            if opened.size != (48, 48):
                return None
            image = ImageOps.exif_transpose(opened)
            pixels = [image.getpixel((x, y)) for y in range(48) for x in range(48)]
    except Exception:  # A damaged image raises anything.
        return None
    levels = [set(pixel) if isinstance(pixel, tuple) else {pixel} for pixel in pixels]
    return (
        bytes(int(level.pop() or 0) for level in levels) if all(len(level) == 1 for level in levels) else None
    )


def read_zip(content: bytes, on_bad_row: BadRow) -> list[Row]:
    """Read a zip archive of a CSV or of images, by its central directory."""
    return _read_members(unzip(content), on_bad_row)


def read_tar(content: bytes, on_bad_row: BadRow) -> list[Row]:
    """Read a tar archive, plain or compressed by gzip, or a CSV that is compressed by gzip."""
    is_packed = content.startswith(b"\x1f\x8b")
    if is_packed:
        stream = zlib.decompressobj(31)
        try:
            content = stream.decompress(content)
        except zlib.error as error:
            raise RefusedError("gzip") from error
        require(stream.eof and not stream.unused_data.strip(b"\0"), "gzip is cut off")
    if is_packed and not _is_header(content[:512]):
        return read_csv(content, on_bad_row)
    return _read_members(untar(content), on_bad_row)


def _is_header(block: bytes) -> bool:
    """Whether a block's checksum is that of a tar header."""
    total = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
    field = block[148:156].strip(b" \0")
    return len(block) == 512 and bool(re.fullmatch(b"[0-7]+", field)) and int(field, 8) == total


def untar(content: bytes) -> Files:
    """Unpack a tar archive of files in folders."""
    members: Files = {}
    place = 0
    while (block := content[place : place + 512]).strip(b"\0"):
        require(_is_header(block) and block[156:157] in (b"0", b"\0", b"5"), "a header")
        prefix, name = (
            part.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            for part in (block[345:500], block[:100])
        )
        size = int(block[124:136].strip(b" \0") or b"0", 8)
        data = content[place + 512 : place + 512 + size]
        require(len(data) == size, "it is cut off")
        full = f"{prefix}/{name}" if prefix else name
        if block[156:157] != b"5":
            key = full.replace("\\", "/").removeprefix("./")
            require(key not in members or _is_litter(key.split("/")), "a name twice")
            members[key] = data
        place += 512 + (size + 511) // 512 * 512
    require(len(block) == 512, "no end")
    return members


def _read_members(members: Members, on_bad_row: BadRow) -> list[Row]:
    members = {name.replace("\\", "/"): content for name, content in members.items()}
    tables = [name for name in members if name.lower().endswith(".csv") and not _is_litter(name.split("/"))]
    if tables:
        require(len(tables) == 1, "several tables")
        return read_csv(take(members, tables[0]), on_bad_row)
    return read_images(members, on_bad_row)


def take(members: Members, name: str) -> bytes:
    """Take a member of an archive that is read, and so may not be damaged."""
    content = members[name]
    if isinstance(content, RefusedError):
        raise content
    return content


def unzip(content: bytes) -> Members:
    """Unpack an archive, stored or deflated; a damaged member is refused when it is read, see `take`."""
    end = content.rfind(b"PK\x05\x06")
    require(end >= 0 and len(content) >= end + 22, "no end of a central directory")
    count, size, start = struct.unpack_from("<HII", content, end + 10)
    # Bytes in front of the archive shift everything.
    shift = end - size - start
    members: dict[str, bytes | RefusedError] = {}
    place = start + shift
    for _ in range(count):
        require(content[place : place + 4] == b"PK\x01\x02", "no entry of the directory")
        flags, method, crc, packed, full, letters, extra, comment, offset = struct.unpack_from(
            "<2xHH4xIIIHHH8xI", content, place + 6
        )
        raw = content[place + 46 : place + 46 + letters]
        name = raw.decode("utf-8" if flags & 0x800 else "cp437", errors="replace")
        local = offset + shift
        letters_again, extra_again = struct.unpack_from("<HH", content, local + 26)
        begin = local + 30 + letters_again + extra_again
        data = content[begin : begin + packed]
        require(method in (0, 8), "method")
        member: bytes | RefusedError = RefusedError("the checksum")
        try:
            # What follows the end of the stream does not count.
            data = zlib.decompressobj(-15).decompress(data, full + 1) if method else data
            if len(data) == full and zlib.crc32(data) == crc:
                member = data
        except zlib.error:
            member = RefusedError("deflate")
        if not name.endswith("/"):
            require(name not in members, "a name twice")
            members[name] = member
        place += 46 + letters + extra + comment
    return members


def read_votes(content: bytes) -> list[tuple[int, ...]]:
    """Read FER+'s CSV: the number of the usage and ten counts a row."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError("not UTF-8") from error
    lines = re.split(r"\r\n|\n", text)
    require([name.strip() for name in lines[0].split(",")] == _VOTES, "the header")
    rows = []
    for line in lines[1:]:
        if line.strip():
            usage, *fields = (field.strip() for field in line.split(","))
            require(usage in _USAGES and len(fields) == 11, "fields")
            require(all(re.fullmatch("[0-9]{1,2}", field) for field in fields[1:]), "a count")
            counts = [int(field) for field in fields[1:]]
            require(1 <= sum(counts) <= 10, "the number of votes")
            rows.append((_USAGES.index(usage), *counts))
    require(bool(rows), "no row")
    return rows


def parse_json(content: bytes) -> Any:
    """Parse JSON as RFC 8259 has it: UTF-8, finite numbers, no name twice in an object."""

    def refuse(text: str) -> Any:
        raise RefusedError(f"the constant {text}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len(dict(pairs)) == len(pairs), "a name twice")
        return dict(pairs)

    def finite(text: str) -> float:
        require(abs(float(text)) != float("inf"), "a number too large")
        return float(text)

    def whole(text: str) -> int:
        require(len(text) <= 300, "a number too large")
        return int(text)

    try:
        return json.loads(
            content.decode("utf-8"),
            parse_constant=refuse,
            object_pairs_hook=unique,
            parse_float=finite,
            parse_int=whole,
        )
    except (ValueError, RecursionError) as error:
        raise RefusedError("not JSON") from error


def read_tensors(content: bytes) -> dict[str, tuple[tuple[int, ...], list[float]]]:
    """Read safetensors: shape and numbers of each tensor, by name."""
    require(len(content) >= 8, "no length")
    (length,) = struct.unpack_from("<Q", content)
    require(length <= len(content) - 8, "the header is longer than the file")
    header, data = parse_json(content[8 : 8 + length]), content[8 + length :]
    require(isinstance(header, dict), "the header is no object")
    header.pop("__metadata__", None)
    tensors, covered = {}, 0
    for name, facts in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        letter, size = {"F16": ("e", 2), "F32": ("f", 4)}.get(facts["dtype"], ("", 0))
        require(bool(letter), "a type that weights do not have")
        begin, end = facts["data_offsets"]
        count = 1
        for axis in facts["shape"]:
            count *= axis
        require(begin == covered and end - begin == count * size, "a gap")
        covered = end
        numbers = list(struct.unpack_from(f"<{count}{letter}", data, begin))
        require(all(abs(number) < float("inf") for number in numbers), "a number that is not finite")
        tensors[name] = (tuple(facts["shape"]), numbers)
    require(covered == len(data), "bytes left over")
    return tensors


def read_quoted(content: bytes) -> list[list[str]]:
    """Read CSV as RFC 4180 has it, with lines that end with LF or CRLF; the first is the header.

    Empty lines after it are left out.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError("not UTF-8") from error
    rows, row, place = [], [""], 0
    text = text.replace("\r\n", "\n").rstrip("\n") + "\n"
    require(not text.startswith("\n"), "no header")
    while place < len(text):
        letter = text[place]
        if letter == '"' and row[-1] == "" and text[place - 1 : place] in ("", ",", "\n"):
            end = place + 1
            while text[end : end + 1] != '"' or text[end : end + 2] == '""':
                require(end < len(text), "a quote that is not closed")
                end += 2 if text[end : end + 2] == '""' else 1
            row[-1] = text[place + 1 : end].replace('""', '"')
            require(text[end + 1] in ",\n", "text after a quoted field")
            place = end + 1
        elif letter in ",\n":
            if letter == ",":
                row.append("")
            else:
                rows += [row] if row != [""] else []
                row = [""]
            place += 1
        else:
            require(letter != "\r", "a bare carriage return")
            row[-1] += letter
            place += 1
    require(bool(rows), "no header")
    return rows
