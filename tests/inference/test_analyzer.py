"""From pictures to expressions: with a detector of the test's own, and on the photo that has one face."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from fer_jax.errors import ConfigError
from fer_jax.faces.boxes import Boxes
from fer_jax.faces.choices import PhotoViews
from fer_jax.faces.crop import CONTRACT
from fer_jax.inference import analyzer
from fer_jax.inference.analyzer import Analyzer, make_analyzer
from fer_jax.inference.classifiers import load


def find_nothing_or_two(image: np.ndarray) -> Boxes:
    """Two faces in a picture that is wide, none in another one."""
    boxes = np.array([[10.0, 8, 40, 50], [70, -4, 30, 30]]) if image.shape[1] > 100 else np.empty((0, 4))
    points = np.tile(np.array([[0.0, 0], [10, 10], [5, 12], [2, 20], [8, 22]]), (len(boxes), 1, 1))
    return Boxes(boxes, np.linspace(0.9, 0.8, len(boxes)), points)


def make(views: PhotoViews) -> Analyzer:
    return Analyzer((load("tiny"),), find_nothing_or_two, views, CONTRACT)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (80, width, 3), dtype=np.uint8) for width in (120, 60, 110)]


@pytest.mark.parametrize("views", ["single", "flip", "photo"])
def test_several_pictures_are_as_one_by_one(pictures: list[np.ndarray], views: PhotoViews) -> None:
    made = make(views)
    together = made.analyze(pictures)
    assert [len(faces) for faces in together] == [2, 0, 2]
    for image, faces in zip(pictures, together, strict=True):
        for one, other in zip(made.analyze([image])[0], faces, strict=True):
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


def test_logits_are_averaged_over_sizes_and_mirror_images(pictures: list[np.ndarray]) -> None:
    made, classifier = make("photo"), load("tiny")
    found = made.find(pictures[0])
    assert found.crops.shape == (3, 2, 48, 48, 1)
    looks = [*found.crops, *(crops[:, :, ::-1] for crops in found.crops)]
    expected = softmax(np.mean([classifier.predict_logits(look) for look in looks], axis=0), axis=1)
    faces = made.classify([found])[0]
    np.testing.assert_allclose([face.probabilities for face in faces], expected, atol=1e-5)
    np.testing.assert_array_equal(faces[0].crop, found.crops[1, 0])


def test_what_is_known_of_a_face(pictures: list[np.ndarray]) -> None:
    inside, outside = make("single").analyze(pictures[:1])[0]
    assert inside.box == (10, 8, 40, 50)
    assert inside.crop_px == pytest.approx(1.08 * np.sqrt(40 * 50))
    assert (inside.is_clipped, outside.is_clipped) == (False, True)
    assert inside.roll_deg == pytest.approx(45.0)
    assert inside.probabilities.sum() == pytest.approx(1.0)


def test_without_a_detector_the_picture_is_the_face() -> None:
    made = make_analyzer(
        ["tiny"], views="single", detector=None, min_score=0.5, min_face_px=0, has_small_faces=False
    )
    crop = np.random.default_rng(1).integers(0, 256, (48, 48, 1), dtype=np.uint8)
    [[face]] = made.analyze([np.repeat(crop, 3, axis=2)])
    np.testing.assert_array_equal(face.crop, crop)
    assert (face.detector_score, face.roll_deg, face.is_clipped) == (None, None, False)
    np.testing.assert_allclose(face.probabilities, load("tiny").predict(crop[None])[0], atol=1e-6)
    [[wide]] = made.analyze([np.zeros((30, 50, 3), np.uint8)])
    assert wide.box == pytest.approx((10, 0, 30, 30))
    [[rounded]] = made.analyze([np.zeros((160, 160, 3), np.uint8)])
    assert not rounded.is_clipped


def test_networks_of_an_ensemble_have_the_same_classes() -> None:
    with pytest.raises(ConfigError, match=r"ferplus has the classes angry, .*, contempt, and tiny angry"):
        make_analyzer(
            ["tiny", "ferplus"],
            views="single",
            detector=None,
            min_score=0.5,
            min_face_px=0,
            has_small_faces=False,
        )


def test_a_contract_of_the_future_is_refused(tmp_path: Path) -> None:
    classifier = load("tiny")
    assert analyzer.read_contract(classifier) == CONTRACT
    ours = classifier.card["preprocessing"]["contract"]
    unknown: list[dict[str, Any]] = [
        *({"version": 2}, {"side_px": 64}, {"gray": [1, 2]}, {"gray": 1}),
        *({"side_factor": each} for each in ("1.08", 0, None)),
    ]
    for change in unknown:
        object.__setattr__(classifier, "card", {"preprocessing": {"contract": {**ours, **change}}})
        with pytest.raises(ConfigError, match="a crop contract that this fer_jax does not know"):
            analyzer.read_contract(classifier)
    object.__setattr__(classifier, "card", {"preprocessing": {"contract": {**ours, "side_factor": 1.2}}})
    assert analyzer.read_contract(classifier).side_factor == 1.2
