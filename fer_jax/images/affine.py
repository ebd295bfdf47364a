"""Affine maps of an image: rotate, scale, crop, shift and flip as matrices, and one bilinear resampling for all of them."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fer_jax import fer2013

if TYPE_CHECKING:
    pass

SIDE: Final = fer2013.IMAGE_SHAPE[0]
_MIDDLE: Final = (SIDE - 1) / 2

_PLACE_BITS: Final = 20
"""A drawn map counts in 2**-20 pixels: the farthest place is off by less than 1/10000 pixel."""
_WAY_BITS: Final = 11
"""The way from a pixel to the next is cut to 2**-11: a gray times two ways still fits into 32 bits."""
IDENTITY: Final = np.eye(2, 3, dtype=np.int32) << _PLACE_BITS


def rotation_map(rotation_deg: np.ndarray) -> np.ndarray:
    """Make the maps that turn a picture about its middle.

    Args:
        rotation_deg: float [B], degrees counter-clockwise.

    Returns:
        float64 [B, 3, 3].
    """
    angle = np.deg2rad(rotation_deg)
    maps = _identity_maps(len(angle))
    maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
    maps[:, 0, 1] = np.sin(angle)
    maps[:, 1, 0] = -maps[:, 0, 1]
    return maps


def scale_map(factors: np.ndarray) -> np.ndarray:
    """Make the maps that make a picture larger or smaller about its middle.

    Args:
        factors: float [B, 2], of the height and of the width; > 1 is larger.

    Returns:
        float64 [B, 3, 3].
    """
    maps = _identity_maps(len(factors))
    maps[:, 0, 0], maps[:, 1, 1] = 1 / factors.T
    return maps


def crop_map(crop: np.ndarray) -> np.ndarray:
    """Make the maps that stretch a square of a picture over the whole.

    Args:
        crop: float [B, 3], side (a fraction), row and column of the middle (pixels), as of `draw_crop`.

    Returns:
        float64 [B, 3, 3].
    """
    maps = _identity_maps(len(crop))
    maps[:, 0, 0] = maps[:, 1, 1] = crop[:, 0]
    maps[:, :2, 2] = crop[:, 1:]
    return maps


def shift_map(shift_px: np.ndarray) -> np.ndarray:
    """Make the maps that move a picture.

    Args:
        shift_px: float [B, 2], pixels down and pixels right.

    Returns:
        float64 [B, 3, 3].
    """
    maps = _identity_maps(len(shift_px))
    maps[:, :2, 2] = -shift_px
    return maps


def flip_map(is_flipped: np.ndarray) -> np.ndarray:
    """Make the maps that mirror a picture left and right.

    Args:
        is_flipped: bool [B].

    Returns:
        float64 [B, 3, 3].
    """
    maps = _identity_maps(len(is_flipped))
    maps[:, 1, 1] = np.where(is_flipped, -1, 1)
    return maps


def _identity_maps(images: int) -> np.ndarray:
    return np.tile(np.eye(3), (images, 1, 1))


def round_maps(maps: np.ndarray) -> np.ndarray:
    """Round maps to the integers of `Draws.matrix`.

    Args:
        maps: float64 [B, 3, 3], for places from the middle of the image.

    Returns:
        int32 [B, 2, 3], for places from the first pixel, in 2**-20 pixels.

    >>> (round_maps(shift_map(np.array([[0.5, -3.0]]))) / 2**20).tolist()
    [[[1.0, 0.0, -0.5], [0.0, 1.0, 3.0]]]
    """
    from_first = maps[:, :2].copy()
    from_first[:, :, 2] += _MIDDLE - _MIDDLE * maps[:, :2, :2].sum(axis=2)
    return np.rint(from_first * 2**_PLACE_BITS).astype(np.int32)


def resample(images: Any, matrix: Any) -> Any:
    """Show each image through its map. Arrays as in `apply`; every number is an int32."""
    xp = images.__array_namespace__()
    place = xp.arange(SIDE, dtype=xp.int32)
    cut_bits = _PLACE_BITS - _WAY_BITS
    whole = 2**_WAY_BITS

    def read_from(axis: int) -> tuple[Any, Any]:
        """Split the old places along an axis into the pixel before and the way from it to the next."""
        by_row, by_column, offset = (matrix[:, axis, k, None] for k in range(3))
        by_row, by_column = by_row * place + (offset + 2 ** (cut_bits - 1)), by_column * place
        old_place = by_row[:, :, None] + by_column[:, None, :]
        old_place >>= cut_bits
        old_place = xp.clip(old_place, 0, (SIDE - 1) * whole)
        return old_place >> _WAY_BITS, old_place & (whole - 1)

    row, down = read_from(0)
    column, right = read_from(1)
    index = row * SIDE
    index += column
    index += xp.arange(len(images), dtype=xp.int32)[:, None, None] * fer2013.PIXEL_COUNT
    # The four bytes of one number are the grays of 2 × 2 neighbours, so that they are found in one go. Beyond
    # the last row or column stands some other pixel, which counts for nothing: the way to it is 0.
    pixels = xp.pad(images.reshape(-1).astype(xp.int32), (0, SIDE + 1))
    side_by_side = pixels[:-1] | pixels[1:] << 8
    corners = xp.take(side_by_side[:-SIDE] | side_by_side[SIDE:] << 16, index, mode="clip")
    top, top_right, bottom, bottom_right = ((corners >> bits) & 255 for bits in (0, 8, 16, 24))
    gray = _between(_between(top, top_right, right), _between(bottom, bottom_right, right), down)
    gray += 2 ** (2 * _WAY_BITS - 1)
    return (gray >> 2 * _WAY_BITS).astype(xp.uint8)[..., None]


def _between(first: Any, second: Any, way: Any) -> Any:
    """Go part of the way from one number to another; in 2**-11 of their unit. May overwrite both."""
    second -= first
    second *= way
    first *= 2**_WAY_BITS
    first += second
    return first
