"""Inputs that promise more than they hold, or hold more than they show: each must be refused, and cheaply."""

import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.reliability.fuzz_data import READERS as DATA_READERS
from benchmarks.reliability.fuzz_edits import Reader
from benchmarks.reliability.fuzz_runs import READERS as RUN_READERS
from benchmarks.reliability.fuzz_runs import good_card, good_run

# The oracles would read a bomb in full.
_READERS: Final = {each.name: replace(each, is_exact=False) for each in (*DATA_READERS, *RUN_READERS)}
_HUGE: Final = 100 * 10**9


@dataclass(frozen=True)
class Bomb:
    """An input that takes memory or time out of proportion to its size on disk.

    Attributes:
        name: for people.
        reader: that is given it.
        make: writes it into a folder.
    """

    name: str
    reader: Reader
    make: Callable[[Path], None]


def _sparse(name: str, start: bytes) -> Callable[[Path], None]:
    """Make a file of 100 GB that takes no space."""

    def make(folder: Path) -> None:
        (folder / name).write_bytes(start)
        os.truncate(folder / name, _HUGE)

    return make


def _zip(member: str, size: int) -> Callable[[Path], None]:
    """Make an archive whose member is zeros: `size` bytes in a thousandth of them."""

    def make(folder: Path) -> None:
        block = zlib.compressobj(9, zlib.DEFLATED, -15)
        # After a full flush the compressed bytes of a megabyte may be repeated.
        piece = block.compress(bytes(2**20)) + block.flush(zlib.Z_FULL_FLUSH)
        data = piece * (size // 2**20) + b"\x03\x00"
        name = member.encode()
        sizes = struct.pack("<III", 0, len(data), size)
        local = (
            b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", len(name), 0)
        )
        entry = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
        entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
        start = len(local) + len(name) + len(data)
        end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), start, 0)
        (folder / "data").write_bytes(local + name + data + entry + end)

    return make


