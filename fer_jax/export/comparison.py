"""An export against the network it was made from: the same faces, both logits."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import jax
import numpy as np

from fer_jax import fer2013
from fer_jax.errors import FerJaxError
from fer_jax.export.onnx_file import INPUT, OUTPUTS
from fer_jax.files import Json
from fer_jax.inference.predictor import LARGEST_BATCH

Program = Callable[[np.ndarray], np.ndarray]
"""An export that runs: images uint8 [N, 48, 48, 1] -> logits float32 [N, C]."""

MOST_ROUNDING: Final = 1e-3
"""How far the logits of a file that computes in float32 may be off, where the largest of them is 1."""
MOST_ROUNDED_KERNELS: Final = 5e-2
"""The same where kernels of float32 are stored in float16."""
MOST_CHANGED: Final = 0.1
"""Share of predictions that int8 may change. Saturated sums change a third or more."""

_ADVICE: Final = "update onnxruntime and jax, and report it if it happens again"


def open_onnx(model: bytes) -> Program:
    """Load an ONNX model into ONNX Runtime, on the CPU.

    Raises:
        FerJaxError: it refuses the model.
    """
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # Its errors have no class in common.
        raise FerJaxError(f"ONNX Runtime refuses the model: {error}; {_ADVICE}") from None
    return lambda images: session.run([OUTPUTS[0]], {INPUT: images})[0]


def is_rounded_by_half(params: Mapping[str, Any]) -> bool:
    """Whether kernels change if they are stored in float16: not those of released weights, which are.

    Args:
        params: nested, float32; those with two or more axes are kernels.
    """
    kernels = (np.asarray(each) for each in jax.tree.leaves(params) if np.ndim(each) > 1)
    return any(not np.array_equal(each, each.astype(np.float16)) for each in kernels)


def run(program: Program, images: np.ndarray, *, advance: Callable[[float], None]) -> np.ndarray:
    """Run an export over images uint8 [N, 48, 48, 1]; `advance` is called with the size of each batch."""
    parts = []
    for start in range(0, len(images), LARGEST_BATCH):
        batch = images[start : start + LARGEST_BATCH]
        parts.append(program(batch))
        advance(len(batch))
    return np.concatenate(parts)


def compare(reference: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> Json:
    """Compare an export's logits with those of the network.

    Args:
        reference: float [N, C], of the network in JAX.
        logits: float [N, C], of the export.
        labels: int32 [N]; faces that are `fer2013.UNLABELLED` count for no accuracy.

    Returns:
        For JSON: `faces`, `largest_difference` of a logit and `largest_logit`, `changed`, how many
        predictions are others, `total` labelled faces, and `correct` of them `network` and `export`; None
        for a difference that is not finite.

    >>> compare(np.array([[0.0, 1.0]]), np.array([[0.5, 0.0]]), np.array([1]))["changed"]
    1
    """
    is_counted = labels != fer2013.UNLABELLED
    difference, largest = float(np.abs(logits - reference).max()), float(np.abs(reference).max())
    right = {
        name: int((each.argmax(axis=1) == labels)[is_counted].sum())
        for name, each in (("network", reference), ("export", logits))
    }
    return {
        "faces": len(labels),
        "largest_difference": difference if np.isfinite(difference) else None,
        "largest_logit": largest,
        "changed": int((logits.argmax(axis=1) != reference.argmax(axis=1)).sum()),
        "total": int(is_counted.sum()),
        "correct": right,
    }


def refuse_other(result: Json, *, name: str, limit: float | None) -> None:
    """Refuse an export that is not what the network is.

    Args:
        result: from `compare`.
        name: of the file.
        limit: of the difference, where the largest logit is at most 1; None for int8, of which the changed
            predictions count.

    Raises:
        FerJaxError: it differs by more than rounding explains.
    """
    difference, changed, faces = result["largest_difference"], result["changed"], result["faces"]
    allowed = None if limit is None else limit * max(1.0, result["largest_logit"])
    if difference is None:
        raise FerJaxError(f"{name}: a logit of it, or of the network, is not finite; nothing was written")
    if allowed is not None and difference > allowed:
        raise FerJaxError(
            f"{name}: a logit differs from the network's by {difference:.2g}, wanted at most {allowed:.2g}; "
            f"nothing was written; {_ADVICE}"
        )
    if allowed is None and changed > MOST_CHANGED * faces:
        raise FerJaxError(
            f"{name}: {changed:,} of {faces:,} predictions changed, wanted at most {MOST_CHANGED:.0%}; "
            "nothing was written; calibrate on faces like those you will use (--data, --calibration-faces), "
            "or use --to onnx --dtype float16"
        )
