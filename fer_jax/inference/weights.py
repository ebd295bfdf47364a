"""Released weights: a file of tensors and a JSON card beside it, read back into something that predicts.

`NAME.safetensors` holds the weights and the batch statistics, one tensor a leaf, named as in checkpoints, and
no code. `NAME.json`, the card, says what they are: the network, what it wants to see, what it was trained on
and how well it does.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError

from fer_jax import fer2013
from fer_jax.config.fields import suggest
from fer_jax.config.files import from_json
from fer_jax.config.model import DeviceConfig, ModelConfig
from fer_jax.data.batches import in_order
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.files import Json
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.images.views import CHOICES, ViewChoice, show
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key

FORMAT: Final = 1
WEIGHTS: Final = Path(__file__).parent / "weights"
"""The folder of the package that holds them."""

_LARGEST_BATCH: Final = 256
_GET_AGAIN: Final = "install fer_jax again, copy both files anew, or release the weights again"


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Released weights, ready to predict.

    Attributes:
        name: of the weights.
        labels: of the classes, in the order of the probabilities.
        card: what is known about the weights, as JSON has it.
    """

    name: str
    labels: tuple[str, ...]
    card: Mapping[str, Any] = field(repr=False)
    _to_logits: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    def predict(self, images: Any, *, views: ViewChoice = "single") -> np.ndarray:
        """Predict the expressions of faces.

        Args:
            images: uint8 [N, 48, 48, 1] or [N, 48, 48], 0 black to 255 white: faces cut out as the card says.
            views: how each is shown, as `evaluate --help` explains; logits are averaged over the views.

        Returns:
            Probabilities float32 [N, C]; each row sums to 1.

        Raises:
            DataError: the images have another shape or dtype.
            ConfigError: there are no such views.
        """
        logits = self.predict_logits(images, views=views)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    def predict_logits(self, images: Any, *, views: ViewChoice = "single") -> np.ndarray:
        """Predict what `predict` makes probabilities of: logits float64 [N, C]; see there."""
        faces = _check_images(images)
        if views not in CHOICES:
            raise ConfigError(f"views came {views!r}; wanted one of {', '.join(CHOICES)}")
        shown = [self._to_logits(show(faces, name)).astype(np.float64) for name in CHOICES[views]]
        mean: np.ndarray = np.mean(shown, axis=0)
        return mean


def _check_images(images: Any) -> np.ndarray:
    """Give images as uint8 [N, 48, 48, 1], or refuse them."""
    came = np.asarray(images)
    height, width, channels = fer2013.IMAGE_SHAPE
    is_flat = came.ndim == 3
    if came.dtype != np.uint8 or came.shape[1:] != (
        (height, width) if is_flat else (height, width, channels)
    ):
        raise DataError(
            f"the images came as {came.dtype} {list(came.shape)}; wanted uint8 [N, {height}, {width}, "
            f"{channels}] or [N, {height}, {width}], whole gray levels 0..255; for a single face give "
            "image[None], for numbers x in 0..1 (255 * x).round().astype('uint8')"
        )
    return came[..., None] if is_flat else came


def list_names(folder: Path) -> list[str]:
    """Name the weights in a folder; none where there is no such folder."""
    return sorted(path.stem for path in folder.glob("*.safetensors"))


def read(folder: Path, name: str) -> Classifier:
    """Read released weights.

    Args:
        folder: that holds them, such as `WEIGHTS`.
        name: without an ending.

    Raises:
        ConfigError: there are none of this name.
        RunError: a file is missing, damaged, or of another fer_jax.
    """
    known = list_names(folder)
    if name not in known:
        there = f"there are {', '.join(known)}{suggest(str(name), known)}" if known else f"{folder} has none"
        raise ConfigError(f"there are no released weights {name!r}; {there}")
    card, tensors = _read_files(folder, name)
    return build(card, tensors, where=str(folder / f"{name}.json"))


def read_variables(folder: Path, name: str, template: Any) -> tuple[Json, Any]:
    """Read released weights into the form that training gives them.

    Args:
        folder: that holds them.
        name: without an ending.
        template: `params` and `batch_stats`, of which names and shapes count.

    Returns:
        The card and the variables, float32.

    Raises:
        RunError: a file is missing, damaged, of another fer_jax, or of another network.
    """
    card, tensors = _read_files(folder, name)
    where = str(folder / f"{name}.json")
    _check(card, tensors, where=where)
    return card, _restore(template, tensors, where=where)


