"""The CNN: each layer against the same thing done another way, and the layer table against counts by hand."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.engine.losses import cross_entropy
from fer_jax.models import pooling
from fer_jax.models.blocks import ConvUnit
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import Layer, list_layers

Init = Callable[[nn.Module, jax.Array], Any]

TINY = ModelConfig(
    blocks=(ConvBlock(features=2, pool=True), ConvBlock(features=3, batch_norm=False)), dense_features=4
)
DROPPING = ModelConfig(
    blocks=(ConvBlock(features=2, dropout_rate=0.5),), dense_features=8, dense_dropout_rate=0.5
)


def some_faces(count: int) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (count, 48, 48, 1))


def apply(model: nn.Module, variables: Any, x: jax.Array, *, is_training: bool, seed: int = 0) -> Any:
    """Run a model under jit; returns its outputs and the statistics after it."""

    def run(variables: Any, x: jax.Array, key: jax.Array) -> Any:
        return model.apply(
            variables, x, is_training=is_training, rngs={"dropout": key}, mutable=["batch_stats"]
        )

    return jax.jit(run)(variables, x, jax.random.key(seed))


def library_pool(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (2, 2), (2, 2))


def test_pooling_gives_the_values_of_max_pool() -> None:
    x = jax.random.normal(jax.random.key(0), (3, 8, 6, 2))
    np.testing.assert_array_equal(pooling.max_pool_2x2(x), library_pool(x))


def test_each_window_passes_on_a_gradient_of_mass_1_ties_included() -> None:
    x = jax.random.randint(jax.random.key(0), (4, 8, 8, 3), 0, 3).astype(jnp.float32)
    gradient = jax.jit(jax.grad(lambda x: pooling.max_pool_2x2(x).sum()))(x)
    masses = gradient.reshape(4, 4, 2, 4, 2, 3).sum(axis=(2, 4))
    np.testing.assert_array_equal(masses, np.ones((4, 4, 4, 3)))
    assert (gradient >= 0).all()
    at_the_top = x == jnp.repeat(jnp.repeat(pooling.max_pool_2x2(x), 2, axis=1), 2, axis=2)
    assert (gradient[~at_the_top] == 0).all()


def make_gradient(unit: nn.Module, variables: Any) -> Callable[[Any, jax.Array, jax.Array], Any]:
    """Make (params, x, cotangent) -> its gradients by params and by x, in training mode under jit."""

    def loss(params: Any, x: jax.Array, cotangent: jax.Array) -> jax.Array:
        outputs, _ = unit.apply(variables | {"params": params}, x, is_training=True, mutable=["batch_stats"])
        return (outputs * cotangent).sum()

    return jax.jit(jax.grad(loss, argnums=(0, 1)))


def test_no_pooled_window_loses_its_gradient_behind_a_convolution_batch_norm_and_relu(
    monkeypatch: pytest.MonkeyPatch, init: Init
) -> None:
    """XLA may compute the activation again, rounded otherwise, in the backward pass; `==` then fails."""
    unit = ConvUnit(ConvBlock(features=8, pool=True), DeviceConfig(kernels="plain"))
    x = jax.random.normal(jax.random.key(0), (32, 24, 24, 2))
    variables = init(unit, x)
    params = variables["params"]
    outputs, _ = apply(unit, variables, x, is_training=True)
    gradient = make_gradient(unit, variables)
    # The norm's bias adds the same to each activation, so each living window adds exactly 1 to its gradient.
    by_params, _ = gradient(params, x, jnp.ones(outputs.shape))
    np.testing.assert_array_equal(by_params["norm"]["bias"], (outputs > 0).sum(axis=(0, 1, 2)))

    cotangent = jax.random.normal(jax.random.key(2), outputs.shape)
    ours = gradient(params, x, cotangent)
    monkeypatch.setattr(pooling, "max_pool_2x2", library_pool)
    theirs = make_gradient(unit, variables)(params, x, cotangent)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


def test_the_layer_table_by_hand() -> None:
    assert list_layers(make_model(TINY, DeviceConfig())) == [
        Layer("block1/conv", (48, 48, 2), 3 * 3 * 2, 48 * 48 * 2 * 9),  # no bias: batch norm follows
        Layer("block1/norm", (48, 48, 2), 2 + 2, 0),
        Layer("block2/conv", (24, 24, 3), 3 * 3 * 2 * 3 + 3, 24 * 24 * 3 * 18),
        Layer("dense", (4,), 1728 * 4 + 4, 1728 * 4),
        Layer("logits", (7,), 4 * 7 + 7, 4 * 7),
    ]


def test_the_layer_table_counts_every_parameter() -> None:
    config = ModelConfig(blocks=(ConvBlock(features=3),), head="mean", dense_features=0)
    for each in (config, TINY):
        model = make_model(each, DeviceConfig())
        variables = jax.eval_shape(
            lambda model=model: model.init(jax.random.key(0), some_faces(1), is_training=False)
        )
        wanted = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        assert sum(layer.parameters for layer in list_layers(model)) == wanted
    assert list_layers(make_model(config, DeviceConfig()))[-1] == Layer("logits", (7,), 3 * 7 + 7, 3 * 7)


def conv_outputs(variables: Any, x: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, variables["params"]["conv"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def test_batch_norm_stands_before_the_relu_and_its_statistics_move_in_training_alone(init: Init) -> None:
    unit, x = ConvUnit(ConvBlock(features=3), DeviceConfig()), some_faces(4) + 1
    variables = init(unit, x)
    raw = conv_outputs(variables, x)
    mean, var = (take(raw, axis=(0, 1, 2), keepdims=True) for take in (jnp.mean, jnp.var))
    trained, after = apply(unit, variables, x, is_training=True)
    np.testing.assert_allclose(trained, nn.relu((raw - mean) / jnp.sqrt(var + 1e-5)), atol=1e-4)
    norm = after["batch_stats"]["norm"]
    np.testing.assert_allclose(norm["mean"], 0.1 * mean.ravel(), atol=1e-5)
    np.testing.assert_allclose(norm["var"], 0.9 + 0.1 * var.ravel(), rtol=1e-4)
    evaluated, unchanged = apply(unit, variables, x, is_training=False)
    np.testing.assert_allclose(evaluated, nn.relu(raw / jnp.sqrt(1 + 1e-5)), atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, unchanged["batch_stats"], variables["batch_stats"])


def test_dropout_keeps_the_mean_in_training_and_does_nothing_in_evaluation(init: Init) -> None:
    unit = ConvUnit(ConvBlock(features=4, batch_norm=False, dropout_rate=0.25), DeviceConfig())
    plain = ConvUnit(ConvBlock(features=4, batch_norm=False), DeviceConfig())
    x = some_faces(8)
    variables = init(unit, x)
    whole = np.asarray(apply(plain, variables, x, is_training=True)[0])
    np.testing.assert_array_equal(apply(unit, variables, x, is_training=False)[0], whole)
    dropped = np.asarray(apply(unit, variables, x, is_training=True)[0])
    alive = whole > 0
    kept = dropped[alive] > 0
    assert abs(kept.mean() - 0.75) < 0.01
    np.testing.assert_allclose(dropped[alive][kept], whole[alive][kept] / 0.75, rtol=1e-6)


def test_the_dense_dropout_is_off_in_evaluation_and_differs_by_key_in_training(init: Init) -> None:
    config = ModelConfig(blocks=(ConvBlock(features=2),), dense_features=8, dense_dropout_rate=0.5)
    model, x = make_model(config, DeviceConfig()), some_faces(2)
    variables = init(model, x)
    quiet = make_model(ModelConfig(blocks=config.blocks, dense_features=8), DeviceConfig())
    silent, wanted = (apply(each, variables, x, is_training=False)[0] for each in (model, quiet))
    np.testing.assert_array_equal(silent, wanted)
    first, second = (apply(model, variables, x, is_training=True, seed=seed)[0] for seed in (0, 1))
    assert (first != second).any()


@pytest.mark.parametrize(
    "config", [TINY, DROPPING, ModelConfig(blocks=(ConvBlock(features=4, batch_norm=False),))]
)
def test_the_first_loss_is_that_of_a_guess(config: ModelConfig, init: Init) -> None:
    model, x = make_model(config, DeviceConfig()), some_faces(70)
    variables = init(model, x)
    for is_training in (True, False):
        logits, _ = apply(model, variables, x, is_training=is_training)
        assert logits.shape == (70, 7)
        losses = cross_entropy(logits, jnp.arange(70) % 7, label_smoothing=0.0)
        np.testing.assert_allclose(losses.mean(), math.log(7), rtol=0.02)
