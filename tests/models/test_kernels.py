"""The fast kernels against the plain layers under jit: values, every gradient, statistics."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.models import kernels
from fer_jax.models.blocks import ConvUnit
from fer_jax.models.cnn import make_model

Init = Callable[[nn.Module, jax.Array], Any]

WORDS = jax.random.key_data(jax.random.key(3))
SHAPE = (16, 12, 8, 6)
FAST, PLAIN = DeviceConfig(kernels="fast"), DeviceConfig(kernels="plain")


def normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def plain(x: jax.Array, scale: jax.Array, bias: jax.Array, is_pooled: bool, rate: float) -> jax.Array:
    """Compute what `norm_relu_pool_drop` computes with the layers as they are, and JAX's own gradient."""
    mean, variance = x.mean((0, 1, 2), keepdims=True), x.var((0, 1, 2), keepdims=True)
    scale, bias = scale[None, None, None], bias[None, None, None]
    x = nn.relu((x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + bias)
    return kernels.drop(WORDS, nn.max_pool(x, (2, 2), (2, 2)) if is_pooled else x, rate=rate)


CASES: dict[str, Callable[[], tuple[jax.Array, ...]]] = {
    "plain": lambda: (normal(1, SHAPE), normal(2, (6,)) ** 2, normal(3, (6,))),
    "scales of both signs": lambda: (normal(1, SHAPE), normal(2, (6,)), normal(3, (6,))),
    "a scale of zero": lambda: (normal(1, SHAPE), jnp.array([0.0, 1, -1, 0, 2, 1]), jnp.ones(6)),
    "far from zero": lambda: (normal(1, SHAPE) + 5, normal(2, (6,)), normal(3, (6,))),
    "a dead channel": lambda: (normal(1, SHAPE), jnp.ones(6), jnp.array([-9.0, 0, 0, 0, 0, 0])),
    "ties": lambda: (jnp.round(normal(1, SHAPE)), normal(2, (6,)), normal(3, (6,))),
    "narrow": lambda: (normal(1, SHAPE) * 1e-3, jnp.ones(6), jnp.zeros(6)),
}


@functools.cache
def with_gradients(is_fast: bool, is_pooled: bool, rate: float) -> Any:
    """Compile, once for all cases, x, scale and bias -> the outputs, and the gradients by the three."""

    def compute(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        if is_fast:
            return kernels.norm_relu_pool_drop(x, scale, bias, WORDS, is_pooled, rate)[0]
        return plain(x, scale, bias, is_pooled, rate)

    def both(*inputs: jax.Array) -> tuple[jax.Array, Any]:
        out, pull = jax.vjp(compute, *inputs)
        return out, pull(normal(4, out.shape))

    return jax.jit(both)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("is_pooled", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_plain_layers(case: str, is_pooled: bool, rate: float) -> None:
    inputs = CASES[case]()
    (out, gradients), (wanted_out, wanted) = (
        with_gradients(is_fast, is_pooled, rate)(*inputs) for is_fast in (True, False)
    )
    np.testing.assert_allclose(out, wanted_out, atol=1e-4)
    for ours, theirs in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("levels", [2, 1000])
def test_each_living_window_passes_on_a_gradient_of_mass_1(levels: int) -> None:
    """Behind a convolution, under jit, with many ties and with none."""
    x = jax.random.randint(jax.random.key(0), (16, 24, 24, 3), 0, levels) / levels
    kernel = jnp.zeros((3, 3, 3, 8)).at[1, 1].set(normal(5, (3, 8)))

    @jax.jit
    def masses(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        def block(offset: jax.Array) -> jax.Array:
            before = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            return kernels.norm_relu_pool_drop(before, jnp.ones(8), offset, WORDS, True, 0.0)[0]

        # The offset reaches each window once, whichever of the four values is chosen.
        out, pull = jax.vjp(block, jnp.zeros(8))
        return out, pull(jnp.ones_like(out))[0]

    out, mass = masses(x)
    np.testing.assert_array_equal(mass, (out > 0).sum((0, 1, 2)))


def test_the_gradient_of_a_window_lands_on_its_first_largest_value() -> None:
    x = jnp.array([1.0, 5, 5, 2, 0, 0, 0, 3]).reshape(1, 2, 4, 1)  # Windows (1 5 / 0 0) and (5 2 / 0 3).
    saved = jax.jit(lambda x: kernels._forward(x, jnp.ones(1), jnp.zeros(1), WORDS, True, 0.0)[1])(x)
    np.testing.assert_array_equal(saved.largest.reshape(-1), [1, 0])
    assert saved.largest.dtype == jnp.uint8


@pytest.mark.parametrize("is_pooled", [True, False])
def test_the_convolution_of_gray_images_is_a_convolution(is_pooled: bool) -> None:
    x, kernel = normal(1, (5, 8, 6, 1)), normal(2, (3, 3, 1, 4))
    wanted = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = kernels.conv_one_channel(x, kernel, is_pooled=is_pooled)
    if is_pooled:
        found = found.reshape(5, 4, 3, 2, 2, 4).transpose(0, 1, 3, 2, 4, 5).reshape(5, 8, 6, 4)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_strided_convolution_of_gray_images_is_one() -> None:
    x, kernel = normal(1, (5, 8, 6, 1)), normal(2, (3, 3, 1, 4))
    wanted = jax.lax.conv_general_dilated(
        x, kernel, (2, 2), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = kernels.conv_one_channel(x, kernel, is_pooled=False, stride=2)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def outputs_and_gradients(function: Any, x: jax.Array, kernel: jax.Array) -> Any:
    """Compute the outputs, and the gradients by both inputs for a drawn one of the outputs."""
    out, pull = jax.vjp(function, x, kernel)
    return out, pull(normal(3, out.shape))


def check_alike(ours: Any, layer: nn.Conv, x: jax.Array, kernel: jax.Array) -> None:
    def library(x: jax.Array, kernel: jax.Array) -> Any:
        return layer.apply({"params": {"kernel": kernel}}, x)

    both = (jax.jit(functools.partial(outputs_and_gradients, each)) for each in (ours, library))
    found, wanted = (each(x, kernel) for each in both)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, wanted)


# One strip of rows, two, and strips of one row.
@pytest.mark.parametrize("height", [12, 24, 13])
def test_a_depthwise_convolution_and_its_gradients_are_the_library_s(
    height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    layer = nn.Conv(6, (3, 3), feature_group_count=6, use_bias=False)
    x, kernel = normal(1, (16, height, 8, 6)), normal(2, (3, 3, 1, 6))
    check_alike(kernels.conv_depthwise, layer, x, kernel)


def test_a_depthwise_gradient_has_its_strips_unless_the_batch_is_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many devices the machine has: the bits are those of one."""
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    kernel = normal(2, (3, 3, 1, 6))
    for place, is_whole in ((None, True), (jax.sharding.AbstractMesh((2,), ("data",)), False)):
        sharding = place and jax.sharding.NamedSharding(place, jax.sharding.PartitionSpec("data"))
        x = jax.ShapeDtypeStruct((16, 12, 8, 6), np.float32, sharding=sharding)
        program = jax.make_jaxpr(functools.partial(outputs_and_gradients, kernels.conv_depthwise))(x, kernel)
        assert ("scan[" in str(program)) == is_whole


def test_a_pointwise_convolution_and_its_gradients_are_the_library_s() -> None:
    layer = nn.Conv(4, (1, 1), use_bias=False)
    check_alike(kernels.conv_pointwise, layer, normal(1, SHAPE), normal(2, (1, 1, 6, 4)))


NETWORKS = {
    "pooled": ModelConfig(blocks=(ConvBlock(features=3, pool=True), ConvBlock(features=4, pool=True))),
    "like VGG": ModelConfig(blocks=(ConvBlock(features=3), ConvBlock(features=4, pool=True)), head="mean"),
    "residual": ModelConfig(
        blocks=(
            ConvBlock(features=3, pool=True),
            ConvBlock(features=4, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=4, kind="residual"),
        ),
        head="mean",
        dense_features=0,
    ),
    "strided": ModelConfig(
        blocks=(ConvBlock(features=3, pool=True), ConvBlock(features=4, kind="residual", pool=True)),
        pooling="stride",
    ),
    "separable, blurred": ModelConfig(
        blocks=(
            ConvBlock(features=3, pool=True, squeeze_excite=True),
            ConvBlock(features=4, kind="separable", pool=True),
        ),
        pooling="blur",
        head="classes",
        dense_features=0,
    ),
    "no batch norm": ModelConfig(blocks=(ConvBlock(features=3, batch_norm=False, pool=True),)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fast_network_is_the_plain_one(name: str, init: Init) -> None:
    """From the same bits at the start: logits, gradients and running statistics in training mode."""
    fast, slow = make_model(NETWORKS[name], FAST), make_model(NETWORKS[name], PLAIN)
    x = normal(1, (8, 48, 48, 1)) + 0.5
    variables, same = (init(model, x) for model in (fast, slow))
    jax.tree.map(np.testing.assert_array_equal, variables, same)

    def train(model: nn.Module) -> Any:
        def loss(params: Any) -> Any:
            logits, after = model.apply(
                variables | {"params": params}, x, is_training=True, mutable=["batch_stats"]
            )
            return (logits * normal(2, logits.shape)).sum(), (logits, after)

        return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])

    ours, theirs = train(fast), train(slow)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * max(1e-3, float(jnp.abs(b).max()))),
        ours,
        theirs,
    )


@pytest.mark.parametrize("kind", ["fast", "plain"])
@pytest.mark.parametrize("name", ["pooled", "separable, blurred"])
def test_bfloat16_is_close_and_keeps_float32_where_it_matters(kind: Any, name: str, init: Init) -> None:
    config, x = NETWORKS[name], normal(1, (8, 48, 48, 1))
    exact = make_model(config, DeviceConfig(kernels=kind))
    rough = make_model(config, DeviceConfig(kernels=kind, compute_dtype="bfloat16"))
    variables = init(rough, x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    (found, after), (wanted, _) = (
        jax.jit(lambda m=m: m.apply(variables, x, is_training=True, mutable=["batch_stats"]))()
        for m in (rough, exact)
    )
    assert found.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(after)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found, wanted, atol=0.05 * float(jnp.abs(wanted).max()))


def test_a_rate_just_below_one_drops_all_but_what_chance_keeps() -> None:
    keep = kernels.keep_mask(jax.random.key_data(jax.random.key(0)), (1000,), rate=1 - 2**-40)
    assert not np.any(keep)


def test_the_mask_is_as_even_and_independent_as_a_random_one() -> None:
    shape, rate = (32, 16, 16, 24), 0.25
    masks = np.stack(
        [
            kernels.keep_mask(
                jax.random.key_data(jax.random.fold_in(jax.random.key(0), step)), shape, rate=rate
            )
            for step in range(3)
        ]
    ).astype(float)
    signs = (masks - (1 - rate)) / np.sqrt(rate * (1 - rate))  # Mean 0, variance 1 if fair.

    def scores(products: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """Give z-scores: the mean of n independent products of unit variance, in standard errors."""
        count = np.prod([products.shape[axis] for axis in axes])
        return np.abs(products.mean(axis=axes)) * np.sqrt(count)

    assert scores(signs, (0, 1, 2, 3, 4)) < 4
    assert scores(signs, (0, 1, 2, 3)).max() < 4.5  # Each channel.
    assert scores(signs, (0, 2, 3, 4)).max() < 4.5  # Each image.
    assert scores(signs[0] * signs[1], (0, 1, 2, 3)) < 4  # One step and the next.
    for axis in (1, 2, 3, 4):  # Neighbours along each axis.
        one, other = np.delete(signs, 0, axis), np.delete(signs, -1, axis)
        assert scores(one * other, (0, 1, 2, 3, 4)) < 4


def test_a_block_drops_by_its_key_and_scales_what_it_keeps(init: Init) -> None:
    unit = ConvUnit(ConvBlock(features=4, pool=True, dropout_rate=0.25), FAST)
    quiet = ConvUnit(ConvBlock(features=4, pool=True), FAST)
    x = normal(1, (16, 24, 24, 1))
    variables = init(unit, x)

    def train(module: nn.Module, seed: int) -> np.ndarray:
        rngs = {"dropout": jax.random.key(seed)}
        return np.asarray(module.apply(variables, x, is_training=True, rngs=rngs, mutable=["batch_stats"])[0])

    whole, dropped, other = train(quiet, 0), train(unit, 0), train(unit, 1)
    is_alive = whole > 0
    kept = dropped[is_alive] > 0
    assert abs(kept.mean() - 0.75) < 0.02
    np.testing.assert_allclose(dropped[is_alive][kept], whole[is_alive][kept] / 0.75, rtol=1e-6)
    assert (dropped != other).any()
