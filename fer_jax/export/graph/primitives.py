"""JAX's primitives as ONNX operations: those that our networks consist of, and no others."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from fer_jax.errors import ConfigError
from fer_jax.export.graph.constants import COMPUTED
from fer_jax.export.graph.operations import (
    BATCH,
    CONVOLUTION,
    DENSE,
    Cut,
    Linear,
    Operation,
    Shape,
    Value,
    shift_and_scale,
    store,
    store_constant,
)

FLOAT: Final = 1
"""ONNX's number of float32."""

CALLS: Final = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}
"""Primitives that call another program, and the parameter that holds it."""

_BINARY: Final = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max"}
_INSTEAD: Final = "--to stablehlo exports every network"


def translate_equation(equation: Any, inputs: Sequence[Value]) -> Value:
    """Translate one equation of a jaxpr.

    Args:
        equation: a `jax.extend.core.JaxprEqn` with one output.
        inputs: the values of its inputs.

    Returns:
        A constant where all inputs are constants.

    Raises:
        ConfigError: there is no translation of this primitive, or of this use of it.
    """
    name, params = equation.primitive.name, equation.params
    shape = tuple(size if isinstance(size, int) else BATCH for size in equation.outvars[0].aval.shape)
    constants = [each for each in inputs if isinstance(each, np.ndarray)]
    if len(constants) == len(inputs) and name in COMPUTED:
        return COMPUTED[name](params, *constants)
    if name in _BINARY and len(constants) < 2:
        return _combine(_BINARY[name], inputs[0], inputs[1], shape)
    first = inputs[0] if inputs else None
    if name not in _TRANSLATED or not isinstance(first, Operation):
        raise ConfigError(
            f"the network has the operation {name!r}, which cannot be exported to ONNX; these can: "
            f"{', '.join(list_primitives())}; {_INSTEAD}"
        )
    return _TRANSLATED[name](params, first, inputs[1:], shape)


def list_primitives() -> list[str]:
    """List the names of the primitives that can be exported."""
    return sorted({*_TRANSLATED, *_BINARY, *COMPUTED, *CALLS})


def _refuse(name: str, what: str) -> ConfigError:
    return ConfigError(
        f"the network has the operation {name!r} {what}, which cannot be exported to ONNX; {_INSTEAD}"
    )


def _combine(kind: str, left: Value, right: Value, shape: Shape) -> Operation:
    """Translate an operation of two values: with as many axes, a size of 1 fits any, or one a scalar."""
    if kind in ("Add", "Mul", "Max") and isinstance(left, np.ndarray):
        left, right = right, left
    if isinstance(left, Operation) and isinstance(right, np.ndarray):
        if kind == "Max" and right.ndim == 0 and right == 0:
            return Operation("Relu", (left,), shape, left.order)
        moved = shift_and_scale(kind, left, right) if isinstance(left, Linear) else None
        if moved is not None:
            return moved
    pooled = _find_pooling(left, right, shape) if kind == "Max" else None
    if pooled is not None:
        return pooled
    order = next(each.order for each in (left, right) if isinstance(each, Operation))
    stored = tuple(
        store(each, order) if isinstance(each, Operation) else store_constant(each, order)
        for each in (left, right)
    )
    return Operation(kind, stored, shape, order)


def _find_pooling(left: Value, right: Value, shape: Shape) -> Operation | None:
    """Recognise the maximum of each two neighbours, as `models.pooling.max_pool_2x2` takes it."""
    if not isinstance(left, Cut) or not isinstance(right, Cut) or left.source is not right.source:
        return None
    source, axes = left.source, list(left.places)
    place = source.order.index(axes[0])
    half = source.shape[axes[0]] // 2
    is_pair = (dict(left.places), dict(right.places)) == ({axes[0]: (0, 2, half)}, {axes[0]: (1, 2, half)})
    if not is_pair or len(shape) != 4 or place < 2:
        return None
    window = [2 if each == place else 1 for each in (2, 3)]
    if source.kind == "MaxPool" and source.attributes["kernel_shape"] == window[::-1]:
        # Of pairs of rows, then of columns: one window of 2 × 2.
        return Operation("MaxPool", source.inputs, shape, source.order, _windows([2, 2]))
    return Operation("MaxPool", (source,), shape, source.order, _windows(window))


def _windows(window: list[int]) -> dict[str, list[int]]:
    return {"kernel_shape": window, "strides": window}


