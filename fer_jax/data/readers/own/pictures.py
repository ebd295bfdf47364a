"""The pictures of a folder, an archive or a manifest: which there are, their labels, and their content."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from fer_jax.config.model import unify_name
from fer_jax.data.readers.archives import Archive, MemberError
from fer_jax.data.readers.file_kinds import MOST_BYTES, printable
from fer_jax.data.readers.folder_names import LINKED, PARTS, PICTURE_SUFFIXES
from fer_jax.errors import DataError
from fer_jax.fer2013 import UNLABELLED, USAGES
from fer_jax.litter import is_hidden, is_system_file
from fer_jax.text import counted

FORMATS: Final = "PNG, JPEG, WebP, TIFF or BMP"

LAYOUTS: Final = "<class>/<picture> or train/<class>/<picture>"

_SHOWN_PLACES: Final = 20
_OUTSIDE: Final = "found a link that leaves the folder; wanted the picture itself; copy it there"


class PictureError(Exception):
    """What is wrong with one picture."""


Content = Callable[[], bytes]
"""Reads a file; raises `PictureError` where it is none that can be read."""


@dataclass(frozen=True)
class Files:
    """The files of a folder or an archive.

    Attributes:
        names: paths within it, with `/`.
        hidden: paths of pictures that have a dot at the start of their name, or of a folder's. They are read
            only where a manifest names them.
        problems: name -> why it is not read.
        walk: goes through some of the files, by name, in the order that is fastest.
    """

    names: list[str]
    hidden: list[str]
    problems: dict[str, str]
    walk: Callable[[Collection[str]], Iterator[tuple[str, Content]]]


@dataclass(frozen=True)
class Labelled:
    """One picture and what is said of it.

    Attributes:
        name: path within `Files`.
        where: for messages: the name, with the line of a manifest.
        label: as it is given, in the form of `unify_name`.
        part: 0 train, 1 val, 2 test; -1: none is given.
        group: of pictures that stay in one part; empty: none.
    """

    name: str
    where: str
    label: str
    part: int
    group: str


def list_folder(root: Path) -> Files:
    """List the files of a folder and all folders in it, without system files.

    Links to folders are not followed, nor links to files outside.

    Raises:
        OSError: a folder cannot be read.
    """
    names: list[str] = []
    problems: dict[str, str] = {}

    def fail(error: OSError) -> None:  # os.walk would pass over a folder that it cannot read.
        if not is_hidden(Path(error.filename).relative_to(root).as_posix()):
            raise error

    for parent, folders, files in os.walk(root, onerror=fail):
        inner = Path(parent).relative_to(root)
        prefix = "" if inner == Path() else f"{inner.as_posix()}/"
        folders[:] = sorted(name for name in folders if not is_system_file(name))
        names += [each for name in sorted(files) if not leaves_out(each := prefix + name)]
        links = [
            each
            for name in folders
            if Path(parent, name).is_symlink() and not is_hidden(each := prefix + name)
        ]
        problems |= dict.fromkeys(links, LINKED)
    return Files(*_part_hidden(names), problems, partial(_walk_folder, root))


def leaves_out(name: str) -> bool:
    """Whether a file is passed over without a word: a system's, or hidden and no picture.

    >>> [leaves_out(name) for name in ("__MACOSX/a/._1.png", "a/.hidden", "a/.1.png", "__a/1.png")]
    [True, True, False, False]
    """
    return is_system_file(name) or (is_hidden(name) and not name.lower().endswith(PICTURE_SUFFIXES))


def _part_hidden(names: Collection[str]) -> tuple[list[str], list[str]]:
    """Part paths into those that are not hidden, and those that are."""
    return [name for name in names if not is_hidden(name)], [name for name in names if is_hidden(name)]


def in_folder(root: Path) -> Files:
    """Give access to the files of a folder without listing them."""
    return Files([], [], {}, partial(_walk_folder, root))


def _walk_folder(root: Path, names: Collection[str]) -> Iterator[tuple[str, Content]]:
    place = os.path.realpath(root)
    yield from ((name, partial(_read_file, root / name, place)) for name in names)


def _read_file(path: Path, place: str) -> bytes:
    """Read a file that has to be below a folder, whose real path is given."""
    try:
        if os.path.commonpath([place, os.path.realpath(path)]) != place:
            raise PictureError(_OUTSIDE)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PictureError("found no file, but a folder, a pipe or a device; wanted a picture")
        _check_size(status.st_size)
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError("there is no such file; correct the path, or put the picture there") from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"it cannot be read: {said}; allow it, or remove it") from None


def list_archive(archive: Archive) -> Files:
    """List the files of an archive."""

    def read(name: str, content: Content) -> bytes:
        _check_size(archive.sizes[name])
        try:
            return content()
        except MemberError as error:
            raise PictureError(error.reason) from None

    def walk(names: Collection[str]) -> Iterator[tuple[str, Content]]:
        yield from ((name, partial(read, name, content)) for name, content in archive.walk(names))

    outside = [name for name in archive.sizes if leaves_folder(name)]
    problems = dict.fromkeys(outside, "found a path that leaves the archive")
    return Files(*_part_hidden(archive.sizes), problems, walk)


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise PictureError(f"it has {size:,} bytes; wanted at most {MOST_BYTES:,}; save it smaller")


def leaves_folder(name: str) -> bool:
    """Whether a path, with `/`, is absolute or goes up with `..`.

    >>> [leaves_folder(name) for name in ("a/b.png", "../b.png", "/etc/b.png", "C:/b.png")]
    [False, True, True, True]
    """
    return name.startswith("/") or ".." in name.split("/") or name[1:2] == ":"


def list_labelled(files: Files, *, where: str) -> tuple[list[Labelled], list[str]]:
    """List the pictures in folders of classes, by their paths; a message for each other file there.

    Raises:
        DataError: there is no picture, or the folders are not those of `LAYOUTS`.
    """
    found: list[Labelled] = []
    messages: list[str] = []
    roots: dict[tuple[str, ...], str] = {}
    other: list[str] = []
    for name in sorted({*files.names, *files.problems}):
        if name in files.problems:
            messages.append(f"{printable(name)}: {files.problems[name]}")
        elif name.lower().endswith(PICTURE_SUFFIXES):
            parts = ("", *PurePosixPath(name).parts)
            if len(parts) < 3:
                messages.append(
                    f"{printable(name)}: found a picture in no folder of a class; wanted {LAYOUTS}"
                )
                continue
            part = parts[-3].casefold() if len(parts) > 3 else ""
            depth = -3 if part in PARTS else -2
            roots.setdefault(parts[:depth], name)
            label = unify_name(parts[-2].strip())
            found.append(Labelled(name, printable(name), label, _find_part(part), ""))
        else:
            other.append(name)
    _check_layout(found, roots, other, files.hidden, where)
    folders = {name.rpartition("/")[0] for name in (each.name for each in found)}
    messages += [
        f"{printable(name)}: found a file that is no picture; wanted {FORMATS}"
        for name in other
        if name.rpartition("/")[0] in folders
    ]
    return found, messages


def _find_part(folder: str) -> int:
    return USAGES.index(PARTS[folder]) if folder in PARTS else UNLABELLED


def _check_layout(
    found: list[Labelled],
    roots: Mapping[tuple[str, ...], str],
    other: list[str],
    hidden: list[str],
    where: str,
) -> None:
    if not found:
        tables = [name for name in other if name.lower().endswith((".csv", ".parquet"))]
        hint = f"; is {printable(tables[0])} a manifest of them? give it with --data" if tables else ""
        hint += f"; {describe_hidden(hidden)}" if hidden else ""
        raise DataError(
            f"{where}: found no picture in a folder of a class; wanted {LAYOUTS} ({FORMATS}), or a manifest "
            f"with the columns path,label{hint}"
        )
    if len(roots) > 1:
        first, second, *_ = (printable(name) for name in roots.values())
        raise DataError(
            f"{where}: found pictures at different depths, or below several folders: {first} and {second}; "
            f"wanted {LAYOUTS}; move them, or write a manifest with the columns path,label"
        )
    if len({each.part == UNLABELLED for each in found}) > 1:
        raise DataError(
            f"{where}: found some pictures in train/, val/ or test/ and some not; wanted all or none; "
            "move them"
        )


def describe_hidden(names: Collection[str]) -> str:
    """Say how many pictures are left out since they are hidden, and where.

    >>> describe_hidden([".old/a/1.png", ".old/2.png", "joy/.1.png"])
    '3 pictures left out because a name begins with a dot: .old 2, joy/.1.png 1'
    """
    places = Counter(_find_hidden(name) for name in names)
    shown = ", ".join(
        f"{printable(place)} {count:,}" for place, count in sorted(places.items())[:_SHOWN_PLACES]
    )
    more = ", ..." if len(places) > _SHOWN_PLACES else ""
    return f"{counted(len(names), 'picture')} left out because a name begins with a dot: {shown}{more}"


def _find_hidden(name: str) -> str:
    """Find the first hidden folder of a path, or the file itself."""
    parts = name.split("/")
    first = next(number for number, part in enumerate(parts) if is_hidden(part))
    return "/".join(parts[: first + 1])
