"""The training loop: epochs of steps, from any checkpoint on, with checkpoints between them.

One run or several: each seed is a lane with a state, a history and a folder of its own, and all lanes take
the same step at the same time. What an epoch does is a pure function of the config, the data and the state
at its start, so a run that was killed goes on to the same bits. Part of a program: it reads the clock, for
the log alone.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.batches import sampled_order
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.engine.batch_stats import Refresh
from fer_jax.engine.input_pipeline import Recipe, TargetsOf, draw_recipe
from fer_jax.engine.schedule import make_schedule, plateau_factor
from fer_jax.engine.state import TrainState
from fer_jax.engine.step import Objective
from fer_jax.engine.steppers import Stepper
from fer_jax.errors import DivergedError
from fer_jax.images.standardise import PixelStats
from fer_jax.metrics.counts import Counts, accuracy, mean_loss
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.runs import checkpoint
from fer_jax.runtime.signals import StopError

Record = dict[str, Any]
Plan = Callable[[int], list[list[Recipe]]]


@dataclass(frozen=True)
class Job:
    """What stays the same for a whole run, and is the same for all its lanes.

    Attributes:
        config: of the run; the lanes' configs differ from it by their seed alone.
        examples: all of them.
        targets: what the examples' targets are; None: their labels.
        split: rows of each part.
        pixel_stats: of the training images.
        stepper: how the lanes take steps.
        refresh: brings an average up to date, see `make_refresh`.
    """

    config: Config
    examples: Examples
    targets: TargetsOf | None
    split: Split
    pixel_stats: PixelStats
    stepper: Stepper
    refresh: Refresh

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch: the last, incomplete batch is left out; its images come in other orders."""
        return len(self.split.train) // self.config.train.batch_size


@dataclass
class Progress:
    """How far a run is; with the state, all that resuming needs.

    Attributes:
        history: one record for each finished epoch.
        loss_sum: objective of the unfinished epoch so far, summed.
        weight_sum: the weights of that sum.
        seconds: what the unfinished epoch has taken before the run was stopped.
    """

    history: list[Record] = field(default_factory=list)
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    seconds: float = 0.0


@dataclass
class Lane:
    """The training of one seed: what of a run is its own.

    Attributes:
        seed: of the training.
        folder: of the run.
        state: where it is; each step puts a new one in its place.
        progress: how far it is.
    """

    seed: int
    folder: Path
    state: TrainState
    progress: Progress = field(default_factory=Progress)

    @property
    def checkpoints(self) -> Path:
        """The run's folder of checkpoints."""
        return self.folder / "checkpoints"


def save(job: Job, lane: Lane, *, is_best: bool) -> None:
    """Save a checkpoint with everything that resuming and predicting need."""
    meta = {
        "step": int(lane.state.step),
        "progress": asdict(lane.progress),
        "pixel_mean": job.pixel_stats.mean,
        "pixel_std": job.pixel_stats.std,
    }
    checkpoint.save(lane.state, meta, lane.checkpoints, is_best=is_best)


def run_epochs(
    job: Job,
    lanes: Sequence[Lane],
    *,
    signals: list[int],
    on_step: Callable[[int, float], None],
    on_epoch: Callable[[list[Record]], None],
) -> None:
    """Train all lanes from where they are, which is the same step, to the config's last epoch.

    Args:
        job: the run.
        lanes: at least one; they are brought up to date.
        signals: what `runtime.signals.watch_signals` collects.
        on_step: called with a number of steps of the epoch and the mean objective over these, whenever
            steps are done.
        on_epoch: called after each epoch, and its checkpoint where there is one, with each lane's record.

    Raises:
        StopError: a signal came; all lanes are saved, at the same step.
        DivergedError: a loss of a lane is not finite; the last checkpoints are from before.
    """
    config = job.config
    rates_of, plan = _make_rates(job), _make_plan(job, lanes)
    while (epoch := len(lanes[0].progress.history)) < config.train.epochs:
        started = time.perf_counter() - lanes[0].progress.seconds
        rates = rates_of(lanes, epoch)
        _run_steps(job, lanes, plan, rates, epoch=epoch, started=started, on_step=on_step, signals=signals)
        trained = time.perf_counter()
        records = _measure(job, lanes, rates=rates[:, -1])
        images = len(lanes) * job.epoch_steps * config.train.batch_size
        speed = {"seconds": time.perf_counter() - started, "images_per_second": images / (trained - started)}
        is_best = any(record["is_best"] for record in records)
        stopping = list(signals)
        is_saved = stopping or _is_saved(config.train, epoch, is_best=is_best)
        for lane, record in zip(lanes, records, strict=True):
            record |= speed
            lane.progress = Progress([*lane.progress.history, record])
            if is_saved:
                save(job, lane, is_best=record["is_best"])
        on_epoch(records)
        if stopping:
            raise StopError(stopping[0])


