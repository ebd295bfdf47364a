"""The photometric part of augmentation: draw changes of sharpness and tones, and apply them.

Brightness, contrast and gamma become one table of 256 gray levels for each image, composed on the host, so
that applying them is a lookup. Sharpness is integer arithmetic. NumPy and JAX give the same bits for both.
"""

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from fer_jax.config.augment import AugmentConfig

if TYPE_CHECKING:
    import jax

Array = TypeVar("Array", np.ndarray, "jax.Array")

GRAYS: Final = 256
_WHITE: Final = GRAYS - 1
_AMOUNT_BITS: Final = 8
"""A drawn sharpness counts in 2**-8."""
_BLUR_BITS: Final = 4
"""The weights of the 3 × 3 blur sum to 2**4."""


def is_sharpness_on(config: AugmentConfig) -> bool:
    """Whether some images are blurred or sharpened."""
    return config.sharpness_probability > 0


def is_tone_on(config: AugmentConfig) -> bool:
    """Whether the brightness, contrast or gamma of some images changes."""
    return (
        config.brightness_probability > 0 or config.contrast_probability > 0 or config.gamma_probability > 0
    )


def draw_sharpness(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw how much to sharpen or to blur, uniform to either side.

    Returns:
        int32 [B], in 2**-8: below 0 blurs, above 0 sharpens, 0 for neither; see `sharpen`.
    """
    is_on = rng.random(images) < config.sharpness_probability
    amount = is_on * config.max_sharpness * rng.uniform(-1, 1, images)
    return np.rint(amount * 2**_AMOUNT_BITS).astype(np.int32)


def draw_gamma(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw exponents, log-uniform; float64 [B], 1 for none, below 1 brighter."""
    is_on = rng.random(images) < config.gamma_probability
    return config.max_gamma ** (is_on * rng.uniform(-1, 1, images))


def draw_contrast(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw factors of the contrast, log-uniform; float64 [B], 1 for none."""
    is_on = rng.random(images) < config.contrast_probability
    return config.max_contrast ** (is_on * rng.uniform(-1, 1, images))


def draw_brightness(rng: np.random.Generator, config: AugmentConfig, images: int) -> np.ndarray:
    """Draw what is added to the gray levels, uniform; float64 [B], a share of their range, 0 for none."""
    is_on = rng.random(images) < config.brightness_probability
    return is_on * config.max_brightness * rng.uniform(-1, 1, images)


def make_tables(gamma: np.ndarray, contrast: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Make the tables of gray levels: gamma first, then contrast about the middle, then brightness.

    All are float [B]: the exponent (> 0) of gray levels scaled to 0..1, the factor of the distance from 1/2,
    and what is added, as a share of the range. Returns uint8 [B, 256], rounded once, then clipped to 0..255.

    >>> make_tables(np.ones(2), np.array([1.0, 2.0]), np.array([0.0, 0.1]))[:, [0, 100, 128, 255]].tolist()
    [[0, 100, 128, 255], [0, 98, 154, 255]]
    """
    grays = np.tile(np.arange(float(GRAYS)), (len(gamma), 1))
    # Powers are slow, so they are skipped where they change nothing.
    is_raised = gamma != 1
    grays[is_raised] = _WHITE * (grays[is_raised] / _WHITE) ** gamma[is_raised, None]
    middle = _WHITE / 2
    grays = (grays - middle) * contrast[:, None] + (middle + _WHITE * brightness[:, None])
    return np.rint(grays).clip(0, _WHITE).astype(np.uint8)


def look_up(images: Array, tables: Array) -> Array:
    """Map each pixel of uint8 [B, 48, 48, 1] by its image's table, uint8 [B, 256]; `jax.jit` may trace it."""
    xp: Any = images.__array_namespace__()
    first = GRAYS * xp.arange(len(images), dtype=xp.int32)[:, None, None, None]
    return xp.take(tables.reshape(-1), first + images.astype(xp.int32), mode="clip")


def sharpen(images: Array, amounts: Array) -> Array:
    """Add fine detail to each image, or remove it. May be traced by `jax.jit`.

    Detail is what a 3 × 3 binomial blur (1 2 1 along each axis, edge pixels repeated) removes. With all of it
    removed (-1) the image is blurred; with all of it added (1) it is an unsharp mask.

    Args:
        images: uint8 [B, 48, 48, 1].
        amounts: int32 [B], -256..256, share of the detail in 2**-8; an array of the same library.

    Returns:
        uint8 [B, 48, 48, 1], rounded to nearest (halves up) and clipped to 0..255; amount 0 keeps every bit.
    """
    xp: Any = images.__array_namespace__()
    gray = images.astype(xp.int32)
    wide = xp.pad(gray, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    blurred = rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    detail = (gray << _BLUR_BITS) - blurred
    bits = _BLUR_BITS + _AMOUNT_BITS
    moved = ((gray << bits) + amounts[:, None, None, None] * detail + 2 ** (bits - 1)) >> bits
    return xp.clip(moved, 0, _WHITE).astype(xp.uint8)
