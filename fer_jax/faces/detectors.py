"""The detectors. Another one is a file with its own `detect`, a name in `choices`, and an entry here."""

from collections.abc import Callable
from typing import Final, TypedDict

import numpy as np

from fer_jax.faces.boxes import Boxes
from fer_jax.faces.choices import DetectorName

Detect = Callable[[np.ndarray], Boxes]
"""Finds the faces of a picture uint8 [H, W, 3], RGB."""


class Terms(TypedDict):
    """What a detector is, under which terms, and what it was trained on."""

    name: str
    licence: str
    trained_on: str


TERMS: Final[dict[DetectorName, Terms]] = {
    "yunet": {
        "name": "YuNet, face_detection_yunet_2023mar.onnx of OpenCV Zoo",
        "licence": "MIT, © 2020 Shiqi Yu",
        "trained_on": "WIDER FACE (Yang et al. 2016), of pictures from the web with terms of their own",
    }
}


def check_installed(name: DetectorName) -> None:
    """Refuse a detector of which something is not installed, without loading it.

    Raises:
        ConfigError: one line says what to install.
    """
    from fer_jax.faces import yunet  # Imported here: --help need not wait for Pillow.

    {"yunet": yunet.check_installed}[name]()


def make_detector(
    name: DetectorName, *, min_score: float, min_face_px: float, has_small_faces: bool
) -> Detect:
    """Make a detector.

    Args:
        name: which one.
        min_score: 0..1; faces of which it is less sure are left out.
        min_face_px: faces whose box is shorter on one side are left out, in pixels of the picture.
        has_small_faces: look a second time, at twice the resolution; about five times slower.

    Raises:
        ConfigError: what it takes is not installed.
    """
    from fer_jax.faces import boxes, yunet

    session = {"yunet": yunet.make_session}[name]()
    sides = (yunet.LONG_SIDE_PX, *([yunet.SMALL_FACES_SIDE_PX] if has_small_faces else []))

    def detect(image: np.ndarray) -> Boxes:
        passes = [
            yunet.detect(session, image, long_side_px=side, min_score=min_score)
            for number, side in enumerate(sides)
            if number == 0 or max(image.shape[:2]) > sides[number - 1]
        ]
        found = passes[0] if len(passes) == 1 else boxes.suppress(boxes.join(passes), most_iou=yunet.MOST_IOU)
        return found.take(found.xywh[:, 2:].min(axis=1, initial=np.inf) >= min_face_px)

    return detect