def _gzip(first: Callable[[], bytes], size: int) -> Callable[[Path], None]:
    """Make a file that unpacks to some first bytes and zeros: `size` bytes in a thousandth of them."""

    def make(folder: Path) -> None:
        packed = zlib.compressobj(9, zlib.DEFLATED, 31)
        start = packed.compress(first()) + packed.flush(zlib.Z_FULL_FLUSH)
        piece = packed.compress(bytes(2**20)) + packed.flush(zlib.Z_FULL_FLUSH)
        (folder / "data").write_bytes(start + piece * (size // 2**20))

    return make


def _tar_header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def _png(*chunks: tuple[bytes, bytes], side: int) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in ((b"IHDR", head), *chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(content)) + kind + content)
        parts.append(struct.pack(">I", zlib.crc32(kind + content)))
    return b"".join(parts)


def _image(content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "sad").mkdir()
        (folder / "sad" / "0.png").write_bytes(content)

    return make


def _zeros(mebibytes: int) -> bytes:
    packed = zlib.compressobj(9)
    return b"".join(packed.compress(bytes(2**20)) for _ in range(mebibytes)) + packed.flush()


def _tensors(header: Callable[[], bytes], length: int | None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        head = header()
        tensors = struct.pack("<Q", len(head) if length is None else length) + head
        (folder / "net.safetensors").write_bytes(tensors)
        (folder / "net.json").write_bytes(good_card(tensors))

    return make


def _run(**files: bytes) -> Callable[[Path], None]:
    """Make a run's folder with other content in some files, named with an underscore for the dot."""

    def make(folder: Path) -> None:
        for name, content in (good_run() | {each.replace("_", "."): files[each] for each in files}).items():
            (folder / name).write_bytes(content)

    return make


def _split(shape: tuple[int, ...], *, is_compressed: bool) -> bytes:
    """Write a split whose training part has a header that promises this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": shape})
    content, packed = file.getvalue(), io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", zipfile.ZIP_DEFLATED if is_compressed else zipfile.ZIP_STORED
    ) as archive:
        for name in ("train", "val", "test", "train_hashes"):
            archive.writestr(f"{name}.npy", content)
    return packed.getvalue()


def _one_tensor() -> bytes:
    facts = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
    return json.dumps({"params/logits/kernel": facts}).encode()


def _many_tensors() -> bytes:
    empty = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return ("{" + ",".join(empty % number for number in range(10**5)) + "}").encode()


def _huge_image(folder: Path) -> None:
    _image(_png(side=48))(folder)
    os.truncate(folder / "sad" / "0.png", _HUGE)


def _huge_tensors(folder: Path) -> None:
    _tensors(lambda: b"{}", None)(folder)
    os.truncate(folder / "net.safetensors", _HUGE)


def _deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


BOMBS: Final = (
    Bomb("a CSV of 100 GB, sparse", _READERS["csv"], _sparse("data.csv", b"emotion,pixels\n")),
    Bomb("a CSV of 100 GB without a line end", _READERS["csv"], _sparse("data.csv", b"emotion,pixels")),
    Bomb("votes of 100 GB, sparse", _READERS["votes"], _sparse("fer2013new.csv", b"Usage,Image name\n")),
    Bomb(
        "a drop list of 100 GB, sparse",
        _READERS["drop-list"],
        _sparse("audit.csv", b"row,action,data_sha256\n"),
    ),
    Bomb("a zip archive of 100 GB, sparse", _READERS["zip"], _sparse("data", b"PK\x03\x04")),
    Bomb("a zip archive with a CSV of 4 GB in 4 MB", _READERS["zip"], _zip("fer2013.csv", 2**32 - 2**20)),
    Bomb("a zip archive with an image of 4 GB in 4 MB", _READERS["zip"], _zip("sad/0.png", 2**32 - 2**20)),
    Bomb("a gzip file of 16 GB in 16 MB", _READERS["tar"], _gzip(lambda: b"emotion,pixels\n", 2**34)),
    Bomb(
        "a tar archive with a CSV of 16 GB in 16 MB",
        _READERS["tar"],
        _gzip(lambda: _tar_header("fer2013.csv", 2**34), 2**34),
    ),
    Bomb(
        "a tar archive with an image of 16 GB in 16 MB",
        _READERS["tar"],
        _gzip(lambda: _tar_header("sad/0.png", 2**34), 2**34),
    ),
    Bomb("a PNG of 30,000 × 30,000", _READERS["folder"], _image(_png((b"IDAT", _zeros(1)), side=30_000))),
    Bomb("a PNG of 10,000 × 10,000", _READERS["folder"], _image(_png((b"IDAT", _zeros(96)), side=10_000))),
    Bomb(
        "a PNG with a text of 512 MB in 512 KB",
        _READERS["folder"],
        _image(_png((b"zTXt", b"a\0\0" + _zeros(512)), (b"IDAT", _zeros(1)), side=49)),
    ),
    Bomb("an image file of 100 GB, sparse", _READERS["folder"], _huge_image),
    Bomb("a tensor of 10^12 numbers", _READERS["safetensors"], _tensors(_one_tensor, None)),
    Bomb("a header of 10^12 bytes", _READERS["safetensors"], _tensors(lambda: b"{}", 10**12)),
    Bomb("a header of 2^64 - 1 bytes", _READERS["safetensors"], _tensors(lambda: b"{}", 2**64 - 1)),
    Bomb("a hundred thousand tensors", _READERS["safetensors"], _tensors(_many_tensors, None)),
    Bomb("tensors of 100 GB, sparse", _READERS["safetensors"], _huge_tensors),
    Bomb("a config nested 100,000 deep", _READERS["config"], _run(config_json=_deep(100_000))),
    Bomb("a config of 100 GB, sparse", _READERS["config"], _sparse("config.json", b"{")),
    Bomb(
        "an integer of a million digits",
        _READERS["config"],
        _run(config_json=b'{"name": ' + b"1" * 10**6 + b"}"),
    ),
    Bomb("a record nested 100,000 deep", _READERS["run"], _run(run_json=_deep(100_000))),
    Bomb("a log nested 100,000 deep", _READERS["run"], _run(log_jsonl=_deep(100_000))),
    Bomb("a split of 10^12 rows", _READERS["run"], _run(split_npz=_split((10**12,), is_compressed=False))),
    Bomb(
        "a split of 10^15 rows, deflated",
        _READERS["run"],
        _run(split_npz=_split((10**15,), is_compressed=True)),
    ),
    Bomb("a record of 100 GB, sparse", _READERS["run"], _sparse("run.json", b"{")),
)
