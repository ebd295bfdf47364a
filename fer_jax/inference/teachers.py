"""Trained networks that a config names, its teachers and its ancestor, and whether a run may learn from them.

The ancestor is the network that a run starts from, `init.weights`. Neither may have seen what the run is
measured on.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jax
import numpy as np

from fer_jax.config.data import LabelSource
from fer_jax.config.files import load_config
from fer_jax.config.model import ModelConfig
from fer_jax.config.overrides import to_option
from fer_jax.config.records import list_names
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split
from fer_jax.data.targets import SoftLabels
from fer_jax.errors import ConfigError
from fer_jax.files import Json
from fer_jax.inference.classifiers import Pretrained, Unknown, load_pretrained
from fer_jax.models.transfer import Start, list_differences, match_classes
from fer_jax.runs import bank as bank_file
from fer_jax.runs.bank import Bank
from fer_jax.text import counted, join

OWN_CONFIG: Final = "own"
"""The config that comes with fer_jax for pictures of the user's own."""


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
        decided: see `Prepared`.
    """

    config: Config
    loaded: Examples
    examples: Examples
    split: Split
    open_rows: np.ndarray
    targets: SoftLabels | None
    decided: np.ndarray | None = None

    @property
    def measured_labels(self) -> np.ndarray:
        """The labels that are measured by: int32 [rows of the data], -1 where there is none."""
        return self.examples.labels if self.decided is None else self.decided

    @property
    def rows(self) -> np.ndarray:
        """The rows that are trained on, each once, sorted: int64 [n]."""
        return np.unique(self.split.train)

    def make_own(self) -> SoftLabels:
        """Make the targets without teachers; those of the labels are one-hot."""
        one_hot = (self.examples.labels[:, None] == np.arange(self.config.model.classes)).astype(np.float32)
        return self.targets or (lambda seed, epoch: one_hot)


def load_teachers(student: Student) -> list[Pretrained]:
    """Load the teachers that a config names, and check that they may teach.

    Raises:
        ConfigError: a teacher has seen images that are measured, or may have; has other classes; learnt other
            labels; or is there twice, and would count twice in the mean.
        RunError: a teacher cannot be found or used.
    """
    named = student.config.distill.teachers
    labels = student.measured_labels
    teachers = [each for name in named for each in load_pretrained(name, student.loaded, labels)]
    known: dict[str, Pretrained] = {}
    for each in teachers:
        title = f"distill.teachers: {each.title}"
        first = known.setdefault(_hash([each]), each)
        if first is not each:
            raise ConfigError(f"{title} has the same weights as {first.title}; name one of them")
        if each.unknown is not None and not _may_be_unknown(each.unknown, student):
            line, data, _ = each.unknown
            other = "another teacher" if line else "the folder of the teacher's run"
            raise ConfigError(
                f"{title} {line}was trained on {data}, and which of the images here these are is not known, "
                "so it might give away what this run is measured on; train on FER2013 with its official "
                f"Training rows, or give {other}"
            )
        _check(title, each.network.names, each.labels, each.train_hashes, student)
    return teachers


def _may_be_unknown(unknown: Unknown, student: Student) -> bool:
    """Whether a teacher may teach though what its ancestor has seen is not known; `list_unknown` has a note.

    Nobody need have FER2013 to distil networks that were fine-tuned from its weights on own pictures.
    """
    is_same = unknown.data_sha256 == student.loaded.sha256
    return student.loaded.is_own and bool(unknown.line) and not is_same


def list_unknown(networks: Sequence[Pretrained]) -> list[str]:
    """Say in a line for each network where it is not known what it, or its ancestor, was trained on."""
    return [
        f"note: {one.title} {one.unknown.line}was trained on {one.unknown.data}; whether copies of images "
        "that are measured here are among these is not known"
        for one in networks
        if one.unknown is not None
    ]


def _check(
    title: str, names: tuple[str, ...], labels: LabelSource, seen: np.ndarray, student: Student
) -> None:
    """Refuse a teacher of other classes or labels, or that was trained on images that are measured."""
    config = student.config
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
    count = _count_seen(seen, student)
    if count:
        raise ConfigError(
            f"{title} was trained on {count:,} of the images that this run is measured on, and would give "
            "their labels away; give a teacher of the same split"
        )


def _count_seen(seen: np.ndarray, student: Student) -> int:
    """Count the measured images among those that a network has seen, uint64; copies of open rows may be."""
    hashes, split = student.examples.hashes, student.split
    held_out = hashes[np.concatenate([split.val, split.test])]
    return int((np.isin(held_out, seen) & ~np.isin(held_out, hashes[student.open_rows])).sum())


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


def describe_teachers(teachers: Sequence[Pretrained]) -> Json:
    """Describe who teaches, for JSON: `sha256` of all weights, and `runs`."""
    return {"sha256": _hash(teachers), "runs": [teacher.facts for teacher in teachers]}


def list_seen(networks: Sequence[Pretrained]) -> np.ndarray:
    """List the hashes, uint64, of the images that networks were trained on, each once, sorted."""
    return np.unique(np.concatenate([each.train_hashes for each in networks]))


def _hash(teachers: Sequence[Pretrained]) -> str:
    """Hash the weights: a run resumes only with the teachers that it began with."""
    digest = hashlib.sha256()
    for teacher in teachers:
        variables = teacher.network.variables
        for leaf in jax.tree.leaves((variables["params"], variables.get("batch_stats", {}))):
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Ancestor:
    """The trained network that a run starts from.

    Attributes:
        start: its weights, as the training takes them.
        train_hashes: uint64, of its training images as far as they are known.
        facts: who it is, for JSON; see `load_ancestor`.
        notes: lines for people.
    """

    start: Start
    train_hashes: np.ndarray
    facts: Json
    notes: tuple[str, ...]


def load_ancestor(student: Student) -> Ancestor | None:
    """Load the network that a config starts from, and check that the run may; None: from new weights.

    Its `facts` are `run`, `name`, `seed`, `checkpoint` and `select` as of a teacher, `sha256` (of the file of
    released weights, or of a run's weights, leaf by leaf), `classes`, `head` (`copied` and `new` classes of
    the last layer; None: it is kept whole), `pixel_mean` and `pixel_std`, `images` (how many training images
    are known by hash), `training`, see `Pretrained`, and all of it in `words`.

    Raises:
        ConfigError: the name stands for several networks; the network is another one; it was trained on
            images that are measured, or may have been.
        RunError: it cannot be found or used.
    """
    named = student.config.init.weights
    if named is None:
        return None
    found = load_pretrained(named, student.loaded, student.measured_labels)
    if len(found) > 1:
        raise ConfigError(
            f"init.weights: {named} holds {len(found)} networks; name one of "
            f"{', '.join(each.title for each in found)}"
        )
    one, model = found[0], student.config.model
    title = f"init.weights: {one.title}"
    _check_network(title, one, student.config)
    notes = [*_check_unseen(title, one, student)]
    columns = match_classes(one.network.names, model.names)
    head = None
    if columns is not None:
        copied = [model.names[place] for _, place in columns]
        head = {"copied": copied, "new": [name for name in model.names if name not in copied]}
    variables = jax.tree.map(np.asarray, one.network.variables)
    known = list_seen(found)
    stats = one.network.pixel_stats
    facts = {
        **one.facts,
        "sha256": one.file_sha256 or _hash([one]),
        "classes": list(one.network.names),
        "head": head,
        "pixel_mean": stats.mean,
        "pixel_std": stats.std,
        "images": len(known),
        "training": one.training,
    }
    facts["words"] = _describe_start(facts)
    start = Start(variables, columns, stats.mean, stats.std)
    return Ancestor(start, known, facts, (facts["words"], *notes))


def restore_ancestor(facts: Json, train_hashes: np.ndarray, names: Sequence[str]) -> Ancestor:
    """Make the ancestor of a run from the run's record: its checkpoint has the weights.

    Args:
        facts: from the record, see `load_ancestor`.
        train_hashes: uint64, of the ancestor's training images.
        names: of the run's classes.
    """
    columns = None if facts["head"] is None else match_classes(facts["classes"], names)
    start = Start(None, columns, facts["pixel_mean"], facts["pixel_std"])
    return Ancestor(start, train_hashes, facts, (facts["words"],))


def _describe_start(facts: Json) -> str:
    """Say in a line what a run starts from, and what its last layer has."""
    head = facts["head"]
    if head is None:
        layer = "with its last layer"
    elif not head["copied"]:
        layer = f"with a new last layer for {len(head['new'])} classes"
    else:
        layer = f"the last layer has {join(head['copied'])} from it"
        layer += f", and {join(head['new'])} anew" if head["new"] else ", in another order"
    return f"starts from {facts['run']} (SHA-256 {facts['sha256'][:12]}), {layer}"


def _check_network(title: str, one: Pretrained, student: Config) -> None:
    """Refuse a network whose weights do not fit, with the options that make the config's one fit.

    Raises:
        ConfigError: they do not.
    """
    old = one.network.model.config
    differences = list_differences(old, student.model)
    if not differences:
        return
    (name, (was, now)), *others = differences.items()
    shown = f"{name} is {now} here and {was} there"
    if name == "model.blocks":
        shown = f"it has {counted(int(was or 0), 'block')}, and model.blocks has {now}"
    elif others:
        shown += f", and {counted(len(others), 'more field')} {'differs' if len(others) == 1 else 'differ'}"
    config = _find_config(old, OWN_CONFIG if student.has_own_data else one.facts["name"])
    if config is not None:
        cure = f"start from its config: --config {config}"
    elif name == "model.blocks":
        cure = "give a config with its blocks, such as the one that it was trained with"
    else:
        words = [word for field, (value, _) in differences.items() for word in to_option(field, value)]
        cure = f"give {' '.join(words)}"
    raise ConfigError(f"{title} is another network than the config's: {shown}; {cure}")


def _find_config(model: ModelConfig, likely: str) -> str | None:
    """Find a config that comes with fer_jax and has a network's layers: if it can be, the likely one."""
    names = list_names("config")
    names.sort(key=lambda name: name != likely)
    return next((name for name in names if not list_differences(model, load_config(name).model)), None)


def _check_unseen(title: str, one: Pretrained, student: Student) -> list[str]:
    """Refuse an ancestor that has seen what is measured; a note where that is not known.

    Raises:
        ConfigError: it has, or it is of the same data and may have.
    """
    count = _count_seen(one.train_hashes, student)
    if count:
        raise ConfigError(
            f"{title} was trained on {count:,} of the images that this run is measured on, which would look "
            "better than they are; start from a network of the same split, or measure on other images "
            "(split.protocol)"
        )
    if one.unknown is None:
        return []
    line, data, data_sha256 = one.unknown
    if data_sha256 == student.loaded.sha256:
        cure = "start from another network" if line else "give the folder of its run"
        raise ConfigError(
            f"{title} {line}was trained on a part of this data ({data}), and which one is not known, so it "
            f"may have seen what this run is measured on; {cure}"
        )
    return list_unknown([one])
