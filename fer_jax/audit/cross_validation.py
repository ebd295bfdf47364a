"""Out-of-sample probabilities of every row, from K networks, each trained without one fold of the rows.

Copies of an image share a fold, and so do rows that the data groups: no network has seen the images that it
judges. The logits of each finished fold are saved, and a search that was stopped goes on with the next fold.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy.special import softmax

from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.groups.cut import balance_groups, shuffle_groups
from fer_jax.data.groups.near_copies import join_groups
from fer_jax.data.split import Split
from fer_jax.engine.loop import Clock, Replica, run_unsaved
from fer_jax.engine.setup import make_job, make_programs, without_selection
from fer_jax.errors import ConfigError
from fer_jax.files import Json, read_arrays, write_arrays
from fer_jax.inference.predictor import Network, make_predicting_model, predict
from fer_jax.randomness import Stream, jax_key
from fer_jax.report import terminal

_FORMAT = 1
"""Part of every key: raise it when the same config and rows would give other logits."""


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """What K networks predict for the rows that they were not trained on.

    Attributes:
        probabilities: float64 [N, C], each row sums to 1.
        folds: int64 [N], the fold of each row.
        seconds: time of training and prediction, over all folds and sessions.
        kept: number of folds that were read back from an earlier session.
    """

    probabilities: np.ndarray
    folds: np.ndarray
    seconds: float
    kept: int


def assign_folds(
    labels: np.ndarray, copies: np.ndarray, *, groups: np.ndarray | None, folds: int, seed: int
) -> np.ndarray:
    """Assign the rows to folds, stratified by class, with all copies of an image and a group in one fold.

    Args:
        labels: int [N], 0..C-1.
        copies: int [N], equal for copies; their class is that of the first row.
        groups: int [N], equal for rows that the data groups, see `Examples.groups`; None: it does not.
        folds: K, >= 2.
        seed: in [0, 2**32).

    Returns:
        int64 [N], 0..K-1.

    Raises:
        ConfigError: a fold would be empty.
    """
    stream, indices = Stream.SPLIT, (folds,)
    if groups is None:
        middle, total = shuffle_groups(copies, labels, seed=seed, stream=stream, indices=indices)
        fold_of_row = (middle * folds // total).astype(np.int64)
    else:
        joint, shares = join_groups(copies, groups), [1 / folds] * folds
        fold_of_row = balance_groups(joint, labels, shares, seed=seed, stream=stream, indices=indices)
    filled = len(np.unique(fold_of_row))
    if filled < folds:
        raise ConfigError(
            f"--folds is {folds}, and the rows that stay together fill {filled}: lower it, or give more data"
        )
    return fold_of_row


def cross_validate(
    console: Console,
    config: Config,
    examples: Examples,
    copies: np.ndarray,
    *,
    folds: int,
    work: Path,
    clock: Clock,
) -> CrossValidated:
    """Predict every row with a network that was trained on the other folds.

    The weights after the last epoch predict. With the plateau schedule the learning rate is never cut, since
    a cut would depend on the rows that are held out.

    Args:
        console: for the progress bar and one line per fold.
        config: how to train: network, augmentation, loss, optimizer, epochs, seed.
        examples: all labelled.
        copies: int [N], equal for copies.
        folds: K, >= 2.
        work: folder of the folds' files; it is made if need be.
        clock: seconds from any start.

    Raises:
        ConfigError: a fold is empty, or its training part is smaller than a batch.
        DivergedError: a loss is not finite.
    """
    fold_of_row = assign_folds(
        examples.labels, copies, groups=examples.groups, folds=folds, seed=config.train.seed
    )
    work.mkdir(parents=True, exist_ok=True)
    logits = np.empty((len(examples), config.model.classes), np.float32)
    seconds, kept = 0.0, 0
    for fold in range(folds):
        held, rows = np.flatnonzero(fold_of_row == fold), np.flatnonzero(fold_of_row != fold)
        path, key = work / f"fold{fold + 1}of{folds}.npz", _hash_inputs(config, examples, rows)
        saved = read_arrays(path) or {}
        if str(saved.get("fingerprint")) == key:
            kept += 1
        else:
            started = clock()
            title = f"fold {fold + 1}/{folds}"
            predicted = _run_fold(console, config, examples, Split(rows, held, held[:0]), work, title=title)
            saved = {"logits": predicted, "seconds": np.array(clock() - started)}
            write_arrays(path, fingerprint=key, **saved)
        logits[held] = saved["logits"]
        seconds += float(saved["seconds"])
        correct = int((logits[held].argmax(axis=1) == examples.labels[held]).sum())
        console.print(
            f"  fold {fold + 1}/{folds}: trained on {len(rows):,} rows; {correct:,} of the {len(held):,} "
            f"others predicted correctly ({100 * correct / max(1, len(held)):.1f} %)"
        )
    return CrossValidated(softmax(logits.astype(np.float64), axis=1), fold_of_row, seconds, kept)


def _hash_inputs(config: Config, examples: Examples, rows: np.ndarray) -> str:
    """Hash everything that determines a fold's logits: SHA-256, hex."""
    fields: Json = to_json(config)
    names = ("augment", "model", "loss", "mix", "optimizer", "average", "train", "device")
    deciding = {name: fields[name] for name in names}
    hashed = hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes()).hexdigest()
    return hashlib.sha256(json.dumps([_FORMAT, deciding, examples.sha256, hashed]).encode()).hexdigest()


def _run_fold(
    console: Console, config: Config, examples: Examples, split: Split, work: Path, *, title: str
) -> np.ndarray:
    """Train on `train` behind a progress bar, and return the logits of `val`, float32 [H, C]."""
    config, train = without_selection(config), config.train
    # Nobody reads the training accuracy.
    config = replace(config, train=replace(config.train, train_eval_examples=1))
    programs = make_programs(config, examples, split)
    job = make_job(config, [train.seed], examples, split, programs)
    replica = Replica(train.seed, work, programs.init(jax_key(train.seed, Stream.INIT)))
    total = job.epoch_steps * train.total_epochs
    with terminal.show_steps(console, title, total, images_per_step=train.batch_size) as steps:

        def on_step(epoch: int, position: int, objective: float) -> None:
            words = f"{title}, epoch {epoch + 1}/{train.total_epochs}, objective {objective:.3f}"
            steps.move(epoch * job.epoch_steps + position, words=words)

        run_unsaved(job, [replica], on_step=on_step, on_selected=lambda replica: None)
    model = make_predicting_model(config.model)
    network = Network(model, config.model.names, replica.state.predictor, programs.pixel_stats)
    return predict(network, examples.images[split.val])[0]
