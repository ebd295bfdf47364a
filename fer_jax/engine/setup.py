"""What a config and a training part determine: model, steps, statistics, and the job of some seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import flax.linen as nn
import jax
import numpy as np
import optax

from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.split import Split
from fer_jax.engine.averages import Refresh, make_pace, make_refresh
from fer_jax.engine.loop import Job
from fer_jax.engine.losses import class_weights
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.schedule import count_frozen, count_head_steps
from fer_jax.engine.state import TrainState, begin_average, init_state
from fer_jax.engine.step import EvalStep, TrainStep, make_eval_step, make_train_step
from fer_jax.engine.steppers import make_host_stepper, make_resident_stepper
from fer_jax.errors import ConfigError
from fer_jax.images import standardise
from fer_jax.images.standardise import PixelStats
from fer_jax.images.stored_views import TrainTargets
from fer_jax.models.cnn import make_model
from fer_jax.models.transfer import Start, Transfer
from fer_jax.parallel.mesh import Place, list_places
from fer_jax.randomness import Stream, jax_key

_DRAWINGS: Final = 32
"""Epochs whose drawn votes are counted for the weights of the classes."""


@dataclass(frozen=True, eq=False)
class Programs:
    """What all seeds of a config share on one training part.

    Attributes:
        model: the network.
        init: key of the stream `Stream.INIT` -> initial state.
        train_step: see `make_train_step`.
        eval_step: see `make_eval_step`.
        pixel_stats: of the training images, or those that came with the weights it starts from.
        class_weights: float32 [C], of the loss.
        targets: the training targets; None: the labels.
        refresh_at: makes `make_refresh`'s function, of where the replica of each seed trains.
    """

    model: nn.Module
    init: Callable[[jax.Array], TrainState]
    train_step: TrainStep
    eval_step: EvalStep
    pixel_stats: PixelStats
    class_weights: np.ndarray
    targets: TrainTargets | None
    refresh_at: Callable[[Callable[[int], Place]], Refresh]


def make_programs(
    config: Config,
    examples: Examples,
    split: Split,
    *,
    targets: TrainTargets | None = None,
    start: Start | None = None,
) -> Programs:
    """Make the programs of a config.

    Args:
        config: of the run; its seed does not matter.
        examples: all of them.
        split: what is trained on, see `take_sample`.
        targets: the training targets; None: the labels.
        start: the weights that `init.weights` names; None: new weights.

    Raises:
        ConfigError: the training part has fewer rows than a batch, or the config names weights to start from
            and the caller has none.
    """
    if start is None and config.init.weights is not None:
        raise ConfigError(
            f"init.weights is {config.init.weights}, and here networks start from new weights; leave it out"
        )
    if config.train.batch_size > len(split.train):
        raise ConfigError(
            f"train.batch_size is {config.train.batch_size}, and the training part has {len(split.train)} "
            "rows; lower it, or give more data"
        )
    model, optimizer = make_model(config.model, config.device), make_optimizer(config.optimizer)
    stats = (
        standardise.measure(examples.images, split.train)
        if start is None
        else PixelStats(start.pixel_mean, start.pixel_std)
    )
    counts: np.ndarray = np.array(class_counts(examples.labels[split.train], classes=config.model.classes))
    if targets is not None:
        # One drawing of votes is a sample, from which a rare class may be missing.
        is_sampled = config.labels.mode == "drawn" and config.loss.class_weights != "none"
        epochs = _DRAWINGS if is_sampled else 1
        sums = [targets(0, epoch)[split.train].sum(axis=0, dtype=np.float64) for epoch in range(epochs)]
        counts = np.sum(sums, axis=0) / epochs
    weights = class_weights(config.loss, counts)
    epoch_steps = len(split.train) // config.train.batch_size
    train_step = make_train_step(
        model,
        optimizer,
        config.loss,
        class_weights=weights,
        pixel_stats=stats,
        sam_radius=config.optimizer.sam_radius,
        pace=make_pace(config.average, epoch_steps=epoch_steps, epochs=config.train.epochs),
        transfer=_make_transfer(config, start, epoch_steps=epoch_steps),
    )

    def refresh_at(place_of: Callable[[int], Place]) -> Refresh:
        return make_refresh(
            config.average,
            model,
            examples.images,
            split.train,
            pixel_stats=stats,
            batch_size=config.train.eval_batch_size,
            frozen_at=partial(count_frozen, config, steps_per_epoch=epoch_steps),
            place_of=place_of,
        )

    init = _make_init(config, model, optimizer, start)
    eval_step = make_eval_step(model, pixel_stats=stats)
    return Programs(model, init, train_step, eval_step, stats, weights, targets, refresh_at)


def _make_transfer(config: Config, start: Start | None, *, epoch_steps: int) -> Transfer:
    # Without weights to start from, the config allows none of the other fields of `init`.
    new_layers = frozenset[str]() if start is None else start.new_layers
    restart_step = count_head_steps(config, steps_per_epoch=epoch_steps)
    return Transfer(config.init.rate_factor, new_layers, restart_step)


def _make_init(
    config: Config, model: nn.Module, optimizer: optax.GradientTransformation, start: Start | None
) -> Callable[[jax.Array], TrainState]:
    if start is None or start.variables is None:
        return jax.jit(lambda key: begin_average(init_state(key, model, optimizer), config.average))
    old, columns = start.variables, start.columns

    # The old weights are an argument: as constants they would be part of the program.
    @jax.jit
    def init(key: jax.Array, old: Any) -> TrainState:
        state = init_state(key, model, optimizer, old=old, columns=columns)
        return begin_average(state, config.average)

    return lambda key: init(key, old)


def make_job(
    config: Config, seeds: Sequence[int], examples: Examples, split: Split, programs: Programs
) -> Job:
    """Make the job of training some seeds together, with the programs of this config, data and split.

    Raises:
        ConfigError: there are not so many devices, or they cannot divide a batch.
    """
    places = list_places(config.device, seeds=len(seeds), batch_size=config.train.batch_size)
    keys = [jax_key(seed, Stream.DROPOUT) for seed in seeds]
    is_accelerated = jax.devices()[0].platform != "cpu"
    is_chosen = config.device.mode == "auto" and is_accelerated and _fits(examples, places[0])
    is_resident = config.device.mode == "resident" or is_chosen
    epoch_steps = len(split.train) // config.train.batch_size
    make_stepper = (
        partial(make_resident_stepper, epoch_steps=epoch_steps, is_fused=is_accelerated)
        if is_resident
        else make_host_stepper
    )
    stepper = make_stepper(
        keys,
        programs.train_step,
        programs.eval_step,
        examples,
        eval_batch_size=config.train.eval_batch_size,
        places=places,
    )
    refresh = programs.refresh_at(dict(zip(seeds, places, strict=True)).__getitem__)
    return Job(config, examples, programs.targets, split, programs.pixel_stats, stepper, refresh)


def _fits(examples: Examples, place: Place) -> bool:
    """Whether a device's share of the images leaves half of its memory free; True where that is not known."""
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return memory is None or examples.images.nbytes // place.devices <= memory // 2


def without_selection(config: Config) -> Config:
    """Let nothing depend on the validation images: neither the learning rate nor the choice of weights."""
    optimizer = config.optimizer
    if optimizer.schedule == "plateau":
        optimizer = replace(optimizer, schedule="constant")
    train = replace(config.train, select="last", patience_epochs=0)
    return replace(config, optimizer=optimizer, train=train)
