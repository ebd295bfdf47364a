"""Saliency maps of networks whose answers are known, and against the definition done another way."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.errors import ConfigError
from fer_jax.evaluate.saliency import grad_cam, input_gradients
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.models.cnn import make_model

STATS = PixelStats(mean=128.0, std=64.0)
HAPPY, SAD, FEAR = 3, 4, 2


def some_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)


def init(config: ModelConfig) -> tuple[nn.Module, Any]:
    """Make a network with weights and running statistics of no special kind."""
    model = make_model(config, DeviceConfig())
    face = jnp.zeros((1, 48, 48, 1))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), face, is_training=False))
    leaves, form = jax.tree.flatten(shapes)
    rng = np.random.default_rng(1)
    drawn = [np.abs(rng.normal(0.3, 0.3, leaf.shape)).astype(np.float32) + 0.01 for leaf in leaves]
    signs = [rng.choice([-1.0, 1.0], leaf.shape) if leaf.ndim > 1 else 1.0 for leaf in leaves]
    drawn = [(leaf * sign).astype(np.float32) for leaf, sign in zip(drawn, signs, strict=True)]
    return model, jax.tree.unflatten(form, drawn)


def bright_and_dark_corner() -> tuple[nn.Module, Any, np.ndarray]:
    """Make a network that finds what is bright in one map and what is dark in another, and a face for it.

    Happy adds up the bright places, sad the dark ones; fear is against both.
    """
    config = ModelConfig(blocks=(ConvBlock(features=2, batch_norm=False),), head="mean", dense_features=0)
    kernel = np.zeros((3, 3, 1, 2), np.float32)
    kernel[1, 1, 0] = 1, -1
    last = np.zeros((2, 7), np.float32)
    last[0, HAPPY], last[1, SAD], last[:, FEAR] = 1, 1, -1
    params = {
        "block1": {"conv": {"kernel": kernel, "bias": np.zeros(2, np.float32)}},
        "logits": {"kernel": last, "bias": np.zeros(7, np.float32)},
    }
    face = np.full((48, 48, 1), 128, np.uint8)
    face[:10, :10], face[:5, :5] = 192, 255
    face[40:, 30:] = 0
    return make_model(config, DeviceConfig()), {"params": params, "batch_stats": {}}, face


def test_grad_cam_is_hot_where_the_answer_is_and_nowhere_else() -> None:
    model, variables, face = bright_and_dark_corner()
    faces, classes = np.stack([face] * 3), np.array([HAPPY, SAD, FEAR])
    happy, sad, fear = np.asarray(grad_cam(model, variables, faces, classes, pixel_stats=STATS))
    wanted = np.zeros((48, 48), np.float32)
    # The bright map holds 127 / 64 in the corner and 1 around it; its weight drops out.
    wanted[:10, :10], wanted[:5, :5] = 64 / 127, 1
    np.testing.assert_allclose(happy, wanted, rtol=1e-6)
    wanted = np.zeros((48, 48), np.float32)
    wanted[40:, 30:] = 1
    np.testing.assert_allclose(sad, wanted, rtol=1e-6)
    np.testing.assert_array_equal(fear, np.zeros((48, 48)))


def test_input_gradients_are_hot_where_the_answer_hangs_on_the_pixel() -> None:
    model, variables, face = bright_and_dark_corner()
    faces, classes = np.stack([face] * 2), np.array([HAPPY, SAD])
    happy, sad = np.asarray(input_gradients(model, variables, faces, classes, pixel_stats=STATS))
    # Behind a ReLU a place counts or does not: the brighter ones no more than the others.
    np.testing.assert_array_equal(happy, (face[..., 0] > 128).astype(np.float32))
    np.testing.assert_array_equal(sad, (face[..., 0] < 128).astype(np.float32))


def head(params: Any, maps: jax.Array, config: ModelConfig) -> jax.Array:
    """Do what comes behind the last block."""
    x = maps.reshape(len(maps), -1) if config.head == "flatten" else maps.mean(axis=(1, 2))
    if config.dense_features:
        x = jax.nn.relu(x @ params["dense"]["kernel"] + params["dense"]["bias"][None])
    return x @ params["logits"]["kernel"] + params["logits"]["bias"][None]


def grow(heat: np.ndarray) -> np.ndarray:
    """Bring a map to 48 × 48: each pixel's centre lies between four of the map's, or outside of its edge."""
    centres = (np.arange(48) + 0.5) * len(heat) / 48 - 0.5
    return ndimage.map_coordinates(
        heat, np.meshgrid(centres, centres, indexing="ij"), order=1, mode="nearest"
    )


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(
            blocks=(ConvBlock(features=3, pool=True), ConvBlock(features=4, pool=True)), dense_features=5
        ),
        ModelConfig(
            blocks=(ConvBlock(features=4, batch_norm=False, pool=True, dropout_rate=0.5),), dense_features=0
        ),
        ModelConfig(blocks=(ConvBlock(features=4, pool=True),) * 3, head="mean", dense_features=5),
    ],
    ids=["norm-flatten-dense", "plain-flatten", "norm-mean-dense"],
)
def test_grad_cam_is_the_published_sum_over_the_last_block(config: ModelConfig) -> None:
    model, variables = init(config)
    images, classes = some_images(3), np.array([0, 6, 3])

    def see(images: jax.Array) -> tuple[Any, Any]:
        x = standardise(images, STATS)
        _, seen = model.apply(
            variables, x, is_training=False, capture_intermediates=True, mutable=["intermediates"]
        )
        maps: Any = seen["intermediates"][f"block{len(config.blocks)}"]["__call__"][0]
        jacobian = jax.jacrev(lambda maps: head(variables["params"], maps[None], config)[0])
        return maps, jax.vmap(jacobian)(maps)

    maps, gradients = map(np.asarray, jax.jit(see)(jnp.asarray(images)))
    wanted = []
    for number, label in enumerate(classes):
        heat = np.zeros(maps.shape[1:3])
        for channel in range(maps.shape[3]):
            alpha = gradients[number, label, :, :, channel].mean()
            heat += alpha * maps[number, :, :, channel]
        large = grow(np.maximum(heat, 0))
        wanted.append(large / (large.max() or 1))
    found = grad_cam(model, variables, images, classes, pixel_stats=STATS)
    assert found.dtype == jnp.float32
    assert np.max(wanted) == 1
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_input_gradients_agree_with_finite_differences() -> None:
    model, variables = init(
        ModelConfig(blocks=(ConvBlock(features=3, pool=True), ConvBlock(features=4)), dense_features=16)
    )
    images, classes = some_images(2), np.array([5, 1])
    found = np.asarray(input_gradients(model, variables, images, classes, pixel_stats=STATS))
    np.testing.assert_allclose(found.max(axis=(1, 2)), [1, 1], rtol=1e-6)
    x, answers = np.array(standardise(images, STATS)), jnp.asarray(classes)

    @jax.jit
    def logit(x: Any, number: Any) -> Any:
        logits: Any = model.apply(variables, x, is_training=False)
        return logits[number, answers[number]]

    for number in range(2):
        steepest = np.argsort(found[number].ravel())[-4:]
        slopes = []
        for place in steepest:
            step = np.zeros_like(x)
            step[number].ravel()[place] = 0.0005
            slopes.append(abs(float(logit(x + step, number) - logit(x - step, number))))
        wanted = found[number].ravel()[steepest]
        np.testing.assert_allclose(np.array(slopes) / slopes[-1], wanted, rtol=0.02)


@pytest.mark.parametrize("make_maps", [grad_cam, input_gradients])
def test_a_map_does_not_hang_on_the_rest_of_the_batch(make_maps: Any) -> None:
    model, variables = init(ModelConfig(blocks=(ConvBlock(features=3, pool=True),), dense_features=4))
    images, classes = some_images(4), np.array([0, 1, 2, 3])
    together = make_maps(model, variables, images, classes, pixel_stats=STATS)
    alone = make_maps(model, variables, images[2:3], classes[2:3], pixel_stats=STATS)
    np.testing.assert_allclose(together[2], alone[0], atol=1e-5)


class Dense(nn.Module):
    """A network without a convolution."""

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        return nn.Dense(7, name="logits")(x.reshape(len(x), -1))


def test_grad_cam_names_what_is_missing_where_there_is_no_convolution() -> None:
    variables = Dense().init(jax.random.key(0), jnp.zeros((1, 48, 48, 1)), is_training=False)
    with pytest.raises(ConfigError, match="direct submodule of Dense"):
        grad_cam(Dense(), variables, some_images(1), np.array([0]), pixel_stats=STATS)
