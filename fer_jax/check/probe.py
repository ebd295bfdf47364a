"""Probe a network while it trains: the scale of each layer's outputs and gradients.

The layers are watched from outside (`nn.intercept_methods`), without changes to the model's code. A zero is
added to each layer's outputs, and the gradient with respect to that zero is the gradient at the outputs.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from fer_jax import fer2013
from fer_jax.config.training import LossConfig
from fer_jax.engine.losses import cross_entropy, weigh
from fer_jax.engine.step import Batch, prepare_batch
from fer_jax.images.standardise import PixelStats
from fer_jax.models.blocks import NOT_RECTIFIED
from fer_jax.models.summary import list_layers


class LayerSums(NamedTuple):
    """One layer on one batch: float32 [], except `is_active`, bool [units].

    Attributes:
        mean: of the outputs, before any ReLU.
        sd: of the outputs.
        zero_share: share of the outputs that are not above 0.
        is_active: whether the unit is above 0 for any image (and position).
        gradient_rms: root mean square of the objective's gradient at the outputs.
    """

    mean: Any
    sd: Any
    zero_share: Any
    is_active: Any
    gradient_rms: Any


class Probed(NamedTuple):
    """The result of probing one batch.

    Attributes:
        loss: float32 [], mean plain cross-entropy in training mode, in nats.
        grads: of the objective, with the structure of the weights.
        layers: by name, in the order of the forward pass.
    """

    loss: Any
    grads: Any
    layers: dict[str, LayerSums]


class LayerLook(NamedTuple):
    """One layer over several batches, in training mode; all but `dead_share` are means over the batches.

    Attributes:
        mean: of the outputs, before any ReLU.
        sd: of the outputs.
        zero_share: share of the outputs that the ReLU after the layer sets to 0; None without a ReLU.
        dead_share: share of its units (channels) that no image activates; None without a ReLU.
        gradient_rms: root mean square of the objective's gradient at the outputs.
    """

    mean: float
    sd: float
    zero_share: float | None
    dead_share: float | None
    gradient_rms: float


class Look(NamedTuple):
    """A network on some batches.

    Attributes:
        loss: mean plain cross-entropy in training mode, in nats.
        grads: of the objective of the first batch, by name such as "block1/conv/kernel"; NumPy arrays.
        layers: by name, in the order of the forward pass.
    """

    loss: float
    grads: dict[str, np.ndarray]
    layers: dict[str, LayerLook]

    @property
    def dead_shares(self) -> dict[str, float]:
        """The share of dead units of each layer with a ReLU."""
        return {name: each.dead_share for name, each in self.layers.items() if each.dead_share is not None}


Probe = Callable[[jax.Array, Any, Any, Batch], Probed]


def make_probe(
    model: nn.Module, loss: LossConfig, *, class_weights: np.ndarray, pixel_stats: PixelStats
) -> Probe:
    """Make the jitted probe of a training step: (dropout key, params, batch_stats, batch) -> measurements.

    The model needs plain kernels, since the fast ones bypass the layers; the class weights are float32 [C].
    """
    shapes = {layer.name: layer.output_shape for layer in list_layers(model)}

    def probe(key: jax.Array, params: Any, batch_stats: Any, batch: Batch) -> Probed:
        x, targets = prepare_batch(
            batch, pixel_stats, classes=len(class_weights), side_px=fer2013.IMAGE_SHAPE[0]
        )
        weights = weigh(batch.weights, targets, class_weights)

        def objective(params: Any, nudges: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
            outputs: dict[str, jax.Array] = {}

            def watch(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
                output, name = call(*args, **kwargs), "/".join(context.module.path)
                if context.method_name != "__call__" or name not in nudges:
                    return output
                outputs[name] = output + nudges[name].astype(output.dtype)
                return outputs[name]

            variables = {"params": params, "batch_stats": batch_stats}
            with nn.intercept_methods(watch):
                logits, _ = model.apply(
                    variables, x, is_training=True, rngs={"dropout": key}, mutable=["batch_stats"]
                )
            losses = cross_entropy(
                logits, targets, label_smoothing=loss.label_smoothing, focal_gamma=loss.focal_gamma
            )
            plain = cross_entropy(logits, targets, label_smoothing=0.0)
            plain_mean = (plain * batch.weights).sum() / batch.weights.sum()
            return (losses * weights).sum() / weights.sum(), (plain_mean, outputs)

        nudges = {name: jnp.zeros((len(x), *shape)) for name, shape in shapes.items()}
        (grads, slopes), (plain_mean, outputs) = jax.grad(objective, (0, 1), has_aux=True)(params, nudges)
        return Probed(plain_mean, grads, {name: _sum_up(outputs[name], slopes[name]) for name in shapes})

    jitted = jax.jit(probe)

    def probe_in_order(key: jax.Array, params: Any, batch_stats: Any, batch: Batch) -> Probed:
        probed = jitted(key, params, batch_stats, batch)
        return probed._replace(layers={name: probed.layers[name] for name in shapes})

    return probe_in_order


def _sum_up(output: jax.Array, slope: jax.Array) -> LayerSums:
    output = output.astype(jnp.float32)
    is_above = output > 0
    return LayerSums(
        mean=output.mean(),
        sd=output.std(),
        zero_share=1 - is_above.mean(),
        is_active=is_above.any(axis=tuple(range(output.ndim - 1))),
        gradient_rms=jnp.sqrt((slope * slope).mean()),
    )


def look(key: jax.Array, probe: Probe, params: Any, batch_stats: Any, batches: Sequence[Batch]) -> Look:
    """Probe several batches, at least one, and merge the results; the key is for dropout."""
    on_device = [
        probe(jax.random.fold_in(key, number), params, batch_stats, batch)
        for number, batch in enumerate(batches)
    ]
    names = list(on_device[0].layers)  # JAX sorts a dictionary that goes through it.
    probed = jax.device_get(on_device)
    grads = flatten_dict(probed[0].grads, sep="/")
    rectified = find_rectified(names, grads)
    return Look(
        loss=float(np.mean([each.loss for each in probed])),
        grads=grads,
        layers={
            name: _merge([each.layers[name] for each in probed], has_relu=name in rectified) for name in names
        },
    )


def _merge(sums: Sequence[LayerSums], *, has_relu: bool) -> LayerLook:
    is_active = np.any([each.is_active for each in sums], axis=0)
    mean, sd, zero_share, gradient_rms = (
        float(np.mean([getattr(each, name) for each in sums]))
        for name in ("mean", "sd", "zero_share", "gradient_rms")
    )
    dead_share = float(1 - is_active.mean())
    return LayerLook(
        mean, sd, zero_share if has_relu else None, dead_share if has_relu else None, gradient_rms
    )


def find_rectified(names: Sequence[str], leaves: Iterable[str]) -> set[str]:
    """Find the layers with a ReLU: all but the last; of a layer and its norm, the norm.

    Layers in residual and separable blocks without a ReLU of their own (`NOT_RECTIFIED`) are left out.

    Args:
        names: of the layers, in the order of the forward pass.
        leaves: names of the weights; a norm has a "scale".

    >>> leaves = ["conv/kernel", "norm/scale", "dense/kernel", "logits/kernel"]
    >>> sorted(find_rectified(["conv", "norm", "dense", "logits"], leaves))
    ['dense', 'norm']
    """
    norms = {leaf.removesuffix("/scale") for leaf in leaves if leaf.endswith("/scale")}
    return {
        name
        for name, after in itertools.pairwise(names)
        if after not in norms and name.split("/")[-1] not in NOT_RECTIFIED
    }


def measure_updates(before: Any, after: Any) -> dict[str, float]:
    """Compare a step's update with the weights: median |update| over median |weight| of each kernel.

    Biases and batch norms, which start from 0 or 1, are left out. A ratio is infinite if the weights are 0.

    >>> kernel = np.array([1.0, -2.0, 4.0])
    >>> measure_updates({"conv": {"kernel": kernel}}, {"conv": {"kernel": 0.5 * kernel}})
    {'conv': 0.5}
    """
    old, new = (flatten_dict(jax.device_get(tree), sep="/") for tree in (before, after))
    ratios = {}
    for name, kernel in old.items():
        if name.endswith("/kernel"):
            size = float(np.median(np.abs(kernel)))
            update = float(np.median(np.abs(new[name] - kernel)))
            ratios[name.removesuffix("/kernel")] = update / size if size else math.inf
    return ratios


def measure_agreement(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Compare two gradients, as in `Look.grads`: the cosine, -1..1, of each layer's kernel, NaN for a zero.

    >>> first = {"conv/kernel": np.array([[3.0, 4.0]]), "conv/bias": np.array([1.0])}
    >>> measure_agreement(first, {"conv/kernel": np.array([[4.0, 3.0]]), "conv/bias": np.array([-1.0])})
    {'conv': 0.96}
    """
    return {
        name.removesuffix("/kernel"): _cosine(one.ravel(), second[name].ravel())
        for name, one in first.items()
        if name.endswith("/kernel")
    }


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else math.nan
