"""How training changes with the steps: learning rates, frozen blocks, cuts at a plateau, and when it ends.

A history is a list of records, one for each finished epoch.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig, TrainConfig
from fer_jax.files import Json
from fer_jax.metrics.history import keep_measured

RatesOf = Callable[[Sequence[Sequence[Json]], int], np.ndarray]
"""(histories [K], epoch from 0) -> learning rates of the epoch, float32 [K, steps]."""

GOES_ON: Final = {
    "constant": "the learning rate stays at its peak",
    "plateau": "the learning rate goes on, with its cuts at plateaus",
    "step": "the learning rate goes on decaying, as planned",
}
"""What an extension does with a schedule that has not ended at 0; the others start again."""


def describe_extension(schedule: str) -> str:
    """Say in words by which rule a schedule is extended.

    >>> describe_extension("constant")
    'the learning rate stays at its peak'
    """
    return GOES_ON.get(schedule, f"another {schedule} cycle from the peak to 0, without warm-up")


def make_rates(config: Config, *, steps_per_epoch: int) -> RatesOf:
    """Make the function that gives each of K replicas its learning rates in an epoch.

    The plateau schedule cuts each replica's rates by its own history.
    """
    optimizer = config.optimizer
    rates = list_rates(optimizer, config.train, steps_per_epoch=steps_per_epoch)

    def rates_of(histories: Sequence[Sequence[Json]], epoch: int) -> np.ndarray:
        measured = [keep_measured(history) for history in histories]
        losses = [[record["val_loss"] for record in history] for history in measured]
        factors = np.array([plateau_factor(optimizer, each) for each in losses], np.float32)
        return factors[:, None] * rates[epoch * steps_per_epoch : (epoch + 1) * steps_per_epoch]

    return rates_of


def list_rates(optimizer: OptimizerConfig, train: TrainConfig, *, steps_per_epoch: int) -> np.ndarray:
    """List the learning rates of all steps, float32, extensions included; `plateau_factor` comes on top.

    A schedule in `GOES_ON` is followed beyond the plan. Any other has ended at 0, and runs once more over
    each extension. The plan's own rates do not depend on the extensions.
    """
    schedule = make_schedule(optimizer, steps_per_epoch=steps_per_epoch, epochs=train.epochs)
    first, rates = train.epochs * steps_per_epoch, []
    rates.append(jax.vmap(schedule)(jnp.arange(first)))
    for epochs in train.extra_epochs:
        steps = jnp.arange(epochs * steps_per_epoch)
        if optimizer.schedule in GOES_ON:
            rates.append(jax.vmap(schedule)(first + steps))
        else:
            again = replace(optimizer, warmup_epochs=0.0)
            cycle = make_schedule(again, steps_per_epoch=steps_per_epoch, epochs=epochs)
            rates.append(jax.vmap(cycle)(steps))
        first += len(steps)
    return np.concatenate([np.asarray(each, np.float32) for each in rates])


def make_schedule(config: OptimizerConfig, *, steps_per_epoch: int, epochs: int) -> optax.Schedule:
    """Make the learning rate a function of the step: warm-up, then constant, cosine, steps or trapezoid.

    The plateau schedule is constant here; `plateau_factor` makes its cuts. The trapezoid (warm-up, constant,
    linear end) is that of Zhai et al. 2022 (Scaling Vision Transformers).

    Returns:
        step (int, from 0) -> learning rate.
    """
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    rest = max(1, epochs * steps_per_epoch - warmup_steps)
    if config.schedule == "cosine":
        main = optax.cosine_decay_schedule(config.peak_rate, rest)
    elif config.schedule == "step":
        cut_steps = config.decay_epochs * steps_per_epoch
        main = optax.exponential_decay(config.peak_rate, cut_steps, config.decay_factor, staircase=True)
    elif config.schedule == "trapezoid":
        cooldown_steps = min(rest, max(1, round(config.cooldown_epochs * steps_per_epoch)))
        cooldown = optax.linear_schedule(config.peak_rate, 0.0, cooldown_steps)
        main = optax.join_schedules(
            [optax.constant_schedule(config.peak_rate), cooldown], [rest - cooldown_steps]
        )
    else:
        main = optax.constant_schedule(config.peak_rate)
    if not warmup_steps:
        return main
    warmup = optax.linear_schedule(0.0, config.peak_rate, warmup_steps)
    return optax.join_schedules([warmup, main], [warmup_steps])


def count_head_steps(config: Config, *, steps_per_epoch: int) -> int:
    """Count the first steps that train only the layers after the blocks; 0 where all blocks stay frozen."""
    if config.init.freeze_blocks == len(config.model.blocks):
        return 0
    return round(config.init.head_epochs * steps_per_epoch)


def count_frozen(config: Config, step: int, *, steps_per_epoch: int) -> int:
    """Count the first blocks that a step, from 0, does not train.

    >>> from fer_jax.config.training import InitConfig
    >>> config = Config(name="a", init=InitConfig(weights="mid", head_epochs=0.5))
    >>> [count_frozen(config, step, steps_per_epoch=4) for step in range(4)]
    [1, 1, 0, 0]
    """
    if step < count_head_steps(config, steps_per_epoch=steps_per_epoch):
        return len(config.model.blocks)
    return config.init.freeze_blocks


def find_end(config: Config, step: int, *, steps_per_epoch: int) -> int:
    """Find where the steps end that train the same layers in the same epoch as this one.

    >>> from fer_jax.config.training import InitConfig
    >>> config = Config(name="a", init=InitConfig(weights="mid", head_epochs=0.5))
    >>> [find_end(config, step, steps_per_epoch=4) for step in (0, 2, 4)]
    [2, 4, 8]
    """
    end = (step // steps_per_epoch + 1) * steps_per_epoch
    head_steps = count_head_steps(config, steps_per_epoch=steps_per_epoch)
    return min(end, head_steps) if step < head_steps else end


def plateau_factor(config: OptimizerConfig, val_losses: Sequence[float]) -> float:
    """Compute the factor of the learning rate from the plateaus so far.

    Args:
        config: `schedule` other than "plateau" gives 1.
        val_losses: validation loss after each finished epoch.

    Returns:
        `decay_factor` to the power of the number of cuts. A cut comes when `patience_epochs`
        epochs in a row have not brought a loss below the lowest before; the count starts again after a cut.

    >>> config = OptimizerConfig(schedule="plateau", patience_epochs=2, decay_factor=0.5)
    >>> plateau_factor(config, [3.0, 2.0, 2.1, 2.0])
    0.5
    """
    if config.schedule != "plateau":
        return 1.0
    lowest, waited, factor = float("inf"), 0, 1.0
    for loss in val_losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss)
        if waited == config.patience_epochs:
            waited, factor = 0, factor * config.decay_factor
    return factor


def is_over(train: TrainConfig, histories: Sequence[Sequence[Json]]) -> bool:
    """Whether the last epoch is finished, be it by early stopping.

    >>> [is_over(TrainConfig(epochs=each), [[{"epoch": 1, "is_best": True}]]) for each in (1, 2)]
    [True, False]
    """
    return len(histories[0]) >= train.total_epochs or is_out_of_patience(train, histories)


def is_out_of_patience(train: TrainConfig, histories: Sequence[Sequence[Json]]) -> bool:
    """Whether early stopping ends a training: no replica has improved for `train.patience_epochs`.

    Args:
        train: `patience_epochs` 0 never stops.
        histories: for each replica one record an epoch, with `epoch`, from 1, and `is_best`.

    >>> history = [{"epoch": 1, "is_best": True}, {"epoch": 2, "is_best": False}]
    >>> [is_out_of_patience(TrainConfig(patience_epochs=each), [history]) for each in (0, 1, 2)]
    [False, True, False]
    """
    if not train.patience_epochs:
        return False
    best = [max((each["epoch"] for each in history if each["is_best"]), default=0) for history in histories]
    return len(histories[0]) - max(best) >= train.patience_epochs
