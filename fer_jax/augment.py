"""Augmentation: draw a few numbers an image, then apply them to the pixels.

`draw` alone sees randomness. It composes rotation, zoom, stretch, crop, shift and flip into one affine map an
image, so that `apply` interpolates each picture once; what happens to the grays is in `tones`. `apply` is one
pure function for NumPy and JAX arrays alike.

A map takes a place in the new picture to the place in the old one where its gray comes from. Places are
(row, column) in pixels, (0, 0) being the middle of the image. Maps compose by `@`: `a @ b` is the picture
that `a` makes, changed by `b`.

Once drawn, a map is rounded to integers, and `apply` computes with nothing else. Floats would come out
differently on different machines: a compiler may fuse a product and a sum, and then rounds once, not twice.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from fer_jax import fer2013, tones
from fer_jax.config_augment import AugmentConfig

if TYPE_CHECKING:
    import jax

Array = TypeVar("Array", np.ndarray, "jax.Array")

ERASE_GRAY: Final = 128
"""Gray of an erased rectangle: about the mean of FER2013 (129), so nearly 0 once standardised."""

_SIDE: Final = fer2013.IMAGE_SHAPE[0]
_MIDDLE: Final = (_SIDE - 1) / 2
_MAX_ERASE_ASPECT: Final = 2.0

_PLACE_BITS: Final = 20
"""A drawn map counts in 2**-20 pixels: the farthest place is off by less than 1/10000 pixel."""
_WAY_BITS: Final = 11
"""The way from a pixel to the next is cut to 2**-11: a gray times two ways still fits into 32 bits."""
_IDENTITY: Final = np.eye(2, 3, dtype=np.int32) << _PLACE_BITS
_PART: Final = 32
"""Images that NumPy does at a time: their arrays stay in the cache."""


class Draws(NamedTuple):
    """What `draw` decided for B images; a pytree of arrays.

    Attributes:
        matrix: int32 [B, 2, 3], the affine map of each image: the new pixel (row, column) shows the old
            place `matrix @ (row, column, 1)`, in 2**-20 pixels; rows and columns count from 0.
        erase: int32 [B, 4], top, left, height, width of the grayed rectangle; size 0 for none.
        sharpness: int32 [B], detail to add or take off, see `tones.sharpen`; None where the config never
            does.
        tones: uint8 [B, 256], the new gray of each gray; None where the config never changes them.
    """

    matrix: Any
    erase: Any
    # None is no leaf of a pytree: what is off is neither sent to a device nor in a program there.
    sharpness: Any = None
    tones: Any = None


def draw(
    rng: np.random.Generator, config: AugmentConfig, images: int, *, is_flipped: np.ndarray | None = None
) -> Draws:
    """Draw the augmentation of a batch.

    An image is turned, then zoomed and stretched, cropped, shifted, mirrored, then blurred or sharpened, then
    its tones change, then it is erased. Changing one probability or range leaves the other changes as they
    were: each change takes the same random values from `rng` whatever the config.

    Args:
        rng: source of the randomness.
        config: ranges and probabilities.
        images: how many images, B.
        is_flipped: bool [B], which images to mirror; None draws it.

    Returns:
        NumPy arrays.

    >>> draws = draw(np.random.default_rng(0), AugmentConfig(flip_probability=1.0), 2)
    >>> (draws.matrix[0] / 2**20).tolist()
    [[1.0, 0.0, 0.0], [0.0, -1.0, 47.0]]
    >>> draws.erase.tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0]]
    """
    turn = rotation_map(draw_rotation(rng, config, images))
    crop = crop_map(draw_crop(rng, config, images))
    shift = shift_map(draw_shift(rng, config, images))
    drawn_flip = draw_flip(rng, config, images)
    flip = flip_map(drawn_flip if is_flipped is None else is_flipped)
    erase = draw_erase(rng, config, images)
    sharpness = tables = None
    # These take their values after those above, so that they change nothing of them; all off, none is drawn.
    if _is_late_on(config):
        scale = draw_zoom(rng, config, images)[:, None] * draw_stretch(rng, config, images)
        turn = turn @ scale_map(scale)
        amounts = tones.draw_sharpness(rng, config, images)
        gamma = tones.draw_gamma(rng, config, images)
        contrast = tones.draw_contrast(rng, config, images)
        brightness = tones.draw_brightness(rng, config, images)
        sharpness = amounts if tones.is_sharpness_on(config) else None
        tables = tones.make_tables(gamma, contrast, brightness) if tones.is_tone_on(config) else None
    return Draws(round_maps(turn @ crop @ shift @ flip), erase, sharpness, tables)


def _is_late_on(config: AugmentConfig) -> bool:
    is_scaled = config.zoom_probability > 0 or config.stretch_probability > 0
    return is_scaled or tones.is_sharpness_on(config) or tones.is_tone_on(config)


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


def draw_zoom(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw sizes, log-uniform.

    Returns:
        float64 [B], factor of the face's height and width; 1 for none.
    """
    is_on = rng.random(images) < config.zoom_probability
    return config.max_zoom ** (is_on * rng.uniform(-1, 1, images))


