"""The train state: arrays only. Code (model, optimizer) is closed over by the step, never stored."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from fer_jax import fer2013
from fer_jax.config.training import AverageConfig


@flax.struct.dataclass
class TrainState:
    """Everything that training changes.

    Attributes:
        step: int32 [], steps taken.
        params: trained weights, nested dicts of float32.
        batch_stats: running statistics of the batch norms; an empty dict without any.
        opt_state: the optimizer's memory.
        average: averaged weights `params`, and `batch_stats`, the statistics of clean training images under
            them, as of the last time they were computed; an empty dict for a run that does not average.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = flax.struct.field(default_factory=dict)

    @property
    def predictor(self) -> dict[str, Any]:
        """What predicts: `params` and `batch_stats`, the averaged ones where there are."""
        return self.average or {"params": self.params, "batch_stats": self.batch_stats}


def init_state(key: jax.Array, model: nn.Module, optimizer: optax.GradientTransformation) -> TrainState:
    """Draw the initial weights; nothing is averaged, see `begin_average`.

    Args:
        key: of the stream `Stream.INIT`.
        model: maps float32 [B, 48, 48, 1] to logits.
        optimizer: as `make_optimizer` gives it.
    """
    faces = jnp.zeros((1, *fer2013.IMAGE_SHAPE))
    variables = jax.jit(lambda key: model.init(key, faces, is_training=False))(key)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
    )


def begin_average(state: TrainState, config: AverageConfig) -> TrainState:
    """Let a fresh state's average start from its weights; without one the state stays as it is."""
    if not config.is_on:
        return state
    start = {"params": state.params, "batch_stats": state.batch_stats}
    # Copies: a train step uses up its state, and no buffer twice.
    return state.replace(average=jax.tree.map(jnp.copy, start))  # type: ignore[attr-defined]
