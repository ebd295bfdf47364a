"""The jitted steps, against the same gradient taken another way."""

from functools import cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.training import LossConfig, OptimizerConfig
from fer_jax.data.examples import Examples
from fer_jax.engine.input_pipeline import eval_batches, evaluate
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, init_state
from fer_jax.engine.step import Batch, Objective, TrainStep, make_eval_step, make_train_step, prepare_batch
from fer_jax.images.mixing import Mix
from fer_jax.images.standardise import PixelStats
from fer_jax.metrics.counts import Counts
from fer_jax.models.cnn import make_model
from fer_jax.runs.checkpoint import state_hash

KEY = jax.random.key(0)
STATS = PixelStats(120.0, 60.0)
PLAIN = make_model(
    ModelConfig(blocks=(ConvBlock(features=2, batch_norm=False, pool=True),), dense_features=4),
    DeviceConfig(),
)
FULL = make_model(
    ModelConfig(blocks=(ConvBlock(features=2, pool=True, dropout_rate=0.5),), dense_features=4),
    DeviceConfig(),
)
SGD = make_optimizer(OptimizerConfig(name="sgd", momentum=0.0))
ONES = np.ones(7, np.float32)
CLASS_WEIGHTS = np.array([1, 2, 0.5, 1, 3, 1, 1], np.float32)


def some_batch(count: int) -> Batch:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)
    return Batch(images, (np.arange(count) % 7).astype(np.int32), np.ones(count, np.float32))


def make_step(model: nn.Module, *, label_smoothing: float, class_weights: np.ndarray) -> TrainStep:
    loss = LossConfig(label_smoothing=label_smoothing)
    return make_train_step(model, SGD, loss, class_weights=class_weights, pixel_stats=STATS)


@cache
def full_step() -> TrainStep:
    return make_step(FULL, label_smoothing=0.0, class_weights=ONES)


def take(step: TrainStep, model: nn.Module, batch: Batch, *, key: jax.Array, at: int) -> tuple[Any, Any]:
    """Take one step of rate 0.1 from the fresh weights."""
    return step(key, start(model).replace(step=jnp.int32(at)), batch, np.float32(0.1))  # type: ignore[attr-defined]


@cache
def drawn(model: nn.Module) -> TrainState:
    return init_state(jax.random.key(1), model, SGD)


def start(model: nn.Module) -> TrainState:
    """Copy the fresh weights, since a step uses up its state."""
    return jax.tree.map(jnp.copy, drawn(model))


def assert_trees_close(found: Any, wanted: Any, *, atol: float) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), found, wanted)


def objective_by_hand(
    params: Any, batch: Batch, *, label_smoothing: float, class_weights: np.ndarray
) -> tuple[jax.Array, Any]:
    x = jnp.asarray((batch.images.astype(np.float64) - STATS.mean) / STATS.std, jnp.float32)
    logits: Any = PLAIN.apply({"params": params}, x, is_training=False)
    log_p = jax.nn.log_softmax(logits)
    hit = log_p[np.arange(len(x)), batch.labels]
    losses = -(1 - label_smoothing) * hit - label_smoothing * log_p.mean(axis=1)
    weights = class_weights[batch.labels] * batch.weights
    return (losses * weights).sum() / weights.sum(), ((losses * weights).sum(), weights.sum())


@pytest.mark.parametrize(("label_smoothing", "class_weights"), [(0.0, ONES), (0.3, CLASS_WEIGHTS)])
def test_a_step_of_plain_sgd_takes_off_rate_times_gradient(
    label_smoothing: float, class_weights: np.ndarray
) -> None:
    options: Any = {"label_smoothing": label_smoothing, "class_weights": class_weights}
    batch = some_batch(9)
    batch.weights[7:] = 0
    state, sums = take(make_step(PLAIN, **options), PLAIN, batch, key=KEY, at=0)
    before = start(PLAIN).params
    by_hand = jax.jit(jax.grad(lambda params: objective_by_hand(params, batch, **options), has_aux=True))
    gradient, wanted = by_hand(before)
    moved = jax.tree.map(lambda p, g: p - 0.1 * g, before, gradient)
    assert_trees_close(state.params, moved, atol=1e-6)
    assert max(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradient)) > 0.01
    np.testing.assert_allclose(sums, wanted, rtol=1e-5)
    assert int(state.step) == 1


def test_padding_has_no_part_in_the_step() -> None:
    step = make_step(PLAIN, label_smoothing=0.1, class_weights=CLASS_WEIGHTS)
    small, big = some_batch(5), some_batch(8)
    big.images[:5], big.weights[5:] = small.images, 0
    a, a_sums = take(step, PLAIN, small, key=KEY, at=0)
    b, b_sums = take(step, PLAIN, big, key=KEY, at=0)
    assert_trees_close(a.params, b.params, atol=1e-6)
    np.testing.assert_allclose(a_sums, b_sums, rtol=1e-5)


def test_the_same_key_and_step_give_the_same_bits_and_others_another_dropout() -> None:
    def outcome(seed: int, at: int) -> tuple[float, str]:
        state, sums = take(full_step(), FULL, some_batch(8), key=jax.random.key(seed), at=at)
        assert int(state.step) == at + 1
        return float(sums.loss_sum), state_hash(state)

    assert outcome(0, 3) == outcome(0, 3)
    assert len({outcome(seed, at)[0] for seed, at in ((0, 3), (0, 4), (1, 3))}) == 3


