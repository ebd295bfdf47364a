"""Saliency maps: which places of a face speak for a class, as Grad-CAM and as the gradient of each pixel.

Both read any network of `models` as it is: `nn.intercept_methods` sees the outputs of the modules directly
below it, and the last of them that still has places, logits aside, is the last convolution block. It runs in
evaluation mode, so each image's map is its own, whatever else is in the batch.
"""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax import fer2013
from fer_jax.errors import ConfigError
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.models.cnn import LAST_LAYER


class _Place(NamedTuple):
    """An output of a module directly below the network: its number among those with places, and its form."""

    number: int
    form: jax.ShapeDtypeStruct


@partial(jax.jit, static_argnames=("model", "pixel_stats"))
def grad_cam(
    model: nn.Module, variables: Any, images: Any, classes: Any, *, pixel_stats: PixelStats
) -> jax.Array:
    """Say where the last convolution block found what speaks for a class: Grad-CAM.

    Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization",
    equations 1 and 2: each of the block's maps is weighted by the mean over its places of the gradient of
    the class's logit, and what is positive in their sum is kept.

    Args:
        model: maps standardised float32 [B, 48, 48, 1] to logits, with `is_training` as keyword.
        variables: `params` and `batch_stats`.
        images: uint8 [B, 48, 48, 1].
        classes: int [B], 0..C-1: whose logit each map explains.
        pixel_stats: of the training images.

    Returns:
        float32 [B, 48, 48], brought to the face's size bilinearly, then divided by each image's largest
        value: 0..1, or all 0 where nothing speaks for the class.

    Raises:
        ConfigError: no module directly below the network has an output [B, H, W, C].
    """
    x = standardise(jnp.asarray(images), pixel_stats)
    place = _find_last_maps(model, variables, x)

    def score(added: jax.Array) -> tuple[jax.Array, jax.Array]:
        seen: list[jax.Array] = []

        def visit(number: int, maps: jax.Array) -> jax.Array:
            if number != place.number:
                return maps
            seen.append(maps)
            return maps + added

        return _chosen(_run(model, variables, x, visit), classes), seen[0]

    # Zeros change nothing, and the gradient by them is the gradient by the maps.
    gradient, maps = jax.grad(score, has_aux=True)(jnp.zeros(place.form.shape, place.form.dtype))
    weights = gradient.astype(jnp.float32).mean(axis=(1, 2), keepdims=True)
    heat = jax.nn.relu((weights * maps.astype(jnp.float32)).sum(axis=-1))
    return _scale(jax.image.resize(heat, (len(x), *fer2013.IMAGE_SHAPE[:2]), "bilinear"))


@partial(jax.jit, static_argnames=("model", "pixel_stats"))
def input_gradients(
    model: nn.Module, variables: Any, images: Any, classes: Any, *, pixel_stats: PixelStats
) -> jax.Array:
    """Say which pixels move a class's logit most: the absolute gradient by the input.

    Simonyan et al. 2013, "Deep inside convolutional networks: visualising image classification models and
    saliency maps", section 3. The gradient is not multiplied by the input: a pixel of the mean gray is 0
    after standardising, and would vanish however much the logit hangs on it.

    Args:
        model: see `grad_cam`.
        variables: `params` and `batch_stats`.
        images: uint8 [B, 48, 48, 1].
        classes: int [B], 0..C-1: whose logit is followed.
        pixel_stats: of the training images.

    Returns:
        float32 [B, 48, 48], divided by each image's largest value: 0..1, or all 0 where no pixel counts.
    """

    def score(x: jax.Array) -> jax.Array:
        return _chosen(model.apply(variables, x, is_training=False), classes)

    gradient = jax.grad(score)(standardise(jnp.asarray(images), pixel_stats))
    return _scale(jnp.abs(gradient[..., 0]))


def _chosen(logits: Any, classes: Any) -> jax.Array:
    """Add up each image's logit of its class: an image's gradient of the sum is that of its own logit."""
    return jnp.take_along_axis(logits, jnp.asarray(classes)[:, None], axis=1).sum()


def _run(model: nn.Module, variables: Any, x: jax.Array, visit: Callable[[int, jax.Array], jax.Array]) -> Any:
    """Run the network; `visit` may change each [B, H, W, C] that a module directly below it gives."""
    numbers = count()

    def intercept(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **kwargs)
        is_below = len(context.module.path) == 1 and context.method_name == "__call__"
        # With the head `classes` the logits have places, but each class has a map of its own there.
        is_below &= context.module.name != LAST_LAYER
        has_places = getattr(output, "ndim", 0) == 4
        return visit(next(numbers), output) if is_below and has_places else output

    with nn.intercept_methods(intercept):
        return model.apply(variables, x, is_training=False)


def _find_last_maps(model: nn.Module, variables: Any, x: jax.Array) -> _Place:
    places: list[_Place] = []

    def visit(number: int, maps: jax.Array) -> jax.Array:
        places.append(_Place(number, jax.ShapeDtypeStruct(maps.shape, maps.dtype)))
        return maps

    jax.eval_shape(lambda: _run(model, variables, x, visit))
    if not places:
        raise ConfigError(
            f"Grad-CAM needs an output [B, H, W, C] of a module directly below {type(model).__name__}, "
            "and there is none: is it a network of convolutions?"
        )
    return places[-1]


def _scale(heat: jax.Array) -> jax.Array:
    """Divide each map, [B, 48, 48] and >= 0, by its largest value; a map of zeros stays."""
    largest = heat.max(axis=(1, 2), keepdims=True)
    return heat / jnp.where(largest > 0, largest, 1)
