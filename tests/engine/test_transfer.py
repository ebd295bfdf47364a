"""Fine-tuning in the train step: what is frozen keeps its bits, what is not is trained as it should be."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, InitConfig, LossConfig, OptimizerConfig, TrainConfig
from fer_jax.engine.averages import make_pace, make_refresh
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.schedule import count_frozen, find_end
from fer_jax.engine.state import TrainState, begin_average, init_state
from fer_jax.engine.step import Batch, TrainStep, make_train_step
from fer_jax.images.standardise import PixelStats
from fer_jax.models.cnn import LAST_LAYER, make_model
from fer_jax.models.transfer import NO_TRANSFER, Transfer, inherit, list_differences, match_classes

pytestmark = pytest.mark.usefixtures("quick_compile")

NETWORK = ModelConfig(
    blocks=(ConvBlock(features=2, pool=True, dropout_rate=0.5), ConvBlock(features=3, pool=True)),
    head="mean",
    dense_features=0,
)
MODEL = make_model(NETWORK, DeviceConfig())
STATS = PixelStats(120.0, 60.0)
KEY = jax.random.key(0)
EMA = AverageConfig(ema_decay=0.9)
NEW_HEAD = Transfer(1.0, frozenset({LAST_LAYER}), 0)
# Everything that moves weights without a gradient: decay, momentum, L2; and what looks at all gradients.
ADAMW = OptimizerConfig(name="adamw", weight_decay=0.5, clip_norm=0.1)
MUON = OptimizerConfig(name="muon", momentum=0.9, weight_decay=0.5)
SGD = OptimizerConfig(name="sgd", momentum=0.9, l2=0.5)
SAM = OptimizerConfig(name="adam", l2=0.5, sam_radius=0.1)


def make_batch() -> Batch:
    images = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1), dtype=np.uint8)
    return Batch(images, (np.arange(8) % 7).astype(np.int32), np.ones(8, np.float32))


@cache
def make_step(config: OptimizerConfig, transfer: Transfer = NO_TRANSFER) -> TrainStep:
    return make_train_step(
        MODEL,
        make_optimizer(config),
        LossConfig(),
        class_weights=np.ones(7, np.float32),
        pixel_stats=STATS,
        sam_radius=config.sam_radius,
        pace=make_pace(EMA, epoch_steps=4, epochs=5),
        transfer=transfer,
    )


def make_start(config: OptimizerConfig) -> TrainState:
    """Draw a state with statistics that no step leaves by chance, and a weight of -0."""
    state = begin_average(init_state(jax.random.key(1), MODEL, make_optimizer(config)), EMA)
    kernel = state.params["block1"]["conv"]["kernel"].at[0, 0, 0, 0].set(-0.0)
    state.params["block1"]["conv"]["kernel"] = kernel
    state.average["params"]["block1"]["conv"]["kernel"] = jnp.copy(kernel)
    return state


def take(step: TrainStep, state: TrainState, **options: Any) -> TrainState:
    return step(KEY, state, make_batch(), np.float32(0.1), **options)[0]


def to_bits(tree: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def list_trees(state: TrainState) -> list[Any]:
    return [state.params, state.batch_stats, state.average["params"]]


@pytest.mark.parametrize("config", [ADAMW, MUON, SGD, SAM], ids=["adamw", "muon", "sgd", "sam"])
def test_a_frozen_block_keeps_its_bits(config: OptimizerConfig) -> None:
    before = [jax.tree.map(np.array, tree) for tree in list_trees(make_start(config))]
    step = make_step(config, NEW_HEAD)
    state = take(step, make_start(config), frozen_blocks=1)
    state = take(step, state, frozen_blocks=1)
    for old, new in zip(before, list_trees(state), strict=True):
        assert to_bits(new["block1"]) == to_bits(old["block1"])
        assert to_bits(new["block2"]) != to_bits(old["block2"])
    assert to_bits(state.params[LAST_LAYER]) != to_bits(before[0][LAST_LAYER])


def test_the_blocks_behind_a_frozen_one_see_what_it_predicts_and_clip_their_own_gradient() -> None:
    """One step of gradient descent, against the gradient of a network whose first block is a constant map."""
    config = OptimizerConfig(name="sgd", momentum=0.0, clip_norm=0.05)
    state, batch = make_start(config), make_batch()
    x = (batch.images.astype(np.float32) - STATS.mean) / STATS.std

    def loss(trained: Any) -> jax.Array:
        params = state.params | trained
        variables = {"params": params, "batch_stats": state.batch_stats}
        # Without dropout or batch statistics in the first block: it runs as it predicts.
        logits, _ = MODEL.apply(
            variables, x, is_training=True, frozen_blocks=1, rngs={"dropout": KEY}, mutable=["batch_stats"]
        )
        return -jax.nn.log_softmax(logits)[np.arange(8), batch.labels].mean()

    trained = {name: state.params[name] for name in ("block2", LAST_LAYER)}
    grads = jax.grad(loss)(trained)
    norm = np.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(grads)))
    assert norm > 0.05
    wanted = jax.tree.map(lambda w, g: np.asarray(w - 0.1 * 0.05 / norm * g), trained, grads)
    found = take(make_step(config, NEW_HEAD), make_start(config), frozen_blocks=1).params
    for name in trained:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found[name], wanted[name])


def test_without_a_factor_the_program_is_that_of_new_weights() -> None:
    """And so are the bits: what is not asked for is not computed."""
    args = KEY, make_start(ADAMW), make_batch(), np.float32(0.1)
    plain, same, slow = (
        make_step(ADAMW, each).lower(*args).as_text()  # type: ignore[attr-defined]
        for each in (NO_TRANSFER, Transfer(1.0, frozenset({LAST_LAYER}), 0), Transfer(0.5, frozenset(), 0))
    )
    assert plain == same != slow


def test_the_rate_factor_is_of_the_old_layers_alone() -> None:
    """With a factor of 1/2, all numbers are halved exactly."""
    before = jax.tree.map(np.array, make_start(ADAMW).params)
    full = take(make_step(ADAMW, NEW_HEAD), make_start(ADAMW)).params
    slow = take(make_step(ADAMW, NEW_HEAD._replace(rate_factor=0.5)), make_start(ADAMW)).params
    assert to_bits(slow[LAST_LAYER]) == to_bits(full[LAST_LAYER])
    for name in ("block1", "block2"):
        jax.tree.map(
            lambda old, a, b: np.testing.assert_allclose(b - old, (a - old) / 2, atol=1e-7),
            before[name],
            full[name],
            slow[name],
        )


def test_blocks_that_join_the_training_start_with_a_new_optimizer() -> None:
    """Adam's first step is as large as its rate; with moments of zero it would be three times as large."""
    config = OptimizerConfig(name="adam")
    step = make_step(config, Transfer(1.0, frozenset(), 200))
    state = make_start(config).replace(step=jnp.int32(199))  # type: ignore[attr-defined]
    state = take(step, state, frozen_blocks=2)
    before = np.array(state.params["block2"]["conv"]["kernel"])
    assert jax.tree.leaves(state.opt_state)[0] == 1
    state = take(step, state)
    moved = np.abs(np.asarray(state.params["block2"]["conv"]["kernel"]) - before)
    np.testing.assert_allclose(moved, 0.1, rtol=0.05)
    assert jax.tree.leaves(state.opt_state)[0] == 1


