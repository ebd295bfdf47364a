"""An ONNX model in int8: quantised statically, with the ranges of its activations measured on faces.

Activations are uint8, weights int8 with a scale for each channel, and at most 64. Processors without VNNI add
pairs of products in 16 bits, where 2 · 255 · 64 fits and 2 · 255 · 127 does not: with the quantiser's default
settings such sums saturate, and many predictions are wrong.
"""

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from fer_jax.export import onnx_file
from fer_jax.export.onnx_file import INPUT

BATCH: Final = 64
LARGEST_WEIGHT: Final = 64
"""Of absolute values, in the reduced range."""


def quantise(
    model: Any, faces: np.ndarray, *, metadata: Mapping[str, str], advance: Callable[[float], None]
) -> Any:
    """Quantise an ONNX model.

    Args:
        model: `onnx.ModelProto` in float32, from `onnx_file.build`.
        faces: to measure the ranges on, uint8 [M, 48, 48, 1], M >= 1.
        metadata: what the model says about itself.
        advance: called with the size of each batch of faces.

    Returns:
        `onnx.ModelProto` with the same input and outputs.
    """
    from onnx import helper
    from onnxruntime.quantization import QuantType

    options = {
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "per_channel": True,
        "reduce_range": True,
    }
    quantised = quantise_with(model, faces, options, advance=advance)
    helper.set_model_props(quantised, dict(metadata))
    quantised.graph.input[0].doc_string = model.graph.input[0].doc_string
    onnx_file.check(quantised)
    return quantised


def quantise_with(
    model: Any, faces: np.ndarray, options: Mapping[str, Any], *, advance: Callable[[float], None]
) -> Any:
    """Quantise a model with options of `onnxruntime.quantization.quantize_static`; none: its defaults."""
    import onnx
    from onnxruntime.quantization import QuantFormat, quant_pre_process, quantize_static

    with tempfile.TemporaryDirectory() as folder, _quiet():
        whole, prepared, quantised = (Path(folder) / f"{name}.onnx" for name in ("whole", "prepared", "int8"))
        # As files: the quantiser moves the numbers of a model that it is handed out of it.
        onnx.save(model, str(whole))
        # The inference of symbolic shapes needs SymPy, and these shapes are known.
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        reader = _Reader(faces, advance)
        quantize_static(str(prepared), str(quantised), reader, quant_format=QuantFormat.QDQ, **options)
        return onnx.load(str(quantised))


class _Reader:
    """What the quantiser reads its batches from: any object with this method."""

    def __init__(self, faces: np.ndarray, advance: Callable[[float], None]) -> None:
        self._batches = iter(np.split(faces, range(BATCH, len(faces), BATCH)))
        self._advance = advance

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        self._advance(len(batch))
        return {INPUT: batch}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back the quantiser's advice, which goes to the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
