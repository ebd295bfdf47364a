"""JAX's primitives on constants: what a network computes from its parameters alone.

The slope of a batch norm, say, is computed here once, in float64: the file needs no operation for it.
"""

from collections.abc import Callable
from typing import Any, Final

import jax.numpy as jnp
import numpy as np


def to_constant(array: Any) -> np.ndarray:
    """Turn the numbers of a JAX program into a constant, float64 or int64; both hold them exactly."""
    array = np.asarray(array)
    return array.astype(np.float64 if jnp.issubdtype(array.dtype, jnp.floating) else np.int64)


def _broadcast(params: Any, constant: np.ndarray) -> np.ndarray:
    sizes = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], constant.shape, strict=True):
        sizes[axis] = size
    return np.broadcast_to(constant.reshape(sizes), params["shape"])


def _count(params: Any) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    sizes = [size if place == axis else 1 for place, size in enumerate(shape)]
    return np.broadcast_to(np.arange(shape[axis]).reshape(sizes), shape)


COMPUTED: Final[dict[str, Callable[..., np.ndarray]]] = {
    "add": lambda params, left, right: left + right,
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, *parts: np.concatenate(parts, params["dimension"]),
    "div": lambda params, left, right: left / right,
    "iota": _count,
    "mul": lambda params, left, right: left * right,
    "reshape": lambda params, constant: constant.reshape(params["new_sizes"]),
    "rsqrt": lambda params, constant: 1 / np.sqrt(constant),
    "sub": lambda params, left, right: left - right,
}
"""Name of a primitive -> (its parameters, constants) -> constant."""
