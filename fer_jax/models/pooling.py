"""Pooling: how height and width are halved."""

import jax
import jax.numpy as jnp

from fer_jax.config.model import Pooling


def pool(x: jax.Array, pooling: Pooling | None) -> jax.Array:
    """Pool float [B, H, W, C], H and W even, to [B, H / 2, W / 2, C]; "stride" and None return x."""
    ways = {"max": max_pool_2x2, "mean": mean_pool_2x2, "blur": max_blur_pool}
    return ways[pooling](x) if pooling in ways else x


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Take the maximum of each 2 × 2 window of float [B, H, W, C], H and W even: [B, H / 2, W / 2, C].

    The same values as `nn.max_pool`, but with pairwise maxima: the gradient of `nn.max_pool` is a
    scatter, which is slow on CPU and not deterministic on GPU. Equal largest values share the gradient.
    """
    rows = jnp.maximum(x[:, 0::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


def mean_pool_2x2(x: jax.Array) -> jax.Array:
    """Take the mean of each 2 × 2 window of float [B, H, W, C], H and W even: [B, H / 2, W / 2, C]."""
    rows = x[:, 0::2] + x[:, 1::2]
    return 0.25 * (rows[:, :, 0::2] + rows[:, :, 1::2])


def max_blur_pool(x: jax.Array) -> jax.Array:
    """Pool without aliasing: the maxima of all 2 × 2 windows, then every other place of their blur.

    Zhang 2019, "Making convolutional networks shift-invariant again", with the binomial filter (1 2 1) / 4
    along each axis and reflection at the borders. The places kept are the windows of `max_pool_2x2`, so that
    mirrored images give mirrored maps. Only these are computed: along each axis, windows that begin at even
    places are separate from those at odd places between them. H and W of x are even and at least 4.
    """
    even, odd = (_blur(*_pair_maxima(rows, axis=2), axis=2) for rows in _pair_maxima(x, axis=1))
    return _blur(even, odd, axis=1)


def _pair_maxima(x: jax.Array, *, axis: int) -> tuple[jax.Array, jax.Array]:
    """Take the larger of two neighbours: N / 2 pairs that begin at even places, N / 2 - 1 at odd ones."""
    size = x.shape[axis]
    first, second = (jax.lax.slice_in_dim(x, start, size, 2, axis) for start in (0, 1))
    later = jax.lax.slice_in_dim(first, 1, size // 2, 1, axis)
    earlier = jax.lax.slice_in_dim(second, 0, size // 2 - 1, 1, axis)
    return jnp.maximum(first, second), jnp.maximum(earlier, later)


def _blur(even: jax.Array, odd: jax.Array, *, axis: int) -> jax.Array:
    """Average each even place, weight 1 / 2, with its odd neighbours; at a border the one counts twice."""
    size = odd.shape[axis]
    first, last = (jax.lax.slice_in_dim(odd, place, place + 1, 1, axis) for place in (0, size - 1))
    left, right = jnp.concatenate([first, odd], axis), jnp.concatenate([odd, last], axis)
    return 0.5 * even + 0.25 * (left + right)
