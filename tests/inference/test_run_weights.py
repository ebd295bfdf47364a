"""A run that is read back has the weights that its config selects."""

import itertools
from dataclasses import replace
from typing import Any, Literal

import jax
import numpy as np
import pytest

from fer_jax.config.data import DataConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.examples import hash_images
from fer_jax.data.split import Split
from fer_jax.data.synthetic import draw_examples
from fer_jax.engine.loop import Record, Replica, run_epochs
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.errors import DataError
from fer_jax.inference import run_weights
from fer_jax.metrics.counts import Counts
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs import checkpoint, record

SEED, EPOCH_STEPS = 2, 3
CONFIG = Config(
    name="selected",
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=2),
    train=TrainConfig(epochs=4, batch_size=8, seed=SEED),
)
EXAMPLES = draw_examples(seed=0, examples=70)
SPLIT = Split(train=np.arange(24), val=np.arange(24, 34), test=np.arange(34, 44))
# Of ten: the second epoch is the best, the third is as good, and the last is worse.
CORRECT = (3, 7, 7, 5)
SELECTED_EPOCH = {"best": 2, "last": 4}


def evaluate(states: Any, rows: Any) -> list[list[Counts]]:
    """Play back `CORRECT` as the validation accuracy; the weights do not matter."""
    correct = CORRECT[int(states[0].step) // EPOCH_STEPS - 1]
    return [[Counts(24.0, np.eye(2, dtype=int)), Counts(10.0, np.array([[correct, 10 - correct], [0, 0]]))]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Replica, list[dict[str, np.ndarray]]]:
    """Train a run with a best epoch that is not its last; return it, and its leaves after each epoch."""
    programs = make_programs(CONFIG, EXAMPLES, SPLIT)
    job = make_job(CONFIG, [SEED], EXAMPLES, SPLIT, programs)
    job = replace(job, stepper=job.stepper._replace(evaluate=evaluate))
    replica = Replica(SEED, tmp_path_factory.mktemp("run"), programs.init(jax_key(SEED, Stream.INIT)))
    after: list[dict[str, np.ndarray]] = []

    def on_epoch(_: list[Record]) -> None:
        after.append(checkpoint.flatten(jax.tree.map(np.array, replica.state)))

    run_epochs(
        job,
        [replica],
        clock=itertools.count().__next__,
        signals=[],
        on_step=lambda *_: None,
        on_epoch=on_epoch,
    )
    return replica, after


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_weights_are_those_that_the_config_selects(
    run: tuple[Replica, list[dict[str, np.ndarray]]], select: Literal["best", "last"]
) -> None:
    replica, after = run
    config = replace(CONFIG, train=replace(CONFIG.train, select=select))
    facts = record.describe_run(config, EXAMPLES, SPLIT, command="")
    hashes = hash_images(EXAMPLES.images[SPLIT.train])
    record.write(replica.folder, config, SPLIT, facts, train_hashes=hashes)
    loaded = run_weights.load(replica.folder, None, None)
    epoch = SELECTED_EPOCH[select]
    assert loaded.checkpoint == {"name": select, "step": epoch * EPOCH_STEPS}
    said = f"note: the run is not finished; these are its weights after {epoch * EPOCH_STEPS} steps"
    assert loaded.notes == (said,)
    wanted = after[epoch - 1]
    for part in ("params", "batch_stats"):
        leaves = checkpoint.flatten(loaded.network.variables[part])
        assert leaves
        for path, leaf in leaves.items():
            np.testing.assert_array_equal(leaf, wanted[f"{part}/{path}"])
    kernels = [leaves["params/logits/kernel"] for leaves in after]
    assert len({kernel.tobytes() for kernel in kernels}) == len(CORRECT)


def test_synthetic_faces_that_another_version_drew_are_named_as_such(
    run: tuple[Replica, list[dict[str, np.ndarray]]],
) -> None:
    replica, _ = run
    config = replace(CONFIG, data=DataConfig(source="synthetic", synthetic_examples=70))
    facts = record.describe_run(config, EXAMPLES, SPLIT, command="")
    hashes = hash_images(EXAMPLES.images[SPLIT.train])
    record.write(replica.folder, config, SPLIT, facts, train_hashes=hashes)
    loaded = run_weights.load(replica.folder, None, None)
    assert run_weights.load_data(loaded, is_other_file=False).sha256 == EXAMPLES.sha256
    old = replace(loaded.record.data, sha256="0123456789abcdef")
    loaded = replace(loaded, record=replace(loaded.record, data=old))
    with pytest.raises(
        DataError, match=r"70 synthetic faces, seed 0 .* draws otherwise .*, not 0123456789ab"
    ):
        run_weights.load_data(loaded, is_other_file=False)
