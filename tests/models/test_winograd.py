"""Winograd's convolution against XLA's: values and both gradients, and where it is used."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.models import winograd
from fer_jax.models.cnn import make_model

TOLERANCE = 1e-5
"""Of the largest number; XLA's own convolution differs from the exact one by about 1e-6."""


def normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def both(convolve: Any, x: jax.Array, kernel: jax.Array, grad: jax.Array) -> Any:
    out, pull = jax.vjp(convolve, x, kernel)
    return out, *pull(grad)


def assert_close(ours: Any, theirs: Any) -> None:
    for each, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(each, wanted, rtol=0, atol=TOLERANCE * float(jnp.abs(wanted).max()))


@pytest.mark.parametrize(
    ("batch", "height", "width", "inputs", "outputs"),
    [(2, 8, 8, 16, 24), (1, 6, 6, 24, 16), (3, 5, 9, 8, 8), (2, 3, 3, 8, 4), (2, 1, 2, 4, 4)],
    ids=["4 x 4", "3 x 3, batch 1", "odd", "one tile", "smaller than a tile"],
)
def test_values_and_gradients_are_those_of_xlas_convolution(
    batch: int, height: int, width: int, inputs: int, outputs: int
) -> None:
    arrays = (
        normal(0, (batch, height, width, inputs)),
        normal(1, (3, 3, inputs, outputs)),
        normal(2, (batch, height, width, outputs)),
    )
    ours, theirs = (
        jax.jit(both, static_argnums=0)(convolve, *arrays)
        for convolve in (winograd.conv, winograd.plain_conv)
    )
    assert_close(ours, theirs)


@pytest.mark.parametrize("side", winograd.POINTS)
def test_the_transforms_are_exact(side: int) -> None:
    inputs, kernel, outputs = winograd.make_transforms(side)
    rng = np.random.default_rng(0)
    pixels, weights = rng.standard_normal(side + 2), rng.standard_normal(3)
    found = outputs @ ((kernel @ weights) * (inputs @ pixels))
    np.testing.assert_allclose(found, np.correlate(pixels, weights, "valid"), rtol=1e-12)


@pytest.mark.parametrize(
    ("inputs", "features", "dtype", "platform", "wanted"),
    [
        (128, 128, "float32", "cpu", True),
        (64, 128, "float32", "cpu", False),
        (128, 64, "float32", "cpu", False),
        (128, 128, "bfloat16", "cpu", False),
        (128, 128, "float32", "gpu", False),
    ],
)
def test_where_it_is_used(
    inputs: int,
    features: int,
    dtype: str,
    platform: str,
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert winograd.suits(jnp.zeros((1, 2, 2, inputs), dtype), features) is wanted


def test_it_is_used_with_fast_kernels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 8)
    config = ModelConfig(blocks=(ConvBlock(features=8), ConvBlock(features=8)), head="mean", dense_features=0)
    x, rngs = normal(0, (2, 8, 8, 1)), {"dropout": jax.random.key(1)}
    fast, plain = (make_model(config, DeviceConfig(kernels=kernels)) for kernels in ("fast", "plain"))
    variables = fast.init(jax.random.key(2), x, is_training=False)

    calls: list[tuple[int, ...]] = []

    def watch(x: jax.Array, kernel: jax.Array) -> jax.Array:
        calls.append(kernel.shape)
        return winograd.plain_conv(x, kernel)

    monkeypatch.setattr(winograd, "conv", watch)

    def count_calls(model: Any, is_training: bool) -> int:
        calls.clear()
        model.apply(variables, x, is_training=is_training, rngs=rngs, mutable=["batch_stats"])
        return len(calls)

    assert [count_calls(fast, True), count_calls(fast, False), count_calls(plain, True)] == [1, 1, 0]
