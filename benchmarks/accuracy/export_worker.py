"""Run an ONNX model over faces with ONNX Runtime and nothing else: also on a processor that is emulated.

python export_worker.py MODEL FACES.npy LOGITS.npy
"""

import sys

import numpy as np
import onnxruntime

BATCH = 32


def main(model: str, faces: str, logits: str) -> None:
    """Write the logits float32 [N, C] of faces uint8 [N, 48, 48, 1]; one thread."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    images = np.load(faces)
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    np.save(logits, np.concatenate([session.run(["logits"], {"images": batch})[0] for batch in batches]))


if __name__ == "__main__":
    main(*sys.argv[1:])
