"""Convert a StableHLO program to TFLite and run it over faces, in an environment without fer_jax.

python tflite_worker.py PROGRAM.mlir FACES.npy MODEL.tflite LOGITS.npy
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np


def convert(program: str) -> bytes:
    """Convert the text of a StableHLO module whose function `main` maps one face to logits."""
    from litert_converter import converter_api_ext as converter
    from litert_converter.mlir import ir, passmanager

    context = ir.Context()
    converter.prepare_mlir_context(context)
    with context:
        module = ir.Module.parse(program)
        converter.set_signature(module.operation, "serving_default", ["images"], ["logits"])
        passes = passmanager.PassManager()
        converter.run_convert_to_tfl_passes(module, passes, converter.ConvertToTFLConfig())
        content: bytes = converter.export_flatbuffer_to_bytes(module.operation)
    return content


def run(model: bytes, faces: np.ndarray) -> np.ndarray:
    """Run a TFLite model over faces uint8 [N, 48, 48, 1], one by one: logits float32 [N, C]."""
    from ai_edge_litert.interpreter import Interpreter

    runner: Any = Interpreter(model_content=model).get_signature_runner("serving_default")
    return np.concatenate([runner(images=face[None])["logits"] for face in faces])


def main(program: str, faces: str, model: str, logits: str) -> None:
    """Convert, run, and write both."""
    converted = convert(Path(program).read_text(encoding="utf-8"))
    Path(model).write_bytes(converted)
    np.save(logits, run(converted, np.load(faces)))


if __name__ == "__main__":
    main(*sys.argv[1:])
