"""Released weights: a file of tensors and a JSON card beside it, read back into a network that predicts.

`NAME.safetensors` holds the parameters and the batch statistics, one tensor a leaf, named as in checkpoints,
and no code. `NAME.json`, the card, says what they are: the network, its input, what it was trained on and how
accurate it is.
"""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, Final

import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError

from fer_jax import fer2013
from fer_jax.config.checks import check_choice
from fer_jax.config.data import LabelsConfig
from fer_jax.config.files import from_json
from fer_jax.config.model import ModelConfig, find_name_fault, unify_name
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.files import Json, read_bytes
from fer_jax.images.standardise import PixelStats
from fer_jax.images.view_choice import ViewChoice
from fer_jax.images.views import CHOICES
from fer_jax.inference.predictor import Network, describe_variables, make_predicting_model, predict_views
from fer_jax.strict_json import parse_json

FORMAT: Final = 1

_KINDS: Final = {str: "text", int: "whole number", float: "number", list: "list", dict: "object"}
_LARGEST_LEVEL: Final = 2**53
_MOST_CARD_BYTES: Final = 16 * 2**20
_MOST_HEADER_BYTES: Final = 2**20
_MOST_TENSOR_BYTES: Final = 2 * 2**30
_STORED: Final = ("float16", "float32")

_GET_AGAIN: Final = "install fer_jax again, copy both files anew, or release the weights again"


@dataclass(frozen=True)
class Card:
    """What a card says that is needed to read the weights; `release.card` writes all of it.

    Attributes:
        labels: names of the classes, in the order of the logits.
        model: fields of `ModelConfig`.
        tensors_sha256: of the safetensors file.
        own_labels: the labels of the training; where FER+'s votes are, a card does not say.
        finished, seed, data_sha256, checkpoint: of the run, as its `run.json` has them.
    """

    name: str
    labels: tuple[str, ...]
    model: Json
    pixel_stats: PixelStats
    tensors_sha256: str
    own_labels: LabelsConfig
    finished: str
    seed: int
    data_sha256: str
    checkpoint: Json


def _read_card(fields: Any, *, where: str) -> Card:
    version = fields.get("format") if isinstance(fields, dict) else None
    if type(version) is not int or version != FORMAT:
        raise RunError(
            f"{where}: this is not a card of format {FORMAT}, which this fer_jax reads; {_GET_AGAIN}"
        )
    read = partial(_read_field, fields, where=where)
    labels, model = read("labels", kind=list), read("model", kind=dict)
    if fault := find_name_fault(labels):
        raise RunError(f"{where}: its labels cannot name classes; wanted {fault}; {_GET_AGAIN}")
    mean, std = (read("preprocessing", name, kind=float) for name in ("mean", "std"))
    if not std > 0:
        raise RunError(
            f"{where}: preprocessing.std is {std}, and gray levels are divided by it; {_GET_AGAIN}"
        )
    # Read by those who measure the weights again.
    read("parameters", kind=int), read("figures", kind=list)
    is_ferplus = read("training", "labels", kind=str).startswith("FER+")
    return Card(
        name=read("name", kind=str),
        labels=tuple(map(unify_name, labels)),
        model=model,
        pixel_stats=PixelStats(mean, std),
        tensors_sha256=read("tensors", "sha256", kind=str),
        own_labels=LabelsConfig(source="ferplus" if is_ferplus else "fer2013"),
        finished=read("training", "finished", kind=str),
        seed=read("training", "seeds", "train", kind=int),
        data_sha256=read("training", "data_sha256", kind=str),
        checkpoint=read("training", "selection", "checkpoint", kind=dict),
    )