def _read_files(folder: Path, name: str) -> tuple[Any, bytes]:
    path = folder / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8")), (folder / f"{name}.safetensors").read_bytes()
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: the card cannot be read: {error}; {_GET_AGAIN}") from None


def build(card: Any, tensors: bytes, *, where: str) -> Classifier:
    """Put a network together from a card and the tensors it describes.

    Args:
        card: what `release.run.release_run` writes.
        tensors: the bytes of the safetensors file.
        where: the card's place, for messages.

    Raises:
        RunError: one does not belong to the other, or the card is of another fer_jax.
    """
    _check(card, tensors, where=where)
    try:
        name, labels, model_fields = card["name"], tuple(card["labels"]), card["model"]
        stats = read_stats(card)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{where}: the card is damaged: {error!r} in it; {_GET_AGAIN}") from None
    # Only with FER+'s labels does a config have eight classes; a network of seven goes with these too.
    fields = {"name": "released", "labels": {"source": "ferplus"}, "model": model_fields}
    config = from_json(fields, where=where).model
    to_logits = _make_logits(config, stats, tensors, classes=len(labels), where=where)
    return Classifier(name=name, labels=labels, card=card, _to_logits=to_logits)


def _check(card: Any, tensors: bytes, *, where: str) -> None:
    """Refuse a card that is no card, and tensors that are not its own."""
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise RunError(f"{where}: this is no card of format {FORMAT}, which this fer_jax reads; {_GET_AGAIN}")
    try:
        name, wanted_hash = card["name"], card["tensors"]["sha256"]
    except (KeyError, TypeError) as error:
        raise RunError(f"{where}: the card is damaged: {error!r} in it; {_GET_AGAIN}") from None
    came_hash = hashlib.sha256(tensors).hexdigest()
    if came_hash != wanted_hash:
        raise RunError(
            f"{where}: {name}.safetensors is damaged or of another release: its SHA-256 is {came_hash[:12]}, "
            f"the card's {str(wanted_hash)[:12]}; {_GET_AGAIN}"
        )


def read_stats(card: Json) -> PixelStats:
    """Read from a card what the network's images are standardised with."""
    return PixelStats(float(card["preprocessing"]["mean"]), float(card["preprocessing"]["std"]))


def _make_logits(
    config: ModelConfig, stats: PixelStats, tensors: bytes, *, classes: int, where: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Make the function from uint8 [N, 48, 48, 1] to logits float32 [N, C]."""
    model = make_model(config, DeviceConfig(kernels="plain"))
    blank = jnp.zeros((1, *fer2013.IMAGE_SHAPE))
    template = jax.eval_shape(lambda: model.init(jax_key(0, Stream.INIT), blank, is_training=False))
    variables = _restore(template, tensors, where=where)

    @jax.jit
    def predict(variables: Any, images: jax.Array) -> Any:
        return model.apply(variables, standardise(images, stats), is_training=False)

    def to_logits(images: np.ndarray) -> np.ndarray:
        # Sizes that are powers of two: a handful of compiled programs serves every N.
        size = min(_LARGEST_BATCH, 1 << max(0, len(images) - 1).bit_length())
        # A GPU's short cuts in precision would move single predictions away from the card's counts.
        with jax.default_matmul_precision("highest"):
            parts = [
                np.asarray(predict(variables, images[rows]))
                for rows, _ in in_order(np.arange(len(images)), size)
            ]
        return np.concatenate([*parts, np.empty((0, classes), np.float32)])[: len(images)]

    return to_logits


def _restore(template: Any, tensors: bytes, *, where: str) -> Any:
    """Read the tensors into the form of a template, as float32."""
    try:
        found = safetensors.numpy.load(tensors)
    except SafetensorError as error:
        raise RunError(f"{where}: the tensors cannot be read: {error}; {_GET_AGAIN}") from None
    wanted = {name: leaf.shape for name, leaf in flatten_dict(template, sep="/").items()}
    for name in sorted(wanted.keys() | found.keys()):
        want, came = wanted.get(name), found[name].shape if name in found else None
        if want != came:
            raise RunError(
                f"{where}: leaf {name} is {came or 'absent'}, the card's network wants {want or 'none'}; "
                f"{_GET_AGAIN}"
            )
    return unflatten_dict({name: jnp.asarray(leaf, jnp.float32) for name, leaf in found.items()}, sep="/")


def pack(variables: Json, *, dtype: str) -> bytes:
    """Turn weights and batch statistics into the bytes of a safetensors file.

    Args:
        variables: `params` and `batch_stats`, nested dicts.
        dtype: "float16" or "float32".

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
