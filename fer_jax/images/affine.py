"""Affine maps: rotations, scales, crops, shifts and flips as matrices, and a bilinear resampling."""

from typing import Any, Final

import numpy as np

from fer_jax import fer2013

SIDE: Final = fer2013.IMAGE_SHAPE[0]
_MIDDLE: Final = (SIDE - 1) / 2

_PLACE_BITS: Final = 20
"""A drawn map counts in 2**-20 pixels: the farthest point is off by less than 1/10000 pixel."""
_FRACTION_BITS: Final = 11
"""Fractions of a pixel are rounded to 2**-11: a gray level times two of them still fits into 32 bits."""
IDENTITY: Final = np.eye(2, 3, dtype=np.int32) << _PLACE_BITS


def rotation_map(rotation_deg: np.ndarray) -> np.ndarray:
    """Rotate about the middle by float [B] degrees counter-clockwise: float64 [B, 3, 3]."""
    angle = np.deg2rad(rotation_deg)
    maps = _identity_maps(len(angle))
    maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
    maps[:, 0, 1] = np.sin(angle)
    maps[:, 1, 0] = -maps[:, 0, 1]
    return maps


def scale_map(factors: np.ndarray) -> np.ndarray:
    """Scale about the middle by float [B, 2], factors of height and width, > 1 larger: float64 [B, 3, 3]."""
    maps = _identity_maps(len(factors))
    maps[:, 0, 0], maps[:, 1, 1] = 1 / factors.T
    return maps


def crop_map(crop: np.ndarray) -> np.ndarray:
    """Enlarge the squares of `draw_crop`, float [B, 3], to the full image: float64 [B, 3, 3]."""
    maps = _identity_maps(len(crop))
    maps[:, 0, 0] = maps[:, 1, 1] = crop[:, 0]
    maps[:, :2, 2] = crop[:, 1:]
    return maps


def shift_map(shift_px: np.ndarray) -> np.ndarray:
    """Shift by float [B, 2] pixels down and right: float64 [B, 3, 3]."""
    maps = _identity_maps(len(shift_px))
    maps[:, :2, 2] = -shift_px
    return maps


def flip_map(is_flipped: np.ndarray) -> np.ndarray:
    """Mirror the chosen images, bool [B], left and right: float64 [B, 3, 3]."""
    maps = _identity_maps(len(is_flipped))
    maps[:, 1, 1] = np.where(is_flipped, -1, 1)
    return maps


def _identity_maps(images: int) -> np.ndarray:
    return np.tile(np.eye(3), (images, 1, 1))


def round_maps(maps: np.ndarray) -> np.ndarray:
    """Round maps to the integers of `Draws.matrix`.

    Args:
        maps: float64 [B, 3, 3], of points counted from the middle of the image.

    Returns:
        int32 [B, 2, 3], of points counted from the first pixel, in 2**-20 pixels.

    >>> (round_maps(shift_map(np.array([[0.5, -3.0]]))) / 2**20).tolist()
    [[[1.0, 0.0, -0.5], [0.0, 1.0, 3.0]]]
    """
    from_first = maps[:, :2].copy()
    from_first[:, :, 2] += _MIDDLE - _MIDDLE * maps[:, :2, :2].sum(axis=2)
    return np.rint(from_first * 2**_PLACE_BITS).astype(np.int32)


def boxes_mask(boxes: Any) -> Any:
    """Mark the pixels in boxes int32 [B, 4] (top, left, height, width), NumPy or JAX: bool [B, 48, 48, 1]."""
    top, left, height, width = (boxes[:, k, None] for k in range(4))
    place = boxes.__array_namespace__().arange(SIDE)[None]
    is_row = (place >= top) & (place < top + height)
    is_column = (place >= left) & (place < left + width)
    return (is_row[:, :, None] & is_column[:, None, :])[..., None]


def resample(images: Any, matrix: Any) -> Any:
    """Resample each image through its map. Arrays as in `augment.apply`; all arithmetic is in int32."""
    xp = images.__array_namespace__()
    place = xp.arange(SIDE, dtype=xp.int32)[None]
    cut_bits = _PLACE_BITS - _FRACTION_BITS
    pixel = 2**_FRACTION_BITS

    def read_from(axis: int) -> tuple[Any, Any]:
        """Split the old points along an axis into the pixel before and the fraction to the next."""
        by_row, by_column, offset = (matrix[:, axis, k, None] for k in range(3))
        by_row, by_column = by_row * place + (offset + 2 ** (cut_bits - 1)), by_column * place
        old_place = (by_row[:, :, None] + by_column[:, None, :]) >> cut_bits
        old_place = xp.clip(old_place, 0, (SIDE - 1) * pixel)
        return old_place >> _FRACTION_BITS, old_place & (pixel - 1)

    row, down = read_from(0)
    column, right = read_from(1)
    index = row * SIDE + column
    index += xp.arange(len(images), dtype=xp.int32)[:, None, None] * fer2013.PIXEL_COUNT
    # The four bytes of one number are the gray levels of 2 × 2 neighbours, so that one lookup finds them all.
    # Beyond the last row or column it holds other pixels, which do not count: the fraction is 0.
    pixels = xp.pad(images.reshape(-1).astype(xp.int32), (0, SIDE + 1))
    side_by_side = pixels[:-1] | pixels[1:] << 8
    corners = xp.take(side_by_side[:-SIDE] | side_by_side[SIDE:] << 16, index, mode="clip")
    top, top_right, bottom, bottom_right = ((corners >> bits) & 255 for bits in (0, 8, 16, 24))
    gray = _between(_between(top, top_right, right), _between(bottom, bottom_right, right), down)
    gray += 2 ** (2 * _FRACTION_BITS - 1)
    return (gray >> 2 * _FRACTION_BITS).astype(xp.uint8)[..., None]


def _between(first: Any, second: Any, fraction: Any) -> Any:
    """Interpolate between two arrays, by a fraction in 2**-11; the result too. May overwrite both."""
    second -= first
    second *= fraction
    first *= 2**_FRACTION_BITS
    first += second
    return first
