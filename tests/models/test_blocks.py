"""The kinds of blocks: each against its definition in JAX's own operations, and what looks into them."""

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.check.probe import find_rectified
from fer_jax.config.files import load_config
from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig, Pooling
from fer_jax.evaluate.saliency import _find_last_maps
from fer_jax.images.standardise import PixelStats
from fer_jax.inference import predictor
from fer_jax.models.blocks import ConvUnit, ResidualUnit, SeparableUnit, skip_rates
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import Layer, list_layers

CONFIGS = Path(__file__).parents[2] / "configs"
DEVICE = DeviceConfig()
X = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))


def draw(module: nn.Module, x: jax.Array) -> Any:
    """Make variables of no special kind: every scale, bias and statistic counts."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, is_training=False))
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.2, 1, leaf.shape) - 0.3 * (leaf.ndim > 1), jnp.float32), shapes
    )


def evaluate(unit: nn.Module, variables: Any, x: jax.Array) -> Any:
    return unit.apply(variables, x, is_training=False)


def conv(x: jax.Array, kernel: jax.Array, stride: int = 1, groups: int = 1) -> jax.Array:
    side = len(kernel) // 2
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(side, side)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def normed(variables: Any, name: str, x: jax.Array) -> jax.Array:
    """Batch norm in evaluation."""
    running, params = variables["batch_stats"][name], variables["params"][name]
    mean, var, scale, bias = (
        each[None, None, None] for each in (running["mean"], running["var"], params["scale"], params["bias"])
    )
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias


def gate(params: Any, x: jax.Array) -> jax.Array:
    hidden = nn.relu(x.mean((1, 2)) @ params["squeeze"]["kernel"] + params["squeeze"]["bias"][None])
    return nn.sigmoid(hidden @ params["expand"]["kernel"] + params["expand"]["bias"][None])[:, None, None]


@pytest.mark.parametrize(("pooling", "features"), [("max", 4), ("stride", 4), (None, 3)])
def test_a_residual_block_is_the_published_one(pooling: Pooling | None, features: int) -> None:
    block = ConvBlock(features=features, kind="residual", pool=pooling is not None, squeeze_excite=True)
    unit = ResidualUnit(block, DEVICE, pooling or "max")
    variables = draw(unit, X)
    kernels = {name: layer["kernel"] for name, layer in variables["params"].items() if "kernel" in layer}
    stride = 2 if pooling == "stride" else 1
    branch, around = nn.relu(normed(variables, "norm1", conv(X, kernels["conv1"], stride))), X
    if pooling == "max":
        branch, around = (nn.max_pool(x, (2, 2), (2, 2)) for x in (branch, around))
    branch = normed(variables, "norm2", conv(branch, kernels["conv2"]))
    branch *= gate(variables["params"]["excite"], branch)
    if pooling:
        around = normed(variables, "shortcut_norm", conv(around, kernels["shortcut"], stride))
    found = evaluate(unit, variables, X)
    np.testing.assert_allclose(found, nn.relu(around + branch), rtol=1e-4, atol=1e-4)
    assert ("shortcut" in kernels) is (pooling is not None)


@pytest.mark.parametrize("pooling", ["max", "stride"])
def test_a_separable_block_is_the_published_one(pooling: Pooling) -> None:
    unit = SeparableUnit(ConvBlock(features=4, kind="separable", pool=True), DEVICE, pooling)
    variables = draw(unit, X)
    kernels = {name: layer["kernel"] for name, layer in variables["params"].items() if "kernel" in layer}
    branch = conv(conv(X, kernels["depthwise1"], groups=3), kernels["pointwise1"])
    branch = conv(nn.relu(normed(variables, "norm1", branch)), kernels["depthwise2"], groups=4)
    branch = normed(variables, "norm2", conv(branch, kernels["pointwise2"]))
    branch = nn.max_pool(branch, (2, 2), (2, 2)) if pooling == "max" else branch[:, ::2, ::2]
    around = normed(variables, "shortcut_norm", conv(X, kernels["shortcut"], 2))
    found = evaluate(unit, variables, X)
    np.testing.assert_allclose(found, around + branch, rtol=1e-4, atol=1e-4)


def test_a_plain_block_squeezes_what_it_pooled() -> None:
    plain, block = (ConvBlock(features=16, pool=True, squeeze_excite=is_on) for is_on in (False, True))
    unit = ConvUnit(block, DEVICE, "blur")
    variables = draw(unit, X)
    assert variables["params"]["excite"]["squeeze"]["kernel"].shape == (16, 4)
    before = evaluate(ConvUnit(plain, DEVICE, "blur"), variables, X)
    found = evaluate(unit, variables, X)
    np.testing.assert_allclose(found, before * gate(variables["params"]["excite"], before), rtol=1e-5)


@pytest.mark.parametrize("kernels", ["fast", "plain"])
def test_a_skipped_image_goes_around_the_block_and_the_others_keep_the_mean(kernels: Any) -> None:
    block, device = ConvBlock(features=3, kind="separable"), DeviceConfig(kernels=kernels)
    x = jax.random.normal(jax.random.key(2), (64, 4, 4, 3))
    unit, steady = (SeparableUnit(block, device, "max", rate) for rate in (0.25, 0.0))
    variables = draw(unit, x)

    def train(unit: nn.Module) -> jax.Array:
        rngs = {"dropout": jax.random.key(3)}
        return unit.apply(variables, x, is_training=True, rngs=rngs, mutable=["batch_stats"])[0]

    whole, found = train(steady), train(unit)
    is_skipped = np.asarray((found == x).all(axis=(1, 2, 3)))
    assert 6 <= is_skipped.sum() <= 28  # Of 64 at 0.25: 16 ± 3.5.
    wanted = x + (whole - x) / 0.75
    np.testing.assert_allclose(found[~is_skipped], wanted[~is_skipped], rtol=1e-4, atol=1e-4)
    quiet, same = (evaluate(each, variables, x) for each in (unit, steady))
    np.testing.assert_array_equal(quiet, same)


def test_the_chance_to_be_skipped_rises_in_equal_steps_and_passes_plain_blocks_by() -> None:
    blocks = [ConvBlock(kind=kind) for kind in ("plain", "residual", "plain", "separable", "residual")]
    np.testing.assert_allclose(skip_rates(tuple(blocks), 0.3), [0, 0.1, 0, 0.2, 0.3])


RESIDUAL = ModelConfig(
    blocks=(ConvBlock(features=2, pool=True), ConvBlock(features=3, kind="residual", squeeze_excite=True)),
    head="mean",
    dense_features=0,
    dense_dropout_rate=0.5,
    classes=8,
)
SEPARABLE = ModelConfig(
    blocks=(ConvBlock(features=4, kind="separable", pool=True),),
    head="classes",
    dense_features=0,
    dense_dropout_rate=0.5,
    pooling="stride",
)


def test_the_layer_table_of_the_new_kinds_by_hand() -> None:
    places = 24 * 24
    assert list_layers(make_model(RESIDUAL, DEVICE))[2:] == [
        Layer("block2/conv1", (24, 24, 3), 9 * 2 * 3, places * 9 * 2 * 3),
        Layer("block2/norm1", (24, 24, 3), 6, 0),
        Layer("block2/conv2", (24, 24, 3), 9 * 3 * 3, places * 9 * 3 * 3),
        Layer("block2/norm2", (24, 24, 3), 6, 0),
        Layer("block2/excite/squeeze", (4,), 3 * 4 + 4, 3 * 4),
        Layer("block2/excite/expand", (3,), 4 * 3 + 3, 4 * 3),
        Layer("block2/shortcut", (24, 24, 3), 2 * 3, places * 2 * 3),
        Layer("block2/shortcut_norm", (24, 24, 3), 6, 0),
        Layer("logits", (8,), 3 * 8 + 8, 3 * 8),
    ]
    full = 48 * 48
    assert list_layers(make_model(SEPARABLE, DEVICE)) == [
        Layer("block1/depthwise1", (48, 48, 1), 9, full * 9),
        Layer("block1/pointwise1", (48, 48, 4), 4, full * 4),
        Layer("block1/norm1", (48, 48, 4), 8, 0),
        Layer("block1/depthwise2", (48, 48, 4), 9 * 4, full * 9 * 4),
        Layer("block1/pointwise2", (24, 24, 4), 4 * 4, places * 4 * 4),
        Layer("block1/norm2", (24, 24, 4), 8, 0),
        Layer("block1/shortcut", (24, 24, 4), 4, places * 4),
        Layer("block1/shortcut_norm", (24, 24, 4), 8, 0),
        Layer("logits", (24, 24, 7), 9 * 4 * 7 + 7, places * 9 * 4 * 7),
    ]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("xception", 56_951), ("resnet18", 11_171_271)],  # As counted in the published networks.
)
def test_a_published_network_has_its_number_of_parameters(name: str, parameters: int) -> None:
    layers = list_layers(make_model(load_config(CONFIGS / f"{name}.py").model, DEVICE))
    assert sum(layer.parameters for layer in layers) == parameters


@pytest.mark.parametrize(("name", "parameters", "macs"), [("tiny", 57_000, 12e6), ("mid", 1_300_000, 60e6)])
def test_our_networks_keep_to_their_size(name: str, parameters: int, macs: float) -> None:
    layers = list_layers(make_model(load_config(CONFIGS / f"{name}.py").model, DEVICE))
    assert sum(layer.parameters for layer in layers) <= parameters
    assert sum(layer.macs for layer in layers) <= macs


def test_a_relu_follows_the_norms_within_a_branch_and_not_those_before_a_sum() -> None:
    rectified = {}
    for config in (RESIDUAL, SEPARABLE):
        layers = list_layers(make_model(config, DEVICE))
        scales = [f"{layer.name}/scale" for layer in layers if "norm" in layer.name]
        rectified[config] = find_rectified([layer.name for layer in layers], scales)
    assert rectified[RESIDUAL] == {"block1/norm", "block2/norm1", "block2/excite/squeeze"}
    assert rectified[SEPARABLE] == {"block1/norm1"}


@pytest.mark.parametrize("config", [RESIDUAL, SEPARABLE], ids=["residual", "separable"])
def test_who_looks_into_a_network_finds_its_last_block_and_its_last_features(config: ModelConfig) -> None:
    model, images = make_model(config, DEVICE), np.zeros((2, 48, 48, 1), np.uint8)
    x = jnp.zeros(images.shape)
    variables = draw(model, x)
    assert _find_last_maps(model, variables, x).form.shape == (2, 24, 24, config.blocks[-1].features)
    logits, features = predictor._predict_batch(model, PixelStats(128.0, 64.0), variables, images)
    assert logits.shape == (2, config.classes)
    assert features.shape == (2, config.blocks[-1].features)


def test_without_a_hidden_layer_the_last_features_are_dropped() -> None:
    model, x = make_model(RESIDUAL, DEVICE), jnp.ones((1, 48, 48, 1))
    variables = draw(model, x)
    variables["params"]["logits"]["bias"] = jnp.zeros(8)
    rngs = [{"dropout": jax.random.key(seed)} for seed in range(8)]
    outputs = jax.jit(
        lambda rng: model.apply(variables, x, is_training=True, rngs=rng, mutable=["batch_stats"])[0]
    )
    assert len({tuple(np.asarray(outputs(rng)[0]).tolist()) for rng in rngs}) > 2
