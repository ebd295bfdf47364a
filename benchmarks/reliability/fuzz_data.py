"""Readers of data under fuzzing: Kaggle's CSV, archives and folders of images, FER+'s votes, drop lists."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from benchmarks.reliability import fuzz_oracles as oracles
from benchmarks.reliability.fuzz_edits import Edit, Files, Input, Reader, apply, edits
from benchmarks.reliability.fuzz_oracles import Row, require
from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.examples import Examples, hash_arrays
from fer_jax.data.readers import ferplus, kaggle
from fer_jax.data.rows import drop_list

_HEADERS: Final = (
    "emotion,pixels",
    "pixels",
    "emotion,pixels,Usage",
    "emotion, Usage, pixels",
    "Emotion,PIXELS",
)
_BAD_ROW: Final[st.SearchStrategy[BadRow]] = st.sampled_from(("stop", "skip"))
_POOL: Final = 12
Pack = Callable[[Files], bytes]
"""Makes an archive of files."""

_OTHER_WORDS: Final = ("Anger", "1_disgust", "2 fear", "HAPPY", "sadness", "5-surprise", "6.neutrality")
_KINDS: Final = (("PNG", "png"), ("JPEG", "jpg"), ("PNG", "PNG"), ("JPEG", "png"))
"""Format and suffix; the content tells what an image is."""


@cache
def _faces() -> list[np.ndarray]:
    """Draw a pool of images, uint8 [48, 48]: noise, blank ones and ramps."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (48, 48), np.uint8) for _ in range(_POOL - 4)]
    ramp = np.broadcast_to(np.arange(48, dtype=np.uint8), (48, 48))
    return [*noise, np.zeros((48, 48), np.uint8), np.full((48, 48), 255, np.uint8), ramp, ramp.T.copy()]


@cache
def _pixels(face: int) -> str:
    return " ".join(map(str, _faces()[face].ravel().tolist()))


@cache
def _encode(face: int, kind: str, mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_faces()[face]).convert(mode).save(file, kind)
    return file.getvalue()


def _combine(files: Files, made: list[Edit], on_bad_row: BadRow) -> Input:
    return Input(apply(files, made), on_bad_row, is_edited=bool(made))


@st.composite
def _tables(draw: st.DrawFn) -> bytes:
    """Draw a valid CSV of one to three rows."""
    header = draw(st.sampled_from(_HEADERS))
    names = [name.strip().casefold() for name in header.split(",")]
    end = draw(st.sampled_from(("\n", "\r\n")))
    quote, pad = draw(st.sampled_from(("", '"'))), draw(st.sampled_from(("", " ")))
    lines = [draw(st.sampled_from(("", "\ufeff"))) + header]
    for _ in range(draw(st.integers(1, 3))):
        fields = {
            "emotion": str(draw(st.integers(0, 6))),
            "usage": draw(st.sampled_from(fer2013.USAGES)),
            "pixels": _pixels(draw(st.integers(0, _POOL - 1))),
        }
        lines.append(",".join(f"{pad}{quote}{fields[name]}{quote}{pad}" for name in names))
        lines += draw(st.sampled_from(([], [], [""], [" "])))
    return (end.join(lines) + draw(st.sampled_from(("", end)))).encode()


@st.composite
def _folders(draw: st.DrawFn) -> Files:
    """Draw a valid folder of one to four images."""
    parts = draw(st.sampled_from((("",), ("train/", "test/"), ("Training/", "PublicTest/", "PrivateTest/"))))
    words = draw(st.sampled_from((fer2013.LABELS, _OTHER_WORDS, tuple("0123456"))))
    files: Files = {}
    for number in range(draw(st.integers(1, 4))):
        # There is something to train on, and in folders that are numbered there is a 0.
        part = draw(st.sampled_from(parts)) if number else parts[0]
        label = draw(st.integers(0, 6)) if number else 0
        kind, suffix = draw(st.sampled_from(_KINDS))
        mode = draw(st.sampled_from(("L", "RGB")))
        face = draw(st.integers(0, _POOL - 1))
        files[f"{part}{words[label]}/{number}.{suffix}"] = _encode(face, kind, mode)
    litter = draw(st.sampled_from(("", "", ".DS_Store", "Thumbs.db", "README.txt")))
    return files | ({litter: b"text"} if litter else {})


