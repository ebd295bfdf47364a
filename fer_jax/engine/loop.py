"""The training loop: epochs of steps, from any checkpoint on, with checkpoints between them.

One run or several: each seed is a replica with a state, a history and a folder of its own, and all replicas
take the same step at the same time. What an epoch does is a pure function of the config, the data and the
state at its start, so a killed run resumes to the same bits. The clock is for the log alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import optax

from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.examples import Examples
from fer_jax.data.rows.subsets import eval_rows
from fer_jax.data.split import Split
from fer_jax.engine.averages import Refresh
from fer_jax.engine.input_pipeline import Recipe, make_recipe_at
from fer_jax.engine.schedule import count_frozen, find_end, is_over, make_rates
from fer_jax.engine.state import TrainState
from fer_jax.engine.step import Objective
from fer_jax.engine.steppers import Stepper
from fer_jax.errors import DivergedError
from fer_jax.images.standardise import PixelStats
from fer_jax.images.stored_views import TrainTargets
from fer_jax.metrics.counts import Counts, accuracy, mean_loss
from fer_jax.metrics.history import keep_measured
from fer_jax.parallel.collectives import Agree, first_signal
from fer_jax.parallel.peers import ALONE, Peers
from fer_jax.runs import checkpoint
from fer_jax.runtime.signals import StopError

Record = dict[str, Any]
Plan = Callable[[int], list[list[Recipe]]]
Clock = Callable[[], float]
"""Tells the seconds since any moment."""


@dataclass(frozen=True, eq=False)
class Job:
    """What all replicas of a run share, from start to end.

    Attributes:
        config: of the run; the replicas' configs differ from it by their seed alone.
        examples: all of them.
        targets: the training targets; None: the labels.
        split: rows of each part.
        pixel_stats: of the training images.
        stepper: how the replicas take steps.
        refresh: updates the statistics of an average, see `make_refresh`.
        peers: the processes that train together.
        agree: with which they agree to stop, see `make_agree`.
    """

    config: Config
    examples: Examples
    targets: TrainTargets | None
    split: Split
    pixel_stats: PixelStats
    stepper: Stepper
    refresh: Refresh
    peers: Peers = ALONE
    agree: Agree = first_signal

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch: an incomplete last batch is left out."""
        return len(self.split.train) // self.config.train.batch_size


@dataclass
class Progress:
    """How far a run is; with the state, all that resuming needs.

    Attributes:
        history: one record for each finished epoch; with the results on train and validation where they were
            measured.
        loss_sum: summed objective of the unfinished epoch.
        weight_sum: the weights of that sum.
        seconds: what the unfinished epoch took before the run was stopped.
    """

    history: list[Record] = field(default_factory=list)
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    seconds: float = 0.0


@dataclass(eq=False)
class Replica:
    """The training of one seed: what it does not share with the other seeds of a run.

    Attributes:
        seed: of the training.
        folder: of the run.
        state: the current one; each step replaces it.
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


def save(job: Job, replica: Replica, *, is_best: bool) -> None:
    """Save a checkpoint with everything that resuming and predicting need; process 0 does it for all."""
    if not job.peers.is_leader:
        return
    meta = {
        "step": int(replica.state.step),
        "progress": asdict(replica.progress),
        "pixel_mean": job.pixel_stats.mean,
        "pixel_std": job.pixel_stats.std,
    }
    checkpoint.save(replica.state, meta, replica.checkpoints, is_best=is_best)


def run_epochs(
    job: Job,
    replicas: Sequence[Replica],
    *,
    clock: Clock,
    signals: list[int],
    on_step: Callable[[int, float], None],
    on_epoch: Callable[[list[Record]], None],
) -> None:
    """Train all replicas from where they are, which is the same step, to the last epoch, or to an early stop.

    Args:
        job: the run.
        replicas: at least one; their states and progress are replaced.
        clock: for the log.
        signals: what `runtime.signals.watch_signals` collects.
        on_step: called after steps with the steps of the epoch that are done and their mean objective.
        on_epoch: called after each epoch, and its checkpoint where there is one, with each replica's record.

    Raises:
        StopError: a signal came; all replicas are saved, at the same step.
        DivergedError: a loss of a replica is not finite; the last checkpoints are from before.
    """
    config = job.config
    rates_of = make_rates(config, steps_per_epoch=job.epoch_steps)
    plan = _make_plan(job, replicas)
    while not is_over(config.train, _histories(replicas)):
        epoch = len(replicas[0].progress.history)
        started, rates = clock() - replicas[0].progress.seconds, rates_of(_histories(replicas), epoch)
        try:
            _take_steps(job, replicas, plan, rates, epoch=epoch, on_step=on_step, signals=signals)
        except StopError:
            _save_unfinished(job, replicas, seconds=clock() - started)
            raise
        images, trained = len(replicas) * job.epoch_steps * config.train.batch_size, clock()
        is_measured = config.train.is_measured(epoch)
        records = _record_epoch(job, replicas, rates=rates[:, -1], is_measured=is_measured)
        speed = {"seconds": clock() - started, "images_per_second": images / (trained - started)}
        stopping = job.agree(signals)
        for replica, record in zip(replicas, records, strict=True):
            record |= speed
            replica.progress = Progress([*replica.progress.history, record])
        if stopping or _is_due(config.train, records) or is_over(config.train, _histories(replicas)):
            if not is_measured:
                _refresh(job, replicas)
            for replica, record in zip(replicas, records, strict=True):
                save(job, replica, is_best=record["is_best"])
        on_epoch(records)
        # Here, and not in the next step: an operation of all processes may not wait for long.
        job.peers.meet(f"epoch {epoch}")
        if stopping:
            raise StopError(stopping)


def _is_due(train: TrainConfig, records: Sequence[Record]) -> bool:
    """Whether a checkpoint follows the epoch of these records, one for each replica, by the config's plan."""
    has_best = train.select == "best" and any(record["is_best"] for record in records)
    return has_best or records[0]["epoch"] % train.save_epochs == 0


