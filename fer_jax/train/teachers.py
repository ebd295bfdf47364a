"""Distillation: what trained networks answer becomes a part of what training aims at.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network": the student learns the softened
answers of the teachers beside the labels. Theirs is a sum of two losses, with the student's logits softened
too and that loss scaled by the temperature squared; here the two targets are blended and the student's logits
stay as they are, so that one loss does. The teachers look at each image and its mirror image once, without
augmentation. Teachers of the student's own kind make it a born-again network (Furlanello et al. 2018,
"Born-again neural networks").
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from scipy.special import softmax

from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split, image_hashes
from fer_jax.engine.input_pipeline import TargetsOf
from fer_jax.errors import ConfigError
from fer_jax.files import Json, keep_array, read_array
from fer_jax.images.views import CHOICES
from fer_jax.inference import ensemble, run_weights
from fer_jax.inference.run_weights import Trained
from fer_jax.runtime import machine


@dataclass(frozen=True)
class Lesson:
    """What training aims at, with the teachers in it.

    Attributes:
        targets: see `TargetsOf`.
        facts: who the teachers are, for the run's record.
    """

    targets: TargetsOf
    facts: Json


def teach(
    console: Console,
    config: Config,
    examples: Examples,
    split: Split,
    targets: TargetsOf | None,
    *,
    open_rows: np.ndarray,
) -> Lesson | None:
    """Ask the teachers of a config about its training images.

    Args:
        console: where the bars are shown.
        config: `distill` and `model` count.
        examples: all of them.
        split: rows of each part, as they are trained on and measured.
        targets: what training aims at without teachers; None: the labels.
        open_rows: int64 [N], that may be learnt by the protocol, also where this run leaves some out: a
            teacher may know them, and images that are copies of them.

    Returns:
        None where the config names no teacher.

    Raises:
        ConfigError: a teacher has seen images that this run is measured on, or has other classes.
        RunError: a teacher's folder cannot be used.
    """
    if not config.distill.teachers:
        return None
    teachers = [run_weights.load_finished(Path(name), None, None) for name in config.distill.teachers]
    for teacher in teachers:
        _check(teacher, config, examples, split, open_rows)
    rows = np.unique(split.train)
    sha256 = _hash(teachers)
    logits = _ask(console, teachers, examples.images[rows], sha256)
    shares = np.zeros((len(examples), config.model.classes), np.float32)
    shares[rows] = softmax(logits / config.distill.temperature, axis=1)
    plain = (examples.labels[:, None] == np.arange(config.model.classes)).astype(np.float32)
    weight = np.float32(config.distill.weight)

    def blended(seed: int, epoch: int) -> np.ndarray:
        own = plain if targets is None else targets(seed, epoch)
        return (1 - weight) * own + weight * shares

    return Lesson(blended, {"sha256": sha256, "runs": [_describe(one) for one in teachers]})


def _check(teacher: Trained, config: Config, examples: Examples, split: Split, open_rows: np.ndarray) -> None:
    if teacher.config.model.classes != config.model.classes:
        raise ConfigError(
            f"distill.teachers: {teacher.folder} tells {teacher.config.model.classes} classes apart, and "
            f"model.classes is {config.model.classes}; give a teacher of as many classes"
        )
    held_out = image_hashes(examples.images[np.concatenate([split.val, split.test])])
    is_seen = np.isin(held_out, teacher.saved["train_hashes"])
    is_seen &= ~np.isin(held_out, image_hashes(examples.images[open_rows]))
    if is_seen.any():
        raise ConfigError(
            f"distill.teachers: {teacher.folder} was trained on {is_seen.sum():,} of the images that this "
            "run is measured on, and would give their labels away; give a teacher of the same split"
        )


def _ask(console: Console, teachers: Sequence[Trained], images: np.ndarray, sha256: str) -> np.ndarray:
    """Average the teachers' logits; their answers are kept, for a run that goes on and for other seeds.

    Args:
        console: where the bars are shown.
        teachers: at least one.
        images: uint8 [N, 48, 48, 1].
        sha256: of the teachers.

    Returns:
        float64 [N, C].
    """
    # Elsewhere, or with other cores, the same network gives other bits.
    key = hashlib.sha256(json.dumps([sha256, machine.describe_place()]).encode())
    key.update(np.ascontiguousarray(images))
    name = f"answers/{key.hexdigest()[:32]}"
    known = read_array(name)
    if known is not None:
        console.print("the teachers' answers are kept from before")
        return known
    each = [ensemble.average_views(console, one, images, CHOICES["flip"]) for one in teachers]
    logits = ensemble.average(each, [teacher.folder for teacher in teachers])
    keep_array(name, logits)
    return logits


def _hash(teachers: Sequence[Trained]) -> str:
    """Hash the weights, by which a run that goes on knows its teachers again."""
    digest = hashlib.sha256()
    for teacher in teachers:
        for leaf in jax.tree.leaves((teacher.params, teacher.batch_stats)):
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _describe(teacher: Trained) -> Json:
    return {
        "run": teacher.folder.name,
        "name": teacher.config.name,
        "seed": teacher.facts["seed"],
        "checkpoint": teacher.checkpoint,
        "select": teacher.config.train.select,
    }


def describe(config: Config, lesson: Lesson) -> str:
    """Say in one line who teaches, for people."""
    names = ", ".join(run["run"] for run in lesson.facts["runs"])
    return (
        f"{100 * config.distill.weight:g} % of the targets from {names}, "
        f"temperature {config.distill.temperature:g}"
    )
