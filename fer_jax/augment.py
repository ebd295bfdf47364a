"""Augmentation: draw a few numbers an image, then apply them to the pixels.

`draw` alone sees randomness. It composes shift, rotation, crop and flip into one affine map an image, so
that `apply` interpolates each picture once. `apply` is one pure function for NumPy and JAX arrays alike.

A map takes a place in the new picture to the place in the old one where its gray comes from. Places are
(row, column) in pixels, (0, 0) being the middle of the image. Maps compose by `@`: `a @ b` is the picture
that `a` makes, changed by `b`.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from fer_jax import fer2013
from fer_jax.config import AugmentConfig

if TYPE_CHECKING:
    import jax

Array = TypeVar("Array", np.ndarray, "jax.Array")

ERASE_GRAY: Final = 128
"""Gray of an erased rectangle: about the mean of FER2013 (129), so nearly 0 once standardised."""

_SIDE: Final = fer2013.IMAGE_SHAPE[0]
_MIDDLE: Final = (_SIDE - 1) / 2
_MAX_ERASE_ASPECT: Final = 2.0


class Draws(NamedTuple):
    """What `draw` decided for B images; a pytree of arrays.

    Attributes:
        matrix: float32 [B, 2, 3], the affine map of each image: a new place (r, c) shows the old place
            `matrix @ (r, c, 1)`, in pixels from the middle.
        erase: int32 [B, 4], top, left, height, width of the grayed rectangle; size 0 for none.
    """

    matrix: Any
    erase: Any


def draw(rng: np.random.Generator, config: AugmentConfig, images: int) -> Draws:
    """Draw the augmentation of a batch: turned, then cropped, then shifted, then mirrored, then erased.

    Takes the same random values from `rng` whatever the config, so changing one probability or range
    leaves the other changes as they were.

    Args:
        rng: source of the randomness.
        config: ranges and probabilities.
        images: how many images, B.

    Returns:
        NumPy arrays, float32 [B, 2, 3] and int32 [B, 4].

    >>> draws = draw(np.random.default_rng(0), AugmentConfig(flip_probability=1.0), 2)
    >>> draws.matrix[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
    >>> draws.erase.tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0]]
    """
    maps = (
        rotation_map(draw_rotation(rng, config, images))
        @ crop_map(draw_crop(rng, config, images))
        @ shift_map(draw_shift(rng, config, images))
        @ flip_map(draw_flip(rng, config, images))
    )
    return Draws(matrix=maps[:, :2].astype(np.float32), erase=draw_erase(rng, config, images))


def draw_rotation(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw turns, uniform to either side.

    Returns:
        float64 [B], degrees counter-clockwise; 0 for none.
    """
    is_on = rng.random(images) < config.rotate_probability
    return is_on * config.max_rotation_deg * rng.uniform(-1, 1, images)


def draw_crop(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw squares inside the image, uniform in side and then in place.

    Returns:
        float64 [B, 3]: side as a fraction of the image's; row and column of the square's middle, in
        pixels from the image's middle. (1, 0, 0) is the whole image.
    """
    is_on = rng.random(images) < config.crop_probability
    scale = 1 - is_on * (1 - config.min_crop_scale) * rng.random(images)
    room_px = (1 - scale) * _SIDE / 2
    middle_px = room_px[:, None] * rng.uniform(-1, 1, (images, 2))
    return np.column_stack([scale, middle_px])


def draw_shift(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw shifts, uniform along each axis.

    Returns:
        float64 [B, 2], pixels down and pixels right; 0 for none.
    """
    is_on = rng.random(images) < config.shift_probability
    return is_on[:, None] * config.max_shift_px * rng.uniform(-1, 1, (images, 2))


def draw_flip(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw which images to mirror.

    Returns:
        bool [B].
    """
    return rng.random(images) < config.flip_probability


def draw_erase(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw rectangles inside the image: uniform in area, log-uniform in aspect (1:2 to 2:1), then in place.

    Returns:
        int32 [B, 4], top, left, height, width in pixels; all 0 for none. Sides round down, to 1 at least.
    """
    is_on = rng.random(images) < config.erase_probability
    area_px = config.max_erase_fraction * fer2013.PIXEL_COUNT * rng.random(images)
    aspect = _MAX_ERASE_ASPECT ** rng.uniform(-1, 1, images)
    height_width = np.sqrt(np.column_stack([area_px * aspect, area_px / aspect]))
    size = np.clip(np.floor(height_width), 1, _SIDE)
    corner = np.floor((_SIDE + 1 - size) * rng.random((images, 2)))
    return (is_on[:, None] * np.hstack([corner, size])).astype(np.int32)


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


def apply(images: Array, draws: Draws) -> Array:
    """Apply drawn augmentation to images. Deterministic; may be traced by `jax.jit`.

    Grays between pixels are bilinear in float32, rounded to nearest; beyond the picture its edge pixels
    go on. NumPy and JAX agree to within one gray level.

    Args:
        images: uint8 [B, 48, 48, 1], NumPy or JAX.
        draws: of B images, arrays of the same library.

    Returns:
        uint8 [B, 48, 48, 1]. Images with an identity map keep each bit outside the erased rectangle.
    """
    # A traced matrix has no values to look at yet, so only NumPy can skip the work.
    is_identity = isinstance(draws.matrix, np.ndarray) and (draws.matrix == np.eye(2, 3)).all()
    return _erase(images if is_identity else _resample(images, draws.matrix), draws.erase)


def _resample(images: Any, matrix: Any) -> Any:
    """Show each image through its map. Arrays as in `apply`."""
    xp = images.__array_namespace__()
    place = xp.arange(_SIDE, dtype=xp.float32) - _MIDDLE

    def read_from(axis: int) -> tuple[Any, Any]:
        """Split the old places along an axis into the pixel before and the way from it to the next."""
        by_row, by_column, offset = (matrix[:, axis, k, None] for k in range(3))
        by_row, by_column = by_row * place + (offset + _MIDDLE), by_column * place
        old_place = xp.clip(by_row[:, :, None] + by_column[:, None, :], 0, _SIDE - 1)
        # The last pixel is read as the one before it plus a whole way, so that there is always a next one.
        before = xp.minimum(xp.floor(old_place), _SIDE - 2)
        return before, old_place - before

    row, down = read_from(0)
    column, right = read_from(1)
    first_pixel = xp.arange(len(images))[:, None, None] * fer2013.PIXEL_COUNT
    index = first_pixel + (row * _SIDE + column).astype(int)
    # One index into four views of the pixels, each starting at another corner of the 2 × 2 neighbours.
    pixels = images.reshape(-1).astype(xp.float32)
    corners = (xp.take(pixels[start:], index, mode="clip") for start in (0, 1, _SIDE, _SIDE + 1))
    top_left, top_right, bottom_left, bottom_right = corners
    top = top_left + (top_right - top_left) * right
    bottom = bottom_left + (bottom_right - bottom_left) * right
    gray = top + (bottom - top) * down
    return (gray + 0.5).astype(xp.uint8)[..., None]


def _erase(images: Any, erase: Any) -> Any:
    """Gray out each image's rectangle. Arrays as in `apply`."""
    xp = images.__array_namespace__()
    top, left, height, width = (erase[:, k, None] for k in range(4))
    place = xp.arange(_SIDE)
    is_row = (place >= top) & (place < top + height)
    is_column = (place >= left) & (place < left + width)
    is_erased = is_row[:, :, None] & is_column[:, None, :]
    return xp.where(is_erased[..., None], xp.uint8(ERASE_GRAY), images)
