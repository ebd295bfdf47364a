"""From pictures to the expressions of the faces in them: find, cut out, classify.

The two halves are apart so that they can run side by side: `find` is the detector's, `classify` the
network's, and takes what was found in several pictures as one batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import log_softmax

from fer_jax.errors import ConfigError
from fer_jax.faces import crop
from fer_jax.faces.boxes import Boxes
from fer_jax.faces.choices import DetectorName, PhotoViews
from fer_jax.faces.crop import CONTRACT, SCALES, CropContract, Square
from fer_jax.faces.detectors import Detect, make_detector
from fer_jax.files import Json
from fer_jax.inference import predictor
from fer_jax.inference.classifiers import load
from fer_jax.inference.weights import Classifier

LEAST_BATCH: Final = 8
"""Smaller batches are filled up: a program is compiled for each size of a batch."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture, and its expression.

    Attributes:
        box: left, top, width and height, in pixels of the picture.
        detector_score: how sure the detector is, 0..1; None without a detector.
        landmarks: float64 [5, 2], see `Boxes`; None without a detector.
        crop: what was cut out, uint8 [48, 48, 1].
        crop_px: side of the square that was cut out, in pixels of the picture.
        is_clipped: the square leaves the picture, whose border was repeated.
        log_probabilities: natural logarithms, float64 [C], in the order of the labels.
    """

    box: tuple[float, float, float, float]
    detector_score: float | None
    landmarks: np.ndarray | None = field(repr=False)
    crop: np.ndarray = field(repr=False)
    crop_px: float
    is_clipped: bool
    log_probabilities: np.ndarray = field(repr=False)

    @property
    def probabilities(self) -> np.ndarray:
        """float64 [C]; their sum is 1."""
        return np.exp(self.log_probabilities)

    @property
    def roll_deg(self) -> float | None:
        """By how much the line through the eyes is turned, clockwise; None without landmarks."""
        if self.landmarks is None:
            return None
        across, down = self.landmarks[1] - self.landmarks[0]
        return math.degrees(math.atan2(down, across))


@dataclass(frozen=True, eq=False)
class Found:
    """The F faces of a picture, cut out, before they are classified.

    Attributes:
        boxes: of the faces; None where the whole picture is one face.
        squares: F squares of the contract.
        are_clipped: whether each leaves the picture, bool [F].
        crops: uint8 [S, F, 48, 48, 1], for each of the S scales of the views.
        views: how often a network looks at each.
    """

    boxes: Boxes | None
    squares: tuple[Square, ...]
    are_clipped: np.ndarray
    crops: np.ndarray
    views: PhotoViews

    @property
    def looks(self) -> np.ndarray:
        """The crops, and their mirror images where the views have them; uint8 [V, F, 48, 48, 1]."""
        mirrored = [] if self.views == "single" else [self.crops[:, :, :, ::-1]]
        return np.concatenate([self.crops, *mirrored])

    def __len__(self) -> int:
        """F."""
        return len(self.squares)


@dataclass(frozen=True)
class Search:
    """How faces are looked for; see `detectors.make_detector`."""

    detector: DetectorName
    min_score: float
    min_face_px: float
    has_small_faces: bool


@dataclass(frozen=True, eq=False)
class Analyzer:
    """Networks and a detector, ready for pictures.

    Attributes:
        classifiers: at least one; the logits of several are averaged.
        detect: finds faces; None: each picture is a face, cut as the networks expect it.
        views: how often each face is looked at, unless `find` is told otherwise.
        contract: how faces are cut out.
        search: how `detect` was made, for the record; None of a function of one's own, and without one.
    """

    classifiers: tuple[Classifier, ...]
    detect: Detect | None
    views: PhotoViews
    contract: CropContract
    search: Search | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.classifiers[0].labels

    @property
    def weights(self) -> tuple[Json, ...]:
        """`name` and `sha256` of each network's tensors, for the record; a run has no hash."""
        return tuple(
            {"name": each.name, "sha256": each.card.get("tensors", {}).get("sha256")}
            for each in self.classifiers
        )

    def analyze(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Find and classify the faces of pictures, each uint8 [H, W, 3] RGB, upright.

        Returns:
            For each picture its faces, by descending score of the detector.
        """
        return self.classify([self.find(image) for image in images])

    def find(self, image: np.ndarray, *, views: PhotoViews | None = None) -> Found:
        """Find the faces of a picture uint8 [H, W, 3] and cut them out, for these views or the analyzer's."""
        height, width = image.shape[:2]
        views = self.views if views is None else views
        boxes = None if self.detect is None else self.detect(image)
        around = _whole(height, width, self.contract)[None] if boxes is None else boxes.xywh
        squares = tuple(crop.place_square(xywh, self.contract, scale=1.0) for xywh in around)
        cut = [
            crop.cut_out(image, crop.place_square(xywh, self.contract, scale=scale), self.contract)
            for scale in SCALES[views]
            for xywh in around
        ]
        # A whole picture is never clipped, though the sides of its square can be off by a rounding.
        are_clipped = [boxes is not None and not square.is_inside(height, width) for square in squares]
        shape = (len(SCALES[views]), len(around), self.contract.side_px, self.contract.side_px, 1)
        return Found(
            boxes,
            squares,
            np.array(are_clipped, bool),
            np.array(cut, np.uint8).reshape(shape),
            views,
        )

    def classify(self, found: Sequence[Found]) -> list[list[Face]]:
        """Classify the faces of several pictures as one batch; logits are averaged over each face's looks."""
        looks = [each.looks for each in found if len(each)]
        if not looks:
            return [[] for _ in found]
        shape = looks[0].shape[2:]
        logits = self._average_logits(np.concatenate([each.reshape(-1, *shape) for each in looks]))
        ends = np.cumsum([each.shape[0] * each.shape[1] for each in looks])
        means = [
            part.reshape(*each.shape[:2], -1).mean(axis=0)
            for part, each in zip(np.split(logits, ends[:-1]), looks, strict=True)
        ]
        rows = iter(log_softmax(np.concatenate(means), axis=1))
        return [[_to_face(each, number, next(rows)) for number in range(len(each))] for each in found]

    def _average_logits(self, images: np.ndarray) -> np.ndarray:
        filled = np.zeros((max(LEAST_BATCH, len(images)), *images.shape[1:]), np.uint8)
        filled[: len(images)] = images
        logits = [
            predictor.predict(each.network, filled)[0][: len(images)].astype(np.float64)
            for each in self.classifiers
        ]
        return predictor.average(logits, [each.name for each in self.classifiers])


def make_analyzer(
    weights: Sequence[str | Path],
    *,
    views: PhotoViews,
    detector: DetectorName | None,
    min_score: float,
    min_face_px: float,
    has_small_faces: bool,
) -> Analyzer:
    """Load networks and a detector.

    Args:
        weights: names, files or runs, see `classifiers.load`; several are an ensemble.
        views: "photo" looks at squares of three sizes and their mirror images, "flip" at one and its mirror
            image, "single" at one.
        detector: which one; None: each picture is a face, cut as the networks expect it.
        min_score: see `detectors.make_detector`.
        min_face_px: see there.
        has_small_faces: see there.

    Raises:
        FerJaxError: weights or the detector cannot be loaded, or the networks have different classes.
    """
    detect = search = None
    if detector is not None:
        search = Search(detector, min_score, min_face_px, has_small_faces)
        detect = make_detector(
            detector, min_score=min_score, min_face_px=min_face_px, has_small_faces=has_small_faces
        )
    classifiers = tuple(load(name) for name in weights)
    for each in classifiers[1:]:
        if each.labels != classifiers[0].labels:
            raise ConfigError(
                f"{each.name} has the classes {', '.join(each.labels)}, and {classifiers[0].name} "
                f"{', '.join(classifiers[0].labels)}; name weights with the same classes in the same order"
            )
    contracts = list(dict.fromkeys(read_contract(each) for each in classifiers))
    if len(contracts) > 1:
        names = ", ".join(each.name for each in classifiers)
        raise ConfigError(f"{names} want their faces cut out in different ways; name weights of one contract")
    return Analyzer(classifiers, detect, views, contracts[0], search)


def read_contract(classifier: Classifier) -> CropContract:
    """Read how a network wants faces cut out; a run, and a card that does not say, want the present way.

    Raises:
        ConfigError: the card's contract is one that this fer_jax does not know.
    """
    fields: Any = classifier.card.get("preprocessing", {}).get("contract")
    if fields is None:
        return CONTRACT
    try:
        contract = CropContract(**{**fields, "gray": tuple(fields["gray"])})
    except (TypeError, KeyError):
        contract = None
    if contract is None or not _is_known(contract):
        raise ConfigError(
            f"the card of {classifier.name} has a crop contract that this fer_jax does not know: {fields}; "
            "install a newer fer_jax"
        )
    return contract


def _is_known(contract: CropContract) -> bool:
    """Whether faces can be cut out so: the version stands for everything but the square."""
    square = (contract.side_factor, contract.shift_down)
    if not all(type(each) in (int, float) and math.isfinite(each) for each in square):
        return False
    ours = replace(contract, side_factor=CONTRACT.side_factor, shift_down=CONTRACT.shift_down)
    return contract.side_factor > 0 and ours == CONTRACT


def _whole(height: int, width: int, contract: CropContract) -> np.ndarray:
    """Make the box whose square is the largest one in the middle of a picture; float64 [4]."""
    side = min(height, width)
    length = side / contract.side_factor
    middle_y = height / 2 - contract.shift_down * side
    return np.array([width / 2 - length / 2, middle_y - length / 2, length, length])


def _to_face(found: Found, number: int, log_probabilities: np.ndarray) -> Face:
    square, boxes = found.squares[number], found.boxes
    if boxes is None:
        box, score, landmarks = (square.left, square.top, square.side, square.side), None, None
    else:
        x, y, width, height = map(float, boxes.xywh[number])
        box, score, landmarks = (x, y, width, height), float(boxes.scores[number]), boxes.landmarks[number]
    return Face(
        box=box,
        detector_score=score,
        landmarks=landmarks,
        crop=found.crops[len(found.crops) // 2, number],  # of scale 1
        crop_px=square.side,
        is_clipped=bool(found.are_clipped[number]),
        log_probabilities=log_probabilities,
    )
