"""The faces that exports are compared and calibrated on."""

from dataclasses import dataclass, replace

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import LABEL_WORDS, LabelsConfig, LabelSource
from fer_jax.data.examples import Examples, number_labels
from fer_jax.data.targets import find_votes
from fer_jax.errors import ConfigError, DataError
from fer_jax.export.options import ExportOptions
from fer_jax.files import Json
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.weights import Classifier
from fer_jax.randomness import Stream, numpy_rng

_TRAINING, _PUBLIC, _PRIVATE = map(fer2013.USAGES.index, ("Training", "PublicTest", "PrivateTest"))


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces that an export is compared on, and those that it is calibrated on.

    Attributes:
        images: to compare on, uint8 [N, 48, 48, 1].
        labels: of these, int32 [N]; `fer2013.UNLABELLED` where the accuracy does not count the face.
        calibration: uint8 [M, 48, 48, 1]; none of them is in `images` where the data has usages.
        facts: for JSON: data, part, whose labels.
        calibration_facts: for JSON: how many, of what, and the seed of their choice.
        words: the same, for people.
    """

    images: np.ndarray
    labels: np.ndarray
    calibration: np.ndarray
    facts: Json
    calibration_facts: Json
    words: str


def choose(classifier: Classifier, examples: Examples, options: ExportOptions) -> Faces:
    """Choose the faces to compare on, PublicTest where there is one, and those to calibrate on.

    PrivateTest is left out. A file without usages is compared on all of its faces.

    Raises:
        FerJaxError: there is no face, or the votes cannot be used.
    """
    examples = _match_labels(examples, classifier.network.names)
    part, rows = examples.usage_names[_PUBLIC], np.flatnonzero(examples.usages == _PUBLIC)
    if not len(rows):
        part, rows = "all faces", np.flatnonzero(examples.usages != _PRIVATE)
    if not len(rows):
        held_back = examples.usage_names[_PRIVATE]
        raise DataError(f"{examples.description}: it has nothing but {held_back}; give another --data")
    source = _choose_source(classifier, examples, options)
    labelling = inference_labels.choose([classifier], source, options.ferplus)
    labelled = inference_labels.relabel(labelling, examples)
    chosen, calibration_facts = _choose_calibration(examples, options)
    facts = {
        "contents": examples.contents,
        "sha256": examples.sha256,
        "is_synthetic": examples.is_synthetic,
        "part": part,
        "faces": len(rows),
        "labels": source,
    }
    whose = "" if examples.is_synthetic or examples.is_own else f"; labels of {LABEL_WORDS[source]}"
    return Faces(
        images=examples.images[rows],
        labels=labelled.labels[rows],
        calibration=examples.images[chosen],
        facts=facts,
        calibration_facts=calibration_facts,
        words=f"{part} of {examples.contents}{whose}",
    )


def _match_labels(examples: Examples, names: tuple[str, ...]) -> Examples:
    """Give labels the numbers of the network's classes; FER2013 and synthetic faces lose those of others."""
    if not examples.is_own and names[: len(examples.names)] != examples.names:
        return replace(examples, labels=np.full_like(examples.labels, fer2013.UNLABELLED), class_names=names)
    return number_labels(examples, names)


def _choose_calibration(examples: Examples, options: ExportOptions) -> tuple[np.ndarray, Json]:
    """Choose rows of Training, or of what has no usage, by a seed; and say so for JSON."""
    rows = np.flatnonzero((examples.usages != _PUBLIC) & (examples.usages != _PRIVATE))
    count = min(options.calibration_faces, len(rows)) if "int8" in options.to else 0
    if "int8" in options.to and not count:
        raise DataError(f"{examples.description}: no Training rows to calibrate int8 on; give another --data")
    chosen = np.sort(numpy_rng(options.seed, Stream.CALIBRATION).choice(rows, count, replace=False))
    is_training = bool((examples.usages[chosen] == _TRAINING).all())
    kind = "Training faces" if is_training else "faces without a usage, compared on too"
    if examples.is_synthetic:
        kind = "synthetic faces, not FER2013"
    return chosen, {"faces": count, "seed": options.seed, "words": f"{count:,} {kind}, seed {options.seed}"}


def _choose_source(classifier: Classifier, examples: Examples, options: ExportOptions) -> LabelSource:
    """Choose whose labels count: those asked for, or those of the training if they are at hand."""
    if options.labels is not None:
        return options.labels
    if options.ferplus is not None:
        return "ferplus"
    own = classifier.own_labels
    if own.source == "fer2013" or examples.is_synthetic:
        return "fer2013"
    try:
        find_votes(LabelsConfig(source="ferplus", ferplus=own.ferplus))
    except (ConfigError, DataError):
        return "fer2013"
    return "ferplus"
