"""Out-of-sample probabilities of every row: K networks, each trained without one fold of the rows.

Copies of an image share a fold, so no network has seen the image that it judges. Each finished fold is kept
in a file, and a search that was stopped goes on with the next one.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from scipy.special import softmax

from fer_jax import fer2013
from fer_jax.bias_variance.study import predict
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.data.batches import sampled_order
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.engine.input_pipeline import train_batch
from fer_jax.engine.schedule import make_schedule
from fer_jax.engine.setup import Programs, make_programs
from fer_jax.engine.state import TrainState
from fer_jax.engine.step import Objective
from fer_jax.errors import DivergedError
from fer_jax.files import Json, replacing
from fer_jax.randomness import Stream, jax_key, numpy_rng
from fer_jax.report import terminal

_FORMAT = 1
"""Part of every fingerprint: raise it when the same config and rows would give other logits."""

OnStep = Callable[[int, float], None]
"""Called with the steps that a fold has taken and the objective of the last one."""


@dataclass(frozen=True)
class CrossValidated:
    """What K networks say about the rows that they were not trained on.

    Attributes:
        probabilities: float64 [N, 7], each row sums to 1.
        folds: int64 [N], the fold of each row.
        seconds: what training and predicting took, over all folds, in whatever session.
        kept: how many folds were read back from an earlier session.
    """

    probabilities: np.ndarray
    folds: np.ndarray
    seconds: float
    kept: int


def assign_folds(labels: np.ndarray, groups: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """Deal the rows to folds: class by class, and a group of copies as one.

    Args:
        labels: int [N], 0..6.
        groups: int [N], equal for copies; a group counts as of its first row's class.
        folds: K, >= 2.
        seed: in [0, 2**32).

    Returns:
        int64 [N], 0..K-1.
    """
    _, first_row, group_of_row = np.unique(groups, return_index=True, return_inverse=True)
    group_size = np.bincount(group_of_row)
    fold_of_group = np.empty(len(first_row), np.int64)
    for label in range(fer2013.CLASS_COUNT):
        members = numpy_rng(seed, Stream.SPLIT, label, folds).permutation(
            np.flatnonzero(labels[first_row] == label)
        )
        # The middle of a group decides, as in the split.
        middle = np.cumsum(group_size[members]) - group_size[members] / 2
        fold_of_group[members] = middle * folds // max(1, group_size[members].sum())
    return fold_of_group[group_of_row]


def cross_validate(
    console: Console,
    config: Config,
    examples: Examples,
    groups: np.ndarray,
    *,
    folds: int,
    work: Path,
    clock: Callable[[], float],
) -> CrossValidated:
    """Predict every row with a network that was trained on the other folds.

    The last epoch's weights predict; nothing is selected, and a plateau schedule makes no cut, since there is
    no validation part.

    Args:
        console: for the progress bar and a line a fold.
        config: how to train: network, augmentation, loss, optimizer, epochs, seed.
        examples: all labelled.
        groups: int [N], equal for copies.
        folds: K, >= 2.
        work: folder of the folds' files, made if need be.
        clock: seconds from any start.

    Raises:
        ConfigError: a fold's training part is smaller than a batch.
        DivergedError: a training loss is not finite.
    """
    fold_of_row = assign_folds(examples.labels, groups, folds=folds, seed=config.train.seed)
    work.mkdir(parents=True, exist_ok=True)
    logits = np.empty((len(examples), fer2013.CLASS_COUNT), np.float32)
    seconds, kept = 0.0, 0
    for fold in range(folds):
        held, rows = np.flatnonzero(fold_of_row == fold), np.flatnonzero(fold_of_row != fold)
        path, mark = work / f"fold{fold + 1}of{folds}.npz", _fingerprint(config, examples, rows)
        saved = _load(path, mark, len(held))
        kept += saved is not None
        if saved is None:
            started = clock()
            answers = _run_fold(console, config, examples, rows, held, title=f"fold {fold + 1}/{folds}")
            saved = answers, clock() - started
            with replacing(path) as new, new.open("wb") as file:
                np.savez(file, logits=answers, seconds=saved[1], fingerprint=mark)
        logits[held] = saved[0]
        seconds += saved[1]
        correct = int((saved[0].argmax(axis=1) == examples.labels[held]).sum())
        console.print(
            f"  fold {fold + 1}/{folds}: trained on {len(rows):,} rows, right on {correct:,} of the "
            f"{len(held):,} others ({100 * correct / max(1, len(held)):.1f} %)"
        )
    return CrossValidated(softmax(logits.astype(np.float64), axis=1), fold_of_row, seconds, kept)


def _fingerprint(config: Config, examples: Examples, rows: np.ndarray) -> str:
    """Name everything that decides a fold's logits: SHA-256, hex."""
    fields: Json = to_json(config)
    names = ("augment", "model", "loss", "mix", "optimizer", "average", "train", "device")
    deciding = {name: fields[name] for name in names}
    hashed = hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes()).hexdigest()
    return hashlib.sha256(json.dumps([_FORMAT, deciding, examples.sha256, hashed]).encode()).hexdigest()


