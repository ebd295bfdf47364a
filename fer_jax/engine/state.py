"""The train state: arrays only. The step closes over model and optimizer; they are never stored."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from fer_jax import fer2013
from fer_jax.config.training import AverageConfig
from fer_jax.models.transfer import Columns, inherit


@flax.struct.dataclass(eq=False)
class TrainState:
    """Everything that training changes.

    Attributes:
        step: int32 [], steps taken.
        params: trained weights, nested dicts of float32.
        batch_stats: running statistics of the batch norms; an empty dict without any.
        opt_state: state of the optimizer.
        average: averaged weights `params`, and `batch_stats`, their statistics of training images without
            augmentation, as last computed; an empty dict for a run that does not average.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = flax.struct.field(default_factory=dict)

    @property
    def predictor(self) -> dict[str, Any]:
        """The weights that predict: `params` and `batch_stats`, averaged where the run averages."""
        return self.average or {"params": self.params, "batch_stats": self.batch_stats}


def init_state(
    key: jax.Array,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    old: Any = None,
    columns: Columns | None = None,
) -> TrainState:
    """Draw the initial weights; the average is empty, see `begin_average`.

    Args:
        key: of `Stream.INIT`.
        model: the network.
        optimizer: see `make_optimizer`.
        old: `params` and `batch_stats` of a trained network, which replace the drawn ones; None: they stay.
        columns: what of its last layer is taken over, see `models.transfer.inherit`.
    """
    blank = jnp.zeros((1, *fer2013.IMAGE_SHAPE))
    variables = jax.jit(lambda key: model.init(key, blank, is_training=False))(key)
    if old is not None:
        variables = inherit({"batch_stats": {}, **variables}, {"batch_stats": {}, **old}, columns)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
    )


def begin_average(state: TrainState, config: AverageConfig) -> TrainState:
    """Start the average of a new state from its weights; without averaging the state stays as it is."""
    if not config.is_on:
        return state
    start = {"params": state.params, "batch_stats": state.batch_stats}
    # Copies: a train step donates its state, and a buffer can be donated once.
    return state.replace(average=jax.tree.map(jnp.copy, start))  # type: ignore[attr-defined]
