"""How accurate are the trained networks on PublicTest? Nothing is chosen on it.

Each network in one view, mirrored, and in the views that match training; and the ensembles. The counts of a
network go onto the card of its weights, too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.gpu.session import Content, Session
from benchmarks.gpu.trainings import find_weights
from fer_jax import fer2013
from fer_jax.config.data import DataConfig, LabelSource
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.errors import RunError
from fer_jax.fer2013 import names_of
from fer_jax.files import Json, read_json, write_json
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference import figures, weights
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.predictor import average, predict_choices
from fer_jax.inference.rows import list_labelled
from fer_jax.inference.weights import Classifier
from fer_jax.metrics.scores import copy_free
from fer_jax.release.run import describe_measuring

PART: Final = "PublicTest"
VIEWS: Final[tuple[ViewChoice, ...]] = ("single", "flip", "flip-zooms")
KINDS: Final[dict[LabelSource, str]] = {"fer2013": figures.BY_FER2013, "ferplus": figures.BY_FERPLUS}

Logits = Mapping[ViewChoice, np.ndarray]
"""float64 [N, C] by the choice of views."""


def measure(session: Session, *, own: Sequence[str], others: Sequence[Sequence[str]]) -> Content:
    """Measure networks, their ensemble, and the ensembles of them with others.

    Args:
        session: its weights.
        own: names of the networks to measure.
        others: names of further networks: each sequence joins the ensemble of those before it.

    Raises:
        RunError: there are no weights of the networks.
    """
    files = {file.stem: file for file in find_weights(session)}
    there = [name for name in own if name in files]
    if not there:
        raise RunError(f"{session.out / 'weights'} has none of {', '.join(own)}; train them first")
    path = None if session.data is None else str(session.data)
    examples = load_examples(DataConfig(path=path, source="kaggle"))
    rows = list_labelled(examples, PART)
    is_training = examples.usages == fer2013.USAGES.index("Training")
    is_copy = np.isin(examples.hashes[rows], examples.hashes[is_training])
    found: list[Json] = []
    members: list[str] = []
    logits: list[Logits] = []
    for names in (there, *others):
        known = [name for name in names if name in files]
        for name in known:
            classifier = weights.read(files[name].parent, name)
            labels = list_labels(session, classifier, examples, rows)
            members.append(name)
            logits.append(predict_choices(classifier.network, examples.images[rows], VIEWS))
            if name in there:
                counted = count(logits[-1], labels, is_copy, classifier.labels)
                found += [{"networks": [name], **each} for each in counted]
                _write_card(session, files[name], counted, examples)
        if len(members) > 1 and known:
            mean = {choice: average([each[choice] for each in logits], members) for choice in VIEWS}
            counted = count(mean, labels, is_copy, classifier.labels)
            found += [{"networks": list(members), **each} for each in counted]
    settings = {"part": PART, "views": list(VIEWS), "data_sha256": examples.sha256}
    return Content(found, settings)


def list_labels(
    session: Session, classifier: Classifier, examples: Examples, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """List the labels, int [N], that a network is measured by; -1 is not counted.

    FER2013's, and of a network that learnt FER+'s votes their majority too.
    """
    asked: list[LabelSource] = ["fer2013"]
    if classifier.own_labels.source == "ferplus" and session.ferplus is not None:
        asked.append("ferplus")
    labels = {}
    for source in asked:
        votes = session.ferplus if source == "ferplus" else None
        labelling = inference_labels.choose([classifier], source, votes)
        labels[KINDS[source]] = inference_labels.relabel(labelling, examples).labels[rows]
    return labels


def count(
    logits: Logits, labels: Mapping[str, np.ndarray], is_copy: np.ndarray, names: tuple[str, ...]
) -> list[Json]:
    """Count the correct predictions by each kind of labels, in each choice of views.

    Args:
        logits: float64 [N, C] by choice.
        labels: int [N] by kind; -1 is not counted.
        is_copy: bool [N], exact copies of training images.
        names: of the classes.

    Returns:
        Entries as of a card's `figures`, without `part` and `role`.
    """
    entries = []
    for choice, each in logits.items():
        predicted = each.argmax(axis=1)
        for kind, wanted in labels.items():
            is_counted = wanted != fer2013.UNLABELLED
            is_correct, copies = (predicted == wanted)[is_counted], is_copy[is_counted]
            entry: Json = {"labels": kind, "views": choice}
            entry |= figures.count(predicted[is_counted], wanted[is_counted], names_of(len(names)))
            entry |= {
                "copies_of_training_images": int(copies.sum()),
                "copy_free": copy_free(is_correct, copies),
            }
            entries.append(entry)
    return entries


def _write_card(session: Session, file: Path, counted: Sequence[Json], examples: Examples) -> None:
    (row,) = session.read(file.stem)["results"]
    path = file.with_suffix(".json")
    card = read_json(path) | {
        "figures": [{"part": PART, "role": row["role"], **each} for each in counted],
        "measured_on": describe_measuring(examples, scores_private_test=False),
    }
    write_json(path, card)
