"""What the user named - files, folders, patterns, videos, cameras, standard input - as a list of sources.

Nothing is decoded here, and nothing slow is imported: a wrong name is refused at once.
"""

import errno
import glob
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from fer_jax.errors import ConfigError, DataError
from fer_jax.faces import pictures
from fer_jax.files import expand_home, suggest_path
from fer_jax.litter import is_litter
from fer_jax.text import counted

Kind = Literal["picture", "video", "camera", "stdin"]

STDIN: Final = "-"
CAMERA: Final = "camera:"

VIDEO_SUFFIXES: Final = frozenset(
    {
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".m2ts"),
        *(".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf"),
        # Not .ts, which is TypeScript more often than a transport stream; such a file can be named itself.
        *(".ogv", ".qt", ".rm", ".rmvb", ".vob", ".webm", ".wmv", ".y4m"),
    }
)

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:[a-z]+/", re.ASCII)


@dataclass(frozen=True)
class Source:
    """Something to look for faces in.

    Attributes:
        name: what rows and messages call it: the path, `camera:0` or `-`.
        kind: how it is read.
        path: of the file or the camera's device; None of a camera given by its number, and of `-`.
    """

    name: str
    kind: Kind
    path: Path | None


@dataclass(frozen=True)
class Found:
    """What a list of names stands for.

    Attributes:
        sources: each once, in the order of the names; the files of a folder in natural order.
        problems: one message for each name that stands for nothing.
        passed_over: the number of other files in the folders: neither pictures nor videos, by their suffixes.
    """

    sources: tuple[Source, ...]
    problems: tuple[str, ...]
    passed_over: int


def find_sources(named: Sequence[str | Path]) -> Found:
    """Find what to look for faces in.

    A name that stands for nothing does not stop the others. In folders and patterns the suffix decides what
    is a picture and what a video; a file that is named itself and has another suffix is opened: what Pillow
    does not recognise is taken for a video.

    Args:
        named: files, folders (with all folders in them), glob patterns (`**` for any folders), `camera:0`,
            `camera:/dev/video0` or `-`, an image on standard input.

    Raises:
        ConfigError: nothing is named, or an empty name or a URL is, or a camera has no number.
        DataError: nothing is found.
    """
    if not named:
        raise ConfigError("no source came; name a picture, a folder, a video, camera:0 or -")
    search = _Search()
    for each in map(str, named):
        search.add(each)
    if not search.sources:
        raise DataError("; ".join(search.problems))
    return Found(tuple(search.sources.values()), tuple(search.problems), search.passed_over)


def read_standard_input(*, max_bytes: int | None = None) -> bytes:
    """Read the image on standard input.

    Raises:
        DataError: standard input is a terminal, or brings more than `max_bytes`.
    """
    # A notebook's standard input has no bytes.
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        raise DataError("-: nothing is sent to standard input; write `< photo.jpg`, or name the file itself")
    content: bytes = stream.read(-1 if max_bytes is None else max_bytes + 1)
    if max_bytes is not None and len(content) > max_bytes:
        raise DataError(f"-: more than {counted(max_bytes, 'byte')} came; send a smaller picture")
    return content