def _is_saved(train: TrainConfig, epoch: int, *, is_best: bool) -> bool:
    """Tell whether a checkpoint follows an epoch, from 0, which is the best so far of a lane or not."""
    is_due = (epoch + 1) % train.save_epochs == 0 or epoch + 1 == train.epochs
    return is_due or (is_best and train.select == "best")


def run_unsaved(
    job: Job,
    lanes: Sequence[Lane],
    *,
    on_step: Callable[[int, int, float], None],
    on_selected: Callable[[Lane], None],
    on_epoch: Callable[[list[Record]], None] | None = None,
) -> list[Record]:
    """Train all lanes from their start to the config's last epoch, and write nothing.

    The weights get the same bits as from `run_epochs`. Train and validation figures are measured after the
    last epoch, and after every one where the rate, the selection or `on_epoch` hangs on them.

    Args:
        job: the run.
        lanes: at least one, at step 0; they are brought up to date.
        on_step: called with the epoch, from 0, a number of steps of it and the mean objective over these.
        on_selected: called with a lane when its state is the one that `train.select` chooses so far.
        on_epoch: called after each epoch with the record of each lane. What it raises ends the training.

    Returns:
        The last record of each lane.

    Raises:
        DivergedError: a loss of a lane is not finite.
    """
    train = job.config.train
    started = time.perf_counter()
    rates_of, plan = _make_rates(job), _make_plan(job, lanes)
    is_watched = train.select == "best" or job.config.optimizer.schedule == "plateau" or on_epoch is not None
    records: list[Record] = []
    for epoch in range(train.epochs):
        rates = rates_of(lanes, epoch)
        tell = partial(on_step, epoch)
        _run_steps(job, lanes, plan, rates, epoch=epoch, started=started, on_step=tell, signals=[])
        is_last = epoch + 1 == train.epochs
        if not is_watched and not is_last:
            for lane in lanes:
                lane.progress = Progress()
            continue
        records = _measure(job, lanes, rates=rates[:, -1])
        for lane, record in zip(lanes, records, strict=True):
            record |= {"epoch": epoch + 1, "seconds": time.perf_counter() - started}
            lane.progress = Progress([*lane.progress.history, record])
            if record["is_best"] if train.select == "best" else is_last:
                on_selected(lane)
        if on_epoch is not None:
            on_epoch(records)
    return records


def _make_rates(job: Job) -> Callable[[Sequence[Lane], int], np.ndarray]:
    """Make the function (lanes, epoch) -> rates float32 [K, steps of an epoch].

    The cuts of the plateau schedule come from the lanes' own histories.
    """
    optimizer, epochs = job.config.optimizer, job.config.train.epochs
    schedule = make_schedule(optimizer, steps_per_epoch=job.epoch_steps, epochs=epochs)
    rates = np.asarray(jax.vmap(schedule)(jnp.arange(job.epoch_steps * epochs)), np.float32)

    def rates_of(lanes: Sequence[Lane], epoch: int) -> np.ndarray:
        losses = [[record["val_loss"] for record in lane.progress.history] for lane in lanes]
        factors = np.array([plateau_factor(optimizer, each) for each in losses], np.float32)
        return factors[:, None] * rates[epoch * job.epoch_steps : (epoch + 1) * job.epoch_steps]

    return rates_of


def _make_plan(job: Job, lanes: Sequence[Lane]) -> Plan:
    """Make the function step -> recipes [K][steps] of the chunk that begins there and ends with its epoch.

    The last answer is remembered: to ask ahead is to draw ahead.
    """
    train, last = job.config.train, job.epoch_steps

    @lru_cache(maxsize=len(lanes))
    def order_of(seed: int, epoch: int) -> np.ndarray:
        rows = job.split.train
        return sampled_order(seed, epoch, rows, job.examples.labels[rows], sampling=train.sampling)

    @lru_cache(maxsize=len(lanes))
    def targets_of(seed: int, epoch: int) -> np.ndarray | None:
        return None if job.targets is None else job.targets(seed, epoch)

    @lru_cache(maxsize=1)
    def plan(step: int) -> list[list[Recipe]]:
        epoch, first = divmod(step, last)
        return [
            [
                draw_recipe(
                    order_of(lane.seed, epoch),
                    job.config.augment,
                    batch_size=train.batch_size,
                    position=position,
                    seed=lane.seed,
                    step=epoch * last + position,
                    mixing=job.config.mix,
                    targets=targets_of(lane.seed, epoch),
                )
                for position in range(first, min(first + job.stepper.chunk_steps, last))
            ]
            for lane in lanes
        ]

    return plan


