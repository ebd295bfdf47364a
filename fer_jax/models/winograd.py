"""Winograd's minimal filtering: a 3 × 3 convolution and its gradients with fewer products.

Lavin & Gray 2016, "Fast algorithms for convolutional neural networks". F(m × m, 3 × 3) computes a tile of
m × m outputs from (m + 2) × (m + 2) inputs. Tile and kernel are transformed to that many numbers each; these
are multiplied and summed over the channels, and the sums are transformed back. The sums are matrix products,
one for each of the (m + 2)² places: 36 for m = 4, where the convolution has 144. On a CPU, XLA computes its
convolutions as fast as matrix products, so only fewer products can be faster. With few channels the
transforms take longer than what they save.

Toom's and Cook's transforms evaluate polynomials at chosen points, and float32's rounding depends on which
(Barabasz et al. 2020, "Error analysis and improving the accuracy of Winograd convolution for deep neural
networks"). Those below round about half as much as the usual 0, ±1, ±2, and more than a direct convolution.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

LEAST_CHANNELS = 128
"""Of inputs and outputs, for `suits`."""
POINTS = {3: (0.0, 1.0, -1.0, 2.0), 4: (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))}
"""By the outputs along a side of the tile; the point at infinity is always the last."""


class Transforms(NamedTuple):
    """The matrices of F(m, 3) along one axis, float64: [m + 2, m + 2], [m + 2, 3] and [m, m + 2]."""

    inputs: np.ndarray
    kernel: np.ndarray
    outputs: np.ndarray


def make_transforms(side: int) -> Transforms:
    """Make the matrices for tiles of `side` outputs: y = outputs @ ((kernel @ g) * (inputs @ d)).

    >>> inputs, kernel, outputs = make_transforms(3)
    >>> (outputs @ ((kernel @ [1, 10, 100]) * (inputs @ [1, 2, 3, 4, 5]))).round(9)
    array([321., 432., 543.])
    """
    points, size = POINTS[side], side + 2
    inputs, kernel, outputs = np.zeros((size, size)), np.zeros((size, 3)), np.zeros((side, size))
    for row, point in enumerate(points):
        others = [each for each in points if each != point]
        inputs[row, :-1] = np.polynomial.polynomial.polyfromroots(others)
        kernel[row] = point ** np.arange(3) / math.prod(point - each for each in others)
        outputs[:, row] = point ** np.arange(side)
    inputs[-1] = np.polynomial.polynomial.polyfromroots(points)
    kernel[-1, -1] = outputs[-1, -1] = 1
    return Transforms(inputs, kernel, outputs)


def choose_side(height: int, width: int) -> int:
    """Choose the tile's side for which a map needs the fewest products; tiles overhang where they must.

    >>> [choose_side(size, size) for size in (24, 12, 6, 4, 3)]
    [4, 4, 3, 4, 3]
    """
    return min(
        POINTS,
        key=lambda side: math.prod(math.ceil(length / side) * (side + 2) for length in (height, width)),
    )


def suits(x: jax.Array, features: int) -> bool:
    """Whether `conv` of float [B, H, W, C] is faster than XLA's convolution: on a CPU, with many channels."""
    is_wide = min(x.shape[-1], features) >= LEAST_CHANNELS
    return is_wide and x.dtype == jnp.float32 and jax.default_backend() == "cpu"


@jax.custom_vjp
def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve 3 × 3 with zero padding and stride 1.

    Args:
        x: float32 [B, H, W, C].
        kernel: float32 [3, 3, C, D].

    Returns:
        float32 [B, H, W, D].
    """
    return _convolve(x, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], grad: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return _differentiate_by_input(grad, kernel), _differentiate_by_kernel(x, grad)


conv.defvjp(lambda x, kernel: (_convolve(x, kernel), (x, kernel)), _backward)


def plain_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve as `conv` does, with XLA's convolution."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dimensions)


def _convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    side = choose_side(*x.shape[1:3])
    transforms = make_transforms(side)
    tiles = _transform(transforms.inputs, _cut(x, side, side + 2, before=1))
    kernels = _transform(transforms.kernel, kernel)
    products = jax.lax.dot_general(tiles, kernels, (((2,), (1,)), ((0,), (0,))))
    return _join(_transform(transforms.outputs, products.reshape(side + 2, side + 2, *products.shape[1:])), x)


def _differentiate_by_input(grad: jax.Array, kernel: jax.Array) -> jax.Array:
    # The gradient is a convolution too, from outputs to inputs, with the kernel turned around.
    return _convolve(grad, kernel[::-1, ::-1].swapaxes(2, 3))


def _differentiate_by_kernel(x: jax.Array, grad: jax.Array) -> jax.Array:
    side = choose_side(*x.shape[1:3])
    transforms = make_transforms(side)
    # The steps of the forward pass transposed. The tiles of x are computed again: saved, they would take more
    # than twice the memory of x.
    tiles = _transform(transforms.inputs, _cut(x, side, side + 2, before=1))
    grads = _transform(transforms.outputs.T, _cut(grad, side, side, before=0))
    products = jax.lax.dot_general(tiles, grads, (((1,), (1,)), ((0,), (0,))))
    by_kernel = _transform(transforms.kernel.T, products.reshape(side + 2, side + 2, *products.shape[1:]))
    return by_kernel.reshape(3, 3, *products.shape[1:])


def _transform(matrix: np.ndarray, tiles: jax.Array) -> jax.Array:
    """Transform all tiles along both axes at once, in one matrix product.

    Args:
        matrix: [n, k].
        tiles: float32 [k, k, ..., C]; [i, j] has the number in row i and column j of each tile.

    Returns:
        float32 [n · n, product of the axes between, C].
    """
    both = np.kron(matrix, matrix).astype(np.float32)
    out = both @ tiles.reshape(both.shape[1], -1)
    # Without the barrier XLA may compute it again wherever it is read.
    return jax.lax.optimization_barrier(out.reshape(len(both), -1, tiles.shape[-1]))


def _cut(x: jax.Array, side: int, size: int, *, before: int) -> jax.Array:
    """Cut float32 [B, H, W, C] into tiles of size × size pixels, `side` apart.

    The first begins `before` pixels outside the map; outside are zeros.

    Returns:
        float32 [size, size, B, rows of tiles, columns of tiles, C].
    """
    counts = [math.ceil(length / side) for length in x.shape[1:3]]
    pads = [
        (before, (count - 1) * side + size - before - length)
        for count, length in zip(counts, x.shape[1:3], strict=True)
    ]

    def every(x: jax.Array, axis: int, count: int) -> list[jax.Array]:
        end = (count - 1) * side + 1
        return [jax.lax.slice_in_dim(x, place, place + end, side, axis) for place in range(size)]

    # Rows and columns one after the other: two copies of a few slices, instead of one of size × size.
    rows = jnp.stack(every(jnp.pad(x, ((0, 0), *pads, (0, 0))), 1, counts[0]))
    columns = jnp.stack(every(jax.lax.optimization_barrier(rows), 3, counts[1]), axis=1)
    return jax.lax.optimization_barrier(columns)


def _join(tiles: jax.Array, like: jax.Array) -> jax.Array:
    """Join tiles of outputs, [side · side, B · tiles, D], to [B, H, W, D] with the first axes of `like`."""
    side = math.isqrt(len(tiles))
    batch, height, width, _ = like.shape
    rows, columns = math.ceil(height / side), math.ceil(width / side)
    joined = tiles.reshape(side, side, batch, rows, columns, -1).transpose(2, 3, 0, 4, 1, 5)
    return joined.reshape(batch, rows * side, columns * side, -1)[:, :height, :width]
