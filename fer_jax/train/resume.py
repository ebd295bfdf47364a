"""Where a run resumes: at the newest step of which each of its seeds has a complete checkpoint.

All seeds of a run are saved at the same steps, one after another. When a run is killed between two saves,
some have a newer `last` than others; these go back to their `previous`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fer_jax.engine.loop import Progress, Replica
from fer_jax.errors import RunError
from fer_jax.files import Json, reading
from fer_jax.runs import checkpoint, record
from fer_jax.runs import folder as runs_folder
from fer_jax.runs.location import Place

NAMES = (checkpoint.LAST, checkpoint.PREVIOUS, checkpoint.BEST)


def read_ancestor(place: Place) -> tuple[Json, np.ndarray] | None:
    """Read of the ancestor of a run what the run's own record says: its checkpoints have the weights.

    Returns:
        Its facts, and the hashes of its images, uint64; None if the run started from new weights, or was
        killed before its first checkpoint and has to load the ancestor again.
    """
    facts = record.read_record(place.folders[0]).ancestor
    is_saved = all(any((each / "checkpoints" / name).exists() for name in NAMES) for each in place.folders)
    if facts is None or not is_saved:
        return None
    folder = place.folders[0]
    with reading(folder / "run.json"):
        _, hashes, _ = record.divide_hashes(record.read_split(folder), facts)
    return facts, hashes


def restore(replicas: Sequence[Replica], *, select: Literal["best", "last"]) -> list[str]:
    """Restore replicas at the newest step of which each has a complete checkpoint.

    Where `best` is damaged and will be measured, they go back to its epoch if they can: it is saved again. A
    replica without any checkpoint starts at step 0: its run was killed before the first.

    Args:
        replicas: at least one, in their initial state. States and progress are replaced.
        select: which checkpoint is measured at the end, see `TrainConfig.select`.

    Returns:
        Lines for people: what cannot be used, and where the run resumes.

    Raises:
        RunError: all checkpoints of a replica are damaged, its run is weights-only, or the replicas have no
            step in common.
    """
    found = [_find_complete(replica) for replica in replicas]
    common = [step for step in found[0] if all(step in steps for steps in found)]
    if not common:
        there = "; ".join(
            f"{replica.folder} at {', '.join(map(str, steps))}"
            for replica, steps in zip(replicas, found, strict=True)
        )
        raise RunError(
            f"the seeds have no step in common to resume from; complete checkpoints: {there}. "
            "Resume each alone (--train.seed S --run-dir FOLDER --resume), or train all again"
        )
    step = max(common)  # `best` may be newer than `previous`.
    lost = [
        _find_lost_epoch(replica, steps[step]) if select == checkpoint.BEST else None
        for replica, steps in zip(replicas, found, strict=True)
    ]
    ends = [epoch["step"] for epoch in lost if epoch is not None]
    step = max((each for each in common if all(each <= end for end in ends)), default=step)
    lines = [
        line
        for replica, steps, epoch in zip(replicas, found, lost, strict=True)
        for line in [*_restore(replica, steps, step), *_describe_lost(replica, steps, step, epoch)]
    ]
    if found[0][step] is None:
        return [*lines, "note: there is no checkpoint yet; starting at step 0"]
    return [*lines, f"resuming at step {step:,} from {', '.join(str(steps[step]) for steps in found)}"]


def _find_complete(replica: Replica) -> dict[int, Path | None]:
    """List a replica's complete checkpoints by step, in the order of `NAMES`; None: it has no checkpoint."""
    runs_folder.check_checkpoints(replica.folder)
    folders = [replica.checkpoints / name for name in NAMES]
    if not any(folder.exists() for folder in folders):
        return {0: None}
    checkpoint.find_good(replica.checkpoints, NAMES)  # Raises the error where all are damaged.
    complete: dict[int, Path | None] = {}
    for folder in folders:
        if checkpoint.find_damage(folder) is None:
            complete.setdefault(checkpoint.read_meta(folder)["step"], folder)
    return complete


def _find_lost_epoch(replica: Replica, newest: Path | None) -> Json | None:
    """Find the record of the best epoch so far where `best` does not have its weights; None: it has them."""
    if newest is None or checkpoint.find_damage(replica.checkpoints / checkpoint.BEST) is None:
        return None
    history = checkpoint.read_meta(newest)["progress"]["history"]
    return next((record for record in reversed(history) if record["is_best"]), None)


def _describe_lost(
    replica: Replica, complete: dict[int, Path | None], step: int, epoch: Json | None
) -> list[str]:
    """Say what is done about a damaged `best`, whose epoch is given."""
    chosen, best = complete[step], replica.checkpoints / checkpoint.BEST
    if epoch is None or chosen is None:
        return []
    done = f"using {chosen.name}"
    if step > epoch["step"]:
        done = (
            f"there is no other of epoch {epoch['epoch']}, the best so far. Unless a later epoch is better, "
            "train again, into a new --run-dir"
        )
    return [f"note: checkpoint {best} cannot be used: {checkpoint.find_damage(best)}; {done}"]


def _restore(replica: Replica, complete: dict[int, Path | None], step: int) -> list[str]:
    chosen = complete[step]
    if chosen is None:
        return []
    replica.state = checkpoint.restore(replica.state, chosen)
    replica.progress = Progress(**checkpoint.read_meta(chosen)["progress"])
    _, damaged = checkpoint.find_good(replica.checkpoints, NAMES)
    last = replica.checkpoints / checkpoint.LAST
    if chosen != last and last in complete.values():
        # It is of another step. A newer one's steps are taken again, to the same bits; an older one is what
        # a program left that was killed after it had saved `best`.
        shutil.rmtree(last)
    return [f"note: {message}; using {chosen.name}" for message in damaged]