def test_a_step_moves_the_running_statistics() -> None:
    state, sums = take(full_step(), FULL, some_batch(8), key=KEY, at=0)
    assert isinstance(sums, Objective)
    before = start(FULL).batch_stats["block1"]["norm"]
    after = state.batch_stats["block1"]["norm"]
    assert (after["mean"] != before["mean"]).all()
    assert (after["var"] != before["var"]).all()


def test_another_rate_is_another_length_of_the_same_step() -> None:
    step = make_step(PLAIN, label_smoothing=0.0, class_weights=ONES)
    before = start(PLAIN).params
    half, whole = (step(KEY, start(PLAIN), some_batch(4), np.float32(rate))[0].params for rate in (0.25, 0.5))
    doubled = jax.tree.map(lambda moved, p: 2 * moved - p, half, before)
    assert_trees_close(doubled, whole, atol=1e-6)
    assert step._cache_size() == 1, "a new rate must not compile again"  # type: ignore[attr-defined]


def test_evaluation_does_not_hang_on_the_batch_size_or_on_padding() -> None:
    batch = some_batch(23)
    examples = Examples(batch.images, batch.labels, np.full(23, -1), "faces", "0" * 64)
    # A few steps first: fresh weights predict the same class for every face.
    state = start(FULL)
    for _ in range(3):
        state, _ = full_step()(KEY, state, batch, np.float32(0.5))
    eval_step = make_eval_step(FULL, pixel_stats=STATS)

    def count(batch_size: int) -> Counts:
        batches = eval_batches(examples, np.arange(23), batch_size=batch_size)
        return evaluate(eval_step, state.params, state.batch_stats, batches)

    whole = count(23)
    assert whole.confusion.sum() == 23
    np.testing.assert_array_equal(whole.confusion.sum(axis=1), np.bincount(batch.labels, minlength=7))
    for batch_size in (1, 10):
        counts = count(batch_size)
        np.testing.assert_array_equal(counts.confusion, whole.confusion)
        np.testing.assert_allclose(counts.loss_sum, whole.loss_sum, rtol=1e-5)


def test_evaluation_is_plain_cross_entropy_of_the_running_statistics() -> None:
    batch, state = some_batch(6), start(FULL)
    counts = make_eval_step(FULL, pixel_stats=STATS)(state.params, state.batch_stats, batch)
    x = jnp.asarray((batch.images.astype(np.float64) - STATS.mean) / STATS.std, jnp.float32)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    predict = jax.jit(lambda variables, x: FULL.apply(variables, x, is_training=False))
    log_p: Any = jax.nn.log_softmax(predict(variables, x))
    np.testing.assert_allclose(counts.loss_sum, -log_p[np.arange(6), batch.labels].sum(), rtol=1e-5)
    np.testing.assert_array_equal(counts.confusion.sum(axis=0), np.bincount(log_p.argmax(1), minlength=7))


def test_the_sharpness_aware_step_takes_its_gradient_uphill() -> None:
    radius, batch = 0.5, some_batch(7)
    step = make_train_step(PLAIN, SGD, LossConfig(), class_weights=ONES, pixel_stats=STATS, sam_radius=radius)
    state, sums = take(step, PLAIN, batch, key=KEY, at=0)
    slope = jax.jit(
        jax.grad(lambda params: objective_by_hand(params, batch, label_smoothing=0.0, class_weights=ONES)[0])
    )
    before = start(PLAIN).params
    first = slope(before)
    norm = np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(first)))
    second = slope(jax.tree.map(lambda p, g: p + radius * g / norm, before, first))
    assert_trees_close(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, before, second), atol=1e-6)
    assert (
        max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (first, second)), strict=True))
        > 1e-3
    )
    wanted = objective_by_hand(before, batch, label_smoothing=0.0, class_weights=ONES)[1]
    np.testing.assert_allclose(sums, wanted, rtol=1e-5)


def test_small_images_are_the_mean_of_their_pixels_and_mixed_before() -> None:
    batch = some_batch(4)
    mix = Mix(np.array([0.25, 1, 1, 1], np.float32), np.zeros((4, 4), np.int32))
    x, targets = prepare_batch(batch._replace(mix=mix), STATS, classes=7, side_px=24)
    whole = (batch.images.astype(np.float64) - STATS.mean) / STATS.std
    whole[0] = 0.25 * whole[0] + 0.75 * whole[3]
    # Half the size with a triangle of twice the width: weights 1, 3, 3, 1 along each axis.
    along = sum(w * whole[:, k : k + 44 : 2] for k, w in enumerate((1 / 8, 3 / 8, 3 / 8, 1 / 8), start=1))
    both = sum(w * along[:, :, k : k + 44 : 2] for k, w in enumerate((1 / 8, 3 / 8, 3 / 8, 1 / 8), start=1))
    np.testing.assert_allclose(x[:, 1:23, 1:23], both, atol=1e-5)
    np.testing.assert_allclose(targets[0, [0, 3]], [0.25, 0.75], rtol=1e-6)


def test_a_step_on_small_images_is_another_program() -> None:
    model = make_model(
        ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0), DeviceConfig()
    )
    step = make_step(model, label_smoothing=0.0, class_weights=ONES)
    for side_px in (16, 48):
        _, sums = step(KEY, start(model), some_batch(4), np.float32(0.1), side_px=side_px)
        assert np.isfinite(sums.loss_sum)
    assert step._cache_size() == 2  # type: ignore[attr-defined]
