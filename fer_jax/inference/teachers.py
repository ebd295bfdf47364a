"""Distillation: the answers of trained networks become a part of the training targets.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network": the student learns the softened
answers of the teachers beside the labels. Theirs is a sum of two losses, with the student's logits softened
too and that loss scaled by the temperature squared; here the two targets are blended and the student's logits
stay as they are, so that one loss does. The teachers see each image and its mirror image once, without
augmentation. Teachers of the student's own architecture make it a born-again network (Furlanello et al. 2018,
"Born-again neural networks").
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from scipy.special import softmax

from fer_jax.config.data import LabelSource
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.data.targets import SoftLabels
from fer_jax.errors import ConfigError
from fer_jax.files import Json, keep_array, read_array, reading
from fer_jax.inference import run_weights, weights
from fer_jax.inference.predictor import Network, average, count_views, predict_views
from fer_jax.inference.rows import find_training_hashes
from fer_jax.runs import sources
from fer_jax.runs.sources import Released
from fer_jax.runtime import machine

OnView = Callable[[float, int], None]
"""Called with how many views the teachers have seen, and how many there are."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network that teaches.

    Attributes:
        title: what the config calls it, for messages.
        network: its weights.
        labels: whose labels it was trained on.
        train_hashes: uint64, of its training images, see `Examples.hashes`; where FER+ has chosen those of
            released weights, perhaps of more.
        facts: who it is, for JSON.
    """

    title: str
    network: Network
    labels: LabelSource
    train_hashes: np.ndarray
    facts: Json


@dataclass(frozen=True, eq=False)
class Distilled:
    """Training targets with the teachers' answers in them, and who they are: for JSON and in a line."""

    targets: SoftLabels
    facts: Json
    note: str


def distill(
    config: Config,
    loaded: Examples,
    examples: Examples,
    split: Split,
    targets: SoftLabels | None,
    *,
    open_rows: np.ndarray,
    on_view: OnView,
) -> Distilled | None:
    """Blend the answers of a config's teachers into the training targets; None where it names no teacher.

    Args:
        config: `distill`, `labels` and `model` count.
        loaded: all of the data, with FER2013's labels.
        examples: the same with the labels that count.
        split: rows of each part, as they are trained on and measured.
        targets: the targets without teachers; None: the labels.
        open_rows: int64 [N], the rows that the protocol trains on, also those that this run leaves out: a
            teacher may know them, and images that are copies of them.
        on_view: called as the teachers answer.

    Raises:
        ConfigError: a teacher has seen images that this run is measured on, or may have; has other classes;
            or learnt other labels.
        RunError: a teacher cannot be found or used.
    """
    if not config.distill.teachers:
        return None
    teachers = [
        teacher for name in config.distill.teachers for teacher in _load(name, loaded, examples.labels)
    ]
    for teacher in teachers:
        _check(teacher, config, examples, split, open_rows)
    rows = np.unique(split.train)
    sha256 = _hash(teachers)
    logits = _predict(teachers, examples.images[rows], sha256, on_view)
    answers = np.zeros((len(examples), config.model.classes), np.float32)
    answers[rows] = softmax(logits / config.distill.temperature, axis=1)
    one_hot = (examples.labels[:, None] == np.arange(config.model.classes)).astype(np.float32)
    weight = np.float32(config.distill.weight)

    def blend(seed: int, epoch: int) -> np.ndarray:
        own = one_hot if targets is None else targets(seed, epoch)
        return (1 - weight) * own + weight * answers

    names = ", ".join(teacher.facts["run"] for teacher in teachers)
    share, temperature = 100 * config.distill.weight, config.distill.temperature
    note = f"{share:g} % of the targets from {names}, temperature {temperature:g}"
    facts = {"sha256": sha256, "runs": [teacher.facts for teacher in teachers]}
    return Distilled(blend, facts, note)


def _load(named: str, loaded: Examples, labels: np.ndarray) -> list[Teacher]:
    """Load what a name stands for: released weights, a file of them, a run, or all seeds of a run."""
    found = sources.find(named)
    if isinstance(found, Released):
        return [_load_released(named, found, loaded, labels)]
    return [_load_run(folder) for folder in found]


