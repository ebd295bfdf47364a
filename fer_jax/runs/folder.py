"""A run's folder: its name and its lock."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from fer_jax.errors import RunError
from fer_jax.runtime.disk import lock

RUNS = Path("runs")
OWN_FILES: Final = (
    *("run.json", "config.json", "split.npz", "log.jsonl", "metrics.json", "checkpoints"),
    *("weights.json", "weights.safetensors"),
)
"""What a run consists of, within its folder; the rest can be made again from it."""
WEIGHTS_ONLY = "weights"
"""Name of the released weights in a run without checkpoints."""


def is_weights_only(folder: Path) -> bool:
    """Whether a finished run's folder holds released weights in place of its checkpoints.

    Such a run is small and predicts as before, up to rounding, but cannot be resumed. `python -m
    fer_jax.release RUN --name weights --out RUN` writes the weights, `rm -r RUN/checkpoints` does the rest.
    """
    return (folder / f"{WEIGHTS_ONLY}.safetensors").exists() and not (folder / "checkpoints").exists()


def check_checkpoints(folder: Path) -> None:
    """Refuse to resume a run whose folder holds released weights only.

    Raises:
        RunError: it does.
    """
    if is_weights_only(folder):
        raise RunError(
            f"{folder} holds a finished run without its checkpoints: there is nothing to resume; "
            "train again, into a new --run-dir"
        )


def new_folders(names: Sequence[str]) -> list[Path]:
    """Choose unused folders of these names: `runs/NAME`, or all with the suffix -2, -3 ..."""
    folders = [RUNS / name for name in names]
    number = 1
    while any((folder / "run.json").exists() for folder in folders):
        number += 1
        folders = [RUNS / f"{name}-{number}" for name in names]
    return folders


def newest_folders(names: Sequence[str]) -> list[Path]:
    """Find the newest folders of these names, by the first name.

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
def locked(folder: Path, *, option: str = "--run-dir") -> Iterator[None]:
    """Lock a run's folder, made if need be. A process that ends, even by a kill, holds it no longer.

    A folder that was made here, and into which nothing was written, is removed again.

    Args:
        folder: of a run, or another that one process alone may write.
        option: that names it, for messages.

    Raises:
        RunError: another process holds it, or it cannot be made.
    """
    is_new = not folder.exists()
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock.hold(folder))
        except lock.HeldError as error:
            raise RunError(_describe_holder(folder, error, option)) from None
        except OSError as error:
            raise RunError(
                f"the folder {folder} cannot be used: {error.strerror}; give another {option}"
            ) from None
        try:
            yield
        finally:
            if is_new:
                lock.remove_empty(folder)


def _describe_holder(folder: Path, error: lock.HeldError, option: str) -> str:
    holder = "" if error.owner is None else f" ({error.owner})"
    gone = "" if error.record is None else f"; if that machine is gone, delete {error.record}"
    return (
        f"another run is writing in {folder}{holder}: wait for it or stop it, or give another {option}{gone}"
    )
