"""JAX to ONNX: all kinds of blocks, poolings and heads, run by ONNX Runtime, give what JAX gives."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.config.files import load_config
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError
from fer_jax.export import onnx_file
from fer_jax.export.graph.translation import translate
from fer_jax.export.options import StoredDtype
from fer_jax.images.standardise import PixelStats
from fer_jax.inference.predictor import Network, describe_variables, make_predicting_model, predict

pytestmark = pytest.mark.usefixtures("quick_compile")
runtime = pytest.importorskip("onnxruntime", reason="needs fer-jax[export]")
pytest.importorskip("onnx", reason="needs fer-jax[export]")

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))
BLOCKS = (
    ConvBlock(features=3, batch_norm=False, squeeze_excite=True),
    ConvBlock(features=3, pool=True),
    ConvBlock(features=3, kind="residual"),
    ConvBlock(features=5, kind="residual", pool=True, squeeze_excite=True),
    ConvBlock(features=6, kind="separable", pool=True),
)
NETWORKS = {
    "max, flatten": ModelConfig(blocks=BLOCKS, pooling="max", head="flatten", dense_features=4),
    "mean, classes": ModelConfig(blocks=BLOCKS, pooling="mean", head="classes", dense_features=0),
    "blur, mean": ModelConfig(blocks=BLOCKS, pooling="blur", head="mean", dense_features=0, classes=8),
    "stride, mean": ModelConfig(blocks=BLOCKS, pooling="stride", head="mean", dense_features=4),
}


def make_network(config: ModelConfig) -> Network:
    """Make a network whose numbers, statistics included, are all different."""
    rng = np.random.default_rng(0)
    model = make_predicting_model(config)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        inputs = np.prod(leaf.shape[:-1])  # 1 of a vector.
        is_variance = path[-1].key == "var"
        numbers = rng.uniform(0.5, 2, leaf.shape) if is_variance else rng.normal(0, inputs**-0.5, leaf.shape)
        # As released weights are stored.
        return numbers.astype(np.float16).astype(np.float32)

    variables = jax.tree_util.tree_map_with_path(draw, describe_variables(model))
    return Network(model, config.names, variables, PixelStats(120.0, 60.0))


def run(network: Network, images: np.ndarray, dtype: StoredDtype = "float32") -> tuple[Any, Any]:
    """Export a network and run it; returns the model, and logits and probabilities."""
    model = onnx_file.build(translate(network), dtype=dtype, metadata={"fer_jax.name": "a"}, version="1.2")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return model, session.run(None, {"images": images})


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_gives_what_jax_gives(name: str) -> None:
    network = make_network(NETWORKS[name])
    faces = draw_examples(seed=0, examples=5).images
    wanted = predict(network, faces)[0]
    assert wanted.std(axis=0).min() > 1e-3
    for images in (faces, faces[:1]):
        for dtype in ("float32", "float16"):
            _, (logits, probabilities) = run(network, images, dtype)
            np.testing.assert_allclose(
                logits, wanted[: len(images)], atol=1e-4 * max(1, np.abs(wanted).max())
            )
            assert probabilities.shape == (len(images), network.classes)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_the_file_holds_no_batch_norm_and_no_pairs_of_a_pooling_and_its_kernels_fit_in_half() -> None:
    network = make_network(NETWORKS["max, flatten"])
    faces = draw_examples(seed=0, examples=1).images
    whole, _ = run(network, faces)
    kinds = [node.op_type for node in whole.graph.node]
    # Two Mul are squeeze-and-excitation's, one standardises; an Add is a shortcut's.
    assert (kinds.count("Mul"), kinds.count("Add"), kinds.count("Slice"), kinds.count("Max")) == (3, 3, 1, 0)
    half, _ = run(network, faces, "float16")
    kernels = [each for each in half.graph.initializer if each.data_type == 10]
    assert len(kernels) == sum(kind in ("Conv", "Gemm") for kind in kinds)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(network.variables) if leaf.ndim > 1]
    stored = sorted(np.frombuffer(each.raw_data, np.float16).sum(dtype=np.float64) for each in kernels)
    np.testing.assert_allclose(stored, sorted(leaf.sum(dtype=np.float64) for leaf in leaves), atol=1e-6)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_exported(path: Path) -> None:
    model = make_predicting_model(load_config(path).model)
    shapes = describe_variables(model)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    logits = translate(Network(model, fer2013.LABELS, variables, PixelStats(120.0, 60.0)))
    assert logits.shape == (-1, load_config(path).model.classes)


class OtherModel:
    """A network that applies one function to the mean gray level."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def apply(self, variables: Any, x: jax.Array, *, is_training: bool) -> Any:
        return self.function(x.mean(axis=(1, 2)))


def test_a_maximum_of_a_dense_layer_and_a_constant_stays_one() -> None:
    kernel = np.array([[-1.0, 1.0]], np.float32)
    model: Any = OtherModel(lambda x: jnp.maximum(x @ kernel, 0.5))
    network = Network(model, ("calm", "angry"), {}, PixelStats(120.0, 60.0))
    faces = np.stack([np.full((48, 48, 1), gray, np.uint8) for gray in (0, 240)])
    _, (logits, _) = run(network, faces)
    np.testing.assert_allclose(logits, [[2, 0.5], [0.5, 2]], rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (jnp.tanh, "the operation 'tanh', which"),
        (lambda x: x + jnp.cumsum(x, axis=1), "the operation 'cumsum', which"),
        (
            lambda x: jnp.broadcast_to(x[:, :, None], (*x.shape, 3)),
            "'broadcast_in_dim' to other sizes than 1",
        ),
        (lambda x: x.astype(jnp.bfloat16), "'convert_element_type' to bfloat16"),
        (lambda x: x.T @ x, "the operation"),
    ],
)
def test_what_cannot_be_exported_is_named(function: Any, words: str) -> None:
    model: Any = OtherModel(function)
    with pytest.raises(ConfigError, match="--to stablehlo exports every network") as raised:
        translate(Network(model, fer2013.LABELS, {}, PixelStats(120.0, 60.0)))
    assert words in str(raised.value)
