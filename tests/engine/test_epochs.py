"""The training loop over a scripted stepper: no network, so that every number is known in advance."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig, TrainConfig
from fer_jax.data.batches import sampled_order
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.data.targets import SoftLabels
from fer_jax.engine.input_pipeline import Recipe, draw_recipe
from fer_jax.engine.loop import Job, Record, Replica, run_epochs, run_unsaved
from fer_jax.engine.state import TrainState
from fer_jax.engine.step import Objective
from fer_jax.engine.steppers import Stepper
from fer_jax.images.standardise import PixelStats
from fer_jax.metrics.counts import Counts
from fer_jax.metrics.history import keep_measured
from fer_jax.runs import checkpoint
from fer_jax.runtime.signals import StopError
from fer_jax.train import resume

SEEDS = (3, 8)
EPOCHS, EPOCH_STEPS, BATCH_SIZE, VAL_ROWS = 3, 4, 2, 8
PEAK = 0.5
# Nine training rows: each epoch leaves one out.
SPLIT = Split(train=np.arange(9), val=np.arange(9, 9 + VAL_ROWS), test=np.arange(0))
EXAMPLES = Examples(
    images=np.zeros((9 + VAL_ROWS, 48, 48, 1), np.uint8),
    labels=np.arange(9 + VAL_ROWS, dtype=np.int32) % 7,
    usages=np.zeros(9 + VAL_ROWS, np.int32),
    contents="blank images",
    sha256="0" * 64,
)
AUGMENT = AugmentConfig(shift_probability=1.0, rotate_probability=1.0)
FALLING = (3.0, 2.0, 1.0)


@dataclass
class Script:
    """A stepper that plays back validation results and records what it was asked to train on.

    Attributes:
        correct: number of correct predictions of `VAL_ROWS`, for each seed after each epoch.
        losses: mean validation loss, likewise.
        recipes: for each seed, of all steps so far.
        rates: learning rates, likewise.
    """

    correct: Sequence[Sequence[int]] = ((1, 2, 3), (1, 2, 3))
    losses: Sequence[Sequence[float]] = (FALLING, FALLING)
    recipes: list[list[Recipe]] = field(default_factory=lambda: [[] for _ in SEEDS])
    rates: list[list[float]] = field(default_factory=lambda: [[] for _ in SEEDS])

    def train(self, states: Any, recipes: Any, rates: np.ndarray, side_px: int, frozen_blocks: int) -> Any:
        moved, objectives = [], []
        for k, (state, (recipe,), (rate,)) in enumerate(zip(states, recipes, rates, strict=True)):
            self.recipes[k].append(recipe)
            self.rates[k].append(float(rate))
            loss_sum, weight_sum = sums_of_step(k, int(state.step))
            objectives.append(Objective(jnp.float32(loss_sum), jnp.float32(weight_sum)))
            moved.append(state.replace(step=state.step + 1))
        return moved, objectives

    def evaluate(self, states: Any, rows: Any) -> list[list[Counts]]:
        epoch = int(states[0].step) // EPOCH_STEPS - 1
        return [
            [counts_of(len(parts[0]), 1, 1.0), counts_of(len(parts[1]), correct[epoch], losses[epoch])]
            for parts, correct, losses in zip(rows, self.correct, self.losses, strict=True)
        ]

    def as_stepper(self) -> Stepper:
        return Stepper("scripted", 1, self.train, self.evaluate)


def sums_of_step(k: int, step: int) -> tuple[float, float]:
    """Return the sums of a step's objective: different for each seed and step, and exact in float32."""
    return 1.0 + k + step * step / 4, 2.0 + step % 3


def counts_of(total: int, correct: int, loss: float) -> Counts:
    return Counts(loss * total, np.array([[correct, total - correct], [0, 0]]))


def make_job(
    script: Script,
    *,
    optimizer: OptimizerConfig | None = None,
    train: TrainConfig | None = None,
    targets: SoftLabels | None = None,
) -> Job:
    return Job(
        config=Config(
            name="scripted",
            augment=AUGMENT,
            optimizer=optimizer or OptimizerConfig(peak_rate=PEAK),
            train=train or TrainConfig(epochs=EPOCHS, batch_size=BATCH_SIZE),
        ),
        examples=EXAMPLES,
        targets=targets,
        split=SPLIT,
        pixel_stats=PixelStats(100.0, 50.0),
        stepper=script.as_stepper(),
        refresh=lambda state, seed: state,
    )


