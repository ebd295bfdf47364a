"""The training loop: epochs of steps, from any checkpoint on, with a checkpoint after each.

What an epoch does is a pure function of the config, the data and the state at its start, so a run that
was killed goes on to the same bits. Part of a program: it reads the clock, for the log alone.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax import checkpoint
from fer_jax.config import Config
from fer_jax.data.batch import epoch_order
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.errors import DivergedError
from fer_jax.feed import eval_batches, evaluate, train_batch
from fer_jax.metrics import accuracy, mean_loss
from fer_jax.optimizer import make_schedule, plateau_factor
from fer_jax.pixels import PixelStats
from fer_jax.randomness import Stream, jax_key, numpy_rng
from fer_jax.state import TrainState
from fer_jax.step import EvalStep, Objective, TrainStep

Record = dict[str, Any]


class StopError(Exception):
    """SIGINT or SIGTERM came; the state is saved. `signum` is the signal's number."""

    def __init__(self, signum: int) -> None:
        """Remember the signal."""
        super().__init__(signum)
        self.signum = signum


@dataclass(frozen=True)
class Job:
    """What stays the same for a whole run.

    Attributes:
        config: of the run.
        examples: all of them.
        split: rows of each part.
        pixel_stats: of the training images.
        train_step: see `make_train_step`.
        eval_step: see `make_eval_step`.
        checkpoints: the run's folder of checkpoints.
    """

    config: Config
    examples: Examples
    split: Split
    pixel_stats: PixelStats
    train_step: TrainStep
    eval_step: EvalStep
    checkpoints: Path

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


