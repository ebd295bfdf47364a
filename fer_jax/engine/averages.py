"""Averages of the weights over the steps of training: exponential, or of the last epochs (SWA).

One rule for both: after a step, average <- (1 - pace) average + pace weights. The pace depends on the step
alone, so nothing else has to be stored.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fer_jax.config.training import AverageConfig

Pace = Callable[[jax.Array], jax.Array]
"""(step int32 [], from 0) -> pace float32 [], 0..1."""


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