def begin(folder: Path) -> list[Replica]:
    fresh = TrainState(
        step=jnp.zeros((), jnp.int32), params={"weight": jnp.ones(2)}, batch_stats={}, opt_state={}
    )
    return [Replica(seed, folder / str(seed), jax.tree.map(jnp.copy, fresh)) for seed in SEEDS]


def run(job: Job, replicas: list[Replica]) -> None:
    run_epochs(
        job,
        replicas,
        clock=itertools.count().__next__,
        signals=[],
        on_step=lambda *_: None,
        on_epoch=lambda _: None,
    )


def soft_labels(seed: int, epoch: int) -> np.ndarray:
    """Return targets that identify the seed, the epoch and the row that they belong to."""
    rows = np.arange(len(EXAMPLES), dtype=np.float32)
    return np.stack([0 * rows + seed, 0 * rows + epoch, rows], axis=1)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[Path, dict[str, int]]:
    """Let nothing be written; tell the step of each checkpoint that would be kept in each folder."""
    steps: dict[Path, dict[str, int]] = {}

    def remember(state: TrainState, meta: Any, folder: Path, *, is_best: bool) -> None:
        names = (checkpoint.BEST, checkpoint.LAST) if is_best else (checkpoint.LAST,)
        steps.setdefault(folder, {}).update(dict.fromkeys(names, meta["step"]))

    monkeypatch.setattr(checkpoint, "save", remember)
    return steps


@dataclass(frozen=True)
class Played:
    """A script that was run to its end, with `soft_labels`, and the replicas."""

    script: Script
    replicas: list[Replica]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    script, replicas = Script(), begin(tmp_path_factory.mktemp("played"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", lambda *_, **__: None)
        run(make_job(script, targets=soft_labels), replicas)
    return Played(script, replicas)


def histories(replicas: Sequence[Replica]) -> list[list[Record]]:
    """Return each seed's records without what the clock measured."""
    clock = ("seconds", "images_per_second")
    return [
        [{name: value for name, value in record.items() if name not in clock} for record in history]
        for history in (replica.progress.history for replica in replicas)
    ]


@pytest.mark.usefixtures("kept")
def test_the_plateau_cuts_each_seed_by_its_own_losses(tmp_path: Path) -> None:
    plateau = OptimizerConfig(peak_rate=PEAK, schedule="plateau", patience_epochs=1, decay_factor=0.5)
    for losses in ((FALLING, (1.0, 2.0, 3.0)), ((1.0, 2.0, 3.0), FALLING)):
        script = Script(losses=losses)
        run(make_job(script, optimizer=plateau), begin(tmp_path / str(losses[0][0])))
        # The loss can stop falling in the second epoch at the earliest, so the third is the first to be cut.
        last = [0.5 if own is FALLING else 0.25 for own in losses]
        for rates, cut in zip(script.rates, last, strict=True):
            assert rates == [0.5] * (2 * EPOCH_STEPS) + [cut] * EPOCH_STEPS


@pytest.mark.usefixtures("kept")
def test_the_schedule_begins_with_the_first_step_and_follows_the_run(tmp_path: Path) -> None:
    script, warmup = Script(), 6
    cosine = OptimizerConfig(peak_rate=PEAK, schedule="cosine", warmup_epochs=1.5)
    replicas = begin(tmp_path)
    run(make_job(script, optimizer=cosine), replicas)
    rest = EPOCHS * EPOCH_STEPS - warmup
    wanted = [PEAK * step / warmup for step in range(warmup)]
    wanted += [PEAK * (1 + math.cos(math.pi * step / rest)) / 2 for step in range(rest)]
    for rates, history in zip(script.rates, histories(replicas), strict=True):
        np.testing.assert_allclose(rates, wanted, rtol=1e-6, atol=1e-8)
        assert [record["rate"] for record in history] == rates[EPOCH_STEPS - 1 :: EPOCH_STEPS]


def test_every_step_of_every_seed_has_draws_of_its_own(played: Played) -> None:
    draws = [
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(recipe.draws)]).tobytes()
        for recipes in played.script.recipes
        for recipe in recipes
    ]
    assert len(set(draws)) == len(draws) == len(SEEDS) * EPOCHS * EPOCH_STEPS


