"""What an export says about itself: name, labels, hashes, and how a face is cut out for it."""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fer_jax.files import Json
from fer_jax.inference import weights
from fer_jax.inference.weights import Classifier
from fer_jax.runs import sources
from fer_jax.runs.sources import SUFFIX, Released

PREFIX: Final = "fer_jax."


@dataclass(frozen=True)
class Origin:
    """Where an export's numbers come from.

    Attributes:
        name: of the weights, or of the run's folder.
        labels: names of the classes, in the order of the logits.
        card_sha256: of the card, or of the run's `run.json`.
        tensors_sha256: of the weights' file; of a run, of its weights as `release --dtype float32` writes
            them.
        version: of fer_jax.
    """

    name: str
    labels: tuple[str, ...]
    card_sha256: str
    tensors_sha256: str
    version: str

    def to_metadata(self) -> dict[str, str]:
        """Write it as ONNX's metadata, name -> text."""
        fields: Json = {
            "name": self.name,
            "labels": json.dumps(self.labels),
            "card_sha256": self.card_sha256,
            "tensors_sha256": self.tensors_sha256,
            "contract": json.dumps(describe_crop()),
            "version": self.version,
        }
        return {f"{PREFIX}{name}": text for name, text in fields.items()}


def trace_origin(named: str, classifier: Classifier, *, name: str) -> Origin:
    """Find the files that a network was read from, and hash them.

    Args:
        named: what the user called it.
        classifier: the network.
        name: of the weights or the run's folder.

    Raises:
        RunError: there is no such network.
    """
    found = sources.find(named)
    if isinstance(found, Released):
        card, tensors = found.folder / f"{found.name}.json", found.folder / f"{found.name}{SUFFIX}"
        packed = tensors.read_bytes()
    else:
        card, packed = found[0] / "run.json", weights.pack(classifier.network.variables, dtype="float32")
    version = importlib.metadata.version("fer-jax")
    return Origin(name, classifier.labels, _hash(card), hashlib.sha256(packed).hexdigest(), version)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe_crop() -> Json:
    """Describe how a face is cut out of a photo, for JSON."""
    return {
        "version": 1,
        "side_factor": 1.05,
        "shift_down": -0.015,
        "gray": [19595, 38470, 7471],
        "filter": "lanczos3",
        "size": 48,
        "border": "replicate",
    }
