"""The parts of a config's train step, and the least FLOP and bytes that each needs for a batch.

`benchmarks.roofline.jax_parts` and `benchmarks.roofline.torch_parts` implement them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.randomness import Stream, numpy_rng

NUMBER_BYTES = 4
"""Everything is float32."""
NAMES = (
    "convolution",
    "convolution by input",
    "convolution by kernel",
    "rest",
    "rest gradient",
    "product",
    "product by input",
    "product by kernel",
    "update",
)
"""The kinds of parts: a layer's forward pass and its gradients, the rest of a block, the optimizer."""

INPUT, KERNEL, GRADIENT = range(3)
"""What an array is used for; arrays of the same shape and use are one array, to save memory."""

Place = Callable[[int, tuple[int, ...]], Any]
"""Puts the array of a use and a shape on the device."""


class Conv(NamedTuple):
    """A block, and the shape of its input: [B, side, side, inputs]."""

    name: str
    block: ConvBlock
    side: int
    inputs: int

    @property
    def pooled_side(self) -> int:
        """The side of its output."""
        return self.side // 2 if self.block.pool else self.side


class Dense(NamedTuple):
    """A dense layer: [B, inputs] to [B, outputs]."""

    name: str
    inputs: int
    outputs: int


class Operation(NamedTuple):
    """A part of the train step, or the measurement of the memory bandwidth.

    Attributes:
        layer: `block1`, ..., `dense`, `logits`; `optimizer`; `memory`.
        name: one of `NAMES`; `scale` for the memory.
        flop: additions, multiplications, maxima and the like on floats, for the batch.
        byte: the least that is moved: each input read once and each output written once.
    """

    layer: str
    name: str
    flop: int
    byte: int


class Call(NamedTuple):
    """An implementation of an operation.

    Attributes:
        layer: of the operation.
        name: of the operation.
        method: `JAX` and `PyTorch` are the ones in the train steps; others are alternatives.
        run: runs it once and returns an array or a list of arrays, perhaps not computed yet.
    """

    layer: str
    name: str
    method: str
    run: Callable[[], Any]


class Parts(NamedTuple):
    """The calls of one library.

    Attributes:
        calls: all of them.
        wait: waits until a result is computed.
        device: where they run.
    """

    calls: list[Call]
    wait: Callable[[Any], Any]
    device: str


def list_convs(model: ModelConfig) -> list[Conv]:
    """List the blocks with the shapes of their inputs."""
    convs: list[Conv] = []
    side, inputs = fer2013.IMAGE_SHAPE[1:]
    for number, block in enumerate(model.blocks, 1):
        convs.append(Conv(f"block{number}", block, side, inputs))
        side, inputs = convs[-1].pooled_side, block.features
    return convs


def list_denses(model: ModelConfig) -> list[Dense]:
    """List the dense layers."""
    last = list_convs(model)[-1]
    inputs = last.block.features * (last.pooled_side**2 if model.head == "flatten" else 1)
    if not model.dense_features:
        return [Dense("logits", inputs, fer2013.CLASS_COUNT)]
    hidden = Dense("dense", inputs, model.dense_features)
    return [hidden, Dense("logits", hidden.outputs, fer2013.CLASS_COUNT)]


def list_operations(config: Config, *, batch_size: int, scale_numbers: int) -> list[Operation]:
    """List the parts of the train step, and `y = 2 x`, which measures the memory bandwidth.

    Convolutions are counted as computed directly, with their padding. Left out because they are small:
    standardising the pixels, ReLU and dropout of the dense layers, and the loss.
    """
    operations, parameters = [], 0
    for conv in list_convs(config.model):
        operations += _count_conv(conv, batch_size)
        norm_parameters = 2 if conv.block.batch_norm else 1
        parameters += conv.block.features * (9 * conv.inputs + norm_parameters)
    for dense in list_denses(config.model):
        sizes = (batch_size * dense.inputs, dense.inputs * dense.outputs, batch_size * dense.outputs)
        flop, byte = 2 * batch_size * dense.inputs * dense.outputs, NUMBER_BYTES * sum(sizes)
        operations += [Operation(dense.name, name, flop, byte) for name in NAMES[5:8]]
        parameters += dense.outputs * (dense.inputs + 1)
    operations.append(_count_update(config.optimizer, parameters))
    return [*operations, Operation("memory", "scale", scale_numbers, 2 * NUMBER_BYTES * scale_numbers)]


def _count_conv(conv: Conv, batch_size: int) -> list[Operation]:
    block = conv.block
    places = batch_size * conv.side**2
    before = places * block.features
    after = before // (4 if block.pool else 1)
    flop = 2 * 9 * conv.inputs * before
    byte = NUMBER_BYTES * (places * conv.inputs + 9 * conv.inputs * block.features + before)
    # Batch norm: two sums and a square for the moments, and the scaling. Then offset, ReLU, three maxima per
    # window, scaling by dropout. Backward: mask, two sums, one of them of products with the normalised
    # input; for each input two products and two sums.
    norm, drop = 4 * before * block.batch_norm, bool(block.dropout_rate)
    rest_flop = norm + after * (2 + 3 * block.pool + drop)
    gradient_flop = norm + after * (2 + 4 * block.batch_norm + drop)
    # The pixels need no gradient.
    names = [name for name in NAMES[:3] if conv.inputs > 1 or name != "convolution by input"]
    return [
        *(Operation(conv.name, name, flop, byte) for name in names),
        Operation(conv.name, "rest", rest_flop, NUMBER_BYTES * (before + after)),
        Operation(conv.name, "rest gradient", gradient_flop, NUMBER_BYTES * (2 * before + after)),
    ]


def _count_update(optimizer: OptimizerConfig, parameters: int) -> Operation:
    # Each state is read and written like the parameters; the gradient is only read.
    is_sgd = optimizer.name == "sgd"
    states = (1 if optimizer.momentum else 0) if is_sgd else 2
    flop = 2 + 2 * states if is_sgd else 14
    flop += 2 * bool(optimizer.l2 or optimizer.weight_decay) + 2 * bool(optimizer.clip_norm)
    return Operation(
        "optimizer", "update", flop * parameters, NUMBER_BYTES * (2 * (1 + states) + 1) * parameters
    )


def make_array(use: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draw standard normal float32 numbers, the same in each process."""
    return numpy_rng(0, Stream.INIT, use, *shape).standard_normal(shape, np.float32)
