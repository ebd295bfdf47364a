"""Several devices give what one gives, up to rounding: losses, weights, counts, statistics, for each seed.

JAX has to be told the number of devices before it starts, so this file runs itself in a process of its own.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import jax
import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, OptimizerConfig, TrainConfig
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.engine.input_pipeline import make_recipe_at
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.errors import ConfigError
from fer_jax.parallel.mesh import (
    ONE_DEVICE,
    OneDevice,
    Place,
    choose_devices,
    divisible,
    list_places,
    make_mesh,
)
from fer_jax.randomness import Stream, jax_key

DEVICES, STEPS = 2, 3
CONFIG = Config(
    name="tiny",
    augment=AugmentConfig(shift_probability=1.0, repeats=2),
    mix=MixConfig(mixup_alpha=0.5, cutmix_alpha=1.0, probability=0.8),
    model=ModelConfig(
        blocks=(ConvBlock(features=3, pool=True, dropout_rate=0.2),), dense_features=4, dense_dropout_rate=0.2
    ),
    optimizer=OptimizerConfig(name="sgd", sam_radius=0.05, peak_rate=0.02),
    average=AverageConfig(ema_decay=0.5),
    # 6 is not divisible: the evaluation is padded, and each device measures all statistics.
    train=TrainConfig(batch_size=8, eval_batch_size=6, epochs=3),
)
SPLIT = Split(np.arange(24), np.arange(24, 40), np.arange(0))


def some_examples() -> Examples:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 48, 48, 1), dtype=np.uint8)
    return Examples(images, np.arange(40, dtype=np.int32) % 7, np.full(40, -1, np.int32), "faces", "0" * 64)


def train(device: DeviceConfig, seeds: Sequence[int]) -> tuple[str, list[list[np.ndarray]]]:
    """Train seeds together: how batches are made, and for each losses, counts and leaves of the state."""
    config, examples = replace(CONFIG, device=device), some_examples()
    programs = make_programs(config, examples, SPLIT)
    job = make_job(config, seeds, examples, SPLIT, programs)
    states = [programs.init(jax_key(seed, Stream.INIT)) for seed in seeds]
    recipe_at = make_recipe_at(config, examples.labels, SPLIT.train, targets=None, seeds=len(seeds))
    found: list[list[np.ndarray]] = [[] for _ in seeds]
    for step in range(STEPS):
        recipes = [[recipe_at(seed, step)] for seed in seeds]
        rates = np.full((len(seeds), 1), 0.02, np.float32)
        states, objectives = job.stepper.train(states, recipes, rates, 48, 0)
        for own, objective in zip(found, objectives, strict=True):
            own.append(np.ravel(objective.loss_sum))
    states = [job.refresh(state, seed) for state, seed in zip(states, seeds, strict=True)]
    counted = job.stepper.evaluate(states, [[SPLIT.val]] * len(seeds))
    for own, (counts,), state in zip(found, counted, states, strict=True):
        own += [np.asarray(counts.loss_sum), counts.confusion, *map(np.asarray, jax.tree.leaves(state))]
    return job.stepper.description, found


def compare() -> None:
    """Compare the ways to use two devices with one device."""
    assert len(jax.devices()) == DEVICES
    _, wanted = train(DeviceConfig(), [0, 1])
    words, found = train(DeviceConfig(count="all"), [0, 1])
    assert words == "made on the host; 2 seeds side by side"
    for one, other in zip(chain(*wanted), chain(*found), strict=True):
        np.testing.assert_array_equal(other, one)
    for mode, words in {"host": "made on the host", "resident": "made on the device; 1 step a call"}.items():
        description, (found_alone,) = train(DeviceConfig(count=2, mode=mode), [0])  # type: ignore[arg-type]
        assert description == f"{words}; shared by 2 devices"
        for one, other in zip(wanted[0], found_alone, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    two = DeviceConfig(count=2)
    (place,) = list_places(two, seeds=1, batch_size=None)
    check_divided(place)
    with pytest.raises(ConfigError, match="batch_size is 7, and 2 devices share each batch"):
        list_places(two, seeds=1, batch_size=7)
    # Each seed has a device of its own.
    assert [each.devices for each in list_places(two, seeds=2, batch_size=7)] == [1, 1]


def check_divided(place: Place) -> None:
    """Check that each device holds its part of the data, and that taking rows exchanges these rows alone."""
    images = some_examples().images[:39]
    rows = np.array([38, 0, 20, 19, 38, 5], np.int32)
    (held,) = place.put_data([images])
    assert [shard.data.shape[0] for shard in held.addressable_shards] == [20, 20]
    take = jax.jit(lambda data, some: data[some])
    inputs = held, place.put_shared(place.cut(rows))
    np.testing.assert_array_equal(take(*inputs), images[rows])
    program = take.lower(*inputs).compile().as_text() or ""
    exchanged = re.findall(r"= (u8\S*) all-", program)
    assert exchanged and all(each.startswith("u8[6,48,48,1]") for each in exchanged)


def test_several_devices_train_as_one() -> None:
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(DEVICES), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_more_devices_than_there_are_are_refused() -> None:
    count = len(jax.local_devices()) + 1
    with pytest.raises(ConfigError, match=f"JAX_NUM_CPU_DEVICES={count}"):
        choose_devices(DeviceConfig(count=count))
    assert make_mesh(DeviceConfig(), seeds=3) is None


def test_a_batch_that_may_be_padded_is_rounded_up() -> None:
    three = OneDevice()
    three.devices = 3
    assert divisible(8, three) == 9
    assert divisible(8, ONE_DEVICE) == 8


if __name__ == "__main__":
    compare()
