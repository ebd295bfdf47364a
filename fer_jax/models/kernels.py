"""The fast kernels: convolutions that XLA is slow at, and fused layers after a convolution.

As separate layers, batch norm, ReLU, pooling and dropout each read the large arrays again, forward and
backward. Here one pass does it all: the forward pass saves one byte for each window, which of its four values
was the largest; the backward pass reads it and writes the gradient of the convolution's outputs in one go.
The plain layers in `models.layers` define what is computed; the tests compare both.
"""

from functools import partial, reduce
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fer_jax.models import winograd

BATCH_NORM_EPSILON = 1e-5
_PLACES = tuple(product(range(3), range(3)))
"""Rows down and columns to the right of each place of a padded 3 × 3 kernel, row by row."""
_STRIP_ROWS = 12
"""Rows at a time for the gradient of a depthwise kernel, so that its nine totals stay in the cache."""


class _Saved(NamedTuple):
    """What the forward pass saves for the backward pass: arrays [B, H, W, C], [B, H', W', C] and [C]."""

    x: jax.Array
    out: jax.Array
    largest: jax.Array
    mean: jax.Array
    inverse_std: jax.Array
    scale: jax.Array


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def norm_relu_pool_drop(
    x: jax.Array, scale: jax.Array, bias: jax.Array, key_words: jax.Array, is_pooled: bool, rate: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Apply batch norm with the batch's statistics, ReLU, pooling and dropout.

    Args:
        x: float [B, H, W, C]; H and W even where pooled.
        scale: float32 [C], of the batch norm.
        bias: float32 [C].
        key_words: uint32 [2], see `keep_mask`.
        is_pooled: whether to take the largest of each 2 × 2 window; of equal ones the first gets the
            gradient.
        rate: share to drop, in [0, 1).

    Returns:
        float [B, H', W', C], and the batch's mean and variance, float32 [C], for the running statistics:
        no gradient flows through them.
    """
    return _forward(x, scale, bias, key_words, is_pooled, rate)[0]


def _forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, key_words: jax.Array, is_pooled: bool, rate: float
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], _Saved]:
    mean, variance = _moments(x)
    inverse_std = jax.lax.rsqrt(variance + BATCH_NORM_EPSILON)
    slope = scale * inverse_std
    # The offset is the same for a window's four values, so it is added to the largest alone.
    scaled = x * _by_channel(slope)
    if is_pooled:
        corners = _corners(scaled)
        scaled = jnp.maximum(jnp.maximum(corners[0], corners[1]), jnp.maximum(corners[2], corners[3]))
        number = jnp.full(scaled.shape, 3, jnp.uint8)
        for index in (2, 1, 0):
            number = jnp.where(corners[index] == scaled, jnp.uint8(index), number)
    else:
        number = jnp.zeros((), jnp.uint8)
    out = drop(key_words, jax.nn.relu(scaled + _by_channel(bias - mean * slope)), rate=rate).astype(x.dtype)
    # Without the barrier XLA computes both again wherever they are read.
    out, number = jax.lax.optimization_barrier((out, number))
    return (out, mean, variance), _Saved(x, out, number, mean, inverse_std, scale)


def _backward(
    is_pooled: bool, rate: float, saved: _Saved, cotangents: tuple[jax.Array, jax.Array, jax.Array]
) -> tuple[Any, ...]:
    x, out, largest, mean, inverse_std, scale = saved
    # The output is 0 wherever ReLU or dropout set it to 0, so it is the mask.
    grad = jnp.where(out > 0, cotangents[0] / (1 - rate), 0).astype(jnp.float32)
    if is_pooled:
        chosen = jax.lax.select_n(largest.astype(jnp.int32), *_corners(x))
        place = jnp.arange(4, dtype=jnp.uint8).reshape(1, 1, 2, 1, 2, 1)
        spread = jnp.where(largest[:, :, None, :, None] == place, grad[:, :, None, :, None], 0).reshape(
            x.shape
        )
    else:
        chosen, spread = x, grad
    grad_bias = grad.sum((0, 1, 2))
    grad_scale = (grad * ((chosen - _by_channel(mean)) * _by_channel(inverse_std))).sum((0, 1, 2))
    grad_x = _through_moments(x, spread, grad_scale, grad_bias, mean, inverse_std, scale)
    return grad_x, grad_scale, grad_bias, None


norm_relu_pool_drop.defvjp(_forward, _backward)


@jax.custom_vjp
def norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Apply batch norm alone, with the batch's statistics: for branches that are added before their ReLU.

    Args:
        x: float [B, H, W, C].
        scale: float32 [C], of the batch norm.
        bias: float32 [C].

    Returns:
        float [B, H, W, C], and the batch's mean and variance, see `norm_relu_pool_drop`.
    """
    return _norm_forward(x, scale, bias)[0]


def _norm_forward(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[Any, tuple[jax.Array, ...]]:
    mean, variance = _moments(x)
    inverse_std = jax.lax.rsqrt(variance + BATCH_NORM_EPSILON)
    slope = scale * inverse_std
    out = (x * _by_channel(slope) + _by_channel(bias - mean * slope)).astype(x.dtype)
    return (out, mean, variance), (x, mean, inverse_std, scale)


def _norm_backward(saved: tuple[jax.Array, ...], cotangents: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    x, mean, inverse_std, scale = saved
    grad = cotangents[0].astype(jnp.float32)
    grad_bias = grad.sum((0, 1, 2))
    grad_scale = (grad * ((x - _by_channel(mean)) * _by_channel(inverse_std))).sum((0, 1, 2))
    grad_x = _through_moments(x, grad, grad_scale, grad_bias, mean, inverse_std, scale)
    return grad_x, grad_scale, grad_bias


norm.defvjp(_norm_forward, _norm_backward)


def _through_moments(
    x: jax.Array,
    grad: jax.Array,
    grad_scale: jax.Array,
    grad_bias: jax.Array,
    mean: jax.Array,
    inverse_std: jax.Array,
    scale: jax.Array,
) -> jax.Array:
    """Compute the gradient of a batch norm's inputs x from that of its outputs, float32 [B, H, W, C]."""
    # Ioffe & Szegedy 2015: the gradient through the batch's mean and variance is an affine function of x.
    slope, count = scale * inverse_std, x.size // x.shape[-1]
    by_x = slope * inverse_std * grad_scale / count
    offset = slope * grad_bias / count - by_x * mean
    inner = _by_channel(offset) + _by_channel(by_x) * x
    return jax.lax.optimization_barrier((_by_channel(slope) * grad - inner).astype(x.dtype))


def _moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute mean and variance, float32 [C], over all other axes, the variance as `nn.BatchNorm` does."""
    x = x.astype(jnp.float32)
    mean = x.mean((0, 1, 2))
    return mean, jnp.maximum((x * x).mean((0, 1, 2)) - mean * mean, 0.0)


def _by_channel(values: jax.Array) -> jax.Array:
    """Give a number for each channel, [C], the form [1, 1, 1, C] that goes with images."""
    return jnp.expand_dims(values, (0, 1, 2))


def _corners(x: jax.Array) -> list[jax.Array]:
    """Split [B, H, W, C] into the four corners of its 2 × 2 windows, [B, H / 2, W / 2, C] each."""
    windows = x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3])
    return [windows[:, :, row, :, column] for row in (0, 1) for column in (0, 1)]


def drop(key_words: jax.Array, x: jax.Array, *, rate: float) -> jax.Array:
    """Drop a share of the values of float x, see `keep_mask`, and scale up the others to keep the mean."""
    return jnp.where(keep_mask(key_words, x.shape, rate=rate), x / (1 - rate), 0) if rate else x


def keep_mask(key_words: jax.Array, shape: tuple[int, ...], *, rate: float) -> jax.Array:
    """Choose what dropout keeps, each value with probability 1 − rate.

    A hash of the value's index and the key (lowbias32 of Wellons 2018, nullprogram.com/blog/2018/07/31):
    stateless like JAX's Threefry, good enough for a mask, and so cheap that XLA fuses it into the loop that
    uses it.

    Args:
        key_words: uint32 [2], the words of a JAX key: `jax.random.key_data(key)`.
        shape: of the mask, fewer than 2**32 values.
        rate: share to drop, in [0, 1).

    Returns:
        bool of that shape: True where a value is kept.
    """
    number, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        number += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride)
        stride *= shape[axis]
    # A rate just below 1 would be rounded to 2**32, which no uint32 has.
    least = jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    return _mix(_mix(number + key_words[0]) + key_words[1]) >= least


def _mix(word: jax.Array) -> jax.Array:
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)


@jax.custom_vjp
def conv_pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve float [B, H, W, C] with a kernel float [1, 1, C, features].

    Its gradients are matrix products: with few channels XLA's convolutions on a CPU take longer for them.
    """
    return winograd.plain_conv(x, kernel)


def _pointwise_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return conv_pointwise(x, kernel), (x, kernel)


def _pointwise_backward(saved: tuple[jax.Array, jax.Array], grad: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    places = (0, 1, 2)
    grad_kernel = jax.lax.dot_general(x, grad, ((places, places), ((), ())))
    return grad @ kernel[0, 0].T, grad_kernel[None, None]


conv_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@jax.custom_vjp
def conv_depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve each channel of float [B, H, W, C] with its own kernel, float [3, 3, 1, C], and zero padding.

    It is a sum of nine products: XLA's grouped convolution on a CPU takes up to a hundred times as long.
    """
    weights = kernel.reshape(9, -1)
    return reduce(
        jnp.add, (pixels * _by_channel(each) for pixels, each in zip(_shift(x), weights, strict=True))
    )


def _depthwise_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return conv_depthwise(x, kernel), (x, kernel)


def _depthwise_backward(saved: tuple[jax.Array, jax.Array], grad: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    # With a batch that is divided among devices, each step of a loop would fetch its strip from one of them.
    # The mesh says so, and not the machine, whose other devices change no bit of a program on one of them.
    is_alone = jax.default_backend() == "cpu" and jax.typeof(x).sharding.mesh.size <= 1
    sums = _correlate_by_strip(x, grad) if is_alone else _correlate(x, grad)
    grad_kernel = jnp.stack(sums).reshape(kernel.shape).astype(kernel.dtype)
    return conv_depthwise(grad, kernel[::-1, ::-1]), grad_kernel


conv_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def _correlate(x: jax.Array, grad: jax.Array) -> list[jax.Array]:
    """Sum the products of x, shifted to each place of a 3 × 3 kernel, and grad: float32 [C] for each place.

    Args:
        x: float [B, H, W, C], what is convolved.
        grad: float [B, H, W, C], the gradient of the loss with respect to the output.
    """
    return [(pixels * grad).sum((0, 1, 2), dtype=jnp.float32) for pixels in _shift(x)]


def _correlate_by_strip(x: jax.Array, grad: jax.Array) -> list[jax.Array]:
    """Compute the same sums up to rounding, from one strip of rows after another.

    On a CPU that is faster, because XLA fuses the nine sums over all images into one slow loop. Here are
    elementwise products alone, whose totals stay in the cache. A row's pixels and channels are one axis: a
    loop over few channels would be slow.
    """
    batch, height, width, channels = x.shape
    row = width * channels
    rows = max(rows for rows in range(1, _STRIP_ROWS + 1) if height % rows == 0)
    strips = height // rows
    padded = jnp.pad(x.reshape(batch, height, row), ((0, 0), (1, 1), (channels, channels)))
    grad = grad.reshape(batch, height, row)

    def add_strip(index: jax.Array, sums: list[jax.Array]) -> list[jax.Array]:
        image, top = index // strips, index % strips * rows
        strip = jax.lax.dynamic_slice(padded, (image, top, 0), (1, rows + 2, row + 2 * channels))
        its_grad = jax.lax.dynamic_slice(grad, (image, top, 0), (1, rows, row))
        return [
            total + strip[:, down : down + rows, right * channels : right * channels + row] * its_grad
            for total, (down, right) in zip(sums, _PLACES, strict=True)
        ]

    zeros = jnp.zeros((1, rows, row), jnp.float32)
    sums = jax.lax.fori_loop(0, batch * strips, add_strip, [zeros] * len(_PLACES))
    return [total.reshape(-1, channels).sum(0) for total in sums]


def _shift(x: jax.Array) -> list[jax.Array]:
    """Pad [B, H, W, C] with zeros and shift it to each place of a 3 × 3 kernel, row by row."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, down : down + height, right : right + width] for down, right in _PLACES]


def conv_one_channel(x: jax.Array, kernel: jax.Array, *, is_pooled: bool, stride: int = 1) -> jax.Array:
    """Convolve images of one channel 3 × 3 with zero padding, as one matrix product over small windows.

    XLA's convolution is slow for a single input channel. For pooling, a row of the product holds the four
    places of a pooling window, from the 4 × 4 pixels around it, so that pooling reads adjacent values.

    Args:
        x: float [B, H, W, 1]; H and W even where pooled or strided.
        kernel: float [3, 3, 1, C].
        is_pooled: whether to return each 2 × 2 window as an image of its own.
        stride: 1, or 2 for every other place along each axis; 1 where pooled.

    Returns:
        float [B, H / stride, W / stride, C], or [B · H / 2 · W / 2, 2, 2, C].
    """
    side = 2 if is_pooled else 1
    step = side * stride
    height, width = x.shape[1:3]
    padded = jnp.pad(x[..., 0], ((0, 0), (1, 1), (1, 1)))
    pixels = [
        padded[:, row : row + height - side + 1 : step, column : column + width - side + 1 : step]
        for row in range(side + 2)
        for column in range(side + 2)
    ]
    placed = [
        jnp.pad(kernel[:, :, 0], ((row, side - 1 - row), (column, side - 1 - column), (0, 0)))
        for row in range(side)
        for column in range(side)
    ]
    windows = jnp.stack(pixels, axis=-1)
    rows = windows.reshape(-1, len(pixels))
    outputs = rows @ jnp.concatenate(placed, axis=-1).reshape(len(pixels), -1)
    return outputs.reshape(*((-1, 2, 2) if is_pooled else windows.shape[:3]), kernel.shape[-1])
