"""Where the drawn copies of pictures and videos go, and what the files are called."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from fer_jax.faces.sources import Source

_KEPT: Final = (".jpg", ".jpeg", ".png")
"""Pictures of other kinds become PNG files."""

_FRAME: Final = re.compile(r"(.+)-[0-9]{4,}\.[^.]+")
"""The name that `number_frame` gives; the group is the name of the copy."""


def place_copies(folder: Path, found: Sequence[Source]) -> dict[Source, Path]:
    """Give each source the path of its drawn copy: in the folder as the sources lie below a common one.

    >>> sources = [Source(name, "picture", Path(name)) for name in ("a/b/one.jpg", "a/two.webp")]
    >>> [path.as_posix() for path in place_copies(Path("out"), sources).values()]
    ['out/b/one.jpg', 'out/two.webp.png']
    """
    files = [source.path for source in found if source.kind in ("picture", "video")]
    parents = [str(_absolute(path).parent) for path in files if path is not None]
    common = None if not parents else _common(parents)
    return {source: folder / _name(source, common) for source in found}


def number_frame(copy: Path, frame: int) -> Path:
    """Name the drawn copy of a frame of an animation, or of a page.

    >>> number_frame(Path("out/wave.gif.png"), 3).as_posix()
    'out/wave.gif.png-0003.png'
    """
    return copy.with_name(f"{copy.name}-{frame:04}{copy.suffix}")


def find_frames(copy: Path) -> Iterator[Path]:
    """Find the files that are there by the names of a copy's frames."""
    return copy.parent.glob(f"{glob.escape(copy.name)}-[0-9][0-9][0-9][0-9]{copy.suffix}")


def find_frame_name(copies: Sequence[Path]) -> Path | None:
    """Find the first copy that has a name which `number_frame` could give to a frame of another.

    >>> find_frame_name([Path("wave.png"), Path("wave-0000.png"), Path("wave.png-0000.png")]).as_posix()
    'wave.png-0000.png'
    """
    names = set(copies)
    for copy in copies:
        match = _FRAME.fullmatch(copy.name)
        if match and copy.with_name(match[1]) in names:
            return copy
    return None


def name_crop(place: Path, frame: int, face: int) -> Path:
    """Name the file of a face's crop, by the place that a drawn copy of its source would have.

    >>> name_crop(Path("crops/b/one.jpg"), 0, 2).as_posix()
    'crops/b/one.jpg-0000-2.png'
    """
    return place.with_name(f"{place.name}-{frame:04}-{face}.png")


def _absolute(path: Path) -> Path:
    """Make a path absolute, without `..`, which would lead out of a folder; links keep their names."""
    return Path(os.path.abspath(path))  # noqa: PTH100, `resolve` follows links


def _common(parents: Sequence[str]) -> str | None:
    try:
        return os.path.commonpath(parents)
    except ValueError:  # Drives of Windows have nothing in common.
        return None


def _name(source: Source, common: str | None) -> Path:
    if source.kind == "stdin":
        return Path("stdin.png")
    if source.kind == "camera" or source.path is None:
        return Path(f"{source.name.replace(':', '').replace('/', '_')}.mp4")
    path = _absolute(source.path)
    inside = Path(path.name) if common is None else path.relative_to(common)
    if source.kind == "video":
        return inside if inside.suffix.lower() == ".mp4" else inside.with_name(f"{inside.name}.mp4")
    return inside if inside.suffix.lower() in _KEPT else inside.with_name(f"{inside.name}.png")
