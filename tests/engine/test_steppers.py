"""Steppers: the same batches everywhere, and the states of each seed trained alone."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.training import AverageConfig, LossConfig, OptimizerConfig
from fer_jax.data.batches import epoch_order
from fer_jax.data.examples import Examples
from fer_jax.engine.averages import make_pace
from fer_jax.engine.input_pipeline import Recipe, draw_recipe, follow
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, begin_average, init_state
from fer_jax.engine.step import make_eval_step, make_train_step
from fer_jax.engine.steppers import EVAL_STEPS, Stepper, make_host_stepper, make_resident_stepper
from fer_jax.images.standardise import PixelStats
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs.checkpoint import state_hash

EPOCH_STEPS, BATCH_SIZE, EVAL_BATCH_SIZE = 6, 4, 3
AUGMENT = AugmentConfig(
    shift_probability=1.0,
    rotate_probability=1.0,
    sharpness_probability=0.5,
    gamma_probability=0.5,
    erase_probability=0.5,
)
MIX = MixConfig(mixup_alpha=0.5, cutmix_alpha=1.0, probability=0.8)
STATS = PixelStats(120.0, 60.0)
# Adam would enlarge the smallest differences: where a gradient is nearly 0 it looks at the sign alone.
OPTIMIZER = make_optimizer(OptimizerConfig(name="sgd"))
MODEL = make_model(
    ModelConfig(blocks=(ConvBlock(features=3, pool=True, dropout_rate=0.2),), dense_features=4),
    DeviceConfig(),
)
TRAIN_STEP = make_train_step(
    MODEL, OPTIMIZER, LossConfig(), class_weights=np.ones(7, np.float32), pixel_stats=STATS
)
EVAL_STEP = make_eval_step(MODEL, pixel_stats=STATS)
# More than one scan of evaluation, and not a whole number of batches.
PARTS = (np.arange(EVAL_STEPS * EVAL_BATCH_SIZE + 4), np.array([5, 3]))

Make = Callable[[Sequence[int]], Stepper]


def some_examples() -> Examples:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 48, 48, 1), dtype=np.uint8)
    return Examples(images, np.arange(40, dtype=np.int32) % 7, np.full(40, -1, np.int32), "faces", "0" * 64)


EXAMPLES = some_examples()


def keys_of(seeds: Sequence[int]) -> list[jax.Array]:
    return [jax_key(seed, Stream.DROPOUT) for seed in seeds]


def host(seeds: Sequence[int]) -> Stepper:
    return make_host_stepper(keys_of(seeds), TRAIN_STEP, EVAL_STEP, EXAMPLES, eval_batch_size=EVAL_BATCH_SIZE)


def resident(seeds: Sequence[int], *, is_fused: bool) -> Stepper:
    return make_resident_stepper(
        keys_of(seeds),
        TRAIN_STEP,
        EVAL_STEP,
        EXAMPLES,
        eval_batch_size=EVAL_BATCH_SIZE,
        epoch_steps=EPOCH_STEPS,
        is_fused=is_fused,
    )


def recipe(seed: int, position: int) -> Recipe:
    order = epoch_order(seed, 0, np.arange(len(EXAMPLES)))
    return draw_recipe(
        order, AUGMENT, batch_size=BATCH_SIZE, position=position, seed=seed, step=position, mixing=MIX
    )


def take_epoch(
    stepper: Stepper, states: list[TrainState], seeds: Sequence[int], *, rate: float, side_px: int
) -> tuple[list[TrainState], np.ndarray]:
    """Train an epoch: the states, and the summed losses [K, steps]."""
    losses = []
    for first in range(0, EPOCH_STEPS, stepper.chunk_steps):
        positions = range(first, min(first + stepper.chunk_steps, EPOCH_STEPS))
        recipes = [[recipe(seed, position) for position in positions] for seed in seeds]
        rates = np.full((len(seeds), len(positions)), rate, np.float32)
        states, objectives = stepper.train(states, recipes, rates, side_px, 0)
        losses.append([np.ravel(objective.loss_sum) for objective in objectives])
    return states, np.concatenate(losses, axis=1)


def train(make: Make, seeds: Sequence[int]) -> tuple[list[TrainState], np.ndarray, Any]:
    """Train an epoch: the states, the summed losses [K, steps], and the counts of `PARTS`."""
    stepper = make(seeds)
    fresh = [init_state(jax_key(seed, Stream.INIT), MODEL, OPTIMIZER) for seed in seeds]
    states, losses = take_epoch(stepper, fresh, seeds, rate=0.05, side_px=48)
    return states, losses, stepper.evaluate(states, [PARTS] * len(seeds))


@pytest.fixture(scope="module")
def alone() -> list[tuple[TrainState, np.ndarray, Any]]:
    """Train each of three seeds by itself, on the host."""
    return [
        (states[0], losses[0], counts[0])
        for states, losses, counts in (train(host, [seed]) for seed in range(3))
    ]


def test_recipes_give_the_same_bits_on_host_and_device() -> None:
    faces = (jnp.asarray(EXAMPLES.images), jnp.asarray(EXAMPLES.labels))
    for position in range(3):
        on_host = follow(recipe(0, position), EXAMPLES.images, EXAMPLES.labels)
        on_device = jax.jit(follow)(recipe(0, position), *faces)
        for wanted, found in zip(jax.tree.leaves(on_host), jax.tree.leaves(on_device), strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


def test_replicas_on_the_host_are_bit_equal_to_each_seed_alone(alone: Any) -> None:
    states, losses, counts = train(host, range(3))
    for (state, loss, count), *found in zip(alone, states, losses, counts, strict=True):
        assert state_hash(found[0]) == state_hash(state)
        np.testing.assert_array_equal(found[1], loss)
        for part, wanted in zip(found[2], count, strict=True):
            np.testing.assert_array_equal(part.confusion, wanted.confusion)
            assert part.loss_sum == wanted.loss_sum


@pytest.mark.parametrize("is_fused", [False, True], ids=["resident", "resident, scanned"])
def test_resident_replicas_are_bit_equal_to_each_seed_alone_and_close_to_the_host(
    alone: Any, is_fused: bool
) -> None:
    make, seeds = partial(resident, is_fused=is_fused), (0, 1, 2)
    found = train(make, seeds)
    (own,), own_losses, ((_, own_counts),) = train(make, seeds[1:2])
    assert state_hash(own) == state_hash(found[0][1])
    np.testing.assert_array_equal(own_losses[0], found[1][1])
    np.testing.assert_array_equal(own_counts.confusion, found[2][1][1].confusion)
    for seed, state, loss, counts in zip(seeds, *found, strict=True):
        wanted_state, wanted_loss, wanted_counts = alone[seed]
        assert int(state.step) == EPOCH_STEPS
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state, wanted_state)
        np.testing.assert_allclose(loss, wanted_loss, rtol=1e-5)
        for part, wanted, rows in zip(counts, wanted_counts, PARTS, strict=True):
            assert part.confusion.sum() == len(rows)
            np.testing.assert_array_equal(part.confusion, wanted.confusion)
            np.testing.assert_allclose(part.loss_sum, wanted.loss_sum, rtol=1e-5)


def test_the_craft_in_one_program_is_the_craft_on_the_host() -> None:
    optimizer = OptimizerConfig(name="muon", momentum=0.9, weight_decay=0.1, sam_radius=0.05)
    average = AverageConfig(ema_decay=0.9)
    blocks = (ConvBlock(features=3, pool=True), ConvBlock(features=4, squeeze_excite=True))
    model = make_model(ModelConfig(blocks=blocks, head="mean", dense_features=0), DeviceConfig())
    chain = make_optimizer(optimizer)
    step = make_train_step(
        model,
        chain,
        LossConfig(label_smoothing=0.1),
        class_weights=np.ones(7, np.float32),
        pixel_stats=STATS,
        sam_radius=optimizer.sam_radius,
        pace=make_pace(average, epoch_steps=EPOCH_STEPS, epochs=1),
    )
    evaluate = make_eval_step(model, pixel_stats=STATS)

    seeds = (0, 1)

    def train_all(stepper: Stepper) -> list[TrainState]:
        fresh = [init_state(jax_key(seed, Stream.INIT), model, chain) for seed in seeds]
        states = [begin_average(state, average) for state in fresh]
        return take_epoch(stepper, states, seeds, rate=0.02, side_px=16)[0]

    parts = keys_of(seeds), step, evaluate, EXAMPLES
    alone = make_host_stepper(*parts, eval_batch_size=1)
    fused = make_resident_stepper(*parts, eval_batch_size=1, epoch_steps=EPOCH_STEPS, is_fused=True)
    for ours, theirs in zip(train_all(fused), train_all(alone), strict=True):
        # Adam, to which Muon leaves the first kernel, enlarges small differences; a step is 20 times as long.
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), ours, theirs)
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), theirs.average["params"], theirs.params)
        assert all(jax.tree.leaves(moved)), "an average that is the weights would be equal for nothing"


def test_any_batch_size_of_the_evaluation_gives_the_same_counts(alone: Any) -> None:
    state, _, wanted = alone[0]
    for size in (1, 7, 40):
        parts = keys_of([0]), TRAIN_STEP, EVAL_STEP, EXAMPLES
        steppers = [make_host_stepper(*parts, eval_batch_size=size)]
        if size == 7:
            steppers.append(
                make_resident_stepper(*parts, eval_batch_size=size, epoch_steps=EPOCH_STEPS, is_fused=True)
            )
        for stepper in steppers:
            (counts,) = stepper.evaluate([state], [PARTS])
            for found, part in zip(counts, wanted, strict=True):
                np.testing.assert_array_equal(found.confusion, part.confusion)
                np.testing.assert_allclose(found.loss_sum, part.loss_sum, rtol=1e-5)


@pytest.mark.parametrize(("epoch_steps", "chunk_steps"), [(1, 1), (64, 64), (65, 33), (157, 53)])
def test_an_epoch_is_cut_into_chunks_of_about_the_same_size(epoch_steps: int, chunk_steps: int) -> None:
    for is_fused in (True, False):
        stepper = make_resident_stepper(
            keys_of([0]),
            TRAIN_STEP,
            EVAL_STEP,
            EXAMPLES,
            eval_batch_size=EVAL_BATCH_SIZE,
            epoch_steps=epoch_steps,
            is_fused=is_fused,
        )
        assert stepper.chunk_steps == (chunk_steps if is_fused else 1)
