"""Learning-rate schedules: warm-up, cosine, constant, linear end, and cuts at a plateau."""

from collections.abc import Sequence

import optax
import optax.contrib

from fer_jax.config.training import OptimizerConfig


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
