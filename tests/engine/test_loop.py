"""A tiny run with all craft on: stopped and resumed it has the same bits, and predicts as it was measured."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, LossConfig, OptimizerConfig, TrainConfig
from fer_jax.data.split import split_examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.engine.loop import Job, Replica, run_epochs
from fer_jax.engine.setup import Programs, make_job, make_programs
from fer_jax.files import write_json
from fer_jax.inference import predictor, run_weights
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs import checkpoint, record
from fer_jax.runs.checkpoint import state_hash
from fer_jax.runtime.signals import StopError
from fer_jax.train import resume

SEEDS = (0, 1)
CONFIG = Config(
    name="craft",
    augment=AugmentConfig(flip_probability=0.5),
    model=ModelConfig(
        blocks=(
            ConvBlock(features=2, pool=True),
            ConvBlock(features=4, pool=True, dropout_rate=0.2),
        ),
        head="mean",
        dense_features=0,
    ),
    loss=LossConfig(label_smoothing=0.1, class_weights="effective", focal_gamma=1.0),
    mix=MixConfig(mixup_alpha=0.4, cutmix_alpha=1.0, probability=0.8),
    optimizer=OptimizerConfig(
        name="muon", momentum=0.95, peak_rate=0.01, weight_decay=0.01, clip_value=0.1, sam_radius=0.05
    ),
    average=AverageConfig(ema_decay=0.9, stats_examples=40),
    train=TrainConfig(
        epochs=3, batch_size=16, small_epochs=1, small_side_px=16, select="last", train_eval_examples=20
    ),
)
EXAMPLES = draw_examples(seed=0, examples=100)
SPLIT = split_examples(EXAMPLES, CONFIG.split)


@pytest.fixture(scope="module")
def programs() -> Programs:
    return make_programs(CONFIG, EXAMPLES, SPLIT)


def begin(programs: Programs, folder: Path) -> tuple[Job, list[Replica]]:
    job = make_job(CONFIG, SEEDS, EXAMPLES, SPLIT, programs)
    return job, [
        Replica(seed, folder / str(seed), programs.init(jax_key(seed, Stream.INIT))) for seed in SEEDS
    ]


def run(job: Job, replicas: list[Replica], *, stop_at: int) -> None:
    """Train, with a signal once so many steps are done; 0: none."""
    signals: list[int] = []

    def on_step(_: int, __: float) -> None:
        if 0 < stop_at <= int(replicas[0].state.step):
            signals.append(15)

    run_epochs(
        job,
        replicas,
        clock=itertools.count().__next__,
        signals=signals,
        on_step=on_step,
        on_epoch=lambda _: None,
    )


def test_a_stopped_run_goes_on_to_the_same_bits_and_predicts_as_measured(
    programs: Programs, tmp_path: Path
) -> None:
    every, whole = begin(programs, tmp_path / "whole")
    run(every, whole, stop_at=0)
    # Measured less often it has the same bits too.
    job = replace(every, config=replace(CONFIG, train=replace(CONFIG.train, measure_epochs=2)))
    _, stopped = begin(programs, tmp_path / "stopped")
    middle = job.epoch_steps + job.epoch_steps // 2
    with pytest.raises(StopError):
        run(job, stopped, stop_at=middle)
    _, resumed = begin(programs, tmp_path / "stopped")
    resume.restore(resumed, select="last")
    assert middle <= int(resumed[0].state.step) < 2 * job.epoch_steps
    run(job, resumed, stop_at=0)
    assert [state_hash(replica.state) for replica in resumed] == [
        state_hash(replica.state) for replica in whole
    ]
    for replica, other in zip(resumed, whole, strict=True):
        for done, wanted in zip(replica.progress.history, other.progress.history, strict=True):
            free = {name: done[name] for name in ("seconds", "images_per_second", "is_best")}
            assert done == {name: wanted[name] for name in done} | free
        assert ["val_loss" in done for done in replica.progress.history] == [False, True, True]
    _check_what_is_loaded(resumed[1])


def _check_what_is_loaded(replica: Replica) -> None:
    assert {"average/params/logits/kernel", "average/batch_stats/block1/norm/var"} <= set(
        checkpoint.flatten(replica.state)
    )
    facts = record.describe_run(CONFIG, EXAMPLES, SPLIT, command="")
    hashes = EXAMPLES.hashes[SPLIT.train]
    record.write(replica.folder, CONFIG, SPLIT, facts | {"seed": replica.seed}, train_hashes=hashes)
    write_json(replica.folder / "run.json", facts | {"seed": replica.seed})
    loaded = run_weights.load(replica.folder, None, None)
    for name in ("params", "batch_stats"):
        for path, leaf in checkpoint.flatten(loaded.network.variables[name]).items():
            np.testing.assert_array_equal(leaf, checkpoint.flatten(replica.state.average[name])[path])
    logits, _ = predictor.predict(loaded.network, EXAMPLES.images[SPLIT.val])
    is_right = logits.argmax(axis=1) == EXAMPLES.labels[SPLIT.val]
    assert is_right.mean() == replica.progress.history[-1]["val_accuracy"]
