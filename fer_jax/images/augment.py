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

from fer_jax import fer2013
from fer_jax.config.augment import AugmentConfig
from fer_jax.images import tones as images_tones

if TYPE_CHECKING:
    import jax
from fer_jax.images.affine import (
    IDENTITY,
    SIDE,
    crop_map,
    flip_map,
    resample,
    rotation_map,
    round_maps,
    scale_map,
    shift_map,
)

Array = TypeVar("Array", np.ndarray, "jax.Array")

ERASE_GRAY: Final = 128
"""Gray of an erased rectangle: about the mean of FER2013 (129), so nearly 0 once standardised."""
_MAX_ERASE_ASPECT: Final = 2.0
_PART: Final = 32
"""Images that NumPy does at a time: their arrays stay in the cache."""


class Draws(NamedTuple):
    """What `draw` decided for B images; a pytree of arrays.

    Attributes:
        matrix: int32 [B, 2, 3], the affine map of each image: the new pixel (row, column) shows the old
            place `matrix @ (row, column, 1)`, in 2**-20 pixels; rows and columns count from 0.
        erase: int32 [B, 4], top, left, height, width of the grayed rectangle; size 0 for none.
        sharpness: int32 [B], detail to add or take off, see `images.tones.sharpen`; None where the config never
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
        amounts = images_tones.draw_sharpness(rng, config, images)
        gamma = images_tones.draw_gamma(rng, config, images)
        contrast = images_tones.draw_contrast(rng, config, images)
        brightness = images_tones.draw_brightness(rng, config, images)
        sharpness = amounts if images_tones.is_sharpness_on(config) else None
        tables = (
            images_tones.make_tables(gamma, contrast, brightness) if images_tones.is_tone_on(config) else None
        )
    return Draws(round_maps(turn @ crop @ shift @ flip), erase, sharpness, tables)


def _is_late_on(config: AugmentConfig) -> bool:
    is_scaled = config.zoom_probability > 0 or config.stretch_probability > 0
    return is_scaled or images_tones.is_sharpness_on(config) or images_tones.is_tone_on(config)


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
    room_px = (1 - scale) * SIDE / 2
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
    size = np.clip(np.floor(height_width), 1, SIDE)
    corner = np.floor((SIDE + 1 - size) * rng.random((images, 2)))
    return (is_on[:, None] * np.hstack([corner, size])).astype(np.int32)


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
        seen = resample(images, draws.matrix)
        if draws.sharpness is not None:
            seen = images_tones.sharpen(seen, draws.sharpness)
        if draws.tones is not None:
            seen = images_tones.look_up(seen, draws.tones)
        return _erase(seen, draws.erase)
    # NumPy sees the values, so it can leave out what changes nothing.
    new = images.copy()
    for start in range(0, len(images), _PART):
        part = slice(start, start + _PART)
        if (draws.matrix[part] != IDENTITY).any():
            new[part] = resample(images[part], draws.matrix[part])
        if draws.sharpness is not None:
            new[part] = images_tones.sharpen(new[part], draws.sharpness[part])
        if draws.tones is not None:
            new[part] = images_tones.look_up(new[part], draws.tones[part])
        if draws.erase[part].any():
            new[part] = _erase(new[part], draws.erase[part])
    return new


def _erase(images: Any, erase: Any) -> Any:
    """Gray out each image's rectangle. Arrays as in `apply`."""
    xp = images.__array_namespace__()
    top, left, height, width = (erase[:, k, None] for k in range(4))
    place = xp.arange(SIDE)
    is_row = (place >= top) & (place < top + height)
    is_column = (place >= left) & (place < left + width)
    is_erased = is_row[:, :, None] & is_column[:, None, :]
    return xp.where(is_erased[..., None], xp.uint8(ERASE_GRAY), images)
