"""The files that a command writes where the user says, checked before any work.

Nothing that exists is replaced without `--overwrite`, and with it nothing that the command reads.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from fer_jax.errors import RunError
from fer_jax.files import find_other_kind


def check_file(option: str, path: Path, *, inputs: Iterable[Path], may_replace: bool) -> None:
    """Check that a command may write a file.

    Args:
        option: that names it.
        path: of the file.
        inputs: files and folders that the command reads.
        may_replace: whether it may replace what is there.

    Raises:
        RunError: it is a folder or a pipe, exists and may not be replaced, is an input, or cannot be written.
    """
    if kind := find_other_kind(path):
        raise RunError(f"{option} is {path}, {kind}; name a file")
    refuse_inputs([path], inputs)
    if path.exists() and not may_replace:
        raise RunError(f"{path} exists; give --overwrite to replace it, or another {option}")
    _check_writable(option, path.parent)


def refuse_inputs(paths: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to replace what a command reads: a file that it is given, or one in a folder that it is given.

    Raises:
        RunError: one of the paths is such a file.
    """
    sources = {resolve(each): each for each in inputs}
    for path in paths:
        home = resolve(path)
        if home in sources:
            raise RunError(f"{path} is a source, and would be replaced; name another place")
        folder = next((sources[each] for each in home.parents if each in sources), None)
        if folder is not None and path.exists():
            raise RunError(f"{path} is in {folder}, a source, and would be replaced; name another place")


def resolve(path: Path) -> Path:
    """Make a path absolute, without links; until Python 3.12 `Path.resolve` raises where they make a loop."""
    return Path(os.path.realpath(path))


def check_folder(option: str, folder: Path) -> None:
    """Check that a command may write into a folder, which need not exist yet.

    Raises:
        RunError: it is a file, cannot be made, or cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{option} is {folder}, a file; name a folder")
    _check_writable(option, folder)


def _check_writable(option: str, folder: Path) -> None:
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RunError(f"{option}: {there} cannot be written to; name another place")
