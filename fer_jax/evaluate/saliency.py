"""Saliency maps: which parts of a face are evidence for a class, by Grad-CAM and by the input gradient.

Both work on any network of `models` as it is: `nn.intercept_methods` sees the outputs of the network's direct
submodules, and the last of them that still has spatial dimensions, logits aside, is that of the last
convolution block. The network runs in evaluation mode, so an image's map does not depend on its batch.
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


class _Output(NamedTuple):
    """A spatial output of a direct submodule: its number among these, its shape and dtype."""

    number: int
    form: jax.ShapeDtypeStruct


@partial(jax.jit, static_argnames=("model", "pixel_stats"))
def grad_cam(
    model: nn.Module, variables: Any, images: Any, classes: Any, *, pixel_stats: PixelStats
) -> jax.Array:
    """Compute where the last convolution block finds evidence for a class: Grad-CAM.

    Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization",
    equations 1 and 2: each of the block's maps is weighted by the spatial mean of the gradient of the
    class's logit, and the positive part of their sum is kept.

    Args:
        model: maps standardised float32 [B, 48, 48, 1] to logits, with `is_training` as keyword.
        variables: `params` and `batch_stats`.
        images: uint8 [B, 48, 48, 1].
        classes: int [B], 0..C-1: the class that each map explains.
        pixel_stats: of the training images.

    Returns:
        float32 [B, 48, 48], resized bilinearly to the face's size, then divided by each image's maximum:
        0..1, or all 0 if there is no evidence for the class.

    Raises:
        ConfigError: no direct submodule of the network has an output [B, H, W, C].
    """
    x = standardise(jnp.asarray(images), pixel_stats)
    last = _find_last_maps(model, variables, x)

    def score(added: jax.Array) -> tuple[jax.Array, jax.Array]:
        seen: list[jax.Array] = []

        def visit(number: int, maps: jax.Array) -> jax.Array:
            if number != last.number:
                return maps
            seen.append(maps)
            return maps + added

        return _chosen(_run(model, variables, x, visit), classes), seen[0]

    # Adding zeros changes nothing, and the gradient with respect to them is that of the maps.
    gradient, maps = jax.grad(score, has_aux=True)(jnp.zeros(last.form.shape, last.form.dtype))
    weights = gradient.astype(jnp.float32).mean(axis=(1, 2), keepdims=True)
    heat = jax.nn.relu((weights * maps.astype(jnp.float32)).sum(axis=-1))
    return _scale(jax.image.resize(heat, (len(x), *fer2013.IMAGE_SHAPE[:2]), "bilinear"))


@partial(jax.jit, static_argnames=("model", "pixel_stats"))
def input_gradients(
    model: nn.Module, variables: Any, images: Any, classes: Any, *, pixel_stats: PixelStats
) -> jax.Array:
    """Compute which pixels move a class's logit most: the absolute gradient with respect to the input.

    Simonyan et al. 2013, "Deep inside convolutional networks: visualising image classification models and
    saliency maps", section 3. The gradient is not multiplied by the input: a pixel of the mean gray is 0
    after standardising, and would vanish however much the logit depends on it. Arguments as in `grad_cam`.

    Returns:
        float32 [B, 48, 48], divided by each image's maximum: 0..1, or all 0 if no pixel matters.
    """

    def score(x: jax.Array) -> jax.Array:
        return _chosen(model.apply(variables, x, is_training=False), classes)

    gradient = jax.grad(score)(standardise(jnp.asarray(images), pixel_stats))
    return _scale(jnp.abs(gradient[..., 0]))


def _chosen(logits: Any, classes: Any) -> jax.Array:
    """Sum the chosen logits of all images; each image's gradient of the sum is that of its own logit."""
    return jnp.take_along_axis(logits, jnp.asarray(classes)[:, None], axis=1).sum()


def _run(model: nn.Module, variables: Any, x: jax.Array, visit: Callable[[int, jax.Array], jax.Array]) -> Any:
    """Run the network; `visit` may change each output [B, H, W, C] of a direct submodule."""
    numbers = count()

    def intercept(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **kwargs)
        is_direct = len(context.module.path) == 1 and context.method_name == "__call__"
        # With the head `classes` the logits are spatial too, but there each class has a map of its own.
        is_direct &= context.module.name != LAST_LAYER
        is_spatial = getattr(output, "ndim", 0) == 4
        return visit(next(numbers), output) if is_direct and is_spatial else output

    with nn.intercept_methods(intercept):
        return model.apply(variables, x, is_training=False)


def _find_last_maps(model: nn.Module, variables: Any, x: jax.Array) -> _Output:
    outputs: list[_Output] = []

    def visit(number: int, maps: jax.Array) -> jax.Array:
        outputs.append(_Output(number, jax.ShapeDtypeStruct(maps.shape, maps.dtype)))
        return maps

    jax.eval_shape(lambda: _run(model, variables, x, visit))
    if not outputs:
        raise ConfigError(
            f"Grad-CAM needs a direct submodule of {type(model).__name__} with an output [B, H, W, C], "
            "and there is none: is it a convolutional network?"
        )
    return outputs[-1]


def _scale(heat: jax.Array) -> jax.Array:
    """Divide each map, [B, 48, 48] and >= 0, by its maximum; a map of zeros stays."""
    largest = heat.max(axis=(1, 2), keepdims=True)
    return heat / jnp.where(largest > 0, largest, 1)
