"""The layers of a network: name, output shape, parameters and multiply-accumulates of each."""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax import fer2013
from fer_jax.randomness import Stream, jax_key


class Layer(NamedTuple):
    """One layer, for one image.

    Attributes:
        name: path of the layer, such as `block1/conv`.
        output_shape: without the batch axis.
        parameters: trained numbers; running statistics are not counted.
        macs: multiply-accumulates of the forward pass of one image; convolutions and dense layers only.
    """

    name: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


def list_layers(model: nn.Module) -> list[Layer]:
    """List a model's convolutions, batch norms and dense layers in the order of its forward pass."""
    layers: list[Layer] = []

    def record(next_call: Any, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
        output = next_call(*args, **kwargs)
        module = context.module
        if context.method_name == "__call__" and isinstance(module, nn.Conv | nn.Dense | nn.BatchNorm):
            shapes = {name: leaf.shape for name, leaf in module.variables["params"].items()}
            parameters, shape = sum(map(math.prod, shapes.values())), output.shape[1:]
            # Each output number is a sum over the kernel's inputs: all its axes but the last.
            terms = math.prod(shapes["kernel"][:-1]) if "kernel" in shapes else 0
            layers.append(Layer("/".join(module.path), shape, parameters, math.prod(shape) * terms))
        return output

    def forward() -> Any:
        with nn.intercept_methods(record):
            return model.init(
                jax_key(0, Stream.INIT), jnp.zeros((1, *fer2013.IMAGE_SHAPE)), is_training=False
            )

    jax.eval_shape(forward)
    return layers
