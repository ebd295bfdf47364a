"""Archives, read in place: zip, tar (plain or compressed), and a single compressed file.

Nothing is written to disk, links are not followed, and what a member promises to hold is checked before it is
unpacked.
"""

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from fer_jax.data.readers import file_kinds
from fer_jax.data.readers.file_kinds import MOST_BYTES, printable
from fer_jax.data.readers.folder_names import PICTURE_SUFFIXES, SUFFIXES
from fer_jax.errors import DataError, FerJaxError

NAME_ENDS: Final = (
    *(".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz"),
    *(".csv.gz", ".csv.bz2", ".csv.xz"),
)
"""How the names of readable archives end."""

MOST_IMAGE_BYTES: Final = 2**20
"""Of a file with an image of 48 × 48 pixels."""

Opener = Callable[[Path], IO[bytes]]
"""Opens a file and unpacks it as it is read."""

LeavesOut = Callable[[str], bool]
"""Whether a file of an archive is to be passed over, by its name, as if it were not there."""

_DOWNLOAD: Final = "download it again"
_ZIP_START: Final = b"PK\x03\x04"
_OPENERS: Final[dict[bytes, Callable[[Any], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""First bytes of a compressed file -> what unpacks it."""

BLOCK_BYTES: Final = 512
_CHUNK_BYTES: Final = 2**20
# Longer than any header, far shorter than a row.
_START_BYTES: Final = 4096
_MOST_TAR_BYTES: Final = 4 * MOST_BYTES


class MemberError(DataError):
    """One file of an archive is damaged, locked or a link; others may be good."""

    def __init__(self, where: str, said: str, cure: str) -> None:
        """Say what is wrong with it and what to do: together they are `reason`."""
        self.reason = f"{said}; {cure}"
        super().__init__(f"{where}: {self.reason}")


@dataclass(frozen=True)
class Archive:
    """The files of an archive.

    Attributes:
        sizes: name -> bytes, unpacked. Names have `/` between folders.
        read_start: read the first line of a file, as far as a header may reach.
        read: read a file; a DataError where it is too large, a MemberError where it is a link, or of a zip
            archive where it alone is damaged.
        walk: go through some files, by name, in the order that is fastest: each with what reads it, which is
            to be called, if at all, before the next one is taken.
    """

    sizes: dict[str, int]
    read_start: Callable[[str], bytes]
    read: Callable[[str], bytes]
    walk: Callable[[Collection[str]], Iterator[tuple[str, Callable[[], bytes]]]]


@contextmanager
def opened(path: Path, *, leaves_out: LeavesOut, keeps_images: bool) -> Iterator[Archive | None]:
    """Open an archive, known by its content; None where the file is none.

    Args:
        path: of the archive.
        leaves_out: what is passed over.
        keeps_images: whether to keep the small images of a tar archive in memory, for `read`.

    Raises:
        DataError: it is damaged, locked, or too large. What is read within the block may raise it too.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(BLOCK_BYTES)
    opener = next((each for first, each in _OPENERS.items() if start.startswith(first)), None)
    if start.startswith(_ZIP_START):
        with _damaged(path, is_of_member=False), zipfile.ZipFile(path) as archive:
            yield _list_zip(archive, path, leaves_out)
    elif opener is None and not _begins_tar(start):
        yield None
    else:
        opener = opener or (lambda each: each.open("rb"))
        yield _list_stream(path, opener, leaves_out, keeps_images=keeps_images)


@contextmanager
def _damaged(path: Path, *, is_of_member: bool) -> Iterator[None]:
    """Say in one message what an unpacker raises about a damaged archive, which can be anything."""
    try:
        yield
    except (FerJaxError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # Of the disk, not of the content.
            raise
        said = printable(str(error)) or type(error).__name__
        said = f"the archive is damaged or locked: {said}"
        if is_of_member:
            raise MemberError(str(path), said, _DOWNLOAD) from None
        raise DataError(f"{path}: {said}; {_DOWNLOAD}") from None


def _list_zip(archive: zipfile.ZipFile, path: Path, leaves_out: LeavesOut) -> Archive:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        if name.endswith("/") or leaves_out(name):
            continue
        _refuse_twice(name, members, path)
        members[name] = info

    def read(name: str) -> bytes:
        file_kinds.check_size(members[name].file_size, f"{path}, member {printable(name)}")
        with _damaged(path, is_of_member=True):
            return archive.read(members[name])

    def read_start(name: str) -> bytes:
        with archive.open(members[name]) as member:
            return member.readline(_START_BYTES)

    def walk(names: Collection[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        yield from ((name, partial(read, name)) for name in names)

    return Archive({name: info.file_size for name, info in members.items()}, read_start, read, walk)


def _refuse_twice(name: str, known: Container[str], path: Path) -> None:
    """Refuse a second file of one name: programs differ in which of the two they read."""
    if name in known:
        raise DataError(f"{path}: {printable(name)} is in it twice; wanted each file once; pack it again")


def begins_archive(start: bytes) -> bool:
    """Whether a file whose first 512 bytes are these is one that `opened` reads."""
    return start.startswith((_ZIP_START, *_OPENERS)) or _begins_tar(start)


def _begins_tar(start: bytes) -> bool:
    with contextlib.suppress(Exception):  # Its parser can raise anything.
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
        return True
    return False


def _list_stream(path: Path, opener: Opener, leaves_out: LeavesOut, *, keeps_images: bool) -> Archive:
    """List a tar archive, or one compressed file, which is called after the archive."""
    with _damaged(path, is_of_member=False):
        with opener(path) as file:
            start = file.readline(_START_BYTES)
        with opener(path) as file:
            if _begins_tar(file.read(BLOCK_BYTES)):
                walk_all = partial(_walk_tar, path, opener, leaves_out)
                return _list_tar(path, walk_all, keeps_images=keeps_images)
    name = path.stem if path.stem.lower().endswith(".csv") else f"{path.stem}.csv"

    def read(_: str) -> bytes:
        with _damaged(path, is_of_member=False), opener(path) as file:
            content = _read_all(file)
        file_kinds.check_size(len(content), f"{path}, unpacked")
        return content

    return Archive(
        {name: 0}, lambda _: start, read, lambda names: ((name, partial(read, name)) for name in names)
    )


class _Bounded:
    """A stream for tarfile that reads a chunk at most: a header can promise gigabytes of names."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int) -> bytes:
        """Read at most a chunk."""
        if not 0 <= size <= _CHUNK_BYTES:
            raise tarfile.ReadError("a header is too long")
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int) -> int:
        """Move forward, by unpacking what is between."""
        return self._file.seek(offset)

    def tell(self) -> int:
        """Tell the place in the unpacked stream."""
        return self._file.tell()


Member = tuple[str, int, IO[bytes] | None]
"""Of a tar archive: name, size and content; None of a link or a device."""


def _list_tar(path: Path, walk_all: Callable[[], Iterator[Member]], *, keeps_images: bool) -> Archive:
    """Go through a tar archive once, and keep its small images, if wanted; others are read when wanted."""
    sizes: dict[str, int] = {}
    starts: dict[str, bytes] = {}
    images: dict[str, bytes] = {}
    links: set[str] = set()
    kept_bytes = 0
    for name, size, content in walk_all():
        _refuse_twice(name, sizes, path)
        sizes[name] = size
        if content is None:
            if not name.lower().endswith(PICTURE_SUFFIXES):
                raise _make_link_error(path, name)
            links.add(name)
        elif keeps_images and name.lower().endswith(SUFFIXES) and size <= MOST_IMAGE_BYTES:
            images[name] = _read_all(content)
            kept_bytes += size
            file_kinds.check_size(kept_bytes, f"{path}, all images")
        elif keeps_images or name.lower().endswith(".csv"):
            starts[name] = content.readline(_START_BYTES)

    def read_member(name: str, content: IO[bytes] | None) -> bytes:
        if content is None:
            raise _make_link_error(path, name)
        with _damaged(path, is_of_member=False):
            return _read_all(content)

    def walk(names: Collection[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        with _damaged(path, is_of_member=False):
            for name, _, content in walk_all():
                if name in names:
                    yield name, partial(read_member, name, content)

    def read(name: str) -> bytes:
        if name in images:
            return images[name]
        if name in links:
            raise _make_link_error(path, name)
        file_kinds.check_size(sizes[name], f"{path}, member {printable(name)}")
        with _damaged(path, is_of_member=False):
            return next(read_member(name, content) for each, _, content in walk_all() if each == name)

    return Archive(sizes, starts.__getitem__, read, walk)


def _make_link_error(path: Path, name: str) -> MemberError:
    return MemberError(
        f"{path}, member {printable(name)}",
        "it is a link or a device",
        "wanted files alone; pack the files themselves (tar --dereference --hard-dereference)",
    )


def _walk_tar(path: Path, opener: Opener, leaves_out: LeavesOut) -> Iterator[Member]:
    """Yield the files and links of a tar archive, in its order.

    tarfile takes damage between two members for the end: whether it is one is checked here.
    """
    with opener(path) as file:
        stream: Any = _Bounded(file)
        total = 0
        opened_tar: Any = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115, it is closed below
        with opened_tar as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # tarfile keeps them all.
                name = member.name.replace("\\", "/").removeprefix("./")
                total += BLOCK_BYTES + member.size
                _check_unpacked(total, path)
                if member.isdir() or leaves_out(name):
                    continue
                yield name, member.size, archive.extractfile(member) if member.isreg() else None
            if stream.last != bytes(BLOCK_BYTES):
                raise tarfile.ReadError("it is cut off")
        while chunk := file.read(_CHUNK_BYTES):  # To the end, where the checksum is.
            total += len(chunk)
            _check_unpacked(total, path)


def _check_unpacked(total: int, path: Path) -> None:
    if total > _MOST_TAR_BYTES:
        raise DataError(
            f"{path}: it unpacks to more than {_MOST_TAR_BYTES // 2**30} GiB; pack the data alone"
        )


def _read_all(content: IO[bytes]) -> bytes:
    """Read to the end, or past the most that is read of any file.

    In chunks: Python makes a buffer of all the bytes that are asked for.
    """
    chunks: list[bytes] = []
    total = 0
    while total <= MOST_BYTES and (chunk := content.read(_CHUNK_BYTES)):
        chunks.append(chunk)
        total += len(chunk)
    return b"".join(chunks)
