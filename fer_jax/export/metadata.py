"""What an export says about itself: name, labels, hashes, and how a face is cut out for it."""

import hashlib
import importlib.metadata
import json
from dataclasses import asdict, dataclass
from typing import Final

from fer_jax.files import Json
from fer_jax.inference import weights
from fer_jax.inference.analyzer import read_contract
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
        contract: how a face is cut out for the network.
        version: of fer_jax.
    """

    name: str
    labels: tuple[str, ...]
    card_sha256: str
    tensors_sha256: str
    contract: Json
    version: str

    def to_metadata(self) -> dict[str, str]:
        """Write it as ONNX's metadata, name -> text."""
        fields: Json = {
            "name": self.name,
            "labels": json.dumps(self.labels),
            "card_sha256": self.card_sha256,
            "tensors_sha256": self.tensors_sha256,
            "contract": json.dumps(self.contract),
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
        ConfigError: its card's crop contract is one that this fer_jax does not know.
    """
    found = sources.find(named)
    if isinstance(found, Released):
        card, tensors = found.folder / f"{found.name}.json", found.folder / f"{found.name}{SUFFIX}"
        packed = tensors.read_bytes()
    else:
        card, packed = found[0] / "run.json", weights.pack(classifier.network.variables, dtype="float32")
    return Origin(
        name=name,
        labels=classifier.labels,
        card_sha256=hashlib.sha256(card.read_bytes()).hexdigest(),
        tensors_sha256=hashlib.sha256(packed).hexdigest(),
        contract=asdict(read_contract(classifier)),
        version=importlib.metadata.version("fer-jax"),
    )
