"""How anything here predicts: a network run over images in evaluation mode, over views, and averaged.

A network predicts in float32 with plain kernels, whatever the run was trained in: then a run, the weights
released from it and an export of these give the same answers, on every device. (What a run's log says was
measured as it trained, and teachers answer as their student computes.)

A run and released weights are both a `Predictor`. An ensemble is a list of these whose logits are averaged;
a single network is an ensemble of one.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import LabelsConfig
from fer_jax.config.model import DeviceConfig, ModelConfig
from fer_jax.data.batches import in_order
from fer_jax.errors import RunError
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.images.view_choice import ViewChoice
from fer_jax.images.views import CHOICES, show
from fer_jax.models.cnn import LAST_LAYER, make_model
from fer_jax.randomness import Stream, jax_key

Advance = Callable[[float], None]
"""Called with the share of one pass over the images that a batch was; the shares of a pass add up to 1."""

LARGEST_BATCH: Final = 256
BATCHES_AHEAD: Final = 8
"""Batches that wait for the device: enough to keep it busy, few enough that the progress shown is true."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network with its weights: all that predicting takes.

    Attributes:
        model: the Linen module.
        names: of the C classes, in the order of the logits.
        variables: `params`, and `batch_stats` where it has batch norms.
        pixel_stats: of its training images.
    """

    model: nn.Module
    names: tuple[str, ...]
    variables: dict[str, Any]
    pixel_stats: PixelStats

    @property
    def classes(self) -> int:
        """C, the number of classes."""
        return len(self.names)


class Predictor(Protocol):
    """A network that can be measured: `run_weights.Trained` or `weights.Classifier`."""

    @property
    def network(self) -> Network:
        """The weights."""

    @property
    def own_labels(self) -> LabelsConfig:
        """The labels that it was trained on."""


def make_predicting_model(config: ModelConfig) -> nn.Module:
    """Build the network that a config describes, as it predicts: float32, plain kernels."""
    return make_model(config, DeviceConfig(kernels="plain"))


def describe_variables(model: nn.Module) -> dict[str, Any]:
    """List the variables of a network without drawing them.

    Returns:
        `params`, and `batch_stats` where it has batch norms: nested dicts of `jax.ShapeDtypeStruct`.
    """
    blank = jnp.zeros((1, *fer2013.IMAGE_SHAPE))
    shapes: dict[str, Any] = jax.eval_shape(
        lambda: model.init(jax_key(0, Stream.INIT), blank, is_training=False)
    )
    return shapes


def predict(
    network: Network, images: np.ndarray, *, advance: Advance = lambda share: None
) -> tuple[np.ndarray, np.ndarray]:
    """Run a network over images uint8 [N, 48, 48, 1]; `advance` is called after each batch.

    Returns:
        Logits float32 [N, C] and the last features float32 [N, D]: what the last layer sees, with the
        head `classes` the mean over the places.
    """
    # Sizes that are powers of two: a handful of compiled programs serves every N.
    size = min(LARGEST_BATCH, 1 << max(0, len(images) - 1).bit_length())
    batches = list(in_order(np.arange(len(images)), size))
    under_way: deque[tuple[jax.Array, jax.Array]] = deque()
    arrived: list[tuple[np.ndarray, np.ndarray]] = []

    def receive() -> None:
        logits, features = under_way.popleft()
        arrived.append((np.asarray(logits), np.asarray(features)))
        advance(1 / len(batches))

    # A GPU's shortcuts in precision would move single predictions away from those of a CPU.
    with jax.default_matmul_precision("highest"):
        for rows, _ in batches:
            under_way.append(
                _predict_batch(network.model, network.pixel_stats, network.variables, images[rows])
            )
            if len(under_way) > BATCHES_AHEAD:
                receive()
    while under_way:
        receive()
    if not arrived:
        return np.empty((0, network.classes), np.float32), np.empty((0, 0), np.float32)
    logits, features = (np.concatenate(parts) for parts in zip(*arrived, strict=True))
    return logits[: len(images)], features[: len(images)]


def predict_choices(
    network: Network,
    images: np.ndarray,
    choices: Iterable[ViewChoice],
    *,
    advance: Advance = lambda share: None,
) -> dict[ViewChoice, np.ndarray]:
    """Average the logits of images over the views of each choice; a view that several share is run once.

    Args:
        network: the weights.
        images: uint8 [N, 48, 48, 1].
        choices: keys of `views.CHOICES`.
        advance: called after each batch with its share of a view; there are `count_views(choices)` views.

    Returns:
        float64 [N, C] for each choice.
    """
    logits = {}
    for name in _list_views(choices):
        logits[name] = predict(network, show(images, name), advance=advance)[0].astype(np.float64)
    return {choice: np.mean([logits[name] for name in CHOICES[choice]], axis=0) for choice in choices}


def count_views(choices: Iterable[ViewChoice]) -> int:
    """Count the different views of some choices."""
    return len(_list_views(choices))


def _list_views(choices: Iterable[ViewChoice]) -> list[str]:
    return list(dict.fromkeys(name for choice in choices for name in CHOICES[choice]))


def predict_views(
    network: Network, images: np.ndarray, views: ViewChoice, *, advance: Advance = lambda share: None
) -> np.ndarray:
    """Average the logits of images over one choice of views: float64 [N, C]; see `predict_choices`."""
    return predict_choices(network, images, (views,), advance=advance)[views]


def average(logits: Sequence[np.ndarray], names: Sequence[object]) -> np.ndarray:
    """Average the logits of an ensemble's members, float64 [N, C] each; `names` are for messages.

    Raises:
        RunError: the members differ in the number of classes.
    """
    for name, each in zip(names, logits, strict=True):
        if each.shape != logits[0].shape:
            raise RunError(
                f"{name} tells {each.shape[1]} classes apart, and {names[0]} {logits[0].shape[1]}; "
                "name runs of as many classes"
            )
    mean: np.ndarray = np.mean(logits, axis=0)
    return mean


@partial(jax.jit, static_argnums=(0, 1))
def _predict_batch(
    model: nn.Module, pixel_stats: PixelStats, variables: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    seen: list[jax.Array] = []

    def watch(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.module.name == LAST_LAYER and context.method_name == "__call__":
            seen.append(args[0])
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        logits: Any = model.apply(variables, standardise(jnp.asarray(images), pixel_stats), is_training=False)
    features = seen[0].mean(axis=(1, 2)) if seen[0].ndim == 4 else seen[0]
    return logits, features.astype(jnp.float32)
