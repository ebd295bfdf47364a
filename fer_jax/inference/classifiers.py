"""Any trained network that a name stands for: a run, released weights, or a file of them.

As a `Classifier`, to predict with; or as `Pretrained`, for a run that learns from it, with the images that it
was trained on.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_jax.config.data import LabelSource
from fer_jax.data.examples import Examples
from fer_jax.errors import RunError
from fer_jax.files import Json, read_json, reading
from fer_jax.inference import run_weights, weights
from fer_jax.inference.predictor import Network
from fer_jax.inference.rows import find_inherited, find_training_hashes
from fer_jax.inference.weights import Classifier
from fer_jax.runs import sources
from fer_jax.runs.record import kind_of_data
from fer_jax.runs.sources import Released


def load(named: str | Path) -> Classifier:
    """Load a trained network: `fer_jax.load("mid").predict(images)`. Nothing is downloaded.

    Args:
        named: weights that come with fer_jax, such as "mid"; a `.safetensors` file with its card beside it;
            or the folder of a run, such as "runs/run6-seed0", of which the selected weights are loaded.

    Raises:
        RunError: there is nothing of this name, a file is missing or damaged, or the folder holds several
            runs.
    """
    found = sources.find(named)
    if isinstance(found, Released):
        return weights.read(found.folder, found.name)
    if len(found) > 1:
        names = ", ".join(str(folder) for folder in found)
        raise RunError(f"{named} holds {len(found)} runs; name one of {names}")
    return load_run(found[0])


def load_run(folder: Path) -> Classifier:
    """Load the weights that a run selects, of a run that is not finished the best or the last so far.

    Raises:
        FerJaxError: the folder or its checkpoints cannot be used.
    """
    trained = run_weights.load(folder, None, None)
    for note in trained.notes:
        warnings.warn(f"{folder}: {note.removeprefix('note: ')}", stacklevel=2)
    return Classifier(
        name=folder.absolute().name or folder.resolve().name,
        labels=trained.network.names,
        card=read_json(folder / "run.json"),
        network=trained.network,
        own_labels=trained.own_labels,
    )


class Unknown(NamedTuple):
    """What a network, or an ancestor of it, was trained on, where the images of this are not known.

    Attributes:
        line: how the network comes from this ancestor, to be read before "was trained on"; else empty.
        data: of that training, in words.
        data_sha256: of this data; None: the record of an older fer_jax does not say.
    """

    line: str
    data: str
    data_sha256: str | None


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A trained network that a run learns from: a teacher, or the one that it starts from.

    Attributes:
        title: what the config calls it, for messages.
        network: its weights.
        labels: whose labels it was trained on.
        train_hashes: uint64, of its training images and those of its ancestors, as far as they are known
            here, see `Examples.hashes`; for a run also of those that only its teachers saw; where FER+ has
            chosen those of released weights, perhaps of more.
        unknown: those that are not known here; None: all are.
        file_sha256: of the file of released weights; None for a run.
        facts: who it is, for JSON.
        training: what it was trained on, for JSON: `data`, `data_sha256` (absent in the record of an older
            fer_jax), `kind` (of the data; None: a card does not say), `labels`, `terms` (None: those of this
            kind and labels), `split` (`protocol` and `sizes`), and the `ancestor` that it started from.
    """

    title: str
    network: Network
    labels: LabelSource
    train_hashes: np.ndarray
    unknown: Unknown | None
    file_sha256: str | None
    facts: Json
    training: Json


def load_pretrained(named: str, loaded: Examples, labels: np.ndarray) -> list[Pretrained]:
    """Load what a name stands for: weights, a run, or all that are in a folder.

    Args:
        named: see `runs.sources.find_all`.
        loaded: the data of the run that learns from it, with FER2013's labels.
        labels: int [rows of the data], the labels that are measured by.

    Raises:
        RunError: it is not there, or cannot be used.
    """
    found = sources.find_all([named])
    return [
        *(_load_released(each, loaded, labels) for each in found.weights),
        *(_load_finished(folder, loaded, labels) for folder in found.runs),
    ]


def _describe_unknown(training: Json, *, line: str) -> Unknown:
    data = f"{training['data']}, by protocol {training['split']['protocol']}"
    return Unknown(line, data, training.get("data_sha256"))


def _load_finished(folder: Path, loaded: Examples, labels: np.ndarray) -> Pretrained:
    """Load a run, which knows its own training images, but perhaps not those of its ancestors."""
    trained = run_weights.load_finished(folder, None, None)
    facts = {
        "run": folder.name,
        "name": trained.config.name,
        "seed": trained.record.seed,
        "checkpoint": trained.checkpoint,
        "select": trained.config.train.select,
    }
    run = trained.record
    training = {
        "data": run.data.contents,
        "data_sha256": run.data.sha256,
        "kind": kind_of_data(run, trained.config),
        "labels": trained.own_labels.source,
        "terms": None,
        "split": {"protocol": trained.config.split.protocol, "sizes": run.split.sizes},
        "ancestor": run.ancestor,
    }
    with reading(folder / "run.json"):
        inherited, stranger = find_inherited(run.ancestor, loaded, labels)
        unknown = None
        if stranger is not None:
            line = f"started from {stranger['run']}, which "
            unknown = _describe_unknown(stranger["training"], line=line)
    return Pretrained(
        title=str(folder),
        network=trained.network,
        labels=trained.own_labels.source,
        train_hashes=np.concatenate([trained.saved["train_hashes"], inherited]),
        unknown=unknown,
        file_sha256=None,
        facts=facts,
        training=training,
    )


def _load_released(released: Released, loaded: Examples, labels: np.ndarray) -> Pretrained:
    """Load released weights, whose card says which images they were trained on, if these are in the data."""
    title = released.name if released.folder == sources.WEIGHTS else str(released.folder / released.name)
    classifier = weights.read(released.folder, released.name)
    card, labels_source = classifier.card, classifier.own_labels.source
    with reading(released.folder / f"{released.name}.json"):
        hashes = find_training_hashes(card, loaded, labels)
        facts = {
            "run": released.name,
            "name": classifier.name,
            "seed": card["training"]["seeds"]["train"],
            "checkpoint": card["training"]["selection"]["checkpoint"],
            "select": card["config"]["train"]["select"],
        }
        split = card["training"]["split"]
        training = {
            "data": card["training"]["data"],
            "data_sha256": card["training"]["data_sha256"],
            "kind": None,
            "labels": labels_source,
            "terms": card["training"]["terms"],
            "split": {"protocol": split["protocol"], "sizes": split["sizes"]},
            "ancestor": card["training"].get("ancestor"),
        }
        unknown = _describe_unknown(training, line="") if hashes is None else None
        file_sha256 = card["tensors"]["sha256"]
    return Pretrained(
        title=title,
        network=classifier.network,
        labels=labels_source,
        train_hashes=np.zeros(0, np.uint64) if hashes is None else hashes,
        unknown=unknown,
        file_sha256=file_sha256,
        facts=facts,
        training=training,
    )