def test_the_recipes_are_those_of_their_seed_epoch_and_step(played: Played) -> None:
    for seed, recipes in zip(SEEDS, played.script.recipes, strict=True):
        for step, found in enumerate(recipes):
            epoch, position = divmod(step, EPOCH_STEPS)
            np.testing.assert_array_equal(found.targets[:, 0], [seed] * BATCH_SIZE)
            np.testing.assert_array_equal(found.targets[:, 1], [epoch] * BATCH_SIZE)
            np.testing.assert_array_equal(found.targets[:, 2], found.rows)
            rows = SPLIT.train
            order = sampled_order(seed, epoch, rows, EXAMPLES.labels[rows], sampling="all")
            wanted = draw_recipe(
                order, AUGMENT, batch_size=BATCH_SIZE, position=position, seed=seed, step=step
            )
            np.testing.assert_array_equal(found.rows, wanted.rows)
            jax.tree.map(np.testing.assert_array_equal, found.draws, wanted.draws)


def test_an_epoch_shows_no_row_twice_and_each_epoch_has_another_order(played: Played) -> None:
    orders = [
        tuple(np.concatenate([recipe.rows for recipe in recipes[first : first + EPOCH_STEPS]]).tolist())
        for recipes in played.script.recipes
        for first in range(0, EPOCHS * EPOCH_STEPS, EPOCH_STEPS)
    ]
    assert all(len(set(order)) == EPOCH_STEPS * BATCH_SIZE for order in orders)
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize(
    ("correct", "is_best"),
    [
        ((1, 3, 2), (True, True, False)),
        # The third is better than the epoch before it, but not the best.
        ((4, 1, 3), (True, False, False)),
        # Of several equally good epochs, the first is the best.
        ((4, 4, 2), (True, False, False)),
        ((3, 1, 3), (True, False, False)),
        ((1, 3, 3), (True, True, False)),
    ],
)
def test_the_best_epoch_is_the_first_of_the_highest_validation_accuracy(
    tmp_path: Path, kept: dict[Path, dict[str, int]], correct: tuple[int, ...], is_best: tuple[bool, ...]
) -> None:
    replicas, selected = begin(tmp_path / "saved"), []
    other = (0, 1, 2)
    run(make_job(Script(correct=(correct, other))), replicas)
    assert [record["is_best"] for record in replicas[0].progress.history] == list(is_best)
    assert [record["is_best"] for record in replicas[1].progress.history] == [True] * 3
    best = EPOCHS - is_best[::-1].index(True)
    for replica, epoch in zip(replicas, (best, EPOCHS), strict=True):
        steps = {checkpoint.BEST: epoch * EPOCH_STEPS, checkpoint.LAST: EPOCHS * EPOCH_STEPS}
        assert kept[replica.checkpoints] == steps
    run_unsaved(
        make_job(Script(correct=(correct, other))),
        begin(tmp_path / "unsaved"),
        on_step=lambda *_: None,
        on_selected=lambda replica: selected.append((replica.seed, int(replica.state.step) // EPOCH_STEPS)),
    )
    chosen = [epoch for epoch, better in enumerate(is_best, start=1) if better]
    assert [epoch for seed, epoch in selected if seed == SEEDS[0]] == chosen


def test_the_checkpoints_are_those_of_the_best_and_of_the_last_epoch(tmp_path: Path) -> None:
    replicas = begin(tmp_path)
    run(make_job(Script(correct=((1, 3, 2), (0, 1, 2)))), replicas)
    for replica, best in zip(replicas, (2, 3), strict=True):
        for name, epoch in ((checkpoint.BEST, best), (checkpoint.LAST, EPOCHS)):
            assert checkpoint.read_meta(replica.checkpoints / name)["step"] == epoch * EPOCH_STEPS


def test_epochs_that_are_not_measured_have_the_objective_alone_and_are_refreshed_for_a_save(
    tmp_path: Path,
) -> None:
    train = TrainConfig(
        epochs=5, extra_epochs=(2,), batch_size=BATCH_SIZE, select="last", measure_epochs=3, save_epochs=2
    )
    rising, replicas = (range(7), range(7)), begin(tmp_path)
    refreshed: list[tuple[int, int]] = []

    def refresh(state: TrainState, seed: int) -> TrainState:
        refreshed.append((int(state.step) // EPOCH_STEPS, seed))
        return state

    job = make_job(Script(correct=rising, losses=((1.0,) * 7,) * 2), train=train)
    run(dataclasses.replace(job, refresh=refresh), replicas)
    for replica in replicas:
        history = replica.progress.history
        assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6, 7]
        # Every third, the last of the plan, and the last of the extension.
        assert [record["epoch"] for record in keep_measured(history)] == [3, 5, 6, 7]
        assert [record["epoch"] for record in history if record["is_best"]] == [3, 5, 6, 7]
        assert "train_loss" not in history[0] and history[0]["objective"] > 0
    # For what is measured, and for the checkpoints after 2, 4, 6 and 7.
    assert refreshed == [(epoch, seed) for epoch in (2, 3, 4, 5, 6, 7) for seed in SEEDS]
    told: list[int] = []
    run_unsaved(
        make_job(Script(correct=rising, losses=((1.0,) * 7,) * 2), train=train),
        begin(tmp_path / "unsaved"),
        on_step=lambda *_: None,
        on_selected=lambda _: None,
        on_epoch=lambda records: told.append(records[0]["epoch"]),
    )
    assert told == [3, 5, 6, 7]


def objectives_by_hand(k: int) -> list[float]:
    epochs = []
    for first in range(0, EPOCHS * EPOCH_STEPS, EPOCH_STEPS):
        sums = [sums_of_step(k, step) for step in range(first, first + EPOCH_STEPS)]
        epochs.append(sum(loss for loss, _ in sums) / sum(weight for _, weight in sums))
    return epochs


def test_the_objective_of_an_epoch_is_the_mean_over_its_own_steps(played: Played) -> None:
    for k, replica in enumerate(played.replicas):
        assert [record["objective"] for record in replica.progress.history] == objectives_by_hand(k)


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_objective_of_an_epoch_is_the_same_where_nothing_is_saved(tmp_path: Path, select: Any) -> None:
    """Sums start at 0 in each epoch, also with `select` last, where only the last epoch is measured."""
    replicas = begin(tmp_path)
    train = TrainConfig(epochs=EPOCHS, batch_size=BATCH_SIZE, select=select)
    records = run_unsaved(
        make_job(Script(), train=train), replicas, on_step=lambda *_: None, on_selected=lambda _: None
    )
    assert [record["objective"] for record in records] == [objectives_by_hand(k)[-1] for k in range(2)]
    if select == "best":
        for k, replica in enumerate(replicas):
            assert [record["objective"] for record in replica.progress.history] == objectives_by_hand(k)


@pytest.mark.parametrize("stop_at", [2, EPOCH_STEPS + 3, 2 * EPOCH_STEPS])
def test_a_run_that_is_stopped_within_an_epoch_has_the_history_of_one_that_is_not(
    tmp_path: Path, stop_at: int
) -> None:
    plateau = OptimizerConfig(peak_rate=PEAK, schedule="plateau", patience_epochs=1)
    losses, correct = ((1.0, 2.0, 0.5), FALLING), ((4, 1, 3), (1, 2, 2))

    def script() -> Script:
        return Script(correct=correct, losses=losses)

    whole, unstopped = begin(tmp_path / "whole"), script()
    run(make_job(unstopped, optimizer=plateau), whole)
    stopped, signals = begin(tmp_path / "stopped"), list[int]()
    both = script()

    def on_step(*_: Any) -> None:
        # The loop reports a step when the next one has started.
        if int(stopped[0].state.step) >= stop_at:
            signals.append(15)

    with pytest.raises(StopError):
        run_epochs(
            make_job(both, optimizer=plateau),
            stopped,
            clock=itertools.count().__next__,
            signals=signals,
            on_step=on_step,
            on_epoch=lambda _: None,
        )
    resumed = begin(tmp_path / "stopped")
    resume.restore(resumed, select="last")
    assert stop_at <= int(resumed[0].state.step) < EPOCHS * EPOCH_STEPS
    run(make_job(both, optimizer=plateau), resumed)
    assert histories(resumed) == histories(whole)
    assert both.rates == unstopped.rates
    for found, wanted in zip(both.recipes, unstopped.recipes, strict=True):
        assert len(found) == len(wanted) == EPOCHS * EPOCH_STEPS
        jax.tree.map(np.testing.assert_array_equal, found, wanted)
