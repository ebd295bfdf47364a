"""A graph of operations as an ONNX model: nodes, stored numbers, metadata, and ONNX's own checker.

ONNX is an extra, and imported where it is needed.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.errors import FerJaxError
from fer_jax.export.graph.operations import CONVOLUTION, Linear, Operation, Value
from fer_jax.export.graph.primitives import FLOAT
from fer_jax.export.graph.translation import BATCH_AXIS
from fer_jax.export.options import StoredDtype

OPSET: Final = 17
IR_VERSION: Final = 8
"""The version of the file format that came with opset 17: runtimes since 2022 read it."""

INPUT: Final = "images"
OUTPUTS: Final = ("logits", "probabilities")


class _Node(NamedTuple):
    """A node of the file: ONNX's name of the operation, names of its inputs and output, attributes."""

    kind: str
    inputs: list[str]
    output: str
    attributes: Mapping[str, Any]


class _Writer:
    """Lists the nodes and stored arrays of a graph: each operation once, after its inputs."""

    def __init__(self, dtype: StoredDtype) -> None:
        self.nodes: list[_Node] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._is_half = dtype == "float16"
        self._names: dict[int, str] = {}

    def write(self, value: Operation, name: str | None = None) -> str:
        """Write an operation after those that it needs, and return the name of its output."""
        if value.kind == "Input":
            return INPUT
        if id(value) not in self._names:
            if isinstance(value, Linear):
                self._names[id(value)] = self._write_linear(value, name)
            else:
                inputs = [self._write_input(each) for each in value.inputs]
                self._names[id(value)] = self._add(value.kind, inputs, value.attributes, name)
        return self._names[id(value)]

    def _write_input(self, value: Value) -> str:
        return self._store(value) if isinstance(value, np.ndarray) else self.write(value)

    def _write_linear(self, value: Linear, name: str | None) -> str:
        """Write a convolution or a dense layer, with its scale and offset in the kernel and the bias.

        A scaled kernel would be rounded once more in float16: there both follow as nodes, which runtimes
        fold when they load the file.
        """
        is_conv = value.kind == CONVOLUTION
        by_channel = (-1, 1, 1) if is_conv else (-1,)
        kernel, scale, offset = value.kernel, value.scale, value.offset
        inputs = [self.write(value.source)]
        if scale is not None and self._is_half:
            product = self._add(value.kind, [*inputs, self._store_kernel(kernel)], value.attributes)
            product = self._add("Mul", [product, self._store(scale.reshape(by_channel))], {})
            offset = np.zeros(len(scale)) if offset is None else offset
            return self._add("Add", [product, self._store(offset.reshape(by_channel))], {}, name)
        if scale is not None:
            kernel = kernel * (scale.reshape(-1, 1, 1, 1) if is_conv else scale)
        inputs.append(self._store_kernel(kernel))
        if offset is not None:
            inputs.append(self._store(offset))
        return self._add(value.kind, inputs, value.attributes, name)

    def _add(
        self, kind: str, inputs: list[str], attributes: Mapping[str, Any], name: str | None = None
    ) -> str:
        output = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(_Node(kind, inputs, output, attributes))
        return output

    def _store(self, constant: np.ndarray) -> str:
        name = f"constant_{len(self.arrays)}"
        dtype = np.int64 if constant.dtype == np.int64 else np.float32
        self.arrays[name] = np.ascontiguousarray(constant, dtype)
        return name

    def _store_kernel(self, kernel: np.ndarray) -> str:
        if not self._is_half:
            return self._store(kernel)
        name = f"constant_{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(kernel, np.float16)
        return self._add("Cast", [name], {"to": FLOAT})


def build(logits: Operation, *, dtype: StoredDtype, metadata: Mapping[str, str], version: str) -> Any:
    """Build the ONNX model of a network, and check it.

    Args:
        logits: float32 [N, C], from `translation.translate`.
        dtype: how kernels are stored; everything is computed in float32. In float16 no batch norm is folded
            into them: the kernels of released weights stay what they are.
        metadata: what the model says about itself.
        version: of fer_jax.

    Returns:
        `onnx.ModelProto` with the input `images` uint8 [N, 48, 48, 1], N >= 1, and the outputs `logits` and
        `probabilities` float32 [N, C].
    """
    from onnx import TensorProto, helper, numpy_helper

    writer = _Writer(dtype)
    probabilities = Operation("Softmax", (logits,), logits.shape, logits.order, {"axis": 1})
    for value, name in zip((logits, probabilities), OUTPUTS, strict=True):
        writer.write(value, name)
    # ONNX Runtime crashes on an empty batch in int8.
    words = f"gray levels of {BATCH_AXIS} >= 1 cropped faces"
    images = helper.make_tensor_value_info(
        INPUT, TensorProto.UINT8, [BATCH_AXIS, *fer2013.IMAGE_SHAPE], words
    )
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH_AXIS, logits.shape[1]])
        for name in OUTPUTS
    ]
    nodes = [
        helper.make_node(each.kind, each.inputs, [each.output], name=f"node_{each.output}", **each.attributes)
        for each in writer.nodes
    ]
    arrays = [numpy_helper.from_array(array, name) for name, array in writer.arrays.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "fer_jax", [images], outputs, arrays),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fer_jax",
        producer_version=version,
    )
    helper.set_model_props(model, dict(metadata))
    check(model)
    return model


def check(model: Any) -> None:
    """Check an `onnx.ModelProto` with ONNX's checker and its inference of shapes.

    Raises:
        FerJaxError: it is not valid.
    """
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise FerJaxError(f"ONNX's checker refuses the model: {error}; report it") from None
