"""Augmentation: draw a few numbers for each image, then apply them to the pixels.

Only `draw` sees randomness. It composes rotation, zoom, stretch, crop, shift and flip into one affine map for
each image, so that `apply` interpolates once; changes of gray levels are in `tones`. `apply` is one pure
function for NumPy and JAX arrays.

A map takes a point of the new image to the point of the old image whose gray level it shows. Points are
(row, column) in pixels, (0, 0) being the middle of the image. Maps compose by `@`: `a @ b` applies `a` to the
image, then `b`.

A drawn map is rounded to integers, and `apply` computes with integers alone. Floats would differ between
machines: a compiler may fuse a product and a sum, and then rounds once, not twice.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.config.augment import AugmentConfig
from fer_jax.images import tones as photometry
from fer_jax.images.affine import (
    IDENTITY,
    SIDE,
    boxes_mask,
    crop_map,
    flip_map,
    resample,
    rotation_map,
    round_maps,
    scale_map,
    shift_map,
)
from fer_jax.images.tones import Array

ERASE_GRAY: Final = 128
"""Gray level of an erased rectangle: about the mean of FER2013 (129), so nearly 0 once standardised."""
_MAX_ERASE_ASPECT: Final = 2.0
_PART: Final = 32
"""Images that NumPy processes at a time: their arrays stay in the cache."""


class Draws(NamedTuple):
    """What `draw` drew for B images; a pytree of arrays.

    Attributes:
        matrix: int32 [B, 2, 3], the affine map of each image: the new pixel (row, column) shows the old
            point `matrix @ (row, column, 1)`, in 2**-20 pixels; rows and columns count from 0.
        erase: int32 [B, 4], top, left, height, width of the erased rectangle; size 0 for none.
        sharpness: int32 [B], detail to add or remove, see `images.tones.sharpen`; None where the config
            has it off.
        tones: uint8 [B, 256], table of new gray levels; None where the config has all of them off.
    """

    matrix: Any
    erase: Any
    # None is not a leaf of a pytree: what is off is neither sent to the device nor compiled.
    sharpness: Any = None
    tones: Any = None


def draw(
    rng: np.random.Generator, config: AugmentConfig, images: int, *, is_flipped: np.ndarray | None = None
) -> Draws:
    """Draw the augmentation of a batch.

    The order: rotate, zoom and stretch, crop, shift, flip, blur or sharpen, change the tones, erase. One
    probability or range does not affect the other draws: each takes the same random values from `rng`
    whatever the config.

    Args:
        rng: source of the randomness.
        config: ranges and probabilities.
        images: how many images, B.
        is_flipped: bool [B], which images to mirror; None: draw it.

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
    is_scaled = config.zoom_probability > 0 or config.stretch_probability > 0
    has_sharpness, has_tones = photometry.is_sharpness_on(config), photometry.is_tone_on(config)
    # Drawn after those above, so that they do not affect them; with all of them off none is drawn.
    if is_scaled or has_sharpness or has_tones:
        scale = draw_zoom(rng, config, images)[:, None] * draw_stretch(rng, config, images)
        turn = turn @ scale_map(scale)
        amounts = photometry.draw_sharpness(rng, config, images)
        gamma = photometry.draw_gamma(rng, config, images)
        contrast = photometry.draw_contrast(rng, config, images)
        brightness = photometry.draw_brightness(rng, config, images)
        sharpness = amounts if has_sharpness else None
        tables = photometry.make_tables(gamma, contrast, brightness) if has_tones else None
    return Draws(round_maps(turn @ crop @ shift @ flip), erase, sharpness, tables)


def draw_rotation(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw rotations, uniform to either side: float64 [B], degrees counter-clockwise; 0 for none."""
    is_on = rng.random(images) < config.rotate_probability
    return is_on * config.max_rotation_deg * rng.uniform(-1, 1, images)


def draw_crop(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw squares inside the image, uniform in side, then uniform in position.

    Returns:
        float64 [B, 3]: side as a fraction of the image's; row and column of the square's middle, in
        pixels from the image's middle. (1, 0, 0) is the full image.
    """
    is_on = rng.random(images) < config.crop_probability
    scale = 1 - is_on * (1 - config.min_crop_scale) * rng.random(images)
    room_px = (1 - scale) * SIDE / 2
    middle_px = room_px[:, None] * rng.uniform(-1, 1, (images, 2))
    return np.column_stack([scale, middle_px])


def draw_shift(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw shifts, uniform along each axis: float64 [B, 2], pixels down and right; 0 for none."""
    is_on = rng.random(images) < config.shift_probability
    return is_on[:, None] * config.max_shift_px * rng.uniform(-1, 1, (images, 2))


def draw_flip(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw which images to mirror: bool [B]."""
    return rng.random(images) < config.flip_probability


def draw_zoom(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw zoom factors, log-uniform: float64 [B], of the face's height and width; 1 for none."""
    is_on = rng.random(images) < config.zoom_probability
    return config.max_zoom ** (is_on * rng.uniform(-1, 1, images))


def draw_stretch(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw changes of the aspect, log-uniform: float64 [B, 2], factors of height and width, product 1."""
    is_on = rng.random(images) < config.stretch_probability
    factor = config.max_stretch ** (is_on * rng.uniform(-1, 1, images))
    return np.column_stack([np.sqrt(factor), 1 / np.sqrt(factor)])


def draw_erase(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw rectangles inside the image: area uniform, aspect log-uniform (1:2 to 2:1), position uniform.

    Returns:
        int32 [B, 4], top, left, height, width in pixels; all 0 for none. Sides round down, to at least 1.
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

    Interpolation is bilinear, rounded to nearest; outside the image the edge pixels are repeated. NumPy and
    JAX give the same bits on every machine, within one gray level of exact arithmetic.

    Args:
        images: uint8 [B, 48, 48, 1], NumPy or JAX.
        draws: of B images, arrays of the same library.

    Returns:
        uint8 [B, 48, 48, 1]. With an identity map, sharpness 0 and an identity table an image keeps every
        bit outside the erased rectangle.
    """
    if not isinstance(images, np.ndarray):
        return _apply_all(images, draws, has_map=True, has_erase=True)
    new = np.empty_like(images)
    for start in range(0, len(images), _PART):
        part = slice(start, start + _PART)
        some = Draws(*(None if each is None else each[part] for each in draws))
        # NumPy knows the values, so it can skip what changes nothing.
        has_map, has_erase = bool((some.matrix != IDENTITY).any()), bool(some.erase.any())
        new[part] = _apply_all(images[part], some, has_map=has_map, has_erase=has_erase)
    return new


def move(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Move the pixels of images uint8 [B, 48, 48, 1] by maps float64 [B, 3, 3], and change nothing else."""
    return apply(images, Draws(round_maps(maps), np.zeros((len(images), 4), np.int32)))


def _apply_all(images: Any, draws: Draws, *, has_map: bool, has_erase: bool) -> Any:
    if has_map:
        images = resample(images, draws.matrix)
    if draws.sharpness is not None:
        images = photometry.sharpen(images, draws.sharpness)
    if draws.tones is not None:
        images = photometry.look_up(images, draws.tones)
    if not has_erase:
        return images
    xp = images.__array_namespace__()
    return xp.where(boxes_mask(draws.erase), xp.uint8(ERASE_GRAY), images)
