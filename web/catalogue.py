"""`models.json` of the demo: the detector, the crop contract and the networks, as Python knows them."""

from pathlib import Path
from typing import Any, Final

from fer_jax.errors import RunError
from fer_jax.faces import yunet
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.faces.crop import CONTRACT, SCALES
from fer_jax.files import Json, read_json
from fer_jax.runs.sources import WEIGHTS

VIEWS: Final[Json] = {
    "photo": {"scales": SCALES["photo"], "is_mirrored": True},
    "camera": {"scales": SCALES["flip"], "is_mirrored": True},
}
"""How often each face is looked at: a frame of the camera less often, for the next one comes soon."""

MEASURED: Final = (
    ("PrivateTest", "FER2013"),
    ("PublicTest", "FER2013"),
    ("test", "own labels"),
    ("val", "own labels"),
)
"""Part and labels of the measurement of a card that is shown: the first of these that it has."""

MEASURED_FERPLUS: Final = (("PrivateTest", "FER+ majority"), ("PublicTest", "FER+ majority"))
"""The same for a network that was trained on FER+'s votes: FER2013's labels are not what it learned."""


def describe(networks: dict[str, Path], detector: Path, *, version: str, example: Json) -> Json:
    """Describe everything that the page has to know.

    Args:
        networks: the ONNX file of each network, by its name.
        detector: the detector's file.
        version: of fer_jax.
        example: the picture to try.
    """
    return {
        "version": version,
        "example": example,
        "detector": describe_detector(detector.name),
        "views": VIEWS,
        "models": {name: describe_network(name, file) for name, file in networks.items()},
    }


def describe_detector(file: str) -> Json:
    """Describe the detector, and how sure it has to be."""
    return {
        "file": file,
        "long_side_px": yunet.LONG_SIDE_PX,
        "min_score": MIN_SCORE,
        "min_face_px": MIN_FACE_PX,
        "most_iou": yunet.MOST_IOU,
    }


def describe_network(name: str, file: Path) -> Json:
    """Describe a network: how large it is, and what its card says about its accuracy and its limits.

    Raises:
        RunError: the page does not know the card's crop contract, or the card has no measurement of faces
            that the network was not trained on.
    """
    card = read_json(WEIGHTS / f"{name}.json")
    contract = card["preprocessing"]["contract"]
    if contract["version"] != CONTRACT.version:
        raise RunError(
            f"{name} has the crop contract of version {contract['version']}; wanted {CONTRACT.version}"
        )
    return {
        "title": name,
        "file": file.name,
        "bytes": file.stat().st_size,
        "parameters": card["parameters"],
        "labels": card["labels"],
        "contract": contract,
        "figures": choose_measurement(card),
        "limits": card["limits"],
        "misuse": card["misuse"],
    }


def choose_measurement(card: Json) -> dict[str, Any]:
    """Choose the measurement that is shown: with the mirror image, as the page predicts.

    Raises:
        RunError: there is none.
    """
    is_ferplus = card["training"]["labels"].startswith("FER+")
    for part, labels in MEASURED_FERPLUS if is_ferplus else MEASURED:
        for figure in card["figures"]:
            if (figure["part"], figure["labels"], figure["views"]) == (part, labels, "flip"):
                kept = ("part", "labels", "correct", "total", "accuracy", "low", "high", "classes")
                return {key: figure[key] for key in kept} | {"copies": figure["copies_of_training_images"]}
    raise RunError(
        f"the card of {card['name']} has no accuracy with the mirror image on faces that it was not trained "
        "on; release the weights with --views flip"
    )
