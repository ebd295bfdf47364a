"""A network as a graph of ONNX operations, before it is written to a file.

Axes have two orders: the logical one of the JAX program, where images are [N, H, W, C], and the stored one of
ONNX, whose convolutions take [N, C, H, W]. An operation says in which order its output is stored, so an
array is transposed only where an operation needs another order than its input has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

Shape = tuple[int, ...]
"""Sizes of the axes, in logical order; the axis of the images has `BATCH`."""

BATCH: Final = -1
"""The size of an axis that is as long as there are images."""

CONVOLUTION: Final = "Conv"
DENSE: Final = "Gemm"


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation and, since each has a single output, its value.

    Attributes:
        kind: ONNX's name of the operation, such as "Relu"; "Input" is the graph's input.
        inputs: other operations, and constants in float64 or int64, with axes in stored order.
        attributes: of the ONNX operation.
        shape: of the output, in logical order.
        order: the logical axis at each place of the stored order.
    """

    kind: str
    inputs: "tuple[Value, ...]"
    shape: Shape
    order: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Operation):
    """A convolution or a dense layer, and a factor and a summand for each channel of its outputs.

    A batch norm behind it ends up in these.

    Attributes:
        source: what it is applied to; `inputs` are empty.
        kernel: float64, as ONNX has it: [C, C' / groups, H, W] of a convolution, [D, C] of a dense layer.
        channel_axis: logical axis of the channels, C of them.
        scale: float64 [C]; None: 1.
        offset: float64 [C], added after scaling; None: 0.
    """

    source: Operation
    kernel: np.ndarray
    channel_axis: int
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut(Operation):
    """Every `step`-th place of some axes.

    Attributes:
        source: what it is applied to.
        places: logical axis -> the first place, the step, and the number of places.
    """

    source: Operation
    places: Mapping[int, tuple[int, int, int]]


Value = Operation | np.ndarray
"""The output of an operation, or a constant: float64 or int64, with axes in logical order."""


def store(value: Operation, order: tuple[int, ...]) -> Operation:
    """Store the output of an operation in another order of its axes."""
    if value.order == order:
        return value
    places = [value.order.index(axis) for axis in order]
    return Operation("Transpose", (value,), value.shape, order, {"perm": places})


def store_constant(constant: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Store a constant in an order of axes; a scalar has none."""
    return constant.transpose(order) if constant.ndim else constant


def shift_and_scale(kind: str, value: Linear, constant: np.ndarray) -> Linear | None:
    """Apply an operation with a constant to a linear one: the same one with another scale and offset.

    Args:
        kind: "Add", "Sub" (the constant from the value), "Mul", "Div" (the value by the constant), or any
            other.
        value: the linear operation.
        constant: float64, in logical order.

    Returns:
        None for another kind, and where the constant is not one number for each channel.
    """
    axis = value.channel_axis
    others = [size for place, size in enumerate(constant.shape) if place != axis]
    if constant.ndim not in (0, len(value.shape)) or any(size != 1 for size in others):
        return None
    channels = value.shape[axis]
    numbers = np.broadcast_to(constant.reshape(-1), (channels,))
    scale = np.ones(channels) if value.scale is None else value.scale
    offset = np.zeros(channels) if value.offset is None else value.offset
    if kind in ("Add", "Sub"):
        return replace(value, offset=offset + numbers if kind == "Add" else offset - numbers)
    if kind not in ("Mul", "Div"):
        return None
    factors = numbers if kind == "Mul" else 1 / numbers
    return replace(value, scale=scale * factors, offset=None if value.offset is None else offset * factors)
