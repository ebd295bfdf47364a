"""Averages of the weights over the steps of training: exponential, or of the last epochs (SWA).

One rule for both: after a step, average <- (1 - pace) average + pace weights. The pace depends on the step
alone, so nothing else has to be stored.

Batch statistics of averaged weights are measured on training images: no train step has computed them. The
network runs as it predicts, without dropout and augmentation, but its batch norms use the statistics of the
batch, and these are collected.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fer_jax.config.training import AverageConfig
from fer_jax.engine.state import TrainState
from fer_jax.errors import ConfigError
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.models.transfer import name_blocks
from fer_jax.parallel.mesh import ONE_DEVICE, Place
from fer_jax.randomness import Stream, numpy_rng

Pace = Callable[[jax.Array], jax.Array]
"""(step int32 [], from 0) -> pace float32 [], 0..1."""
Refresh = Callable[[TrainState, int], TrainState]
"""(state, training seed) -> the state, with the batch statistics of its average up to date."""


def make_pace(config: AverageConfig, *, epoch_steps: int, epochs: int) -> Pace | None:
    """Make the pace of an average.

    - Exponential: 1 - decay, with the decay of step t at most (1 + t) / (10 + t), so that the initial
      weights are forgotten soon (Tarvainen & Valpola 2017; the warm-up is TensorFlow's).
    - Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights after each of the last
      epochs; until then the average is the weights.

    Returns:
        The pace; None where nothing is averaged.
    """
    if config.ema_decay:

        def exponential(step: jax.Array) -> jax.Array:
            taken = step.astype(jnp.float32)
            return 1 - jnp.minimum(config.ema_decay, (1 + taken) / (10 + taken))

        return exponential
    if not config.swa_epochs:
        return None

    def stochastic(step: jax.Array) -> jax.Array:
        epoch, position = jnp.divmod(step, epoch_steps)
        number = epoch + 1 - (epochs - config.swa_epochs)
        at_end = jnp.where(position == epoch_steps - 1, 1 / jnp.maximum(number, 1), 0.0)
        return jnp.where(number < 1, 1.0, at_end).astype(jnp.float32)

    return stochastic


def move(average: Any, params: Any, pace: jax.Array) -> Any:
    """Move an average, nested float32, towards the weights; pace 0 keeps its bits, 1 takes theirs."""
    return jax.tree.map(lambda old, new: (1 - pace) * old + pace * new, average, params)


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
    frozen_at: Callable[[int], int] = lambda step: 0,
    place_of: Callable[[int], Place] = lambda seed: ONE_DEVICE,
) -> Refresh:
    """Make the function that updates the batch statistics of an average.

    Args:
        config: of the average; without averaging the function returns the state unchanged.
        model: the network.
        images: uint8 [N, 48, 48, 1], all of them.
        rows: int [Ntrain], the training part.
        pixel_stats: of the training images.
        batch_size: images at a time; an incomplete last batch is left out.
        frozen_at: step -> how many first blocks it does not train; their statistics stay as they are.
        place_of: where the replica of a seed trains.
    """
    if not config.is_on:
        return lambda state, seed: state

    @partial(jax.jit, static_argnames="frozen_blocks")
    def measure(variables: Any, some: jax.Array, *, frozen_blocks: int) -> Any:
        return measure_batch(model, variables, standardise(some, pixel_stats), frozen_blocks=frozen_blocks)

    measure_at = cache(lambda place: place.spread(measure, static_argnames="frozen_blocks"))

    def refresh(state: TrainState, seed: int) -> TrainState:
        chosen, place = choose_rows(config, rows, seed=seed), place_of(seed)
        size, average = min(batch_size, len(chosen)), place.put_whole(state.average)
        frozen_blocks = frozen_at(max(0, int(state.step) - 1))

        def take(some: np.ndarray) -> Any:
            # Devices that cannot divide the images measure all of them.
            is_shared = size % place.devices == 0
            return place.put_shared(images[place.cut(some)]) if is_shared else place.put_whole(images[some])

        batches = [
            measure_at(place)(average, take(chosen[first : first + size]), frozen_blocks=frozen_blocks)
            for first in range(0, len(chosen) - size + 1, size)
        ]
        merged = merge_batches([flatten_dict(each) for each in jax.device_get(batches)])
        stats = place.put_whole(jax.device_put(unflatten_dict(merged)))
        return state.replace(average=state.average | {"batch_stats": stats})  # type: ignore[attr-defined]

    return refresh


def measure_batch(model: nn.Module, variables: Any, x: jax.Array, *, frozen_blocks: int = 0) -> Any:
    """Measure the mean and variance of the inputs of each batch norm; each normalises by them.

    Args:
        model: the network.
        variables: `params` and `batch_stats`; the values of the latter are not used.
        x: float32 [B, 48, 48, 1], standardised.
        frozen_blocks: so many first blocks use and keep the statistics that they have.

    Returns:
        Like `batch_stats`.

    Raises:
        ConfigError: the network has running statistics that are not those of an `nn.BatchNorm`.
    """
    frozen = name_blocks(frozen_blocks)
    wanted = flatten_dict(variables["batch_stats"])
    found: dict[tuple[str, ...], Any] = {path: leaf for path, leaf in wanted.items() if path[0] in frozen}

    def watch(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        norm = context.module
        is_norm = isinstance(norm, nn.BatchNorm) and context.method_name == "__call__"
        # The one without a path is the copy below.
        if not is_norm or not norm.path or norm.path[0] in frozen:
            return call(*args, **kwargs)
        own = norm.clone(parent=None, name=None, use_running_average=False, momentum=0.0)
        y, seen = own.apply(norm.variables, *args, mutable=["batch_stats"])
        found.update({(*norm.path, name): leaf for name, leaf in seen["batch_stats"].items()})
        return y

    with nn.intercept_methods(watch):
        model.apply(variables, x, is_training=False)
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