def _load_run(folder: Path) -> Teacher:
    trained = run_weights.load_finished(folder, None, None)
    facts = {
        "run": folder.name,
        "name": trained.config.name,
        "seed": trained.record.seed,
        "checkpoint": trained.checkpoint,
        "select": trained.config.train.select,
    }
    hashes = trained.saved["train_hashes"]
    return Teacher(str(folder), trained.network, trained.own_labels.source, hashes, facts)


def _load_released(named: str, released: Released, loaded: Examples, labels: np.ndarray) -> Teacher:
    """Load released weights, whose card says which images they were trained on, if these are in the data."""
    classifier = weights.read(released.folder, released.name)
    card = classifier.card
    with reading(released.folder / f"{released.name}.json"):
        hashes = find_training_hashes(card, loaded, labels)
        facts = {
            "run": Path(named).name,
            "name": classifier.name,
            "seed": card["training"]["seeds"]["train"],
            "checkpoint": card["training"]["selection"]["checkpoint"],
            "select": card["config"]["train"]["select"],
        }
        trained_on = f"{card['training']['data']}, by protocol {card['training']['split']['protocol']}"
    if hashes is None:
        raise ConfigError(
            f"distill.teachers: {named} was trained on {trained_on}, and which of the images here these are "
            "is not known, so it might give away what this run is measured on; train on FER2013 with its "
            "official Training rows, or give the folder of the teacher's run"
        )
    return Teacher(named, classifier.network, classifier.own_labels.source, hashes, facts)


def _check(teacher: Teacher, config: Config, examples: Examples, split: Split, open_rows: np.ndarray) -> None:
    if teacher.network.classes != config.model.classes:
        raise ConfigError(
            f"distill.teachers: {teacher.title} has {teacher.network.classes} classes, and "
            f"model.classes is {config.model.classes}; give a teacher with as many classes"
        )
    if teacher.labels == "ferplus" and config.labels.source == "fer2013":
        raise ConfigError(
            f"distill.teachers: {teacher.title} was trained on FER+'s votes, and labels.source is fer2013: "
            "the run would no longer be one on FER2013's labels alone; give teachers that were trained on "
            "these, or labels.source ferplus"
        )
    held_out = examples.hashes[np.concatenate([split.val, split.test])]
    is_seen = np.isin(held_out, teacher.train_hashes)
    is_seen &= ~np.isin(held_out, examples.hashes[open_rows])
    if is_seen.any():
        raise ConfigError(
            f"distill.teachers: {teacher.title} was trained on {is_seen.sum():,} of the images that this "
            "run is measured on, and would give their labels away; give a teacher of the same split"
        )


def _predict(teachers: Sequence[Teacher], images: np.ndarray, sha256: str, on_view: OnView) -> np.ndarray:
    """Average the teachers' logits, float64 [N, C], and cache them: for resuming, and for other seeds."""
    # On another machine, or with other cores, the same network gives other bits.
    key = hashlib.sha256(json.dumps([sha256, machine.describe_place()]).encode())
    key.update(np.ascontiguousarray(images))
    name = f"answers/{key.hexdigest()[:32]}"
    cached = read_array(name)
    if cached is not None:
        return cached
    total, done = len(teachers) * count_views(["flip"]), 0.0

    def advance(share: float) -> None:
        nonlocal done
        done += share
        on_view(done, total)

    each = [predict_views(teacher.network, images, "flip", advance=advance) for teacher in teachers]
    logits = average(each, [teacher.title for teacher in teachers])
    keep_array(name, logits)
    return logits


def _hash(teachers: Sequence[Teacher]) -> str:
    """Hash the weights: a run resumes only with the teachers that it began with."""
    digest = hashlib.sha256()
    for teacher in teachers:
        variables = teacher.network.variables
        for leaf in jax.tree.leaves((variables["params"], variables.get("batch_stats", {}))):
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