def _pack(members: Files, method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            # A fixed date, so that the same input gives the same bytes.
            archive.writestr(_member(name, method), content)
    return file.getvalue()


def _member(name: str, method: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.compress_type = method
    return member


def _csv_inputs() -> st.SearchStrategy[Input]:
    made = edits(weights={"number": 3, "text": 2}, several_files=False)
    return st.builds(_combine, st.builds(lambda table: {"data.csv": table}, _tables()), made, _BAD_ROW)


def _folder_inputs() -> st.SearchStrategy[Input]:
    made = edits(weights={"rename": 6, "flip": 3, "overwrite": 2}, several_files=True)
    return st.builds(_combine, _folders(), made, _BAD_ROW)


@st.composite
def _archive_inputs(draw: st.DrawFn, packs: dict[str, Pack]) -> Input:
    """Draw an archive whose members are edited before it is packed, or which is edited itself."""
    members = draw(st.one_of(st.builds(lambda table: {"fer2013.csv": table}, _tables()), _folders()))
    inner = draw(edits(weights={"rename": 3}, several_files=True))
    outer = (
        draw(edits(weights={"overwrite": 4, "flip": 2}, several_files=False)) if draw(st.booleans()) else []
    )
    pack = packs[draw(st.sampled_from(sorted(packs)))]
    try:
        packed = pack(apply(members, inner))
    except (ValueError, struct.error):  # A name is too long.
        packed = pack(members)
    files = apply({"data": packed}, outer)
    return Input(files, draw(_BAD_ROW), is_edited=bool(inner or outer))


def _pack_tar(members: Files) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _pack_alone(members: Files) -> bytes:
    """Compress a table alone, and anything else as an archive."""
    table = members.get("fer2013.csv")
    return gzip.compress(_pack_tar(members) if table is None else table, mtime=0)


_ZIPS: Final[dict[str, Pack]] = {
    "stored": lambda members: _pack(members, zipfile.ZIP_STORED),
    "deflated": lambda members: _pack(members, zipfile.ZIP_DEFLATED),
}
_TARS: Final[dict[str, Pack]] = {
    "plain": _pack_tar,
    "gzip": lambda members: gzip.compress(_pack_tar(members), mtime=0),
    "alone": _pack_alone,
}


def _vote_inputs() -> st.SearchStrategy[Input]:
    def make(rows: list[tuple[str, int, int]], end: str) -> Files:
        lines = [",".join(ferplus.HEADER)]
        for number, (usage, one, other) in enumerate(rows):
            counts = [0] * 10
            counts[one] += 6
            counts[other] += 4
            lines.append(f"{usage},fer{number:07}.png,{','.join(map(str, counts))}")
        return {"fer2013new.csv": (end.join(lines) + end).encode()}

    choice = st.integers(0, 9)
    rows = st.lists(st.tuples(st.sampled_from(fer2013.USAGES), choice, choice), min_size=1, max_size=4)
    files = st.builds(make, rows, st.sampled_from(("\n", "\r\n")))
    return st.builds(_combine, files, edits(weights={"number": 3, "text": 2}, several_files=False), _BAD_ROW)


@cache
def _examples() -> Examples:
    arrays = np.zeros((20, 48, 48, 1), np.uint8), np.zeros(20, np.int32), np.zeros(20, np.int32)
    return Examples(*arrays, "20 blank images", hash_arrays(*arrays))


def _drop_inputs() -> st.SearchStrategy[Input]:
    def make(rows: list[tuple[int, str]]) -> Files:
        lines = [
            drop_list.Line(row, "Training", "sad", "a copy; of another, too", None, None, 0.5, action)  # type: ignore[arg-type]
            for row, action in rows
        ]
        return {"audit.csv": drop_list.to_csv(lines, _examples().sha256).encode()}

    row = st.tuples(st.integers(0, 19), st.sampled_from(("keep", "drop")))
    rows = st.lists(row, max_size=4, unique_by=lambda each: each[0])
    made = edits(weights={"number": 3, "text": 2}, several_files=False)
    return st.builds(_combine, st.builds(make, rows), made, _BAD_ROW)


def _read_rows(path: Path, on_bad_row: BadRow) -> list[Row]:
    examples = kaggle.read(path, on_bad_row=on_bad_row)
    arrays = zip(examples.images, examples.labels.tolist(), examples.usages.tolist(), strict=True)
    return [(image.tobytes(), label, usage) for image, label, usage in arrays]


def _agree(came: Any, wanted: Any) -> None:
    require(came is None or came == wanted, "another answer")


def _read_votes(folder: Path) -> list[tuple[int, ...]]:
    votes = ferplus.read(folder / "fer2013new.csv")
    return [
        (usage, *counts) for usage, counts in zip(votes.usages.tolist(), votes.counts.tolist(), strict=True)
    ]


def _files_in(folder: Path) -> Files:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if name.count("/") <= 4}


def _check_drops(content: bytes) -> list[int]:
    table = oracles.read_quoted(content)
    names = table[0]
    columns = [
        names.index(name) if names.count(name) == 1 else -1 for name in ("row", "action", "data_sha256")
    ]
    require(-1 not in columns, "columns")
    actions: dict[int, str] = {}
    for fields in table[1:]:
        require(len(fields) <= len(names), "too many fields")
        padded = [*fields, *[""] * len(names)]
        row, action, sha256 = (padded[column].strip() for column in columns)
        is_row = 0 < len(row) < 4000 and all(letter in "0123456789" for letter in row) and int(row) < 20
        require(is_row and action in ("keep", "drop") and sha256 == _examples().sha256, "a field")
        require(actions.setdefault(int(row), action) == action, "a row twice")
    return sorted(row for row, action in actions.items() if action == "drop")


READERS: Final = (
    Reader(
        "csv",
        _csv_inputs,
        lambda folder, on_bad_row: _read_rows(folder / "data.csv", on_bad_row),
        lambda folder, on_bad_row, came: _agree(
            came, oracles.read_csv((folder / "data.csv").read_bytes(), on_bad_row)
        ),
        is_exact=True,
    ),
    Reader(
        "zip",
        lambda: _archive_inputs(_ZIPS),
        lambda folder, on_bad_row: _read_rows(folder / "data", on_bad_row),
        lambda folder, on_bad_row, came: _agree(
            came, oracles.read_zip((folder / "data").read_bytes(), on_bad_row)
        ),
        is_exact=False,
    ),
    Reader(
        "tar",
        lambda: _archive_inputs(_TARS),
        lambda folder, on_bad_row: _read_rows(folder / "data", on_bad_row),
        lambda folder, on_bad_row, came: _agree(
            came, oracles.read_tar((folder / "data").read_bytes(), on_bad_row)
        ),
        is_exact=False,
    ),
    Reader(
        "folder",
        _folder_inputs,
        _read_rows,
        lambda folder, on_bad_row, came: _agree(came, oracles.read_images(_files_in(folder), on_bad_row)),
        is_exact=False,
    ),
    Reader(
        "votes",
        _vote_inputs,
        lambda folder, on_bad_row: _read_votes(folder),
        lambda folder, on_bad_row, came: _agree(
            came, oracles.read_votes((folder / "fer2013new.csv").read_bytes())
        ),
        is_exact=True,
    ),
    Reader(
        "drop-list",
        _drop_inputs,
        lambda folder, on_bad_row: drop_list.read_dropped(folder / "audit.csv", _examples()).tolist(),
        lambda folder, on_bad_row, came: _agree(came, _check_drops((folder / "audit.csv").read_bytes())),
        is_exact=True,
    ),
)
