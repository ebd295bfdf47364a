"""The train state: arrays only. Code (model, optimizer) is closed over by the step, never stored."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from fer_jax import fer2013


@flax.struct.dataclass
class TrainState:
    """Everything that training changes.

    Attributes:
        step: int32 [], steps taken.
        params: trained weights, nested dicts of float32.
        batch_stats: running statistics of the batch norms; an empty dict without any.
        opt_state: the optimizer's memory.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any


def init_state(key: jax.Array, model: nn.Module, optimizer: optax.GradientTransformation) -> TrainState:
    """Draw the initial weights.

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
