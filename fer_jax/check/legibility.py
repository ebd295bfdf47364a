"""What augmentation leaves of a face: how much is still visible, how upright it is, how many gray levels."""

from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.images.augment import Draws
from fer_jax.images.tones import GRAYS

_PLACE_UNIT_PX: Final = 2.0**-20
"""The unit of `Draws.matrix`."""


def measure_lost_shares(draws: Draws) -> np.ndarray:
    """Measure how much of each image augmentation removes: moved out of the frame, or erased.

    Args:
        draws: of B images, NumPy arrays.

    Returns:
        float64 [B], share in 0..1 of the original pixels that the new image does not show.

    >>> from fer_jax.images.augment import round_maps, shift_map
    >>> maps = round_maps(shift_map(np.array([[12.0, 0.0]])))
    >>> measure_lost_shares(Draws(maps, np.zeros((1, 4), np.int32))).tolist()
    [0.25]
    """
    side = fer2013.IMAGE_SHAPE[0]
    maps = draws.matrix * _PLACE_UNIT_PX
    row, column = (axis.ravel() for axis in np.indices((side, side)))
    from_offset = np.stack([row, column]) - maps[:, :, 2:]
    # The frame ends half a pixel beyond the outer pixels. Rounding removes numerical noise.
    new = np.round(np.linalg.inv(maps[:, :, :2]) @ from_offset, 3)
    is_seen = ((new >= -0.5) & (new < side - 0.5)).all(axis=1)
    corner, size = draws.erase[:, :2, None], draws.erase[:, 2:, None]
    is_erased = ((new >= corner - 0.5) & (new < corner + size - 0.5)).all(axis=1)
    return 1 - (is_seen & ~is_erased).mean(axis=1)


def measure_turns(draws: Draws) -> np.ndarray:
    """Measure the rotation of each image; float64 [B], degrees in 0..180."""
    # Mirroring changes only the second column of the map.
    return np.abs(np.rad2deg(np.arctan2(-draws.matrix[:, 1, 0], draws.matrix[:, 0, 0])))


def measure_gray_levels(draws: Draws) -> np.ndarray:
    """Measure how many of the gray levels of each image stay distinct; float64 [B], share in 0..1.

    >>> faded = np.stack([np.arange(256), np.arange(256) // 4]).astype(np.uint8)
    >>> measure_gray_levels(Draws(np.zeros((2, 2, 3)), np.zeros((2, 4)), tones=faded)).tolist()
    [1.0, 0.25]
    """
    if draws.tones is None:
        return np.ones(len(draws.matrix))
    # A table is monotone, so each new value is a step up.
    return (1 + (np.diff(draws.tones.astype(int)) > 0).sum(axis=1)) / GRAYS