def _run_steps(
    job: Job,
    lanes: Sequence[Lane],
    plan: Plan,
    rates: np.ndarray,
    *,
    epoch: int,
    started: float,
    on_step: Callable[[int, float], None],
    signals: list[int],
) -> None:
    """Take the steps of an epoch that are still to be taken."""
    start = epoch * job.epoch_steps
    step, end = int(lanes[0].state.step), start + job.epoch_steps
    unread: tuple[int, list[Objective]] | None = None
    while step < end:
        recipes = plan(step)
        count = len(recipes[0])
        states, objectives = job.stepper.train(
            [lane.state for lane in lanes],
            recipes,
            rates[:, step - start : step - start + count],
            job.config.train.side_px(epoch),
        )
        for lane, state in zip(lanes, states, strict=True):
            lane.state = state
        # The device is at work now: the next chunk is drawn, and the one before is read, while it is.
        if step + count < job.epoch_steps * job.config.train.epochs:
            plan(step + count)
        if unread is not None:
            on_step(step - start, _read(lanes, *unread))
        unread = (step, objectives)
        step += count
        if signals:
            _read(lanes, *unread)
            for lane in lanes:
                norm = float(optax.tree.norm(lane.state.params))
                _check_finite(lane, norm, f"the norm of the weights after step {step - 1}")
            for lane in lanes:
                lane.state = job.refresh(lane.state, lane.seed)
                lane.progress.seconds = time.perf_counter() - started
                save(job, lane, is_best=False)
            raise StopError(signals[0])
    if unread is not None:
        on_step(job.epoch_steps, _read(lanes, *unread))


def _read(lanes: Sequence[Lane], step: int, objectives: list[Objective]) -> float:
    """Wait for the objectives of a chunk that began at a step, add them up, and give the mean so far."""
    for lane, objective in zip(lanes, objectives, strict=True):
        sums = zip(np.ravel(objective.loss_sum), np.ravel(objective.weight_sum), strict=True)
        for number, (loss_sum, weight_sum) in enumerate(sums, step):
            _check_finite(lane, float(loss_sum), f"the training loss of step {number}")
            lane.progress.loss_sum += float(loss_sum)
            lane.progress.weight_sum += float(weight_sum)
    return sum(lane.progress.loss_sum for lane in lanes) / sum(lane.progress.weight_sum for lane in lanes)


def _check_finite(lane: Lane, loss: float, what: str) -> None:
    if not math.isfinite(loss):
        last = lane.checkpoints / checkpoint.LAST
        kept = f"; the last good state is {last}" if last.exists() else f", with seed {lane.seed}"
        raise DivergedError(
            f"{what} is {loss}{kept}. Lower optimizer.peak_rate, or set optimizer.clip_norm, and train again"
        )


def _measure(job: Job, lanes: Sequence[Lane], *, rates: np.ndarray) -> list[Record]:
    """Measure an epoch's train and validation figures in evaluation mode, without augmentation."""
    for lane in lanes:
        lane.state = job.refresh(lane.state, lane.seed)
    rows = [[train_eval_rows(job, lane.seed), job.split.val] for lane in lanes]
    counted = job.stepper.evaluate([lane.state for lane in lanes], rows)
    return [
        _record(lane, train, val, rate=float(rate))
        for lane, (train, val), rate in zip(lanes, counted, rates, strict=True)
    ]


def _record(lane: Lane, train: Counts, val: Counts, *, rate: float) -> Record:
    step, history = int(lane.state.step), lane.progress.history
    figures: Record = {}
    for name, counts in {"train": train, "val": val}.items():
        figures[f"{name}_loss"], figures[f"{name}_accuracy"] = mean_loss(counts), accuracy(counts)
        _check_finite(lane, figures[f"{name}_loss"], f"the {name} loss after step {step - 1}")
    best = max((record["val_accuracy"] for record in history), default=-1.0)
    return {
        "epoch": len(history) + 1,
        "step": step,
        "rate": rate,
        "objective": lane.progress.loss_sum / lane.progress.weight_sum,
        **figures,
        "is_best": figures["val_accuracy"] > best,
    }


def train_eval_rows(job: Job, seed: int) -> np.ndarray:
    """Choose the training rows on which an epoch's train accuracy is measured: the same ones each epoch."""
    wanted, rows = job.config.train.train_eval_examples, job.split.train
    if not wanted or wanted >= len(rows):
        return rows
    return np.sort(numpy_rng(seed, Stream.SUBSET).permutation(rows)[:wanted])