def run_unsaved(
    job: Job,
    replicas: Sequence[Replica],
    *,
    on_step: Callable[[int, int, float], None],
    on_selected: Callable[[Replica], None],
    on_epoch: Callable[[list[Record]], None] | None = None,
) -> list[Record]:
    """Train all replicas from their start to the config's last epoch, and write nothing.

    The weights get the same bits as from `run_epochs`. Train and validation results are measured after the
    last epoch, and after each one that `train.measure_epochs` chooses where the learning rate, the selection
    or `on_epoch` depends on them.

    Args:
        job: the run.
        replicas: at least one, at step 0; their states and progress are replaced.
        on_step: called after steps with the epoch, from 0, its steps that are done and their mean objective.
        on_selected: called with a replica when its state is the one that `train.select` chooses so far.
        on_epoch: called after each measured epoch with the record of each replica. What it raises ends the
            training.

    Returns:
        The last record of each replica.

    Raises:
        DivergedError: a loss of a replica is not finite.
    """
    train, plan = job.config.train, _make_plan(job, replicas)
    rates_of = make_rates(job.config, steps_per_epoch=job.epoch_steps)
    is_watched = train.select == "best" or job.config.optimizer.schedule == "plateau" or on_epoch is not None
    records: list[Record] = []
    for epoch in range(train.total_epochs):
        rates = rates_of(_histories(replicas), epoch)
        _take_steps(job, replicas, plan, rates, epoch=epoch, on_step=partial(on_step, epoch), signals=())
        is_last = epoch + 1 == train.total_epochs
        if not is_last and not (is_watched and train.is_measured(epoch)):
            for replica in replicas:
                replica.progress = Progress(replica.progress.history)
            continue
        records = _record_epoch(job, replicas, rates=rates[:, -1], is_measured=True)
        for replica, record in zip(replicas, records, strict=True):
            record["epoch"] = epoch + 1
            replica.progress = Progress([*replica.progress.history, record])
            if record["is_best"] if train.select == "best" else is_last:
                on_selected(replica)
        if on_epoch is not None:
            on_epoch(records)
        if is_over(train, _histories(replicas)):
            break
    return records


def _make_plan(job: Job, replicas: Sequence[Replica]) -> Plan:
    """Make the function step -> recipes [K][steps] of the chunk that begins there, within one epoch.

    All steps of a chunk train the same layers. The last chunk is cached, so that it can be drawn while the
    device is busy with the one before.
    """
    labels, rows, last = job.examples.labels, job.split.train, job.epoch_steps
    recipe_at = make_recipe_at(
        job.config, labels, rows, targets=job.targets, seeds=len(replicas), expect=job.stepper.expect
    )

    @lru_cache(maxsize=1)
    def plan(step: int) -> list[list[Recipe]]:
        end = find_end(job.config, step, steps_per_epoch=last)
        steps = range(step, min(step + job.stepper.chunk_steps, end))
        return [[recipe_at(replica.seed, each) for each in steps] for replica in replicas]

    return plan


def _histories(replicas: Sequence[Replica]) -> list[list[Record]]:
    return [replica.progress.history for replica in replicas]