def _convolve(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    (kernel,) = others
    dimensions = params["dimension_numbers"]
    if not isinstance(kernel, np.ndarray):
        raise _refuse("conv_general_dilated", "with a kernel that is no parameter")
    if set(params["lhs_dilation"]) != {1} or params["batch_group_count"] != 1:
        raise _refuse("conv_general_dilated", "with a dilated input or groups of images")
    kernel = kernel.transpose(dimensions.rhs_spec)
    attributes = {
        "kernel_shape": list(kernel.shape[2:]),
        "strides": list(params["window_strides"]),
        "dilations": list(params["rhs_dilation"]),
        "pads": [before for before, _ in params["padding"]] + [after for _, after in params["padding"]],
        "group": params["feature_group_count"],
    }
    return Linear(
        CONVOLUTION,
        (),
        shape,
        tuple(dimensions.out_spec),
        attributes,
        source=store(x, tuple(dimensions.lhs_spec)),
        kernel=kernel,
        channel_axis=dimensions.out_spec[1],
    )


def _multiply_matrices(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    (kernel,) = others
    is_dense = isinstance(kernel, np.ndarray) and len(x.shape) == kernel.ndim == 2
    wanted = (((1,), (0,)), ((), ()))
    if not is_dense or tuple(tuple(map(tuple, pair)) for pair in params["dimension_numbers"]) != wanted:
        raise _refuse("dot_general", "other than features times a matrix of parameters")
    return Linear(
        DENSE, (), shape, (0, 1), source=store(x, (0, 1)), kernel=np.asarray(kernel), channel_axis=1
    )


def _sum_up(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    axes = params["axes"]
    places = np.array([place for place, axis in enumerate(x.order) if axis in axes], np.int64)
    # The axes that are left are numbered anew.
    left = [axis for axis in range(len(x.order)) if axis not in axes]
    order = tuple(left.index(axis) for axis in x.order if axis not in axes)
    return Operation("ReduceSum", (x, places), shape, order, {"keepdims": 0})


def _broadcast(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    dimensions = params["broadcast_dimensions"]
    new = tuple(axis for axis in range(len(shape)) if axis not in dimensions)
    if any(shape[axis] != 1 for axis in new) or tuple(shape[axis] for axis in dimensions) != x.shape:
        raise _refuse("broadcast_in_dim", "to other sizes than 1")
    # New axes come last: then a weight for each channel is stored as convolutions store their channels.
    order = (*(dimensions[axis] for axis in x.order), *new)
    return Operation("Unsqueeze", (x, np.arange(len(x.order), len(shape))), shape, order)


def _reshape(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    if params["dimensions"] is not None or shape[0] != x.shape[0] or BATCH in shape[1:]:
        raise _refuse("reshape", "of the axis of the images")
    # 0: the size that this axis has.
    sizes = np.array([0, *shape[1:]], np.int64)
    return Operation("Reshape", (store(x, _in_order(x.shape)), sizes), shape, _in_order(shape))


def _in_order(shape: Shape) -> tuple[int, ...]:
    return tuple(range(len(shape)))


def _concatenate(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    parts = [each for each in others if isinstance(each, Operation)]
    if len(parts) < len(others):
        raise _refuse("concatenate", "of activations with parameters")
    stored = (x, *(store(each, x.order) for each in parts))
    return Operation("Concat", stored, shape, x.order, {"axis": x.order.index(params["dimension"])})


def _slice(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    steps = params["strides"] or (1,) * len(shape)
    starts = [start if isinstance(start, int) else BATCH for start in params["start_indices"]]
    places = {
        axis: (start, step, size)
        for axis, (start, step, size) in enumerate(zip(starts, steps, shape, strict=True))
        if (start, step, size) != (0, 1, x.shape[axis])
    }
    return _cut(x, places, shape)


def _gather(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    """Translate the gather that `x[:, ::2]` becomes where the number of images is not known."""
    (indices,) = others
    numbers = params["dimension_numbers"]
    axes = tuple(numbers.start_index_map)
    kept = tuple(axis for axis in _in_order(shape) if axis not in axes)
    if (
        not isinstance(indices, np.ndarray)
        or (tuple(numbers.collapsed_slice_dims), tuple(numbers.offset_dims)) != (axes, kept)
        or indices.shape != (*(shape[axis] for axis in axes), len(axes))
    ):
        raise _refuse("gather", _OTHER_PLACES)
    places = {}
    for number, axis in enumerate(axes):
        chosen = np.moveaxis(indices[..., number], number, 0).reshape(shape[axis], -1)
        first = int(chosen[0, 0])
        step = int(chosen[1, 0]) - first if len(chosen) > 1 else 1
        wanted = first + step * np.arange(len(chosen))
        if step < 1 or (chosen != wanted[:, None]).any() or first < 0 or wanted[-1] >= x.shape[axis]:
            raise _refuse("gather", _OTHER_PLACES)
        places[axis] = (first, step, len(chosen))
    return _cut(x, places, shape)


_OTHER_PLACES: Final = "of other places than every n-th"


def _cut(x: Operation, places: dict[int, tuple[int, int, int]], shape: Shape) -> Operation:
    if BATCH in (number for each in places.values() for number in each) or 0 in places:
        raise _refuse("slice", "of the images")
    if not places:
        return x
    starts, steps, sizes = (np.array(each, np.int64) for each in zip(*places.values(), strict=True))
    axes = np.array([x.order.index(axis) for axis in places], np.int64)
    stops = starts + steps * (sizes - 1) + 1
    return Cut("Slice", (x, starts, stops, axes, steps), shape, x.order, source=x, places=places)


def _convert(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    dtype = np.dtype(params["new_dtype"])
    if dtype != np.float32:
        raise _refuse("convert_element_type", f"to {dtype}")
    return Operation("Cast", (x,), shape, x.order, {"to": FLOAT})


def _squash(params: Any, x: Operation, others: Sequence[Value], shape: Shape) -> Operation:
    return Operation("Sigmoid", (x,), shape, x.order)


_TRANSLATED: Final[dict[str, Callable[[Any, Operation, Sequence[Value], Shape], Operation]]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolve,
    "convert_element_type": _convert,
    "dot_general": _multiply_matrices,
    "gather": _gather,
    "logistic": _squash,
    "reduce_sum": _sum_up,
    "reshape": _reshape,
    "slice": _slice,
}
