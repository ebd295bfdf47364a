"""The jitted steps: one of training, one of evaluation. Both take a fixed-shape batch and return sums."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax import fer2013
from fer_jax.config.training import LossConfig
from fer_jax.engine.averages import Pace, move
from fer_jax.engine.losses import cross_entropy, to_soft_labels, weigh
from fer_jax.engine.state import TrainState
from fer_jax.images import mixing
from fer_jax.images.mixing import Mix
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.metrics.counts import Counts, count
from fer_jax.models.transfer import NO_TRANSFER, Transfer, keep, name_blocks, slow_down

_SMALLEST_NORM = 1e-12
"""Of a gradient that still has a direction."""


class Batch(NamedTuple):
    """B images, with B fixed: the last batch of a pass is padded with images of weight 0.

    Attributes:
        images: uint8 [B, 48, 48, 1].
        labels: int32 [B], 0..C-1; for training also soft labels float32 [B, C], whose rows sum to 1.
        weights: float32 [B], 1 for an example, 0 for padding.
        mix: how training mixes the images; None: not mixed.
    """

    images: Any
    labels: Any
    weights: Any
    mix: Mix | None = None


class Objective(NamedTuple):
    """The training loss as sums; `loss_sum / weight_sum` is its mean.

    Attributes:
        loss_sum: float32 [], weighted sum over the batch, in nats.
        weight_sum: float32 [], sum of the example weights times their class weights.
    """

    loss_sum: jax.Array
    weight_sum: jax.Array


Aux = tuple[Objective, Any]
"""What the forward pass gives beside the mean loss: its sums, and the running statistics after the batch."""


class TrainStep(Protocol):
    """A train step, see `make_train_step`."""

    def __call__(
        self,
        key: jax.Array,
        state: TrainState,
        batch: Batch,
        rate: Any,
        *,
        side_px: int = ...,
        frozen_blocks: int = ...,
    ) -> tuple[TrainState, Objective]:
        """Take a step."""


EvalStep = Callable[[Any, Any, Batch], Counts]
"""(params, batch_stats, batch) -> counts."""


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: LossConfig,
    *,
    class_weights: np.ndarray,
    pixel_stats: PixelStats,
    sam_radius: float = 0.0,
    pace: Pace | None = None,
    transfer: Transfer = NO_TRANSFER,
) -> TrainStep:
    """Make the jitted train step.

    Args:
        model: see `make_model`.
        optimizer: see `make_optimizer`; its updates are multiplied by minus the learning rate.
        loss: label smoothing and focal loss.
        class_weights: float32 [C].
        pixel_stats: of the training images.
        sam_radius: of sharpness-aware minimisation, see `take_gradient`. 0: off.
        pace: of the average, see `make_pace`; None without one.
        transfer: how layers that were trained before are treated.

    Returns:
        (key, state, batch, rate float32 [], *, side_px, frozen_blocks) -> (state, objective). `key` is the
        same at every step: the step number is folded in. The state is donated: the one passed in cannot be
        used again. `side_px` and `frozen_blocks` are static: each image size has its own compiled program,
        and so has each number of first blocks that keep their weights, statistics and averages to the bit.
    """

    def train_step(
        key: jax.Array,
        state: TrainState,
        batch: Batch,
        rate: jax.Array,
        *,
        side_px: int = fer2013.IMAGE_SHAPE[0],
        frozen_blocks: int = 0,
    ) -> tuple[TrainState, Objective]:
        dropout_key = jax.random.fold_in(key, state.step)
        x, targets = prepare_batch(batch, pixel_stats, classes=len(class_weights), side_px=side_px)
        weights = weigh(batch.weights, targets, class_weights)

        def objective(params: Any) -> tuple[jax.Array, Aux]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, batch_stats = _forward(dropout_key, model, variables, x, frozen_blocks=frozen_blocks)
            losses = cross_entropy(
                logits, targets, label_smoothing=loss.label_smoothing, focal_gamma=loss.focal_gamma
            )
            sums = Objective((losses * weights).sum(), weights.sum())
            return sums.loss_sum / sums.weight_sum, (sums, batch_stats)

        grads, (sums, batch_stats) = take_gradient(objective, state.params, sam_radius=sam_radius)
        opt_state = _restart(optimizer, state, transfer)
        directions, opt_state = optimizer.update(grads, opt_state, state.params)
        directions = slow_down(directions, transfer)
        params = optax.apply_updates(state.params, optax.tree.scale(-rate, directions))
        average = state.average
        if pace is not None:
            average = average | {"params": move(average["params"], params, pace(state.step))}
        moved = TrainState(state.step + 1, params, batch_stats, opt_state, average)
        return _keep_frozen(state, moved, name_blocks(frozen_blocks)), sums

    return jax.jit(train_step, donate_argnums=1, static_argnames=("side_px", "frozen_blocks"))


def _forward(
    key: jax.Array, model: nn.Module, variables: Any, x: jax.Array, *, frozen_blocks: int
) -> tuple[Any, Any]:
    """Run the network as in training, with the dropout of a key; return the logits and new statistics."""
    logits, updated = model.apply(
        variables,
        x,
        is_training=True,
        frozen_blocks=frozen_blocks,
        rngs={"dropout": key},
        mutable=["batch_stats"],
    )
    return logits, updated.get("batch_stats", {})


def take_gradient(
    objective: Callable[[Any], tuple[jax.Array, Aux]], params: Any, *, sam_radius: float
) -> tuple[Any, Aux]:
    """Take the gradient of an objective, with sharpness-aware minimisation if there is a radius.

    Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization": the gradient
    counts that is found this far up the first one, on the same batch with the same dropout.

    Args:
        objective: params -> what is minimised, float32 [], and what else it computes.
        params: nested dicts of float32.
        sam_radius: length of the way up; 0: off.

    Returns:
        The gradient, and what else the objective computes at `params`, not uphill.

    >>> def square(x):
    ...     return x**2, (Objective(x, x), {})
    >>> [float(take_gradient(square, 3.0, sam_radius=radius)[0]) for radius in (0.0, 0.5)]
    [6.0, 7.0]
    """
    slope = jax.grad(objective, has_aux=True)
    grads, aux = slope(params)
    if sam_radius:
        length = sam_radius / jnp.maximum(optax.tree.norm(grads), _SMALLEST_NORM)
        uphill = jax.tree.map(lambda param, grad: param + length * grad, params, grads)
        grads, _ = slope(uphill)
    return grads, aux


def _restart(optimizer: optax.GradientTransformation, state: TrainState, transfer: Transfer) -> Any:
    """Give the optimizer's state: a new one at the step at which frozen blocks join the training.

    Adam's moments of these blocks are zero then, and its correction for that, which counts all steps,
    would have ended: their first steps would be several times too large.
    """
    if not transfer.restart_step:
        return state.opt_state
    is_due = state.step == transfer.restart_step
    return jax.tree.map(
        lambda new, old: jnp.where(is_due, new, old), optimizer.init(state.params), state.opt_state
    )


def _keep_frozen(old: TrainState, new: TrainState, frozen: Collection[str]) -> TrainState:
    """Give frozen layers back their weights, statistics and averages.

    Their gradient is zero, but weight decay, L2 and momentum would still move them.
    """
    params = keep(old.params, new.params, frozen)
    batch_stats = keep(old.batch_stats, new.batch_stats, frozen)
    average = new.average
    if average:
        average = average | {"params": keep(old.average["params"], average["params"], frozen)}
    return TrainState(new.step, params, batch_stats, new.opt_state, average)


def prepare_batch(batch: Batch, pixel_stats: PixelStats, *, classes: int, side_px: int) -> tuple[Any, Any]:
    """Prepare a batch for the network in training: standardise, mix and resize.

    Returns:
        Images float32 [B, side_px, side_px, 1], made smaller by bilinear interpolation with antialiasing, and
        the batch's targets; those of mixed images float32 [B, C].
    """
    x, targets = standardise(batch.images, pixel_stats), batch.labels
    if batch.mix is not None:
        x, targets = mixing.apply(x, to_soft_labels(targets, classes), batch.weights, batch.mix)
    if side_px != x.shape[1]:
        x = jax.image.resize(x, (len(x), side_px, side_px, x.shape[3]), "linear")
    return x, targets


def make_eval_step(model: nn.Module, *, pixel_stats: PixelStats) -> EvalStep:
    """Make the jitted evaluation step: no dropout, running statistics, plain cross-entropy."""

    def eval_step(params: Any, batch_stats: Any, batch: Batch) -> Counts:
        x = standardise(batch.images, pixel_stats)
        variables = {"params": params, "batch_stats": batch_stats}
        logits: Any = model.apply(variables, x, is_training=False)
        losses = cross_entropy(logits, batch.labels, label_smoothing=0.0)
        return count(logits, batch.labels, losses, batch.weights)

    return jax.jit(eval_step)
