"""Batch statistics of averaged weights: measured on training images as they are, since no step ran on them.

The network runs as it does when it predicts, without dropout and augmentation; only its batch norms use, and
give away, the statistics of the batch.
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
"""(state, training seed) -> the state whose average has the batch statistics that belong to it."""


def choose_rows(config: AverageConfig, rows: np.ndarray, *, seed: int) -> np.ndarray:
    """Choose the training rows on which the statistics are measured: the same ones each time.

    Args:
        config: how many.
        rows: int [Ntrain], the training part.
        seed: of the training.
    """
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
    """Make the function that brings an average's batch statistics up to date.

    Args:
        config: of the average; without one the function gives its state back.
        model: the network.
        images: uint8 [N, 48, 48, 1], all of them.
        rows: int [Ntrain], the training part.
        pixel_stats: of the training images.
        batch_size: images at a time; what is left over of the chosen rows is left out.
    """
    if not config.is_on:
        return lambda state, seed: state
    measure = jax.jit(
        lambda variables, faces: measure_batch(model, variables, standardise(faces, pixel_stats))
    )

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
    """Measure the mean and variance of what goes into each batch norm, all before it normalised likewise.

    Args:
        model: the network.
        variables: `params` and `batch_stats`; the numbers of the latter are not used.
        x: float32 [B, 48, 48, 1], standardised.

    Returns:
        Like `batch_stats`.

    Raises:
        ConfigError: the network keeps statistics that are not of an `nn.BatchNorm`.
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
            f"the network keeps running statistics outside of nn.BatchNorm: {names}; for averaged weights "
            "they cannot be measured: set average.ema_decay and average.swa_epochs to 0"
        )
    return unflatten_dict(found)


def merge_batches(batches: list[dict[tuple[str, ...], np.ndarray]]) -> dict[tuple[str, ...], np.ndarray]:
    """Merge the means and variances of batches of one size into those of all their images, float32.

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
            total = total + np.stack([batch[(*path[:-1], "mean")] for batch in batches]).var(
                axis=0, dtype=np.float64
            )
        merged[path] = total.astype(np.float32)
    return merged