def test_the_average_of_a_frozen_block_keeps_its_statistics() -> None:
    images, state = make_batch().images, make_start(ADAMW)
    before = jax.tree.map(np.array, state.average["batch_stats"])
    rows = np.arange(7)
    refresh = make_refresh(
        EMA, MODEL, images, rows, pixel_stats=STATS, batch_size=3, frozen_at=lambda step: 1
    )
    after = refresh(state, 0).average["batch_stats"]
    assert to_bits(after["block1"]) == to_bits(before["block1"])
    assert to_bits(after["block2"]) != to_bits(before["block2"])


def test_the_phases_of_a_training_are_a_function_of_the_step() -> None:
    init = InitConfig(weights="mid", freeze_blocks=1, head_epochs=1.5)
    config = Config(name="a", model=NETWORK, init=init, train=TrainConfig(epochs=4))
    frozen = [count_frozen(config, step, steps_per_epoch=4) for step in range(8)]
    assert frozen == [2] * 6 + [1] * 2
    assert [find_end(config, step, steps_per_epoch=4) for step in (0, 3, 4, 5, 6, 8)] == [4, 4, 6, 6, 8, 12]
    # With all blocks frozen for good there is no first phase.
    still = replace(config, init=replace(init, freeze_blocks=2))
    assert [find_end(still, step, steps_per_epoch=4) for step in (4, 5)] == [8, 8]


def test_the_last_layer_is_mapped_by_name() -> None:
    old, new = ("angry", "happy", "sad"), ("happy", "calm", "angry")
    assert match_classes(old, old) is None
    columns = match_classes(old, new)
    bias = np.array([7, 8, 9], np.float32)
    layer = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": bias}
    theirs = {"params": {"block1": {"w": bias}, LAST_LAYER: layer}}
    fresh = jax.tree.map(lambda leaf: jnp.full(leaf.shape, -1, jnp.float32), theirs)
    found = inherit(fresh, theirs, columns)["params"]
    np.testing.assert_array_equal(found[LAST_LAYER]["kernel"], [[1, -1, 0], [4, -1, 3]])
    np.testing.assert_array_equal(found[LAST_LAYER]["bias"], [8, -1, 7])
    np.testing.assert_array_equal(found["block1"]["w"], bias)
    assert to_bits(inherit(fresh, theirs, ())["params"][LAST_LAYER]) == to_bits(fresh["params"][LAST_LAYER])
    assert to_bits(inherit(fresh, theirs, None)) == to_bits(theirs)


def test_networks_that_compute_something_else_differ() -> None:
    same = replace(NETWORK, classes=5, dense_dropout_rate=0.3)
    assert list_differences(NETWORK, same) == {}
    wide = replace(NETWORK, blocks=(NETWORK.blocks[0], ConvBlock(features=5, squeeze_excite=True)))
    assert list_differences(NETWORK, replace(wide, pooling="blur")) == {
        "model.blocks.1.features": (3, 5),
        "model.blocks.1.pool": (True, False),
        "model.blocks.1.squeeze_excite": (False, True),
        "model.pooling": ("max", "blur"),
    }
    assert list_differences(NETWORK, replace(NETWORK, blocks=NETWORK.blocks[:1])) == {"model.blocks": (2, 1)}
