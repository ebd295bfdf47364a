"""Pooling: each way against loops or the library's, and mirrored."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.model import Pooling
from fer_jax.models.pooling import max_blur_pool, pool

X = jax.random.normal(jax.random.key(0), (2, 8, 6, 3))


def test_blurred_maxima_are_those_of_loops_over_all_windows() -> None:
    x = np.asarray(X)
    height, width = x.shape[1:3]
    largest = np.array(
        [[x[:, r : r + 2, c : c + 2].max(axis=(1, 2)) for c in range(width - 1)] for r in range(height - 1)]
    ).transpose(2, 0, 1, 3)
    padded = np.pad(largest, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    wanted = np.zeros((2, height // 2, width // 2, 3))
    for row in range(height // 2):
        for column in range(width // 2):
            for r, by_row in enumerate((0.25, 0.5, 0.25)):
                for c, by_column in enumerate((0.25, 0.5, 0.25)):
                    wanted[:, row, column] += by_row * by_column * padded[:, 2 * row + r, 2 * column + c]
    np.testing.assert_allclose(max_blur_pool(X), wanted, atol=1e-6)


def test_the_mean_is_that_of_the_library() -> None:
    np.testing.assert_allclose(pool(X, "mean"), nn.avg_pool(X, (2, 2), (2, 2)), atol=1e-6)


@pytest.mark.parametrize("pooling", ["max", "mean", "blur"])
def test_what_is_mirrored_is_pooled_to_the_mirror_image_and_what_is_even_stays(pooling: Pooling) -> None:
    np.testing.assert_allclose(pool(X[:, :, ::-1], pooling), pool(X, pooling)[:, :, ::-1], atol=1e-6)
    np.testing.assert_array_equal(pool(jnp.full((1, 4, 4, 1), 3.0), pooling), np.full((1, 2, 2, 1), 3.0))


@pytest.mark.parametrize("pooling", ["stride", None])
def test_a_strided_block_leaves_nothing_to_pool(pooling: Pooling | None) -> None:
    assert pool(X, pooling) is X
