"""What the server answers about a photo and about its networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fer_jax.files import Json
from fer_jax.serve.photos import Limits, read_photo

if TYPE_CHECKING:
    from fer_jax.inference.analyzer import Face

_DIGITS: Final = 6


@dataclass(frozen=True, eq=False)
class Model:
    """What predicts, and what is known about it.

    Attributes:
        labels: names of the classes, in the order of the probabilities.
        weights: `name` and `sha256` of each network; the logits of several are averaged.
        settings: how faces are found and looked at.
        contract: version of the crop contract.
        analyze: finds and classifies the faces of a photo uint8 [H, W, 3].
    """

    labels: tuple[str, ...]
    weights: tuple[Json, ...]
    settings: Json
    contract: int
    analyze: "Callable[[np.ndarray], Sequence[Face]]"

    def describe(self) -> Json:
        """Say what it is, ready for JSON."""
        return {
            "weights": list(self.weights),
            "labels": list(self.labels),
            "crop_contract": self.contract,
            **self.settings,
        }


def answer_photo(model: Model, body: bytes, limits: Limits) -> Json:
    """Decode a photo and describe its faces, ready for JSON.

    Raises:
        HTTPException: the photo cannot be read, see `read_photo`.
    """
    image = read_photo(body, max_pixels=limits.pixels)
    height, width = image.shape[:2]
    return {
        "width": width,
        "height": height,
        "faces": [describe_face(face, model.labels) for face in model.analyze(image)],
        "weights": list(model.weights),
        "crop_contract": model.contract,
    }


def describe_face(face: "Face", labels: Sequence[str]) -> Json:
    """Describe a face as the rows of `predict` do, with numbers rounded to six digits after the point."""
    probabilities = face.probabilities.tolist()
    best = int(np.argmax(probabilities))
    record: Json = {
        **dict(zip(("x", "y", "width", "height"), face.box, strict=True)),
        "detector_score": face.detector_score,
        "label": labels[best],
        "probability": probabilities[best],
        **{f"p_{label}": each for label, each in zip(labels, probabilities, strict=True)},
        "crop_px": face.crop_px,
        "is_clipped": face.is_clipped,
        "roll_deg": face.roll_deg,
    }
    return {
        key: round(value, _DIGITS) if isinstance(value, float) else value for key, value in record.items()
    }