class _Search:
    """The sources found so far, by what they are, and what was wrong."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.problems: list[str] = []
        self._passed_over: set[str] = set()

    @property
    def passed_over(self) -> int:
        """How many files are neither pictures nor videos."""
        return len(self._passed_over)

    def add(self, name: str) -> None:
        """Add all that one name stands for."""
        if not name:
            # Most likely an empty variable of the shell: the present folder is not meant.
            raise ConfigError("an empty name came as a source; name a picture, or . for the present folder")
        if _URL.match(name):
            raise ConfigError(
                f"{_printable(name)} is a URL, and nothing is fetched from the network; download it and name "
                "the file"
            )
        if name == STDIN:
            self.sources[STDIN] = Source(STDIN, "stdin", None)
            return
        if name.startswith(CAMERA):
            self._add_camera(name)
            return
        path = expand_home(name)
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            self._add_missing(name, path, error)
            return
        if stat.S_ISDIR(mode):
            self._add_folder(path)
        elif stat.S_ISREG(mode):
            self._add_file(path)
        elif stat.S_ISCHR(mode) and path.name.startswith("video"):
            self._add_camera(f"{CAMERA}{path}")
        else:
            self.problems.append(f"{_printable(name)} is no file; send its content to standard input: -")

    def _add_camera(self, name: str) -> None:
        device = name.removeprefix(CAMERA)
        is_number = device.isascii() and device.isdigit()
        if not device:
            raise ConfigError(f"{name} names no camera; write camera:0, or camera: and a device")
        self.sources[name] = Source(name, "camera", None if is_number else Path(device))

    def _add_missing(self, name: str, path: Path, error: Exception) -> None:
        """Add what a pattern matches, or say why there is nothing."""
        if not glob.has_magic(name):
            reason = error.strerror if isinstance(error, OSError) else str(error)
            missing = isinstance(error, FileNotFoundError)
            said = f"there is no {_printable(name)}{suggest_path(path)}" if missing else None
            self.problems.append(said or f"{_printable(name)} cannot be read: {reason}")
            return
        before = len(self.sources), len(self.problems)
        matches, closed = _match(path), dict[Path, None]()
        for match in sorted(matches, key=_natural_order):
            try:
                mode = match.stat().st_mode
            except PermissionError:
                closed.setdefault(match.parent)
            except OSError:  # A link to nothing.
                continue
            else:
                if stat.S_ISDIR(mode):
                    self._walk(match)
                elif stat.S_ISREG(mode):
                    self._add_by_suffix(match)
        self.problems += [
            f"{_printable(each)} cannot be read: no permission to enter the folder" for each in closed
        ]
        if not matches:
            self.problems.append(f"nothing matches {_printable(name)}; look at the pattern, and quote it")
        elif before == (len(self.sources), len(self.problems)):
            self.problems.append(f"no picture and no video matches {_printable(name)}")

    def _add_folder(self, path: Path) -> None:
        problems, passed_over = len(self.problems), self.passed_over
        if self._walk(path) == 0 and len(self.problems) == problems:
            files = self.passed_over - passed_over
            others = f" among its {counted(files, 'file')}" if files else ""
            self.problems.append(f"{_printable(path)}: found no picture and no video{others}")

    def _walk(self, folder: Path) -> int:
        """Add the pictures and videos of a folder and all folders in it; return how many there are."""

        def say(error: OSError) -> None:
            self.problems.append(f"{_printable(error.filename)} cannot be read: {error.strerror}")

        files = [path for path in _walk_once(folder, say) if not is_litter(path.name)]
        return sum([self._add_by_suffix(path) for path in sorted(files, key=_natural_order)])

    def _add_by_suffix(self, path: Path) -> bool:
        suffix = path.suffix.lower()
        if suffix in pictures.suffixes():
            self._keep(path, "picture")
        elif suffix in VIDEO_SUFFIXES:
            self._keep(path, "video")
        else:
            self._passed_over.add(os.path.realpath(path))
            return False
        return True

    def _add_file(self, path: Path) -> None:
        suffix = path.suffix.lower()
        is_known = suffix in pictures.suffixes() or suffix in VIDEO_SUFFIXES
        if is_known:
            self._add_by_suffix(path)
        else:
            self._keep(path, "picture" if pictures.is_picture(path) else "video")

    def _keep(self, path: Path, kind: Kind) -> None:
        self.sources.setdefault(os.path.realpath(path), Source(_printable(path), kind, path))


def _match(pattern: Path) -> list[Path]:
    """List what a pattern matches; hidden files and folders are matched where the pattern names them."""
    try:
        found = list(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
    except ValueError:  # `**` beside other letters, before Python 3.13
        return []
    return [path for path in found if not any(map(is_litter, set(path.parts) - set(pattern.parts)))]


def _walk_once(folder: Path, on_error: Any) -> Iterator[Path]:
    """Yield the files of a folder and all folders in it, once where links make a loop."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=on_error):
        place = os.path.realpath(parent)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        if not os.access(parent, os.X_OK):
            on_error(PermissionError(errno.EACCES, "no permission to enter the folder", parent))
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not is_litter(name))
        yield from (Path(parent, name) for name in files if Path(parent, name).is_file())


def _natural_order(path: Path) -> list[list[tuple[int, str]]]:
    """Order `photo9` before `photo10`, and a folder's files together.

    >>> sorted(map(Path, ["b/1.jpg", "a10.jpg", "A9.jpg"]), key=_natural_order)[0].name
    'A9.jpg'
    """
    return [
        [
            (int(part), "") if part.isascii() and part.isdigit() else (-1, part)
            for part in re.split(r"([0-9]+)", each.casefold())
        ]
        for each in path.parts
    ]


def _printable(name: str | Path) -> str:
    """Write a name so that every file can hold it: bytes that are no UTF-8 become `�`."""
    return os.fsencode(name).decode("utf-8", "replace")
