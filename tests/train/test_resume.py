"""Where a run resumes, and what is done about a damaged `best`, which is measured at the end."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from fer_jax.engine.loop import Replica
from fer_jax.runs import checkpoint
from fer_jax.train import resume


def save_epochs(folder: Path, is_best: tuple[bool, ...]) -> Replica:
    """Save a checkpoint after each epoch of ten steps, with its number as the weights."""
    history: list[dict[str, Any]] = []
    for epoch, best in enumerate(is_best, 1):
        history.append({"epoch": epoch, "step": 10 * epoch, "is_best": best})
        meta = {"step": 10 * epoch, "progress": {"history": history}}
        checkpoint.save({"weights": np.float32(epoch)}, meta, folder / "checkpoints", is_best=best)
    return Replica(0, folder, {"weights": np.float32(0)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("is_best", "select", "epoch", "wanted"),
    [
        ((True, False), "best", 1, "is damaged, missing or not of it; using previous"),
        ((False, True), "best", 2, "is damaged, missing or not of it; using last"),
        ((True, False, False), "best", 3, "there is no other of epoch 1, the best so far. Unless a later"),
        ((True, False), "last", 2, None),
    ],
)
def test_a_damaged_best_is_named_when_its_run_resumes_from_its_epoch_if_it_can(
    tmp_path: Path,
    is_best: tuple[bool, ...],
    select: Literal["best", "last"],
    epoch: int,
    wanted: str | None,
) -> None:
    replica = save_epochs(tmp_path, is_best)
    best = replica.checkpoints / "best"
    (best / "meta.json").write_text("{")
    *notes, where = resume.restore([replica], select=select)
    assert len(replica.progress.history) == float(replica.state["weights"]) == epoch  # type: ignore[index]
    assert where.startswith(f"resuming at step {10 * epoch} ")
    assert len(notes) == (wanted is not None)
    if wanted is not None:
        assert notes[0].startswith(f"note: checkpoint {best} cannot be used: meta.json ")
        assert wanted in notes[0]
