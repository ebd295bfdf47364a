"""Corruptions: what cameras, compression and face detectors do to an image, each in five strengths.

The idea of a table of corruptions by strength is that of Hendrycks and Dietterich 2019, "Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations" (ICLR); the list and the levels are ours, for
48 × 48 images of faces. The randomness of a corruption is drawn for each image from the seed and the image's
row: it is the same in all strengths, and does not depend on the other images.
"""

import io
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from fer_jax import fer2013
from fer_jax.images import affine, augment
from fer_jax.randomness import Stream, numpy_rng


class Chances(NamedTuple):
    """The random numbers of the corruptions of N images.

    Attributes:
        place: float64 [N, 2], in [0, 1).
        sign: float64 [N], -1 or 1.
        noise: float32 [N, 48, 48, 1], standard normal.
    """

    place: np.ndarray
    sign: np.ndarray
    noise: np.ndarray


Corrupt = Callable[[np.ndarray, Chances, float], np.ndarray]
"""Images uint8 [N, 48, 48, 1], their chances, the level -> new images uint8 [N, 48, 48, 1]."""


class Corruption(NamedTuple):
    """One corruption: `what` is the quantity of its five levels, with the unit; they grow in strength."""

    name: str
    what: str
    levels: tuple[float, float, float, float, float]
    apply: Corrupt


def draw_chances(rows: np.ndarray, *, seed: int) -> Chances:
    """Draw the random numbers of the corruptions of the images in some rows of their file, int [N]."""
    place, sign = np.empty((len(rows), 2)), np.empty(len(rows))
    noise = np.empty((len(rows), *fer2013.IMAGE_SHAPE), np.float32)
    for number, row in enumerate(rows):
        rng = numpy_rng(seed, Stream.CORRUPTION, int(row))
        place[number] = rng.random(2)
        sign[number] = 1 if rng.random() < 0.5 else -1
        noise[number] = rng.standard_normal(fer2013.IMAGE_SHAPE, np.float32)
    return Chances(place, sign, noise)


def blur(images: np.ndarray, chances: Chances, sigma_px: float) -> np.ndarray:
    """Blur with a Gaussian of this standard deviation; outside the image the edge pixels are repeated."""
    down = gaussian_filter1d(images.astype(np.float32), sigma_px, axis=1, mode="nearest")
    return _to_bytes(gaussian_filter1d(down, sigma_px, axis=2, mode="nearest"))


def add_noise(images: np.ndarray, chances: Chances, deviation: float) -> np.ndarray:
    """Add Gaussian noise of this standard deviation, in gray levels."""
    return _to_bytes(images + np.float32(deviation) * chances.noise)


def compress(images: np.ndarray, chances: Chances, quality: float) -> np.ndarray:
    """Save as JPEG of this quality (1 to 95) and read again."""
    new = np.empty_like(images)
    for number, image in enumerate(images[..., 0]):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=int(quality))
        new[number, ..., 0] = np.asarray(Image.open(buffer))
    return new


def change_brightness(images: np.ndarray, chances: Chances, gray: float) -> np.ndarray:
    """Make each image brighter or darker, by its sign, by this many gray levels."""
    return _to_bytes(images + np.float32(gray) * chances.sign[:, None, None, None].astype(np.float32))


def lower_contrast(images: np.ndarray, chances: Chances, share: float) -> np.ndarray:
    """Reduce the contrast: move all gray levels towards their mean, to this share of their distance."""
    means = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
    return _to_bytes(means + np.float32(share) * (images - means))


def occlude(images: np.ndarray, chances: Chances, side_px: float) -> np.ndarray:
    """Cover a square of this side with gray, anywhere inside the image."""
    side = int(side_px)
    corner = np.floor(chances.place * (fer2013.IMAGE_SHAPE[0] + 1 - side)).astype(np.int32)
    erase = np.hstack([corner, np.full((len(images), 2), side, np.int32)])
    return augment.apply(images, augment.Draws(np.tile(affine.IDENTITY, (len(images), 1, 1)), erase))


def shift_box(images: np.ndarray, chances: Chances, distance_px: float) -> np.ndarray:
    """Shift the face box this far, in any direction."""
    angle = 2 * np.pi * chances.place[:, 0]
    return augment.move(
        images, affine.shift_map(distance_px * np.column_stack([np.sin(angle), np.cos(angle)]))
    )


def scale_box(images: np.ndarray, chances: Chances, factor: float) -> np.ndarray:
    """Make the face box larger or smaller, by the image's sign, by this factor."""
    side = factor**chances.sign
    return augment.move(images, affine.crop_map(np.column_stack([side, np.zeros((len(images), 2))])))


def turn_box(images: np.ndarray, chances: Chances, angle_deg: float) -> np.ndarray:
    """Rotate the face box to the left or the right, by the image's sign, by this angle."""
    return augment.move(images, affine.rotation_map(angle_deg * chances.sign))


def _to_bytes(levels: np.ndarray) -> np.ndarray:
    return np.rint(levels).clip(0, 255).astype(np.uint8)


CORRUPTIONS: Final = (
    Corruption("blur", "standard deviation, px", (0.5, 1, 1.5, 2, 3), blur),
    Corruption("noise", "standard deviation, gray levels", (5, 10, 20, 30, 40), add_noise),
    Corruption("jpeg", "quality (1 to 95)", (60, 40, 20, 10, 5), compress),
    Corruption("brightness", "brighter or darker, gray levels", (16, 32, 48, 64, 96), change_brightness),
    Corruption("contrast", "share of the contrast that is left", (0.8, 0.6, 0.4, 0.2, 0.1), lower_contrast),
    Corruption("occlusion", "side of a gray square, px", (8, 12, 16, 20, 24), occlude),
    Corruption("shift", "face box shifted in any direction, px", (2, 4, 6, 8, 12), shift_box),
    Corruption("scale", "face box larger or smaller, factor", (1.1, 1.2, 1.3, 1.4, 1.5), scale_box),
    Corruption("rotation", "face box turned left or right, degrees", (5, 10, 15, 20, 30), turn_box),
)
"""All of them, in the order of the sheet: the picture first, then the face box."""