def draw_stretch(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw factors on height : width, log-uniform.

    Returns:
        float64 [B, 2], factors of the face's height and width, whose product is 1.
    """
    is_on = rng.random(images) < config.stretch_probability
    factor = config.max_stretch ** (is_on * rng.uniform(-1, 1, images))
    return np.column_stack([np.sqrt(factor), 1 / np.sqrt(factor)])


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


def apply(images: Array, draws: Draws) -> Array:
    """Apply drawn augmentation to images. Deterministic; may be traced by `jax.jit`.

    Grays between pixels are bilinear, rounded to nearest; beyond the picture its edge pixels go on. NumPy
    and JAX give the same bits on every machine, and what exact numbers would give to within one gray level.

    Args:
        images: uint8 [B, 48, 48, 1], NumPy or JAX.
        draws: of B images, arrays of the same library.

    Returns:
        uint8 [B, 48, 48, 1]. Images with an identity map, sharpness 0 and a table that changes nothing keep
        each bit outside the erased rectangle.
    """
    if not isinstance(images, np.ndarray):
        seen = _resample(images, draws.matrix)
        if draws.sharpness is not None:
            seen = tones.sharpen(seen, draws.sharpness)
        if draws.tones is not None:
            seen = tones.look_up(seen, draws.tones)
        return _erase(seen, draws.erase)
    # NumPy sees the values, so it can leave out what changes nothing.
    new = images.copy()
    for start in range(0, len(images), _PART):
        part = slice(start, start + _PART)
        if (draws.matrix[part] != _IDENTITY).any():
            new[part] = _resample(images[part], draws.matrix[part])
        if draws.sharpness is not None:
            new[part] = tones.sharpen(new[part], draws.sharpness[part])
        if draws.tones is not None:
            new[part] = tones.look_up(new[part], draws.tones[part])
        if draws.erase[part].any():
            new[part] = _erase(new[part], draws.erase[part])
    return new


def _resample(images: Any, matrix: Any) -> Any:
    """Show each image through its map. Arrays as in `apply`; every number is an int32."""
    xp = images.__array_namespace__()
    place = xp.arange(_SIDE, dtype=xp.int32)
    cut_bits = _PLACE_BITS - _WAY_BITS
    whole = 2**_WAY_BITS

    def read_from(axis: int) -> tuple[Any, Any]:
        """Split the old places along an axis into the pixel before and the way from it to the next."""
        by_row, by_column, offset = (matrix[:, axis, k, None] for k in range(3))
        by_row, by_column = by_row * place + (offset + 2 ** (cut_bits - 1)), by_column * place
        old_place = by_row[:, :, None] + by_column[:, None, :]
        old_place >>= cut_bits
        old_place = xp.clip(old_place, 0, (_SIDE - 1) * whole)
        return old_place >> _WAY_BITS, old_place & (whole - 1)

    row, down = read_from(0)
    column, right = read_from(1)
    index = row * _SIDE
    index += column
    index += xp.arange(len(images), dtype=xp.int32)[:, None, None] * fer2013.PIXEL_COUNT
    # The four bytes of one number are the grays of 2 × 2 neighbours, so that they are found in one go. Beyond
    # the last row or column stands some other pixel, which counts for nothing: the way to it is 0.
    pixels = xp.pad(images.reshape(-1).astype(xp.int32), (0, _SIDE + 1))
    side_by_side = pixels[:-1] | pixels[1:] << 8
    corners = xp.take(side_by_side[:-_SIDE] | side_by_side[_SIDE:] << 16, index, mode="clip")
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


def _erase(images: Any, erase: Any) -> Any:
    """Gray out each image's rectangle. Arrays as in `apply`."""
    xp = images.__array_namespace__()
    top, left, height, width = (erase[:, k, None] for k in range(4))
    place = xp.arange(_SIDE)
    is_row = (place >= top) & (place < top + height)
    is_column = (place >= left) & (place < left + width)
    is_erased = is_row[:, :, None] & is_column[:, None, :]
    return xp.where(is_erased[..., None], xp.uint8(ERASE_GRAY), images)
