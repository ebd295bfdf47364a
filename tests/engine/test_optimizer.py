"""The optimizer and the rate, against recurrences and schedules done by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.training import OptimizerConfig, Schedule, TrainConfig
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.schedule import is_out_of_patience, list_rates, make_schedule, plateau_factor

RATE = 0.1


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


START = {
    "conv": {"kernel": array(3.0, -4.0)},
    "dense": {"kernel": array(1.0), "bias": array(2.0)},
    "norm": {"scale": array(1.0), "bias": array(-1.0)},
}
KERNELS = (("conv", "kernel"), ("dense", "kernel"))
OTHERS = (("dense", "bias"), ("norm", "scale"), ("norm", "bias"))


def constant_gradient(value: float) -> Any:
    return jax.tree.map(lambda leaf: np.full_like(leaf, value), START)


def run(config: OptimizerConfig, gradients: list[Any]) -> Any:
    """Take a step a gradient at RATE, as the train step does; returns the parameters."""
    optimizer = make_optimizer(config)
    params: Any = jax.tree.map(jnp.asarray, START)
    state = optimizer.init(params)
    for gradient in gradients:
        directions, state = optimizer.update(gradient, state, params)
        params = jax.tree.map(lambda p, d: p - RATE * d, params, directions)
    return params


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_the_momentum_recurrence(nesterov: bool) -> None:
    config = OptimizerConfig(name="sgd", momentum=0.9, nesterov=nesterov, l2=0.5)
    values = (1.0, -2.0, 0.5)
    params = run(config, [constant_gradient(value) for value in values])
    for names, l2 in [(names, 0.5) for names in KERNELS] + [(names, 0.0) for names in OTHERS]:
        weight = START[names[0]][names[1]].copy()
        velocity = np.zeros_like(weight)
        for value in values:
            gradient = value + l2 * weight
            velocity = 0.9 * velocity + gradient
            weight = weight - RATE * (gradient + 0.9 * velocity if nesterov else velocity)
        np.testing.assert_allclose(params[names[0]][names[1]], weight, rtol=1e-6)


def adam_by_hand(weight: np.ndarray, values: tuple[float, ...], *, l2: float, decay: float) -> np.ndarray:
    first = second = np.zeros_like(weight)
    for step, value in enumerate(values, start=1):
        gradient = value + l2 * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        direction = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        weight = weight - RATE * (direction + decay * weight)
    return weight


@pytest.mark.parametrize(
    ("config", "l2", "decay"),
    [
        (OptimizerConfig(name="adam"), 0.0, 0.0),
        (OptimizerConfig(name="adam", l2=0.5), 0.5, 0.0),
        (OptimizerConfig(name="adamw", weight_decay=0.5), 0.0, 0.5),
    ],
)
def test_adam_with_l2_or_decoupled_decay_on_the_kernels_alone(
    config: OptimizerConfig, l2: float, decay: float
) -> None:
    values = (1.0, -2.0, 0.5)
    params = run(config, [constant_gradient(value) for value in values])
    for names in (*KERNELS, *OTHERS):
        is_kernel = names in KERNELS
        wanted = adam_by_hand(START[names[0]][names[1]], values, l2=l2 * is_kernel, decay=decay * is_kernel)
        np.testing.assert_allclose(params[names[0]][names[1]], wanted, rtol=1e-4)


def test_decoupled_decay_of_sgd_gathers_no_momentum() -> None:
    config = OptimizerConfig(name="sgd", momentum=0.9, weight_decay=0.5)
    params = run(config, [constant_gradient(0.0)] * 3)
    np.testing.assert_allclose(params["conv"]["kernel"], START["conv"]["kernel"] * 0.95**3, rtol=1e-6)
    np.testing.assert_array_equal(params["norm"]["scale"], START["norm"]["scale"])


def test_clipping_scales_a_large_gradient_to_the_norm_and_leaves_a_small_one() -> None:
    gradient = jax.tree.map(np.zeros_like, START)
    gradient["conv"]["kernel"] = array(3.0, 0.0)
    gradient["norm"]["bias"] = array(4.0)
    for clip_norm, scale in ((1.0, 0.2), (5.1, 1.0), (0.0, 1.0)):
        # The L2 part comes after the clip and is not scaled.
        config = OptimizerConfig(name="sgd", momentum=0.0, clip_norm=clip_norm, l2=0.01)
        params = run(config, [gradient])
        wanted = START["conv"]["kernel"] - RATE * (
            scale * gradient["conv"]["kernel"] + 0.01 * START["conv"]["kernel"]
        )
        np.testing.assert_allclose(params["conv"]["kernel"], wanted, rtol=1e-6)
        np.testing.assert_allclose(params["norm"]["bias"], -1 - RATE * scale * 4, rtol=1e-6)


def rates(config: OptimizerConfig, *, steps_per_epoch: int, epochs: int) -> np.ndarray:
    schedule = make_schedule(config, steps_per_epoch=steps_per_epoch, epochs=epochs)
    return np.asarray(jax.vmap(schedule)(jnp.arange(steps_per_epoch * epochs + 1)))


def test_warm_up_then_cosine() -> None:
    config = OptimizerConfig(peak_rate=0.2, schedule="cosine", warmup_epochs=1.5)
    found = rates(config, steps_per_epoch=10, epochs=4)
    # 15 steps up, 25 down: the middle of the way down is half the peak, its end is 0.
    np.testing.assert_allclose(found[[0, 6, 15]], [0, 0.08, 0.2], rtol=1e-6)
    np.testing.assert_allclose(found[[20, 40]], [0.1 * (1 + np.cos(np.pi / 5)), 0], atol=1e-7)
    assert (np.diff(found[:16]) > 0).all()
    assert (np.diff(found[15:]) < 0).all()


def test_a_trapezoid_by_hand() -> None:
    config = OptimizerConfig(peak_rate=0.2, schedule="trapezoid", warmup_epochs=1, cooldown_epochs=2)
    found = rates(config, steps_per_epoch=2, epochs=4)
    np.testing.assert_allclose(found, [0, 0.1, 0.2, 0.2, 0.2, 0.15, 0.1, 0.05, 0], atol=1e-7)


@pytest.mark.parametrize("schedule", ["constant", "plateau", "step", "cosine", "trapezoid"])
def test_an_extension_keeps_the_planned_rates_and_goes_on_or_starts_again(schedule: Schedule) -> None:
    config = OptimizerConfig(
        peak_rate=0.2, schedule=schedule, warmup_epochs=1, decay_epochs=2, decay_factor=0.5
    )
    plan = list_rates(config, TrainConfig(epochs=4), steps_per_epoch=2)
    found = list_rates(config, TrainConfig(epochs=4, extra_epochs=(2, 1)), steps_per_epoch=2)
    np.testing.assert_array_equal(found[:8], plan)
    wanted = {
        "constant": [0.2] * 6,
        "plateau": [0.2] * 6,
        "step": [0.1, 0.1, 0.05, 0.05, 0.05, 0.05],
        "cosine": [*(0.1 * (1 + np.cos(np.pi * np.arange(4) / 4))), 0.2, 0.1],
        "trapezoid": [0.2, 0.2, 0.2, 0.1, 0.2, 0.1],
    }
    np.testing.assert_allclose(found[8:], wanted[schedule], atol=1e-7)


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 157])
def test_steps_fall_exactly_at_the_epochs(steps_per_epoch: int) -> None:
    config = OptimizerConfig(peak_rate=1.0, schedule="step", decay_epochs=3, decay_factor=0.5)
    found = rates(config, steps_per_epoch=steps_per_epoch, epochs=30)
    wanted = 0.5 ** (np.arange(len(found)) // (3 * steps_per_epoch))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    after_warmup = rates(
        OptimizerConfig(peak_rate=1.0, schedule="step", decay_epochs=1, decay_factor=0.5, warmup_epochs=2),
        steps_per_epoch=steps_per_epoch,
        epochs=4,
    )
    np.testing.assert_allclose(after_warmup[[2 * steps_per_epoch, 3 * steps_per_epoch]], [1.0, 0.5])


def test_constant_and_plateau_keep_the_peak_rate() -> None:
    for schedule in ("constant", "plateau"):
        config = OptimizerConfig(peak_rate=0.3, schedule=schedule)
        np.testing.assert_allclose(rates(config, steps_per_epoch=3, epochs=2), 0.3, rtol=1e-6)


@pytest.mark.parametrize(
    ("val_losses", "cuts"),
    [
        ([], 0),
        ([3, 2, 1], 0),
        ([3, 3], 0),
        ([3, 3, 3], 1),  # the same again is not lower
        ([3, 4, 2, 4], 0),  # a lower loss starts the count again
        ([3, 4, 5, 6], 1),  # so does a cut
        ([3, 4, 5, 6, 7], 2),
        ([3, 4, 5, 3.5, 3.4], 2),  # lower than lately is not lower than ever
        ([3, 4, 5, 2, 4, 5], 2),
    ],
)
def test_the_plateau_cuts_after_so_many_epochs_without_a_lowest_loss(
    val_losses: list[float], cuts: int
) -> None:
    config = OptimizerConfig(schedule="plateau", patience_epochs=2, decay_factor=0.25)
    assert plateau_factor(config, val_losses) == 0.25**cuts
    assert plateau_factor(OptimizerConfig(schedule="step"), val_losses) == 1


def test_the_clamp_cuts_each_number_and_leaves_the_l2_part() -> None:
    gradient = jax.tree.map(np.zeros_like, START)
    gradient["conv"]["kernel"] = array(3.0, -0.05)
    config = OptimizerConfig(name="sgd", momentum=0.0, clip_value=0.1, l2=0.01)
    wanted = START["conv"]["kernel"] - RATE * (array(0.1, -0.05) + 0.01 * START["conv"]["kernel"])
    np.testing.assert_allclose(run(config, [gradient])["conv"]["kernel"], wanted, rtol=1e-6)


def test_muons_decay_is_decoupled_and_of_all_kernels() -> None:
    params = {"dense": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)}}
    zero = jax.tree.map(jnp.zeros_like, params)
    optimizer = make_optimizer(OptimizerConfig(name="muon", weight_decay=0.5))
    directions, _ = jax.jit(optimizer.update)(zero, optimizer.init(params), params)
    np.testing.assert_allclose(directions["dense"]["kernel"], 0.5)
    np.testing.assert_allclose(directions["dense"]["bias"], 0)


def test_seeds_that_are_trained_together_stop_when_the_last_has_waited() -> None:
    train = TrainConfig(patience_epochs=2)

    def history(*best: int) -> list[dict[str, int | bool]]:
        return [{"epoch": epoch, "is_best": epoch in best} for epoch in range(1, 6)]

    assert is_out_of_patience(train, [history(1, 3), history(1)])
    assert not is_out_of_patience(train, [history(1, 3), history(1, 4)])