def _load(path: Path, fingerprint: str, count: int) -> tuple[np.ndarray, float] | None:
    """Load a fold's logits and seconds; None where they are missing, damaged, or of other settings."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            logits = saved["logits"]
            is_good = str(saved["fingerprint"]) == fingerprint and logits.shape == (
                count,
                fer2013.CLASS_COUNT,
            )
            return (logits, float(saved["seconds"])) if is_good else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _run_fold(
    console: Console, config: Config, examples: Examples, rows: np.ndarray, held: np.ndarray, *, title: str
) -> np.ndarray:
    """Train on some rows behind a progress bar and give the logits float32 [H, 7] of the others."""
    programs = make_programs(config, examples, Split(rows, held, held[:0]))
    batch_size, epochs = config.train.batch_size, config.train.epochs
    epoch_steps = len(rows) // batch_size
    bar = terminal.make_bar(console)
    with bar:
        task = bar.add_task(title, total=epoch_steps * epochs, speed="")

        def on_step(step: int, objective: float) -> None:
            speed = bar.tasks[task].speed
            bar.update(
                task,
                completed=step,
                description=f"{title}, epoch {math.ceil(step / epoch_steps)}/{epochs}, "
                f"objective {objective:.3f}",
                speed=f"{speed * batch_size:,.0f} img/s" if speed else "",
            )

        state = _train(config, programs, examples, rows, on_step=on_step)
    return predict(programs, state, examples.images[held], batch_size=config.train.eval_batch_size)


def _train(
    config: Config, programs: Programs, examples: Examples, rows: np.ndarray, *, on_step: OnStep
) -> TrainState:
    """Train on some rows to the config's last epoch, with nothing measured on the way."""
    train = config.train
    epoch_steps = len(rows) // train.batch_size
    schedule = make_schedule(config.optimizer, steps_per_epoch=epoch_steps, epochs=train.epochs)
    rates = np.asarray(jax.vmap(schedule)(jnp.arange(epoch_steps * train.epochs)), np.float32)
    state, dropout_key = programs.init(jax_key(train.seed, Stream.INIT)), jax_key(train.seed, Stream.DROPOUT)
    order, unread = rows, None
    for step, rate in enumerate(rates):
        epoch, position = divmod(step, epoch_steps)
        if position == 0:
            order = sampled_order(train.seed, epoch, rows, examples.labels[rows], sampling=train.sampling)
        batch = train_batch(
            examples,
            order,
            config.augment,
            batch_size=train.batch_size,
            position=position,
            seed=train.seed,
            step=step,
            mixing=config.mix,
        )
        side_px = train.side_px(epoch)
        state, objective = programs.train_step(dropout_key, state, batch, rate, side_px=side_px)
        # Read one step late: the device works while the host makes the next batch.
        if unread is not None:
            on_step(step, _read(unread, step - 1))
        unread = objective
    if unread is not None:
        on_step(len(rates), _read(unread, len(rates) - 1))
    return programs.refresh(state, train.seed)


def _read(objective: Objective, step: int) -> float:
    """Wait for a step's mean objective."""
    mean = float(objective.loss_sum) / float(objective.weight_sum)
    if not math.isfinite(mean):
        raise DivergedError(
            f"the training loss of step {step} is {mean}; lower optimizer.peak_rate in the config, or set "
            "optimizer.clip_norm"
        )
    return mean
