"""How programs that people install cut a face out of a photo, as rules on the same boxes.

Each rule keeps its geometry and gets our filter, our gray and our border, so that nothing else differs. None
rounds to whole pixels.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from fer_jax.faces import crop
from fer_jax.faces.crop import CONTRACT, SIDE_PX, Square

_POINTS: Final = np.array([[0.307, 0.387], [0.684, 0.387], [0.484, 0.597], [0.345, 0.763], [0.651, 0.763]])
"""Where YuNet finds eyes, nose and mouth in FER2013's crops, in the mean over Training images."""
_ROUND: Final = 1.5
"""Side of what is cut out before it is turned; a little more than a square's diagonal."""

Cut = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(picture uint8 [H, W, 3], box float64 [4], landmarks float64 [5, 2]) -> uint8 [48, 48, 1]."""


class Rule(NamedTuple):
    """A way to cut out a face.

    Attributes:
        words: what it does.
        source: who does so, and where that stands.
        cut: does it.
    """

    words: str
    source: str
    cut: Cut


def _stretch(image: np.ndarray, left: float, top: float, width: float, height: float) -> np.ndarray:
    """Cut a rectangle out and squash it to 48 × 48."""
    return _resample(image, (left, top, width, height), SIDE_PX, SIDE_PX)[..., None]


def _resample(
    image: np.ndarray, xywh: tuple[float, float, float, float], columns: int, rows: int
) -> np.ndarray:
    """Resample a rectangle to uint8 [rows, columns], as the crop contract does with a square."""
    left, top, width, height = xywh
    down, first_row = crop.resampling_matrix(top, height, image.shape[0], rows)
    across, first_column = crop.resampling_matrix(left, width, image.shape[1], columns)
    window = image[first_row : first_row + down.shape[1], first_column : first_column + across.shape[1]]
    gray = window if image.ndim == 2 else crop.to_gray(window, CONTRACT)
    return np.floor(np.clip((across @ (down @ gray.astype(np.float64)).T).T, 0, 255) + 0.5).astype(np.uint8)


def _cut_square(image: np.ndarray, xywh: np.ndarray, side: float) -> np.ndarray:
    """Cut out a square with the box's centre."""
    x, y, width, height = xywh
    return _stretch(image, x + (width - side) / 2, y + (height - side) / 2, side, side)


def _ours(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return crop.cut_out(image, crop.place_square(xywh, CONTRACT, scale=1.0), CONTRACT)


def _rmn(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return _cut_square(image, xywh, 1.1 * (xywh[2] + xywh[3]) / 2)


def _fer(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return _cut_square(image, xywh, max(xywh[2], xywh[3]) + 20)


def _squashed(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return _stretch(image, *xywh)


def _py_feat(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    reach = 1.2 * xywh[2:] / 2
    middle = xywh[:2] + xywh[2:] / 2
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach, (width, height))
    return _stretch(image, *low, *(high - low))


def _deepface(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    large = 224
    factor = large / max(xywh[2:])
    columns, rows = (max(1, int(factor * length)) for length in xywh[2:])
    padded = np.zeros((large, large), np.uint8)
    top, left = (large - rows) // 2, (large - columns) // 2
    padded[top : top + rows, left : left + columns] = _resample(image, tuple(xywh), columns, rows)
    return _resample(padded, (0, 0, large, large), SIDE_PX, SIDE_PX)[..., None]


def _wide(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return _cut_square(image, xywh, 1.2 * xywh[3])


def _similarity(image: np.ndarray, xywh: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Move, scale and turn the landmarks to where they are in FER2013, by least squares."""
    wanted, came = (points[:, 0] + 1j * points[:, 1] for points in (_POINTS, landmarks))
    offsets = wanted - wanted.mean()
    # came = turn · wanted + shift; a complex factor scales by its size and turns by its angle.
    turn = np.vdot(offsets, came - came.mean()) / np.vdot(offsets, offsets).real
    middle = came.mean() + turn * (0.5 + 0.5j - wanted.mean())
    side = float(abs(turn))
    round_side = _ROUND * side
    square = (middle.real - round_side / 2, middle.imag - round_side / 2, round_side, round_side)
    length = round(_ROUND * SIDE_PX)
    upright = Image.fromarray(_resample(image, square, length, length))
    cosine, sine = (turn / side).real, (turn / side).imag
    half = SIDE_PX / 2
    rows = (
        (cosine, -sine, length / 2 - half * (cosine - sine)),
        (sine, cosine, length / 2 - half * (sine + cosine)),
    )
    data = tuple(value for row in rows for value in row)
    size = (SIDE_PX, SIDE_PX)
    return np.asarray(upright.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC))[
        ..., None
    ]


RULES: Final[dict[str, Rule]] = {
    "contract": Rule(
        f"square, {CONTRACT.side_factor} · √(w · h), a little up", "fer_jax, the crop contract", _ours
    ),
    "rmn": Rule("square, 1.1 · (w + h) / 2", "rmn, `convert_to_square` in `rmn/__init__.py`", _rmn),
    "fer": Rule(
        "square, the longer side, and 10 px more on each side",
        "fer 25.10.3, `tosquare` and `offsets` in `fer/fer.py`",
        _fer,
    ),
    "deepface": Rule(
        "the box, black bars to 224 × 224, then 48 × 48",
        "deepface 0.0.103, `resize_image` in `deepface/modules/preprocessing.py`",
        _deepface,
    ),
    "emotiefflib": Rule(
        "the box, squashed",
        "emotiefflib and hsemotion-onnx 0.3.1, whose networks resize the box they are given",
        _squashed,
    ),
    "py-feat": Rule(
        "1.2 · the box, squashed",
        "py-feat, `extract_face_from_bbox_torch` with its default `expand_bbox=1.2`",
        _py_feat,
    ),
    "wide": Rule("square, 1.2 · h", "nobody's: what a wider square costs", _wide),
    "landmarks": Rule(
        "five landmarks, moved, scaled and turned to their usual places",
        "nobody's here: how networks that recognise faces are aligned",
        _similarity,
    ),
}
"""The rules by name; the first one is ours."""


def cut_known(image: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """Cut out the square that a face was pasted to, were its angle 0: uint8 [48, 48, 1]."""
    return crop.cut_out(image, Square(x - side / 2, y - side / 2, side), CONTRACT)
