"""Averages of the weights and their batch statistics, against plain loops and a direct computation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.training import AverageConfig, LossConfig, OptimizerConfig
from fer_jax.engine.averages import choose_rows, make_pace, make_refresh, measure_batch, move
from fer_jax.engine.losses import class_weights
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, begin_average, init_state
from fer_jax.engine.step import Batch, make_train_step
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.models.cnn import make_model
from fer_jax.runs import checkpoint

STATS = PixelStats(120.0, 60.0)
BLOCKS = (ConvBlock(features=2, pool=True, dropout_rate=0.5), ConvBlock(features=3, dropout_rate=0.5))
MODEL = make_model(ModelConfig(blocks=BLOCKS, head="mean", dense_features=0), DeviceConfig())
SGD = make_optimizer(OptimizerConfig(name="sgd"))
EMA, SWA = AverageConfig(ema_decay=0.7), AverageConfig(swa_epochs=3)


def paces(config: AverageConfig, *, epoch_steps: int, epochs: int) -> np.ndarray:
    pace = make_pace(config, epoch_steps=epoch_steps, epochs=epochs)
    assert pace is not None
    return np.asarray(jax.vmap(pace)(jnp.arange(epoch_steps * epochs)))


def follow(weights: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Average the weights after each step, float32 [steps], as the train step does."""
    average, path = jnp.zeros(()), []
    for weight, pace in zip(weights, along, strict=True):
        average = move(average, jnp.float32(weight), pace)
        path.append(float(average))
    return np.array(path)


def test_the_exponential_average_is_the_loop_with_a_rising_decay() -> None:
    weights, average, wanted = np.random.default_rng(0).normal(size=30), 0.0, []
    for step, weight in enumerate(weights):
        decay = min(0.7, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
        wanted.append(average)
    found = follow(weights, paces(EMA, epoch_steps=10, epochs=3))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_stochastic_average_is_the_mean_over_the_last_epochs_ends() -> None:
    weights = np.random.default_rng(0).normal(size=20).astype(np.float32)
    found = follow(weights, paces(SWA, epoch_steps=4, epochs=5))
    # Before the third epoch from the end the average is the weights, bit by bit.
    np.testing.assert_array_equal(found[:8], weights[:8])
    ends = weights[[11, 15, 19]]
    np.testing.assert_allclose(found[[11, 15, 19]], np.cumsum(ends) / [1, 2, 3], rtol=1e-6)
    np.testing.assert_array_equal(found[[8, 12, 16]], found[[7, 11, 15]])


def test_no_average_has_no_pace() -> None:
    assert make_pace(AverageConfig(), epoch_steps=4, epochs=5) is None


def fresh(config: AverageConfig) -> TrainState:
    return begin_average(init_state(jax.random.key(0), MODEL, SGD), config)


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)


def test_a_step_moves_the_average_and_without_one_takes_the_same_step() -> None:
    batch = Batch(faces(7), np.arange(7, dtype=np.int32), np.ones(7, np.float32))
    start = jax.tree.map(np.array, fresh(EMA).params)
    states = {}
    for config in (EMA, AverageConfig()):
        step = make_train_step(
            MODEL,
            SGD,
            LossConfig(),
            class_weights=class_weights(LossConfig(), [1] * 7),
            pixel_stats=STATS,
            pace=make_pace(config, epoch_steps=4, epochs=5),
        )
        states[config], _ = step(jax.random.key(1), fresh(config), batch, np.float32(0.1))
    on, off = states[EMA], states[AverageConfig()]
    assert off.average == {}
    assert off.predictor["params"] is off.params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), on.params, off.params)
    # The first decay is 1 / 10.
    jax.tree.map(
        lambda a, old, new: np.testing.assert_allclose(a, 0.1 * old + 0.9 * new, rtol=1e-5, atol=1e-7),
        on.predictor["params"],
        start,
        on.params,
    )


def test_refreshed_statistics_are_those_of_a_direct_computation() -> None:
    """One batch in training mode without dropout, its running statistics read back."""
    images, state = faces(12), fresh(EMA)
    rows = np.array([3, 1, 4, 5, 9, 2, 6])
    found = make_refresh(EMA, MODEL, images, rows, pixel_stats=STATS, batch_size=100)(state, 0)
    plain = tuple(ConvBlock(features=block.features, pool=block.pool) for block in BLOCKS)
    without = make_model(
        ModelConfig(blocks=plain, head="mean", dense_features=0), DeviceConfig(kernels="plain")
    )
    x = standardise(jnp.asarray(images[rows]), STATS)
    _, after = without.apply(
        {"params": state.params, "batch_stats": jax.tree.map(jnp.zeros_like, state.batch_stats)},
        x,
        is_training=True,
        mutable=["batch_stats"],
    )
    # Flax keeps 0.9 of the old statistics, which are 0.
    wanted = jax.tree.map(lambda leaf: leaf / 0.1, after["batch_stats"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        found.average["batch_stats"],
        wanted,
    )
    assert checkpoint.flatten(found).keys() == checkpoint.flatten(state).keys()
    jax.tree.map(np.testing.assert_array_equal, found.batch_stats, state.batch_stats)


def test_batches_are_merged_and_an_incomplete_one_is_left_out() -> None:
    images, state = faces(8), fresh(EMA)
    refresh = make_refresh(EMA, MODEL, images, np.arange(8), pixel_stats=STATS, batch_size=3)
    found = flatten_dict(refresh(state, 1).average["batch_stats"])
    x = standardise(images[choose_rows(EMA, np.arange(8), seed=1)], STATS)
    parts = [flatten_dict(measure_batch(MODEL, state.average, jnp.asarray(x[k : k + 3]))) for k in (0, 3)]
    for path, leaf in found.items():
        mean, var = (np.array([part[(*path[:-1], name)] for part in parts]) for name in ("mean", "var"))
        wanted = mean.mean(0) if path[-1] == "mean" else var.mean(0) + mean.var(0)
        np.testing.assert_allclose(leaf, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("wanted", "count"), [(4, 4), (0, 20), (99, 20)])
def test_the_same_training_rows_are_measured_each_time(wanted: int, count: int) -> None:
    config, rows = AverageConfig(ema_decay=0.9, stats_examples=wanted), np.arange(100, 120)
    chosen = choose_rows(config, rows, seed=1)
    assert len(chosen) == len(np.unique(chosen)) == count
    assert np.isin(chosen, rows).all()
    np.testing.assert_array_equal(chosen, choose_rows(config, rows, seed=1))
