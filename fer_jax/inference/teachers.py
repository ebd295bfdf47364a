"""Teachers: the networks and banks that a config names, and whether they may teach a run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from fer_jax.config.data import LabelSource
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.data.targets import SoftLabels
from fer_jax.errors import ConfigError
from fer_jax.files import Json, reading
from fer_jax.inference import run_weights, weights
from fer_jax.inference.predictor import Network
from fer_jax.inference.rows import find_training_hashes
from fer_jax.runs import bank as bank_file
from fer_jax.runs import sources
from fer_jax.runs.bank import Bank
from fer_jax.runs.sources import Released
from fer_jax.text import counted


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
class Student:
    """A run that may be taught.

    Attributes:
        config: of the run.
        loaded: all of the data, with FER2013's labels.
        examples: the same with the labels that count.
        split: rows of each part, as they are trained on and measured.
        open_rows: int64 [N], the rows that the protocol trains on, also those that this run leaves out: a
            teacher may know them, and images that are copies of them.
        targets: the targets without teachers; None: the labels.
    """

    config: Config
    loaded: Examples
    examples: Examples
    split: Split
    open_rows: np.ndarray
    targets: SoftLabels | None

    @property
    def rows(self) -> np.ndarray:
        """The rows that are trained on, each once, sorted: int64 [n]."""
        return np.unique(self.split.train)

    def make_own(self) -> SoftLabels:
        """Make the targets without teachers; those of the labels are one-hot."""
        one_hot = (self.examples.labels[:, None] == np.arange(self.config.model.classes)).astype(np.float32)
        return self.targets or (lambda seed, epoch: one_hot)


def load_teachers(student: Student) -> list[Teacher]:
    """Load the teachers that a config names, and check that they may teach.

    Raises:
        ConfigError: a teacher has seen images that are measured, or may have; has other classes; learnt other
            labels; or is there twice, and would count twice in the mean.
        RunError: a teacher cannot be found or used.
    """
    named = student.config.distill.teachers
    teachers = [each for name in named for each in _load(name, student.loaded, student.examples.labels)]
    known: dict[str, Teacher] = {}
    for each in teachers:
        title = f"distill.teachers: {each.title}"
        first = known.setdefault(_hash([each]), each)
        if first is not each:
            raise ConfigError(f"{title} has the same weights as {first.title}; name one of them")
        _check(title, each.network.names, each.labels, each.train_hashes, student)
    return teachers


def _load(named: str, loaded: Examples, labels: np.ndarray) -> list[Teacher]:
    """Load what a name stands for: weights, a run, or all that are in a folder."""
    found = sources.find_all([named])
    return [
        *(_load_released(each, loaded, labels) for each in found.weights),
        *(_load_run(folder) for folder in found.runs),
    ]


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


def _load_released(released: Released, loaded: Examples, labels: np.ndarray) -> Teacher:
    """Load released weights, whose card says which images they were trained on, if these are in the data."""
    title = released.name if released.folder == sources.WEIGHTS else str(released.folder / released.name)
    classifier = weights.read(released.folder, released.name)
    card = classifier.card
    with reading(released.folder / f"{released.name}.json"):
        hashes = find_training_hashes(card, loaded, labels)
        facts = {
            "run": released.name,
            "name": classifier.name,
            "seed": card["training"]["seeds"]["train"],
            "checkpoint": card["training"]["selection"]["checkpoint"],
            "select": card["config"]["train"]["select"],
        }
        trained_on = f"{card['training']['data']}, by protocol {card['training']['split']['protocol']}"
    if hashes is None:
        raise ConfigError(
            f"distill.teachers: {title} was trained on {trained_on}, and which of the images here these are "
            "is not known, so it might give away what this run is measured on; train on FER2013 with its "
            "official Training rows, or give the folder of the teacher's run"
        )
    return Teacher(title, classifier.network, classifier.own_labels.source, hashes, facts)


def _check(
    title: str, names: tuple[str, ...], labels: LabelSource, seen: np.ndarray, student: Student
) -> None:
    """Refuse a teacher of other classes or labels, or that was trained on images that are measured."""
    config, hashes, split = student.config, student.examples.hashes, student.split
    if names != config.model.names:
        raise ConfigError(
            f"{title} has the classes {', '.join(names)}, and this run {', '.join(config.model.names)}; give "
            "a teacher with the same classes in the same order"
        )
    if labels == "ferplus" and config.labels.source == "fer2013":
        raise ConfigError(
            f"{title} was trained on FER+'s votes, and labels.source is fer2013: the run would no longer be "
            "one on FER2013's labels alone; give a teacher that was trained on these, or labels.source "
            "ferplus"
        )
    held_out = hashes[np.concatenate([split.val, split.test])]
    is_seen = np.isin(held_out, seen) & ~np.isin(held_out, hashes[student.open_rows])
    if is_seen.any():
        raise ConfigError(
            f"{title} was trained on {is_seen.sum():,} of the images that this run is measured on, and would "
            "give their labels away; give a teacher of the same split"
        )


def check_bank(path: Path, bank: Bank, student: Student) -> None:
    """Refuse a bank that is of other views or images, or of which a teacher may not teach.

    Raises:
        ConfigError: it does not fit; the message says why.
    """
    config, title, views = student.config, f"distill.bank: {path}", len(bank.answers)
    _check(f"distill.bank: a teacher of {path}", bank.names, bank.labels, bank.seen, student)
    if config.distill.views > views:
        raise ConfigError(
            f"{title} has {counted(views, 'view')} of an image, and distill.views is {config.distill.views}; "
            "lower it, or make another bank"
        )
    other = bank_file.list_differences(bank.augment, config.augment)
    if other:
        raise ConfigError(
            f"{title}: its views were drawn with {', '.join(other)}; train with the bank's augmentation, or "
            "make another bank"
        )
    is_missing = ~np.isin(student.examples.hashes[student.rows], bank.images)
    if is_missing.any():
        raise ConfigError(
            f"{title}: it has no answers for {is_missing.sum():,} of the {len(is_missing):,} images that "
            "this run is trained on; give a bank of these images"
        )


def describe_teachers(teachers: Sequence[Teacher]) -> Json:
    """Describe who teaches, for JSON: `sha256` of all weights, and `runs`."""
    return {"sha256": _hash(teachers), "runs": [teacher.facts for teacher in teachers]}


def _hash(teachers: Sequence[Teacher]) -> str:
    """Hash the weights: a run resumes only with the teachers that it began with."""
    digest = hashlib.sha256()
    for teacher in teachers:
        variables = teacher.network.variables
        for leaf in jax.tree.leaves((variables["params"], variables.get("batch_stats", {}))):
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