def _take_steps(
    job: Job,
    replicas: Sequence[Replica],
    plan: Plan,
    rates: np.ndarray,
    *,
    epoch: int,
    on_step: Callable[[int, float], None],
    signals: Sequence[int],
) -> None:
    """Take the remaining steps of an epoch; after a StopError states and progress hold every step taken."""
    start = epoch * job.epoch_steps
    step, end = int(replicas[0].state.step), start + job.epoch_steps
    unread: tuple[int, list[Objective]] | None = None
    while step < end:
        recipes = plan(step)
        count = len(recipes[0])
        states, objectives = job.stepper.train(
            [replica.state for replica in replicas],
            recipes,
            rates[:, step - start : step - start + count],
            job.config.train.side_px(epoch),
            count_frozen(job.config, step, steps_per_epoch=job.epoch_steps),
        )
        for replica, state in zip(replicas, states, strict=True):
            replica.state = state
        # While the device is busy, the next chunk is drawn and the one before is read.
        if step + count < job.epoch_steps * job.config.train.total_epochs:
            plan(step + count)
        if unread is not None:
            on_step(step - start, _read(replicas, *unread))
        unread = (step, objectives)
        step += count
        if signum := job.agree(signals):
            _read(replicas, *unread)
            raise StopError(signum)
    if unread is not None:
        on_step(job.epoch_steps, _read(replicas, *unread))


def _save_unfinished(job: Job, replicas: Sequence[Replica], *, seconds: float) -> None:
    """Save all replicas in the middle of an epoch, unless the weights of one are not finite."""
    for replica in replicas:
        norm = float(optax.tree.norm(replica.state.params))
        _check_finite(replica, norm, f"the norm of the weights after step {int(replica.state.step) - 1}")
    _refresh(job, replicas)
    for replica in replicas:
        replica.progress.seconds = seconds
        save(job, replica, is_best=False)


def _read(replicas: Sequence[Replica], step: int, objectives: list[Objective]) -> float:
    """Wait for the objectives of a chunk that began at a step, add them up, and return the epoch's mean."""
    for replica, objective in zip(replicas, objectives, strict=True):
        sums = zip(np.ravel(objective.loss_sum), np.ravel(objective.weight_sum), strict=True)
        for number, (loss_sum, weight_sum) in enumerate(sums, step):
            _check_finite(replica, float(loss_sum), f"the training loss of step {number}")
            replica.progress.loss_sum += float(loss_sum)
            replica.progress.weight_sum += float(weight_sum)
    total = sum(replica.progress.loss_sum for replica in replicas)
    return total / sum(replica.progress.weight_sum for replica in replicas)


def _check_finite(replica: Replica, loss: float, what: str) -> None:
    if not math.isfinite(loss):
        last = replica.checkpoints / checkpoint.LAST
        kept = f"; the last good state is {last}" if last.exists() else f", with seed {replica.seed}"
        raise DivergedError(
            f"{what} is {loss}{kept}. Lower optimizer.peak_rate, or set optimizer.clip_norm, and train again"
        )


def _refresh(job: Job, replicas: Sequence[Replica]) -> None:
    """Update the statistics of the averages, which measuring and saving need and training does not."""
    for replica in replicas:
        replica.state = job.refresh(replica.state, replica.seed)


def _record_epoch(
    job: Job, replicas: Sequence[Replica], *, rates: np.ndarray, is_measured: bool
) -> list[Record]:
    """Make the records of an epoch.

    Where it is measured, they have train and validation loss and accuracy, in evaluation mode and without
    augmentation.
    """
    counted: list[Sequence[Counts]] = [()] * len(replicas)
    if is_measured:
        _refresh(job, replicas)
        split, train = job.split, job.config.train
        rows = [[eval_rows(split.train, train, seed=each.seed), split.val] for each in replicas]
        counted[:] = job.stepper.evaluate([replica.state for replica in replicas], rows)
    return [
        _record(replica, parts, rate=float(rate))
        for replica, parts, rate in zip(replicas, counted, rates, strict=True)
    ]


def _record(replica: Replica, counted: Sequence[Counts], *, rate: float) -> Record:
    """Make the record of an epoch from the counts on train and validation; empty: they were not measured."""
    step, history = int(replica.state.step), replica.progress.history
    figures: Record = {}
    for name, counts in zip(("train", "val"), counted, strict=False):
        figures[f"{name}_loss"], figures[f"{name}_accuracy"] = mean_loss(counts), accuracy(counts)
        _check_finite(replica, figures[f"{name}_loss"], f"the {name} loss after step {step - 1}")
    best = max((record["val_accuracy"] for record in keep_measured(history)), default=-1.0)
    return {
        "epoch": len(history) + 1,
        "step": step,
        "rate": rate,
        "objective": replica.progress.loss_sum / replica.progress.weight_sum,
        **figures,
        "is_best": figures.get("val_accuracy", -1.0) > best,
    }
