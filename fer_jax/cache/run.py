"""What fer_jax keeps in the user's cache folder: found by the names that it gives, and deleted.

Whatever has another name is not ours and stays, as it does where $FER_JAX_CACHE names a folder of the user's.
Links are never followed. Programs that run meanwhile go on: each makes again what it misses, a file that is
open stays readable, and folders stay, so that it can write into them.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import filelock

from fer_jax.cache.kinds import KINDS, Kind
from fer_jax.data.readers.cached import store
from fer_jax.runtime import compile_cache

_HASH: Final = "[0-9a-f]{32}"
_NAMES: Final[dict[Kind, str]] = {
    "images": rf"(examples/{_HASH}\.(json|(images|labels|usages|groups|hashes)\.npy)|files/{_HASH}\.json"
    rf"|examples/{_HASH}\.making/\.(lock|owner\.json)|near_copies/{_HASH}\.npz)",
    "answers": rf"answers/{_HASH}(-view\d+)?(\.npz|\.making/\.(lock|owner\.json))",
    "programs": rf"({compile_cache.NAME}/.*/?\.checked(-begun)?|xla_flags/{_HASH})",
}
"""The names of a kind's files below the cache folder, but for those of the libraries."""
_TEMPORARY: Final = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")
_ABANDONED_S: Final = 3600.0
"""How old a file is that a program was killed over, and none is still writing."""


@dataclass
class Kept:
    """The files of a kind.

    Attributes:
        paths: of all of them.
        size: their bytes.
        in_use: what was not deleted, and why: another program is using it, say.
    """

    paths: list[Path] = field(default_factory=list)
    size: int = 0
    in_use: list[str] = field(default_factory=list)


def find_kept(cache: Path, *, now: float) -> dict[Kind, Kept]:
    """Find what is kept in a cache folder at a time, by kind; a folder that is not there holds nothing."""
    kept = {kind: Kept() for kind in KINDS}
    for kind, path in _find_files(cache, now=now):
        # Another program may have deleted it.
        with contextlib.suppress(OSError):
            kept[kind].size += path.lstat().st_size
            kept[kind].paths.append(path)
    return kept


def find_damaged(cache: Path) -> tuple[list[Path], list[Path]]:
    """Hash all images in a cache folder; return the records of those that are good, and of damaged ones."""
    records = sorted(
        path for path in _list_files(cache / "examples") if re.fullmatch(rf"{_HASH}\.json", path.name)
    )
    damaged = [path for path in records if store.load(path.with_suffix(""), None, is_checked=True) is None]
    return [path for path in records if path not in damaged], damaged


def clear(cache: Path, kinds: tuple[Kind, ...], *, now: float) -> dict[Kind, Kept]:
    """Delete what is kept of some kinds; return what was deleted, and what could not be."""
    found, cleared = find_kept(cache, now=now), {kind: Kept() for kind in kinds}
    for kind, done in cleared.items():
        for folder, paths in _by_data_set(cache, found[kind].paths).items():
            try:
                with contextlib.nullcontext() if folder is None else _locked(folder):
                    for path in paths:
                        _delete(path, done)
                    if folder is not None:
                        _delete_empty(folder)
            except filelock.Timeout:
                done.in_use.append(f"{folder}: another program is reading it")
    return cleared


def _find_files(cache: Path, *, now: float) -> Iterator[tuple[Kind, Path]]:
    """Yield every file that fer_jax has made in a cache folder, with its kind."""
    for name in ("examples", "files", "near_copies", "answers", "xla_flags", compile_cache.NAME):
        top = cache / name
        for path in [] if top.is_symlink() else _list_files(top):
            kind = _kind_of(path.relative_to(cache).as_posix())
            temporary = _TEMPORARY.fullmatch(path.name)
            if kind is None and temporary is not None and _is_abandoned(path, now=now):
                kind = _kind_of(path.with_name(temporary[1]).relative_to(cache).as_posix())
            if kind is not None:
                yield kind, path
    programs = cache / compile_cache.NAME
    if not programs.is_symlink():
        yield from (("programs", each.path) for each in compile_cache.list_programs(programs))
    data_sets = cache / "tfds"
    if data_sets.is_dir() and not data_sets.is_symlink():
        for folder in data_sets.iterdir():
            if re.fullmatch("[0-9a-f]{64}", folder.name) and folder.is_dir() and not folder.is_symlink():
                yield from (("images", path) for path in _list_files(folder))


def _kind_of(name: str) -> Kind | None:
    return next((kind for kind, pattern in _NAMES.items() if re.fullmatch(pattern, name)), None)


def _list_files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _is_abandoned(path: Path, *, now: float) -> bool:
    with contextlib.suppress(OSError):
        return now - path.lstat().st_mtime > _ABANDONED_S
    return False


def _by_data_set(cache: Path, paths: list[Path]) -> dict[Path | None, list[Path]]:
    """Group files by the TFDS data set that they belong to: it is deleted under its lock, and as a whole."""
    groups: dict[Path | None, list[Path]] = {}
    for path in paths:
        parts = path.relative_to(cache).parts
        folder = cache / parts[0] / parts[1] if parts[0] == "tfds" else None
        groups.setdefault(folder, []).append(path)
    return groups


def _locked(folder: Path) -> contextlib.AbstractContextManager[object]:
    """Take the lock of a data set, as its reader does; filelock.Timeout where another program has it."""
    return filelock.FileLock(f"{folder}.lock", timeout=0)


def _delete(path: Path, done: Kept) -> None:
    try:
        size = path.lstat().st_size
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        done.in_use.append(f"{path}: {error.strerror or error}")
        return
    done.paths.append(path)
    done.size += size


def _delete_empty(folder: Path) -> None:
    """Delete a folder and the folders in it where they are empty."""
    for parent, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            Path(parent).rmdir()
