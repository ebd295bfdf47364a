"""Batch statistics of averaged weights, measured on training images: no train step has computed them.

The network runs as it predicts, without dropout and augmentation, but its batch norms use the statistics of
the batch, and these are collected.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fer_jax.config.training import AverageConfig
from fer_jax.engine.state import TrainState
from fer_jax.errors import ConfigError
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.randomness import Stream, numpy_rng

Refresh = Callable[[TrainState, int], TrainState]
"""(state, training seed) -> the state, with the batch statistics of its average up to date."""


def choose_rows(config: AverageConfig, rows: np.ndarray, *, seed: int) -> np.ndarray:
    """Choose the training rows, of int [Ntrain], on which the statistics are measured: the same each time."""
    return numpy_rng(seed, Stream.SUBSET).permutation(rows)[: config.stats_examples or len(rows)]


def make_refresh(
    config: AverageConfig,
    model: nn.Module,
    images: np.ndarray,
    rows: np.ndarray,
    *,
    pixel_stats: PixelStats,
    batch_size: int,
) -> Refresh:
    """Make the function that updates the batch statistics of an average.

    Args:
        config: of the average; without averaging the function returns the state unchanged.
        model: the network.
        images: uint8 [N, 48, 48, 1], all of them.
        rows: int [Ntrain], the training part.
        pixel_stats: of the training images.
        batch_size: images at a time; an incomplete last batch is left out.
    """
    if not config.is_on:
        return lambda state, seed: state
    measure = jax.jit(lambda variables, some: measure_batch(model, variables, standardise(some, pixel_stats)))

    def refresh(state: TrainState, seed: int) -> TrainState:
        chosen = choose_rows(config, rows, seed=seed)
        size = min(batch_size, len(chosen))
        batches = [
            measure(state.average, images[chosen[first : first + size]])
            for first in range(0, len(chosen) - size + 1, size)
        ]
        merged = merge_batches([flatten_dict(each) for each in jax.device_get(batches)])
        return state.replace(  # type: ignore[attr-defined]
            average=state.average | {"batch_stats": jax.device_put(unflatten_dict(merged))}
        )

    return refresh


def measure_batch(model: nn.Module, variables: Any, x: jax.Array) -> Any:
    """Measure the mean and variance of the inputs of each batch norm; each normalises by them.

    Args:
        model: the network.
        variables: `params` and `batch_stats`; the values of the latter are not used.
        x: float32 [B, 48, 48, 1], standardised.

    Returns:
        Like `batch_stats`.

    Raises:
        ConfigError: the network has running statistics that are not those of an `nn.BatchNorm`.
    """
    found: dict[tuple[str, ...], Any] = {}

    def watch(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        norm = context.module
        is_norm = isinstance(norm, nn.BatchNorm) and context.method_name == "__call__"
        if not is_norm or not norm.path:  # The one without a path is the copy below.
            return call(*args, **kwargs)
        own = norm.clone(parent=None, name=None, use_running_average=False, momentum=0.0)
        y, seen = own.apply(norm.variables, *args, mutable=["batch_stats"])
        found.update({(*norm.path, name): leaf for name, leaf in seen["batch_stats"].items()})
        return y

    with nn.intercept_methods(watch):
        model.apply(variables, x, is_training=False)
    wanted = flatten_dict(variables["batch_stats"])
    if wanted.keys() != found.keys():
        names = ", ".join(sorted("/".join(path) for path in wanted.keys() ^ found.keys()))
        raise ConfigError(
            f"the network has running statistics outside of nn.BatchNorm: {names}; they cannot be measured "
            "for averaged weights: set average.ema_decay and average.swa_epochs to 0"
        )
    return unflatten_dict(found)


def merge_batches(batches: list[dict[tuple[str, ...], np.ndarray]]) -> dict[tuple[str, ...], np.ndarray]:
    """Merge the means and variances of batches of equal size into those of all images, float32.

    >>> path = ("norm",)
    >>> one, other = ({(*path, "mean"): np.array(m), (*path, "var"): np.array(1.0)} for m in (0.0, 4.0))
    >>> {path[-1]: float(leaf) for path, leaf in merge_batches([one, other]).items()}
    {'mean': 2.0, 'var': 5.0}
    """
    merged = {}
    for path in batches[0]:
        leaves = np.stack([batch[path] for batch in batches]).astype(np.float64)
        total = leaves.mean(axis=0)
        if path[-1] == "var":
            means = np.stack([batch[(*path[:-1], "mean")] for batch in batches])
            total = total + means.var(axis=0, dtype=np.float64)
        merged[path] = total.astype(np.float32)
    return merged
