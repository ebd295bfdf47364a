"""The faces that exports are compared and calibrated on."""

from dataclasses import dataclass

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import LABEL_WORDS, LabelsConfig, LabelSource
from fer_jax.data.examples import Examples
from fer_jax.data.targets import find_votes
from fer_jax.errors import ConfigError, DataError
from fer_jax.export.options import ExportOptions
from fer_jax.files import Json
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.weights import Classifier
from fer_jax.randomness import Stream, numpy_rng

_PUBLIC, _PRIVATE = map(fer2013.USAGES.index, ("PublicTest", "PrivateTest"))


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces that an export is compared on, and those that it is calibrated on.

    Attributes:
        images: to compare on, uint8 [N, 48, 48, 1].
        labels: of these, int32 [N]; `fer2013.UNLABELLED` where the accuracy does not count the face.
        calibration: uint8 [M, 48, 48, 1], none of `images` unless the data says nothing of usages.
        facts: for JSON: data, part, whose labels.
        words: the same, for people.
    """

    images: np.ndarray
    labels: np.ndarray
    calibration: np.ndarray
    facts: Json
    words: str


def choose(classifier: Classifier, examples: Examples, options: ExportOptions) -> Faces:
    """Choose the faces to compare on, PublicTest where there is one, and those to calibrate on.

    PrivateTest is left out. A file without usages is compared on all of its faces.

    Raises:
        FerJaxError: there is no face, or the votes cannot be used.
    """
    part, rows = "PublicTest", np.flatnonzero(examples.usages == _PUBLIC)
    if not len(rows):
        part, rows = "all faces", np.flatnonzero(examples.usages != _PRIVATE)
    if not len(rows):
        raise DataError(f"{examples.description}: it has nothing but PrivateTest; give another --data")
    source = _choose_source(classifier, examples, options)
    labelling = inference_labels.choose([classifier], source, options.ferplus)
    labelled = inference_labels.relabel(labelling, examples)
    trained_on = np.flatnonzero((examples.usages != _PUBLIC) & (examples.usages != _PRIVATE))
    count = min(options.calibration_faces, len(trained_on))
    chosen = numpy_rng(options.seed, Stream.CALIBRATION).choice(trained_on, count, replace=False)
    facts = {
        "contents": examples.contents,
        "sha256": examples.sha256,
        "is_synthetic": examples.is_synthetic,
        "part": part,
        "faces": len(rows),
        "labels": source,
    }
    words = f"{part} of {examples.contents}; labels of {LABEL_WORDS[source]}"
    return Faces(examples.images[rows], labelled.labels[rows], examples.images[np.sort(chosen)], facts, words)


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
