"""A run's folder: its name, its lock, and files that are written whole or not at all."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock

from fer_jax.errors import RunError

RUNS = Path("runs")
LIGHT = "weights"
"""Name of the released weights that make a run light."""


def is_light(folder: Path) -> bool:
    """Say whether a finished run's folder holds released weights in the place of its checkpoints.

    Such a run is small; it predicts as before, up to the rounding of its weights, and cannot go on.
    `python -m fer_jax.release RUN --name weights --out RUN` writes them, `rm -r RUN/checkpoints` does the
    rest.
    """
    return (folder / f"{LIGHT}.safetensors").exists() and not (folder / "checkpoints").exists()


def new_folders(names: Sequence[str]) -> list[Path]:
    """Choose folders of these names that no run has: `runs/NAME`, or all with -2, -3 ... behind it."""
    folders = [RUNS / name for name in names]
    number = 1
    while any((folder / "run.json").exists() for folder in folders):
        number += 1
        folders = [RUNS / f"{name}-{number}" for name in names]
    return folders


def newest_folders(names: Sequence[str]) -> list[Path]:
    """Find the newest folders that `new_folders` gave for these names, by the first of them.

    Raises:
        RunError: there are none.
    """
    pattern = re.compile(re.escape(names[0]) + r"(?:-(\d+))?")
    runs = [path.parent for path in RUNS.glob("*/run.json")]
    found = [int(match[1] or 1) for path in runs if (match := pattern.fullmatch(path.name))]
    if not found:
        raise RunError(f"there is no run {RUNS / names[0]} to resume; leave out --resume, or give --run-dir")
    number = max(found)
    return [RUNS / (name if number == 1 else f"{name}-{number}") for name in names]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder, made if need be; the system lets go of it when the process ends, killed or not.

    Raises:
        RunError: another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise RunError(
            f"another run is writing in {folder}: wait for it or stop it, or give another --run-dir"
        ) from None
    except OSError as error:
        raise RunError(
            f"the run folder {folder} cannot be used: {error.strerror}; give another --run-dir"
        ) from None
    try:
        yield
    finally:
        lock.release()
