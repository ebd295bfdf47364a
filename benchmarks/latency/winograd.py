"""A trained network as one function of the pixels, optimised for speed on a CPU.

The weights are constants of the program. Batch norm is folded into the convolutions, which use Winograd's
minimal filtering F(2 × 2, 3 × 3) (Lavin & Gray 2016): 16 multiplications instead of 36 for four outputs, and
matrix products instead of XLA's convolution. The four outputs of a tile are exactly one pooling window.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.config.model import ModelConfig
from fer_jax.images.standardise import PixelStats, standardise

BATCH_NORM_EPSILON = 1e-5
_OF_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])

Weights = Mapping[str, Any]
Grid = list[list[jax.Array]]


def make_predict(
    config: ModelConfig, params: Weights, batch_stats: Weights, stats: PixelStats
) -> Callable[[Any], jax.Array]:
    """Make the function from faces to probabilities.

    Args:
        config: the network's.
        params: trained weights, nested dicts as in `TrainState.params`; NumPy or JAX arrays.
        batch_stats: running statistics, likewise.
        stats: of the training images' pixels.

    Returns:
        uint8 [B, 48, 48, 1] -> float32 [B, 7], for `jax.jit`. Sums are computed in another order than in the
        network itself, so the last bits differ.
    """
    names = [f"block{number}" for number in range(1, len(config.blocks) + 1)]
    folded = [_fold(params[name], batch_stats.get(name, {})) for name in names]
    dense = [
        (np.asarray(params[name]["kernel"]), np.asarray(params[name]["bias"]))
        for name in ("dense", "logits")
        if name in params
    ]

    def predict(images: Any) -> jax.Array:
        x = standardise(images, stats)
        for block, (kernel, bias) in zip(config.blocks, folded, strict=True):
            # Pooling first: a bias and ReLU do not change which of the four is the largest.
            x = jax.nn.relu(_convolve(x, kernel, pool=block.pool) + bias.reshape(1, 1, 1, -1))
        x = x.reshape(len(x), -1) if config.head == "flatten" else x.mean(axis=(1, 2))
        for kernel, bias in dense[:-1]:
            x = jax.nn.relu(x @ kernel + bias[None])
        kernel, bias = dense[-1]
        return jax.nn.softmax(x @ kernel + bias[None])

    return predict


def _fold(block: Weights, statistics: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Fold a convolution and its batch norm into one kernel and bias; float32 [3, 3, C, D] and [D]."""
    kernel = np.asarray(block["conv"]["kernel"], np.float64)
    if "norm" not in block:
        return kernel.astype(np.float32), np.asarray(block["conv"]["bias"])
    norm = {name: np.asarray(each, np.float64) for name, each in (block["norm"] | statistics["norm"]).items()}
    scale = norm["scale"] / np.sqrt(norm["var"] + BATCH_NORM_EPSILON)
    bias = norm["bias"] - norm["mean"] * scale
    return (kernel * scale).astype(np.float32), bias.astype(np.float32)


def _convolve(x: jax.Array, kernel: np.ndarray, *, pool: bool) -> jax.Array:
    """Convolve with a 3 × 3 kernel and zero padding, and optionally max-pool over 2 × 2 windows.

    Args:
        x: float32 [B, H, W, C].
        kernel: float32 [3, 3, C, D].
        pool: whether to pool.

    Returns:
        float32 [B, H, W, D], or [B, H / 2, W / 2, D].
    """
    batch, height, width, _ = x.shape
    if height % 2 or width % 2:  # Tiles do not cover it; such maps are small.
        return jax.lax.conv_general_dilated(
            x, jnp.asarray(kernel), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    tiles = winograd(x, kernel)
    if pool:
        return reduce(jnp.maximum, [each for row in tiles for each in row])
    rows = [jnp.stack(row, axis=3) for row in tiles]
    return jnp.stack(rows, axis=2).reshape(batch, height, width, -1)


def winograd(x: jax.Array, kernel: np.ndarray) -> Grid:
    """Convolve with a 3 × 3 kernel and zero padding, in tiles of 2 × 2 outputs.

    Args:
        x: float32 [B, H, W, C], H and W even.
        kernel: float32 [3, 3, C, D].

    Returns:
        2 × 2 arrays float32 [B, H / 2, W / 2, D]: entry [i][j] has the output's rows i, i + 2, ... and
        columns j, j + 2, ...
    """
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # A tile's outputs depend on 4 × 4 inputs.
    inputs = [[padded[:, i : i + height - 1 : 2, j : j + width - 1 : 2] for j in range(4)] for i in range(4)]
    kernels = np.einsum("ai,bj,ijcd->abcd", _OF_KERNEL, _OF_KERNEL, kernel).astype(np.float32)
    transformed = _along_both(_before, inputs)
    products = [[transformed[i][j] @ kernels[i, j] for j in range(4)] for i in range(4)]
    return _along_both(_after, products)


def _along_both(
    change: Callable[[Sequence[jax.Array]], list[jax.Array]], grid: Sequence[Sequence[jax.Array]]
) -> Grid:
    columns = [change(column) for column in zip(*grid, strict=True)]
    return [change(row) for row in zip(*columns, strict=True)]


def _before(x: Sequence[jax.Array]) -> list[jax.Array]:
    return [x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]]


def _after(x: Sequence[jax.Array]) -> list[jax.Array]:
    return [x[0] + x[1] + x[2], x[1] - x[2] - x[3]]
