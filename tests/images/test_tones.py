"""Tones and sharpness: tables by hand, a plain loop, and the same bits from NumPy and JAX."""

from typing import Any

import jax
import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig
from fer_jax.images import tones


def some_images(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)


def table(*, gamma: float = 1.0, contrast: float = 1.0, brightness: float = 0.0) -> list[int]:
    """Give one table at grays 0, 51, 102, 204 and 255: 0, 1/5, 2/5, 4/5 and 1."""
    made = tones.make_tables(np.array([gamma]), np.array([contrast]), np.array([brightness]))
    return made[0, [0, 51, 102, 204, 255]].tolist()


def test_tables_by_hand() -> None:
    assert table() == [0, 51, 102, 204, 255]
    assert table(brightness=0.2) == [51, 102, 153, 255, 255]
    assert table(brightness=-0.4) == [0, 0, 0, 102, 153]
    assert table(contrast=0.5) == [64, 89, 115, 166, 191]  # 63.75, 89.25, 114.75, 165.75, 191.25
    assert table(contrast=2) == [0, 0, 76, 255, 255]  # 2/5 -> 3/10 = 76.5, and halves go to the even one
    assert table(gamma=2) == [0, 10, 41, 163, 255]  # 10.2, 40.8, 163.2
    # 2/5 -> 4/25 -> 1/2 - 1/2 * 17/50 = 33/100 -> 13/100 = 33.15
    assert table(gamma=2, contrast=0.5, brightness=-0.2)[2] == 33


def test_a_table_that_changes_nothing_and_one_that_never_falls() -> None:
    ones = np.ones(1)
    assert (tones.make_tables(ones, ones, 0 * ones)[0] == np.arange(256)).all()
    rng, config = np.random.default_rng(0), AugmentConfig(gamma_probability=1, contrast_probability=1)
    drawn = (tones.draw_gamma(rng, config, 50), tones.draw_contrast(rng, config, 50), np.zeros(50))
    assert (np.diff(tones.make_tables(*drawn).astype(int)) >= 0).all()


def test_each_image_is_looked_up_in_its_own_table() -> None:
    images = some_images(3)
    tables = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint8)
    wanted = np.stack([one[image] for one, image in zip(tables, images, strict=True)])
    assert (tones.look_up(images, tables) == wanted).all()
    on_device = jax.jit(tones.look_up)(jax.numpy.asarray(images), jax.numpy.asarray(tables))
    assert on_device.dtype == np.uint8
    assert (np.asarray(on_device) == wanted).all()


def sharpen_by_hand(image: np.ndarray, amount: float) -> np.ndarray:
    """Do what `sharpen` says, one pixel at a time, in numbers that are exact; uint8 [48, 48]."""
    new = np.zeros((48, 48), np.uint8)
    for r in range(48):
        for c in range(48):
            blurred = 0.0
            for i, down in zip((-1, 0, 1), (1, 2, 1), strict=True):
                for j, right in zip((-1, 0, 1), (1, 2, 1), strict=True):
                    gray = image[min(max(r + i, 0), 47), min(max(c + j, 0), 47)]
                    blurred += down * right / 16 * float(gray)
            gray = float(image[r, c])
            new[r, c] = min(max(np.floor(gray + amount * (gray - blurred) + 0.5), 0), 255)
    return new


def test_sharpness_is_what_the_definition_says() -> None:
    images, amounts = some_images(5), np.array([-256, -100, 0, 37, 256], np.int32)
    wanted = np.stack(
        [sharpen_by_hand(image, amount / 256) for image, amount in zip(images[..., 0], amounts, strict=True)]
    )
    assert (wanted[2] == images[2, :, :, 0]).all()
    on_device = jax.jit(tones.sharpen)(jax.numpy.asarray(images), jax.numpy.asarray(amounts))
    for found in (tones.sharpen(images, amounts), np.asarray(on_device)):
        assert found.dtype == np.uint8
        assert (found[..., 0] == wanted).all()


@pytest.mark.parametrize("amount", [-256, 256])
def test_an_even_gray_has_no_detail(amount: int) -> None:
    for gray in (0, 77, 255):
        flat: np.ndarray = np.full((1, 48, 48, 1), gray, np.uint8)
        assert (tones.sharpen(flat, np.array([amount], np.int32)) == gray).all()


def test_draws_keep_their_ranges_and_probabilities() -> None:
    rng, count = np.random.default_rng(2), 4000
    names = ("sharpness", "gamma", "contrast", "brightness")
    chances: dict[str, Any] = {f"{name}_probability": 0.5 for name in names}
    half = AugmentConfig(**chances, max_sharpness=0.5, max_contrast=2)
    sharpness = tones.draw_sharpness(rng, half, count) / 256
    gamma, contrast = (
        np.log(tones.draw_gamma(rng, half, count)),
        np.log(tones.draw_contrast(rng, half, count)),
    )
    brightness = tones.draw_brightness(rng, half, count)
    limits = ((sharpness, 0.5), (gamma, np.log(1.5)), (contrast, np.log(2)), (brightness, 0.2))
    for values, limit in limits:
        assert abs((values != 0).mean() - 0.5) < 0.04
        assert abs(values.mean()) < 0.05 * limit
        assert -limit - 1e-9 <= values.min() < -0.98 * limit
        assert 0.98 * limit < values.max() <= limit + 1e-9
