"""What measures the network is compiled beside the train step: found later, and with the same results."""

import threading
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, TrainConfig
from fer_jax.data.split import split_examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.engine.loop import Job, Replica
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.engine.state import TrainState
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs.checkpoint import state_hash
from fer_jax.train.ahead import measure_ahead

pytestmark = pytest.mark.usefixtures("quick_compile")

CONFIG = Config(
    name="ahead",
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=4),
    average=AverageConfig(ema_decay=0.9, stats_examples=40),
    train=TrainConfig(epochs=1, batch_size=16, eval_batch_size=16),
    device=DeviceConfig(mode="resident"),
)
EXAMPLES = draw_examples(seed=0, examples=100)
SPLIT = split_examples(EXAMPLES, CONFIG.split)
PROGRAMS = make_programs(CONFIG, EXAMPLES, SPLIT)


def begin() -> tuple[Job, Replica]:
    job = make_job(CONFIG, [0], EXAMPLES, SPLIT, PROGRAMS)
    return job, Replica(0, Path(), PROGRAMS.init(jax_key(0, Stream.INIT)))


def named(compiled: list[str]) -> set[str]:
    """Which of the two large programs were compiled: the evaluation, and the statistics of the average."""
    return {name for name in ("count_chunk", "measure") if any(name in each for each in compiled)}


def test_what_is_compiled_ahead_is_found_and_measures_the_same() -> None:
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **about: str | int) -> None:
        if (
            event.endswith("backend_compile_duration")
            and threading.current_thread() is threading.main_thread()
        ):
            compiled.append(str(about.get("fun_name")))

    job, replica = begin()
    begun = measure_ahead(job, [replica])
    jax.monitoring.register_event_duration_secs_listener(listen)
    rows = [[SPLIT.train, SPLIT.val]]
    found = begun.stepper.evaluate([replica.state], rows), state_hash(begun.refresh(replica.state, 0))
    assert not named(compiled)
    jax.clear_caches()
    again = job.stepper.evaluate([replica.state], rows), state_hash(job.refresh(replica.state, 0))
    assert named(compiled) == {"count_chunk", "measure"}
    jax.tree.map(np.testing.assert_array_equal, found[0], again[0])
    assert found[1] == again[1]


def test_what_goes_wrong_is_raised_where_the_result_is_needed() -> None:
    def fail(*_: object) -> TrainState:
        raise MemoryError("no room for the program")

    job, replica = begin()
    broken = measure_ahead(replace(job, refresh=fail), [replica])
    with pytest.raises(MemoryError, match="no room"):
        broken.refresh(replica.state, 0)
    assert len(broken.stepper.evaluate([replica.state], [[SPLIT.val]])[0]) == 1
