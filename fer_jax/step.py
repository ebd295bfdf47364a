"""The jitted steps: one of training, one of evaluation. Both take a fixed-shape batch and return sums."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax.config import LossConfig
from fer_jax.losses import cross_entropy
from fer_jax.metrics import Counts, count
from fer_jax.pixels import PixelStats, standardise
from fer_jax.state import TrainState


class Batch(NamedTuple):
    """B images of a fixed B; what is missing in the last batch is padding of weight 0.

    Attributes:
        images: uint8 [B, 48, 48, 1].
        labels: int32 [B], 0..6.
        weights: float32 [B], 1 for an example, 0 for padding.
    """

    images: Any
    labels: Any
    weights: Any


class Objective(NamedTuple):
    """The training loss as sums; `loss_sum / weight_sum` is its mean.

    Attributes:
        loss_sum: float32 [], weighted sum over the batch, in nats.
        weight_sum: float32 [], sum of the example weights times their class weights.
    """

    loss_sum: jax.Array
    weight_sum: jax.Array


TrainStep = Callable[[jax.Array, TrainState, Batch, Any], tuple[TrainState, Objective]]
EvalStep = Callable[[Any, Any, Batch], Counts]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: LossConfig,
    *,
    class_weights: np.ndarray,
    pixel_stats: PixelStats,
) -> TrainStep:
    """Make the jitted train step.

    Args:
        model: see `make_model`.
        optimizer: see `make_optimizer`; its updates are multiplied by minus the rate.
        loss: label smoothing.
        class_weights: float32 [7].
        pixel_stats: of the training images.

    Returns:
        (key, state, batch, rate float32 []) -> (state, objective). `key` is the same at every step: the
        step number is folded in. The state is donated: the one passed in cannot be used again.
    """

    def train_step(
        key: jax.Array, state: TrainState, batch: Batch, rate: jax.Array
    ) -> tuple[TrainState, Objective]:
        dropout_key = jax.random.fold_in(key, state.step)
        x = standardise(batch.images, pixel_stats)
        weights = batch.weights * jnp.asarray(class_weights)[batch.labels]

        def objective(params: Any) -> tuple[jax.Array, tuple[Objective, Any]]:
            logits, updated = model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                x,
                is_training=True,
                rngs={"dropout": dropout_key},
                mutable=["batch_stats"],
            )
            losses = cross_entropy(logits, batch.labels, label_smoothing=loss.label_smoothing)
            sums = Objective((losses * weights).sum(), weights.sum())
            return sums.loss_sum / sums.weight_sum, (sums, updated.get("batch_stats", {}))

        grads, (sums, batch_stats) = jax.grad(objective, has_aux=True)(state.params)
        directions, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, optax.tree.scale(-rate, directions))
        return TrainState(state.step + 1, params, batch_stats, opt_state), sums

    return jax.jit(train_step, donate_argnums=1)


def make_eval_step(model: nn.Module, *, pixel_stats: PixelStats) -> EvalStep:
    """Make the jitted evaluation step: no dropout, running statistics, plain cross-entropy.

    Returns:
        (params, batch_stats, batch) -> counts.
    """

    def eval_step(params: Any, batch_stats: Any, batch: Batch) -> Counts:
        x = standardise(batch.images, pixel_stats)
        variables = {"params": params, "batch_stats": batch_stats}
        logits: Any = model.apply(variables, x, is_training=False)
        losses = cross_entropy(logits, batch.labels, label_smoothing=0.0)
        return count(logits, batch.labels, losses, batch.weights)

    return jax.jit(eval_step)