def _read_field(fields: Json, *names: str, kind: type, where: str) -> Any:
    """Read a field of a field of a card, and refuse another type; a whole number may be a float."""
    value: Any = fields
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if kind is float and type(value) is int and abs(value) <= _LARGEST_LEVEL:
        value = float(value)
    if type(value) is not kind:
        raise RunError(
            f"{where}: the card is damaged: {'.'.join(names)} in it is no {_KINDS[kind]}; {_GET_AGAIN}"
        )
    return value


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network, ready to predict: released weights, or those of a run.

    Attributes:
        name: of the weights, or of the run's folder.
        labels: names of the classes, in the order of the probabilities.
        card: what is known about the weights, the content of their JSON file; of a run, that of `run.json`.
        network: the weights themselves.
        own_labels: the labels that they were trained on; without the file of FER+'s votes.
    """

    name: str
    labels: tuple[str, ...]
    card: Mapping[str, Any] = field(repr=False)
    network: Network = field(repr=False)
    own_labels: LabelsConfig = field(repr=False)

    def predict(
        self, images: Any, *, views: ViewChoice = "single", abstain_below: float | None = None
    ) -> np.ndarray:
        """Predict the expressions of faces, with a warning if they seem to have been divided by 255.

        Args:
            images: uint8 [N, 48, 48, 1] or [N, 48, 48], 0 black to 255 white: faces cropped as the card says.
            views: test-time augmentation, as `evaluate --help` explains; logits are averaged over the views.
            abstain_below: do not answer where no probability is as large as this threshold, in 0..1, such as
                one that `evaluate` chose in the same views; None to answer always.

        Returns:
            Probabilities float32 [N, C]; each row sums to 1, or is NaN throughout where there is no answer.
            NumPy's `argmax` of such a row is 0, which is no answer: `answers` gives the labels.

        Raises:
            DataError: the images have another shape or dtype.
            ConfigError: there are no such views, or the threshold is not in 0..1.
        """
        _check_threshold(abstain_below)
        logits = self.predict_logits(images, views=views)
        if np.size(images) and np.max(images) <= 1:
            warnings.warn(
                "no pixel of these images is brighter than 1, where 0 is black and 255 white; if they were "
                "divided by 255, leave that out",
                stacklevel=2,
            )
        from scipy.special import softmax  # Training, which reads teachers with this module, need not wait.

        probabilities: np.ndarray = softmax(logits, axis=1).astype(np.float32)
        if abstain_below is not None:
            # Of the same precision: a threshold that is the confidence of an image leaves this image in.
            is_uncertain = probabilities.max(axis=1) < np.float32(abstain_below)
            probabilities[is_uncertain] = np.nan
        return probabilities

    def answers(self, probabilities: Any) -> list[str | None]:
        """Name the most likely class of each row of what `predict` returns; None where it did not answer.

        Raises:
            DataError: the probabilities are not float [N, C].
        """
        wanted = f"float [N, {len(self.labels)}], as predict returns them"
        came = to_array("the probabilities", probabilities, wanted=wanted)
        if came.shape == (0,):
            return []
        if not (np.issubdtype(came.dtype, np.floating) and came.shape[1:] == (len(self.labels),)):
            raise DataError(f"the probabilities came as {came.dtype} {list(came.shape)}; wanted {wanted}")
        return [None if np.isnan(row).any() else self.labels[int(row.argmax())] for row in came]

    def predict_logits(self, images: Any, *, views: ViewChoice = "single") -> np.ndarray:
        """Predict the logits, float64 [N, C], whose softmax `predict` returns; see there."""
        faces = _check_images(images)
        check_choice("views", views, CHOICES)
        return predict_views(self.network, faces, views)


def _check_threshold(threshold: Any) -> None:
    is_number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if threshold is not None and not (is_number and 0 <= threshold <= 1):
        raise ConfigError(
            f"abstain_below came {threshold!r}; wanted a probability in 0..1, such as one of the thresholds "
            "that evaluate shows, or None to answer always"
        )


def to_array(what: str, values: Any, *, wanted: str) -> np.ndarray:
    """Make an array of what Python code gives; messages begin with `what` and end with what is wanted.

    Raises:
        DataError: it cannot be one: rows of different lengths, a tensor on a GPU; the message has the reason.
    """
    try:
        return np.asarray(values)
    except Exception as error:  # Any object can come, and each raises its own.
        reason = str(error).rstrip(".")
        raise DataError(
            f"{what} came as an object of type {type(values).__name__}, which is no array ({reason}); "
            f"wanted {wanted}"
        ) from None


def _check_images(images: Any) -> np.ndarray:
    """Return images as uint8 [N, 48, 48, 1], or refuse them."""
    came = to_array("the images", images, wanted="uint8 [N, 48, 48, 1] or [N, 48, 48]")
    height, width, channels = fer2013.IMAGE_SHAPE
    is_flat = came.ndim == 3
    wanted = (height, width) if is_flat else (height, width, channels)
    if came.dtype != np.uint8 or came.shape[1:] != wanted:
        raise DataError(
            f"the images came as {came.dtype} {list(came.shape)}; wanted uint8 [N, {height}, {width}, "
            f"{channels}] or [N, {height}, {width}], whole gray levels 0..255; for a single face give "
            "image[None], for numbers x in 0..1 (255 * x).round().astype('uint8')"
        )
    return came[..., None] if is_flat else came


def read(folder: Path, name: str) -> Classifier:
    """Read the released weights of a name, without a suffix, from a folder such as `runs.sources.WEIGHTS`.

    Raises:
        RunError: a file is missing, damaged, or of another fer_jax.
    """
    return build(*_read_files(folder, name), where=str(folder / f"{name}.json"))


def read_variables(folder: Path, name: str, template: Any) -> tuple[Card, Any]:
    """Read released weights as the variables of a given network, float32, with their card.

    `template` has `params` and `batch_stats`, of which only names and shapes count.

    Raises:
        RunError: a file is missing, damaged, of another fer_jax, or of another network.
    """
    fields, tensors = _read_files(folder, name)
    where = str(folder / f"{name}.json")
    return _check(fields, tensors, where=where), _restore(template, tensors, where=where)


def _read_files(folder: Path, name: str) -> tuple[Any, bytes]:
    path = folder / f"{name}.json"
    try:
        card = parse_json(read_bytes(path, at_most=_MOST_CARD_BYTES))
        return card, read_bytes(folder / f"{name}.safetensors", at_most=_MOST_TENSOR_BYTES)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: the card cannot be read: {error}; {_GET_AGAIN}") from None


def build(card: Any, tensors: bytes, *, where: str) -> Classifier:
    """Build the network that a card describes and fill in the tensors, the bytes of the safetensors file.

    Raises:
        RunError: the two do not belong together, or another version of fer_jax wrote them.
    """
    read = _check(card, tensors, where=where)
    config = from_json(ModelConfig, read.model, where=where)
    if config.names != read.labels:
        raise RunError(
            f"{where}: its network has the classes {', '.join(config.names)}, and its labels are "
            f"{', '.join(read.labels)}; {_GET_AGAIN}"
        )
    model = make_predicting_model(config)
    variables = _restore(describe_variables(model), tensors, where=where)
    network = Network(model, read.labels, variables, read.pixel_stats)
    return Classifier(read.name, read.labels, card, network, read.own_labels)


def _check(fields: Any, tensors: bytes, *, where: str) -> Card:
    """Read a card, and refuse tensors that do not belong to it."""
    card, found = _read_card(fields, where=where), hashlib.sha256(tensors).hexdigest()
    if found != card.tensors_sha256:
        raise RunError(
            f"{where}: {card.name}.safetensors is damaged or of another release: its SHA-256 is "
            f"{found[:12]}, the card's {card.tensors_sha256[:12]}; {_GET_AGAIN}"
        )
    return card


def _restore(template: Any, tensors: bytes, *, where: str) -> Any:
    """Read the tensors as nested dicts like the template's, float32, and refuse other names or shapes."""
    header_bytes = int.from_bytes(tensors[:8], "little")
    if header_bytes > _MOST_HEADER_BYTES:
        raise RunError(
            f"{where}: the tensors have a header of {header_bytes:,} bytes, and no network needs more than "
            f"{_MOST_HEADER_BYTES:,}; {_GET_AGAIN}"
        )
    try:
        found = safetensors.numpy.load(tensors)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # KeyError: a type NumPy lacks.
        raise RunError(f"{where}: the tensors cannot be read: {error}; {_GET_AGAIN}") from None
    wanted = {name: leaf.shape for name, leaf in flatten_dict(template, sep="/").items()}
    for name in sorted(wanted.keys() | found.keys()):
        want, came = wanted.get(name), found[name].shape if name in found else None
        if want != came:
            raise RunError(
                f"{where}: leaf {name} is {came or 'absent'}, the card's network wants {want or 'none'}; "
                f"{_GET_AGAIN}"
            )
        leaf = found[name]
        if leaf.dtype not in _STORED or not np.isfinite(leaf).all():
            raise RunError(
                f"{where}: leaf {name} is {leaf.dtype}, or not finite; wanted finite numbers in "
                f"{' or '.join(_STORED)}; {_GET_AGAIN}"
            )
    return unflatten_dict({name: jnp.asarray(leaf, jnp.float32) for name, leaf in found.items()}, sep="/")


def pack(variables: Json, *, dtype: str) -> bytes:
    """Serialise parameters and batch statistics, nested dicts, as safetensors in "float16" or "float32".

    Raises:
        ConfigError: a number is too large for float16.
    """
    tensors = {}
    for name, leaf in flatten_dict(variables, sep="/").items():
        with np.errstate(over="ignore"):
            tensors[name] = np.ascontiguousarray(np.asarray(leaf).astype(dtype))
        if not np.isfinite(tensors[name]).all():
            raise ConfigError(
                f"leaf {name} holds {np.abs(np.asarray(leaf)).max():g}, which {dtype} cannot; "
                "give --dtype float32, or train again where that is not finite either"
            )
    return safetensors.numpy.save(tensors)
