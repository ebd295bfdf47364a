"""What stands beside an accuracy: without copies of training images, one human rater, and abstention."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from rich.console import Console

from fer_jax import fer2013
from fer_jax.config.data import HOLDOUT_NOTE
from fer_jax.data import targets
from fer_jax.data.examples import Examples
from fer_jax.data.readers import ferplus
from fer_jax.errors import DataError
from fer_jax.evaluate.subject import Subject
from fer_jax.files import Json, expand_home
from fer_jax.inference.labels import LabelledRows, Labelling
from fer_jax.inference.rows import find_trained_on, find_training_hashes
from fer_jax.metrics import abstention, raters
from fer_jax.metrics.predictions import Predictions

PUBLIC: Final = "PublicTest"
"""The part on which thresholds for released weights are chosen: their run's validation part is not known."""

_CHOICES: Final = np.array([ferplus.CHOICES.index(name) for name in ferplus.CHOICE_OF_LABEL])
"""The choice of an annotator, its place in `ferplus.CHOICES`, for each class of a network."""


class Validation(NamedTuple):
    """The images on which thresholds are chosen: the name of their part, and the networks' predictions."""

    part: str
    predictions: Predictions


def find_copies(subject: Subject, examples: Examples, rows: LabelledRows) -> np.ndarray | None:
    """Find the measured images that are exact copies of training images, or these themselves: bool [N].

    Args:
        subject: the networks; runs know their training images.
        examples: the data with FER2013's labels, in which those of released weights are looked for.
        rows: the N rows that are measured.

    Returns:
        None for released weights, if the training images of one are not in the data.
    """
    hashes = examples.hashes[rows.rows]
    if subject.runs:
        return find_trained_on(subject.runs, hashes)
    is_copy = np.zeros(len(hashes), bool)
    for each in subject.weights:
        known = find_training_hashes(each.card, examples, rows.examples.labels)
        if known is None:
            return None
        is_copy |= np.isin(hashes, known)
    return is_copy


def describe_copies(subject: Subject, is_copy: np.ndarray | None) -> list[str]:
    """Note how many of the measured images are copies; nothing if there are none.

    `is_copy` is what `find_copies` returns.
    """
    if is_copy is None:
        return [
            f"note: exact copies of training images: not known, for {' or '.join(subject.names)} was trained "
            "on images that are not in this data"
        ]
    copies = int(is_copy.sum())
    return [f"note: exact copies of training images: {copies:,} of {len(is_copy):,}"] if copies else []


def describe_hold_out(subject: Subject, part: str) -> list[str]:
    """Note that val is a hold-out of Training; nothing if it is not, or another part is measured."""
    is_held_out = any(run.config.split.protocol == "holdout" for run in subject.runs)
    return [f"note: {HOLDOUT_NOTE}"] if is_held_out and part == "val" else []


def find_votes(
    console: Console, labelling: Labelling, examples: Examples, *, is_asked: bool
) -> np.ndarray | None:
    """Find FER+'s votes for the rows of some data: int64 [rows of the data, 10], by `ferplus.CHOICES`.

    They are in the file that the command line or the run's config names, or in fer2013new.csv beside the data
    or in data/.

    Args:
        console: for a note if a file that was not asked for is not of this data.
        labelling: whose labels the networks are measured by.
        examples: the data with FER2013's labels.
        is_asked: the command line names the file.

    Returns:
        None if there is no such file, the data is pictures of the user's own, or the networks have other
        classes than FER2013, or its classes in another order.

    Raises:
        ConfigError: the file is asked for, and the data or the classes are such.
        DataError: the file is asked for, but is not there, cannot be read or is not of this data.
    """
    if is_asked:
        targets.refuse_votes_on_others(examples, labelling.names)
    path = _find_file(labelling, examples, is_asked=is_asked)
    # The votes are matched with labels, and the raters with answers, in FER2013's order.
    if path is None or examples.is_own or not fer2013.are_known(labelling.names):
        return None
    try:
        where = f"{path} and {examples.description}"
        votes = ferplus.match(ferplus.read(path), examples.labels, examples.usages, where=where)
    except DataError as error:
        if is_asked or labelling.config.source == "ferplus":
            raise
        console.print(f"note: no human rater is shown: {error}", style="yellow")
        return None
    return votes.counts


def _find_file(labelling: Labelling, examples: Examples, *, is_asked: bool) -> Path | None:
    config, source = labelling.config, examples.source
    if config.source == "ferplus":
        return targets.find_votes(config)
    if config.ferplus is not None:
        named = expand_home(config.ferplus)
        return ferplus.find(named) if is_asked or named.is_file() else None
    if source is None:
        return None
    places = (targets.place_beside(source), targets.DEFAULT_FILE)
    return next((path for path in places if path.is_file()), None)


def measure_raters(votes: np.ndarray | None, rows: LabelledRows, logits: np.ndarray) -> Json | None:
    """Measure one human rater of FER+ and the network against the other raters, see `metrics.raters.measure`.

    Args:
        votes: what `find_votes` returns.
        rows: the N rows that are measured.
        logits: float64 [N, C].
    """
    return None if votes is None else raters.measure(votes[rows.rows], _CHOICES[logits.argmax(axis=1)])


def measure_abstention(measured: Predictions, validation: Validation | None) -> Json:
    """Measure the accuracy on the most certain images, see `metrics.abstention.measure`.

    Returns:
        Also `chosen_on`, the part on which the thresholds are chosen; None without.
    """
    predictions, part = (None, None) if validation is None else (validation.predictions, validation.part)
    return abstention.measure(*measured, validation=predictions) | {"chosen_on": part}
