"""Muon in batches: the numbers of Optax's, matrix after matrix, and far fewer operations."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

from fer_jax.config.files import load_config
from fer_jax.config.training import OptimizerConfig
from fer_jax.engine.muon import ITERATIONS, RMS, is_matrix, orthogonalise
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import init_state
from fer_jax.engine.step import Batch, make_train_step
from fer_jax.images.standardise import PixelStats
from fer_jax.models.cnn import make_model

# Muon takes three of them, as two batches: the smaller side is 6 in one, with a tall and a wide matrix and
# padding, and 5 in the other.
SHAPES: dict[str, Any] = {
    "block1": {"conv": {"kernel": (3, 3, 1, 8)}, "norm": {"scale": (8,), "bias": (8,)}},
    "block2": {"conv1": {"kernel": (3, 3, 4, 6)}, "conv2": {"kernel": (2, 2, 3, 5)}},
    "block3": {"shortcut": {"kernel": (1, 1, 4, 6)}, "excite": {"expand": {"kernel": (4, 6), "bias": (6,)}}},
    "block4": {"depthwise1": {"kernel": (3, 3, 1, 6)}, "square": {"kernel": (1, 5, 1, 5)}},
    "dense": {"kernel": (6, 13), "bias": (13,)},
    "logits": {"kernel": (13, 7), "bias": (7,)},
}
MATRICES = {"block2/conv1/kernel", "block2/conv2/kernel", "dense/kernel"}


def draw(seed: int) -> Any:
    """Draw a gradient; its matrices are badly scaled, ten times more along the first inputs."""
    rng = np.random.default_rng(seed)
    full = jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32),
        SHAPES,
        is_leaf=lambda x: type(x) is tuple,
    )
    return jax.tree.map(lambda leaf: leaf.at[0].multiply(10.0), full)


def named(tree: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(each.key for each in path): np.asarray(leaf) for path, leaf in leaves}


def optax_muon() -> optax.GradientTransformation:
    """Optax's own, one matrix after another."""

    def matrix_of(path: Any, leaf: Any) -> optax.contrib.MuonDimensionNumbers | None:
        is_taken = "/".join(each.key for each in path) in MATRICES
        axes = tuple(range(leaf.ndim - 1)), leaf.ndim - 1
        return optax.contrib.MuonDimensionNumbers(*axes) if is_taken else None

    return optax.contrib.muon(
        -1.0,
        beta=0.9,
        consistent_rms=RMS,
        muon_weight_dimension_numbers=lambda params: jax.tree_util.tree_map_with_path(matrix_of, params),
    )


def test_it_gives_the_directions_of_optax_on_matrices_of_all_forms() -> None:
    taken = {name for name, leaf in named(draw(0)).items() if is_matrix(name.split("/"), leaf.shape)}
    assert taken == MATRICES
    params, chains = draw(0), (make_optimizer(OptimizerConfig(name="muon", momentum=0.9)), optax_muon())
    states, updates = [each.init(params) for each in chains], [jax.jit(each.update) for each in chains]
    for step in range(1, 4):  # The momentum and its correction are in the second and third.
        grads = draw(step)
        found, states[0] = updates[0](grads, states[0], params)
        wanted, states[1] = updates[1](grads, states[1], params)
        for name, leaf in named(found).items():
            np.testing.assert_allclose(leaf, named(wanted)[name], rtol=1e-4, atol=2e-5, err_msg=name)


def newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """Jordan's loop over one matrix, float64, without transposing or padding anything."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x - 4.775 * square @ x + 2.0315 * square @ square @ x
    return x


@pytest.mark.parametrize(("products", "most"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_each_matrix_of_a_batch_is_that_of_the_plain_loop(products: str, most: float) -> None:
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=shape).astype(np.float32) for shape in ((36, 6), (6, 13), (9, 6), (1, 4))]
    found = jax.jit(partial(orthogonalise, products=products))(matrices)
    for matrix, done in zip(matrices, found, strict=True):
        assert done.dtype == np.float32
        wanted = newton_schulz(matrix.astype(np.float64))
        assert np.linalg.norm(done - wanted) < most * np.linalg.norm(wanted)
        values = np.linalg.svd(done, compute_uv=False)
        assert 0.45 < values.min() <= values.max() < 1.55


def test_a_network_without_such_matrices_is_trained_by_adam_alone() -> None:
    grads = {
        "block1": {"conv": {"kernel": jnp.ones((3, 3, 1, 4))}},
        "logits": {"kernel": jnp.full((4, 7), -2.0)},
    }
    optimizer = make_optimizer(OptimizerConfig(name="muon"))
    directions, _ = jax.jit(optimizer.update)(grads, optimizer.init(grads), grads)
    # Adam's first direction is the sign of the gradient; looking ahead, 1 + 0.9 (1 - 0.9) / (1 - 0.9^2).
    for name, leaf in named(directions).items():
        np.testing.assert_allclose(leaf, (1 + 0.09 / 0.19) * np.sign(named(grads)[name]), rtol=1e-3)


def test_the_step_of_best_has_three_chains_of_products_and_no_loop_for_them() -> None:
    config = load_config("best")
    model = make_model(config.model, config.device)
    batch = Batch(np.zeros((4, 48, 48, 1), np.uint8), np.zeros(4, np.int32), np.ones(4, np.float32))

    def lower(name: Any) -> str:
        optimizer = make_optimizer(OptimizerConfig(name=name))
        step = make_train_step(
            model,
            optimizer,
            config.loss,
            class_weights=np.ones(7, np.float32),
            pixel_stats=PixelStats(120.0, 60.0),
        )
        state = jax.eval_shape(lambda key: init_state(key, model, optimizer), jax.random.key(0))
        return step.lower(jax.random.key(0), state, batch, np.float32(0.1)).as_text()  # type: ignore[attr-defined]

    muon, sgd = lower("muon"), lower("sgd")
    assert muon.count("stablehlo.while") == sgd.count("stablehlo.while")
    # Two convolutions in each of five blocks, of 128, 192 or 256 features; five iterations of three products.
    products = muon.count("stablehlo.dot_general") - sgd.count("stablehlo.dot_general")
    assert products == 3 * ITERATIONS * 3
