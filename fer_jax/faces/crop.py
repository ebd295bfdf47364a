"""The crop contract: which square around a face a network sees, and how it becomes 48 × 48 gray pixels.

Whoever runs an exported network elsewhere has to cut faces out in the same way. The contract is therefore
stored beside the weights, has a version, and takes a few lines in any language: the square is resampled by
two small matrices, and what lies outside the picture repeats the pixels at its border.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from fer_jax import fer2013
from fer_jax.faces.choices import PhotoViews

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SIDE_PX: Final = fer2013.IMAGE_SHAPE[0]
_LOBES: Final = 3


@dataclass(frozen=True)
class CropContract:
    """From a picture and a face's box (x, y, w, h) to what a network sees.

    The factor and the shift are medians over FER2013's Training images pasted into scenes, without their
    labels: from YuNet's box, the square gives back the image (`python -m benchmarks.photos.geometry`).

    Attributes:
        version: of these rules.
        side_factor: the square's side is this · √(w · h).
        shift_down: the square's centre lies this share of its side below the centre of the box.
        side_px: height and width of the result.
        gray: weights of red, green and blue; gray = (weights · RGB + 32768) >> 16, as Pillow's mode L.
        filter: Lanczos with three lobes, widened when the square shrinks, computed in float64 and rounded
            half up to 0..255 once at the end.
        border: pixels outside the picture repeat the nearest one inside.
    """

    version: int = 1
    side_factor: float = 1.08
    shift_down: float = -0.01
    side_px: int = SIDE_PX
    gray: tuple[int, int, int] = (19595, 38470, 7471)
    filter: Literal["lanczos3"] = "lanczos3"
    border: Literal["replicate"] = "replicate"


CONTRACT: Final = CropContract()
"""The present version; `preprocessing.contract` of a card has that of its weights."""


SCALES: Final[dict[PhotoViews, tuple[float, ...]]] = {
    "photo": (0.9, 1.0, 1.1),
    "flip": (1.0,),
    "single": (1.0,),
}
"""Views -> the sizes of the squares that a network sees of a face, relative to the contract's. "photo" and
"flip" show their mirror images too."""


@dataclass(frozen=True)
class Square:
    """A square in a picture; its left and top edge and its side, in pixels."""

    left: float
    top: float
    side: float

    def is_inside(self, height: int, width: int) -> bool:
        """Whether all of it lies in a picture of this size."""
        return (
            self.left >= 0
            and self.top >= 0
            and self.left + self.side <= width
            and self.top + self.side <= height
        )


def place_square(xywh: np.ndarray, contract: CropContract, *, scale: float) -> Square:
    """Place the square of a face's box; `scale` enlarges it around its centre."""
    x, y, width, height = map(float, xywh)
    side = contract.side_factor * math.sqrt(width * height)
    middle_x, middle_y = x + width / 2, y + height / 2 + contract.shift_down * side
    side *= scale
    return Square(middle_x - side / 2, middle_y - side / 2, side)


def cut_out(image: np.ndarray, square: Square, contract: CropContract) -> np.ndarray:
    """Cut a square out of a picture.

    Args:
        image: uint8 [H, W, 3] RGB.
        square: may leave the picture.
        contract: how.

    Returns:
        uint8 [48, 48, 1].
    """
    height, width = image.shape[:2]
    down, top = resampling_matrix(square.top, square.side, height, contract.side_px)
    across, left = resampling_matrix(square.left, square.side, width, contract.side_px)
    window = image[top : top + down.shape[1], left : left + across.shape[1]]
    gray = to_gray(window, contract).astype(np.float64)
    # Sparse products stay on one thread; threads of BLAS would get in the way of the network's.
    resampled = np.floor(np.clip((across @ (down @ gray).T).T, 0, 255) + 0.5)
    return resampled.astype(np.uint8)[..., None]


def resampling_matrix(start: float, length: float, pixels: int, outputs: int) -> "tuple[csr_array, int]":
    """Make the matrix that resamples a stretch of a row of pixels.

    Args:
        start: where the stretch begins, in pixels; may be outside.
        length: of the stretch, in pixels.
        pixels: length of the whole row.
        outputs: how many pixels to make of the stretch.

    Returns:
        A sparse matrix float64 [outputs, n], each row with the sum 1, and the index of the first of the n
        pixels of the row that it is for.

    >>> resampling_matrix(0.0, 2.0, 2, 2)[0].toarray().round(6)
    array([[1., 0.],
           [0., 1.]])
    """
    from scipy.sparse import csr_array  # SciPy takes a moment, and the options need this module too.

    step = length / outputs
    reach = _LOBES * max(step, 1.0)
    centres = start + (np.arange(outputs) + 0.5) * step
    taps = np.floor(centres - reach).astype(int)[:, None] + np.arange(math.ceil(2 * reach) + 1)
    distances = (taps + 0.5 - centres[:, None]) / max(step, 1.0)
    weights = np.where(np.abs(distances) < _LOBES, np.sinc(distances) * np.sinc(distances / _LOBES), 0.0)
    inside = np.clip(taps, 0, pixels - 1)
    first = int(inside[0, 0])
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(outputs), taps.shape[1])
    shape = (outputs, int(inside[-1, -1]) - first + 1)
    # Weights of the same place, as there are at a border, add up.
    return csr_array((weights.ravel(), (rows, (inside - first).ravel())), shape=shape), first


def to_gray(image: np.ndarray, contract: CropContract) -> np.ndarray:
    """Turn uint8 [..., 3] RGB into gray levels uint8 [...]; exactly Pillow's `convert("L")`."""
    sums = image.astype(np.uint32) @ np.array(contract.gray, np.uint32)
    return ((sums + 32768) >> 16).astype(np.uint8)
