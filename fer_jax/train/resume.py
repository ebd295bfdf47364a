"""Where a run goes on: at the newest step of which each of its seeds has a whole checkpoint.

All seeds of a run are saved at the same steps, one after another. When a run is killed between two saves,
some have a newer `last` than others; these go back to their `previous`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from fer_jax.engine.loop import Lane, Progress
from fer_jax.errors import RunError
from fer_jax.runs import checkpoint
from fer_jax.runs import folder as runs_folder

NAMES = (checkpoint.LAST, checkpoint.PREVIOUS, checkpoint.BEST)


def restore(lanes: Sequence[Lane]) -> list[str]:
    """Bring lanes to the newest step of which each has a whole checkpoint.

    A lane without any checkpoint is at step 0, as it was made: its run was killed before the first.

    Args:
        lanes: at least one, as they were made. States and progress are replaced.

    Returns:
        Lines for people: what cannot be used, and where the run goes on.

    Raises:
        RunError: a lane has checkpoints and none is whole, its run is light, or no step is common to all.
    """
    found = [_find_whole(lane) for lane in lanes]
    common = [step for step in found[0] if all(step in steps for steps in found)]
    if not common:
        there = "; ".join(
            f"{lane.folder} at {', '.join(map(str, steps))}" for lane, steps in zip(lanes, found, strict=True)
        )
        raise RunError(
            f"the seeds have no step in common to go on from; whole checkpoints: {there}. "
            "Go on with each alone (--train.seed S --run-dir FOLDER --resume), or train all again"
        )
    step = common[0]
    lines = [line for lane, steps in zip(lanes, found, strict=True) for line in _restore(lane, steps, step)]
    if found[0][step] is None:
        return [*lines, "note: there is no checkpoint yet; starting at step 0"]
    return [*lines, f"resuming at step {step:,} from {', '.join(str(steps[step]) for steps in found)}"]


def _find_whole(lane: Lane) -> dict[int, Path | None]:
    """List a lane's whole checkpoints by their step, in the order of `NAMES`; None: it has none at all."""
    if runs_folder.is_light(lane.folder):
        raise RunError(
            f"{lane.folder} holds a finished run whose checkpoints were taken away; it has nothing to go on "
            "from: train again, into a new --run-dir"
        )
    folders = [lane.checkpoints / name for name in NAMES]
    if not any(folder.exists() for folder in folders):
        return {0: None}
    checkpoint.find_good(lane.checkpoints, NAMES)  # It says what is wrong where none is whole.
    whole: dict[int, Path | None] = {}
    for folder in folders:
        if checkpoint.find_damage(folder) is None:
            whole.setdefault(checkpoint.read_meta(folder)["step"], folder)
    return whole


def _restore(lane: Lane, whole: dict[int, Path | None], step: int) -> list[str]:
    chosen = whole[step]
    if chosen is None:
        return []
    lane.state = checkpoint.restore(lane.state, chosen)
    lane.progress = Progress(**checkpoint.read_meta(chosen)["progress"])
    _, damaged = checkpoint.find_good(lane.checkpoints, NAMES)
    last = lane.checkpoints / checkpoint.LAST
    if chosen != last and last in whole.values():
        # This lane is ahead of another. What it did since is made again, to the same bits.
        shutil.rmtree(last)
    return [f"note: {message}; using {chosen.name}" for message in damaged]