@contextmanager
def watch_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying; a second one kills as usual."""
    arrived: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        arrived.append(signum)
        signal.signal(signum, old[signum])

    old = {int(signum): signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for signum, handler in old.items():
            signal.signal(signum, handler)


def save(job: Job, state: TrainState, progress: Progress, *, is_best: bool) -> None:
    """Save a checkpoint with everything that resuming and predicting need."""
    meta = {
        "step": int(state.step),
        "progress": asdict(progress),
        "pixel_mean": job.pixel_stats.mean,
        "pixel_std": job.pixel_stats.std,
    }
    checkpoint.save(state, meta, job.checkpoints, is_best=is_best)


def run_epochs(
    job: Job,
    state: TrainState,
    progress: Progress,
    *,
    signals: list[int],
    on_step: Callable[[int, float], None],
    on_epoch: Callable[[Record], None],
) -> TrainState:
    """Train from a state to the config's last epoch.

    Args:
        job: the run.
        state: where to start; it is used up.
        progress: the same; it is brought up to date.
        signals: what `watch_signals` collects.
        on_step: called after each step with its number in the epoch and the mean objective so far.
        on_epoch: called after each epoch, once it is saved, with its record.

    Raises:
        StopError: a signal came; the state is saved.
        DivergedError: a loss is not finite; the last checkpoint is from before.
    """
    config = job.config
    key = jax_key(config.train.seed, Stream.DROPOUT)
    schedule = make_schedule(config.optimizer, steps_per_epoch=job.epoch_steps, epochs=config.train.epochs)
    rates = np.asarray(jax.vmap(schedule)(jnp.arange(job.epoch_steps * config.train.epochs)), np.float32)
    while len(progress.history) < config.train.epochs:
        epoch = len(progress.history)
        started = time.perf_counter() - progress.seconds
        factor = plateau_factor(config.optimizer, [record["val_loss"] for record in progress.history])
        epoch_rates = rates[epoch * job.epoch_steps : (epoch + 1) * job.epoch_steps] * np.float32(factor)
        state = _run_steps(
            key, job, state, progress, epoch_rates, started=started, on_step=on_step, signals=signals
        )
        trained = time.perf_counter()
        record = _measure(job, state, progress, rate=float(epoch_rates[-1]))
        record["seconds"] = time.perf_counter() - started
        record["images_per_second"] = job.epoch_steps * config.train.batch_size / (trained - started)
        progress.history.append(record)
        progress.loss_sum = progress.weight_sum = progress.seconds = 0.0
        save(job, state, progress, is_best=record["is_best"])
        on_epoch(record)
        if signals:
            raise StopError(signals[0])
    return state


def _run_steps(
    key: jax.Array,
    job: Job,
    state: TrainState,
    progress: Progress,
    rates: np.ndarray,
    *,
    started: float,
    on_step: Callable[[int, float], None],
    signals: list[int],
) -> TrainState:
    """Take the steps of an epoch that are still to be taken."""
    train = job.config.train
    epoch = len(progress.history)
    order = epoch_order(train.seed, epoch, job.split.train)
    first = int(state.step) - epoch * job.epoch_steps
    pending: Objective | None = None
    for position in range(first, job.epoch_steps):
        step = epoch * job.epoch_steps + position
        batch = train_batch(
            job.examples,
            order,
            job.config.augment,
            batch_size=train.batch_size,
            position=position,
            seed=train.seed,
            step=step,
        )
        state, objective = job.train_step(key, state, batch, rates[position])
        # The step before is read only now, so that the device never waits for the host.
        if pending is not None:
            _add(job, progress, pending, step=step - 1)
            on_step(position, progress.loss_sum / progress.weight_sum)
        pending = objective
        if signals:
            _add(job, progress, pending, step=step)
            norm = float(optax.tree.norm(state.params))
            _check_finite(job, norm, f"the norm of the weights after step {step}")
            progress.seconds = time.perf_counter() - started
            save(job, state, progress, is_best=False)
            raise StopError(signals[0])
    if pending is not None:
        _add(job, progress, pending, step=(epoch + 1) * job.epoch_steps - 1)
        on_step(job.epoch_steps, progress.loss_sum / progress.weight_sum)
    return state


def _add(job: Job, progress: Progress, objective: Objective, *, step: int) -> None:
    loss_sum = float(objective.loss_sum)
    _check_finite(job, loss_sum, f"the training loss of step {step}")
    progress.loss_sum += loss_sum
    progress.weight_sum += float(objective.weight_sum)


def _check_finite(job: Job, loss: float, what: str) -> None:
    if not math.isfinite(loss):
        raise DivergedError(
            f"{what} is {loss}; the last good state is {job.checkpoints / checkpoint.LAST}. "
            "Lower optimizer.peak_rate, or set optimizer.clip_norm, and train again"
        )


def _measure(job: Job, state: TrainState, progress: Progress, *, rate: float) -> Record:
    """Measure an epoch's train and validation figures in evaluation mode, without augmentation."""
    config, step = job.config.train, int(state.step)
    parts = {"train": train_eval_rows(job), "val": job.split.val}
    figures: Record = {}
    for name, rows in parts.items():
        batches = eval_batches(job.examples, rows, batch_size=config.eval_batch_size)
        counts = evaluate(job.eval_step, state.params, state.batch_stats, batches)
        figures[f"{name}_loss"], figures[f"{name}_accuracy"] = mean_loss(counts), accuracy(counts)
        _check_finite(job, figures[f"{name}_loss"], f"the {name} loss after step {step - 1}")
    best = max((record["val_accuracy"] for record in progress.history), default=-1.0)
    return {
        "epoch": len(progress.history) + 1,
        "step": step,
        "rate": rate,
        "objective": progress.loss_sum / progress.weight_sum,
        **figures,
        "is_best": figures["val_accuracy"] > best,
    }


def train_eval_rows(job: Job) -> np.ndarray:
    """Choose the training rows on which an epoch's train accuracy is measured: the same ones each epoch."""
    wanted, rows = job.config.train.train_eval_examples, job.split.train
    if not wanted or wanted >= len(rows):
        return rows
    return np.sort(numpy_rng(job.config.train.seed, Stream.SUBSET).permutation(rows)[:wanted])
