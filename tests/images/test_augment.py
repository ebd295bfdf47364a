import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from scipy import ndimage

from fer_jax.config.augment import AugmentConfig
from fer_jax.images import affine, augment, tones
from fer_jax.images.augment import Draws

ALL_ON = AugmentConfig(
    shift_probability=1.0,
    rotate_probability=1.0,
    max_rotation_deg=40.0,
    crop_probability=1.0,
    min_crop_scale=0.5,
    flip_probability=0.5,
    erase_probability=1.0,
    max_erase_fraction=0.3,
)
LATE_ON = AugmentConfig(
    zoom_probability=0.5,
    stretch_probability=0.5,
    sharpness_probability=0.5,
    gamma_probability=0.5,
    contrast_probability=0.5,
    brightness_probability=0.5,
)
AS_FAR_AS_CAN_BE = AugmentConfig(
    shift_probability=0.9,
    max_shift_px=24,
    rotate_probability=0.9,
    max_rotation_deg=180,
    crop_probability=0.9,
    min_crop_scale=0.1,
    zoom_probability=0.9,
    max_zoom=2,
    stretch_probability=0.9,
    max_stretch=2,
    flip_probability=0.5,
    sharpness_probability=0.9,
    gamma_probability=0.9,
    max_gamma=4,
    contrast_probability=0.9,
    max_contrast=4,
    brightness_probability=0.9,
    max_brightness=1,
    erase_probability=0.5,
    max_erase_fraction=0.5,
)
EARLY_ON: dict[str, Any] = {
    f"{name}_probability": 0.5 for name in ("shift", "rotate", "crop", "flip", "erase")
}
NO_ERASE = np.zeros((1, 4), np.int32)
IDENTITIES = affine.round_maps(np.tile(np.eye(3), (40, 1, 1)))
RECORDED_MATRIX = [
    [[585548, 436806, -6135239], [436806, -585548, 34934339]],
    [[520014, 416279, 10811287], [416279, -520014, 21503437]],
]
RECORDED_ERASE = [[25, 29, 23, 19], [20, 17, 19, 22]]


def some_images(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)


def apply_map(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    matrix = np.broadcast_to(affine.round_maps(maps), (len(images), 2, 3))
    return augment.apply(images, Draws(matrix, np.broadcast_to(NO_ERASE, (len(images), 4))))


def rotated(degrees: float) -> np.ndarray:
    return affine.rotation_map(np.array([degrees]))


def shifted(down_px: float, right_px: float) -> np.ndarray:
    return affine.shift_map(np.array([[down_px, right_px]]))


FLIPPED = affine.flip_map(np.array([True]))


def bilinear_by_hand(image: np.ndarray, matrix: np.ndarray, erase: np.ndarray) -> np.ndarray:
    """Do what `apply` says, one pixel at a time; uint8 [48, 48]."""
    new = np.zeros((48, 48), np.uint8)
    top, left, height, width = erase
    for r in range(48):
        for c in range(48):
            if top <= r < top + height and left <= c < left + width:
                new[r, c] = augment.ERASE_GRAY
                continue
            row, column = matrix / 2**20 @ (r, c, 1)
            gray = 0.0
            for i in (int(np.floor(row)), int(np.floor(row)) + 1):
                for j in (int(np.floor(column)), int(np.floor(column)) + 1):
                    weight = (1 - abs(row - i)) * (1 - abs(column - j))
                    gray += weight * image[min(max(i, 0), 47), min(max(j, 0), 47)]
            new[r, c] = round(gray)
    return new


@pytest.mark.parametrize("other", [np.eye(3)[None], rotated(30.0)], ids=["alone", "beside a turned image"])
def test_identity_keeps_every_bit(other: np.ndarray) -> None:
    images = some_images(2)
    maps = np.concatenate([np.eye(3)[None], other])
    assert (apply_map(images, maps)[0] == images[0]).all()


@pytest.mark.parametrize(("down", "right"), [(3, 0), (-5, 7), (24, -24)])
def test_whole_shift_moves_pixels_and_repeats_the_edge(down: int, right: int) -> None:
    images = some_images(3)
    padded = np.pad(images, ((0, 0), (24, 24), (24, 24), (0, 0)), mode="edge")
    wanted = padded[:, 24 - down : 72 - down, 24 - right : 72 - right]
    assert (apply_map(images, shifted(down, right)) == wanted).all()


def test_flip_is_a_mirror() -> None:
    images = some_images(3)
    assert (apply_map(images, FLIPPED) == images[:, :, ::-1]).all()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_rot90(quarters: int) -> None:
    images = some_images(3)
    turned = apply_map(images, rotated(90.0 * quarters))
    assert (turned == np.rot90(images, quarters, axes=(1, 2))).all()


def test_crop_stretches_its_square_over_the_picture() -> None:
    ramp = np.broadcast_to(5 * np.arange(48, dtype=np.uint8)[None, :, None, None], (1, 48, 48, 1)).copy()
    # The square of rows 0..23, whose middle lies 12 px above the image's: new row r shows old row r/2 - 1/4.
    cropped = apply_map(ramp, affine.crop_map(np.array([[0.5, -12.0, 0.0]])))
    wanted = np.clip(5 * (np.arange(48) / 2 - 0.25), 0, None)
    assert np.abs(cropped[0, :, 20, 0] - wanted).max() <= 0.5


def test_zoom_and_stretch_are_about_the_middle() -> None:
    ramp = np.broadcast_to(5 * np.arange(48, dtype=np.uint8)[None, :, None, None], (1, 48, 48, 1)).copy()
    # Twice as tall: new row r shows old row 23.5 + (r - 23.5) / 2, and each column of the ramp is the same.
    taller = apply_map(ramp, affine.scale_map(np.array([[2.0, 0.5]])))
    assert np.abs(taller[0, :, 20, 0] - 5 * (23.5 + (np.arange(48) - 23.5) / 2)).max() <= 0.5
    # Half as large: the picture fills rows 12..35, and its edge pixels go on.
    smaller = apply_map(ramp, affine.scale_map(np.array([[0.5, 0.5]])))[0, :, 20, 0]
    assert smaller[:12].max() == 0
    assert smaller[36:].min() == 235
    assert np.abs(smaller[12:36] - 5 * (2 * np.arange(24) + 0.5)).max() <= 0.5


@pytest.mark.parametrize(
    ("first", "then"),
    [(rotated(90.0), shifted(5, -3)), (shifted(5, -3), rotated(90.0)), (rotated(90.0), FLIPPED)],
)
def test_product_of_maps_is_one_after_the_other(first: np.ndarray, then: np.ndarray) -> None:
    images = some_images(2)
    wanted = apply_map(apply_map(images, first), then)
    inner = (slice(None), slice(6, -6), slice(6, -6))  # the edge is repeated earlier or later
    assert (apply_map(images, first @ then)[inner] == wanted[inner]).all()


def test_numpy_and_jax_do_what_the_definition_says() -> None:
    images = some_images(6)
    draws = augment.draw(np.random.default_rng(1), ALL_ON, 6)
    by_hand = np.stack([bilinear_by_hand(images[k, :, :, 0], *(a[k] for a in draws[:2])) for k in range(6)])
    on_host = augment.apply(images, draws)
    on_device = jax.jit(augment.apply)(*jax.tree.map(jax.numpy.asarray, (images, draws)))
    assert on_host.dtype == on_device.dtype == np.uint8
    assert on_host.shape == on_device.shape == images.shape
    for result in (on_host, np.asarray(on_device)):
        difference = np.abs(result[..., 0].astype(int) - by_hand)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "config",
    [AS_FAR_AS_CAN_BE, ALL_ON, LATE_ON, AugmentConfig(sharpness_probability=1.0), AugmentConfig()],
    ids=["far", "all on", "late", "sharpness", "off"],
)
def test_numpy_and_jax_agree_in_every_bit(config: AugmentConfig, seed: int) -> None:
    images = some_images(200)
    draws = augment.draw(np.random.default_rng(seed), config, 200)
    assert draws.matrix.dtype == draws.erase.dtype == np.int32
    on_host = augment.apply(images, draws)
    on_device = jax.tree.map(jax.numpy.asarray, (images, draws))
    assert (np.asarray(jax.jit(augment.apply)(*on_device)) == on_host).all()
    with jax.disable_jit():
        assert (np.asarray(augment.apply(*on_device)) == on_host).all()


def test_integers_are_close_to_exact_numbers() -> None:
    rng, images = np.random.default_rng(4), some_images(100)
    maps = (
        affine.rotation_map(augment.draw_rotation(rng, AS_FAR_AS_CAN_BE, 100))
        @ affine.crop_map(augment.draw_crop(rng, AS_FAR_AS_CAN_BE, 100))
        @ affine.shift_map(augment.draw_shift(rng, AS_FAR_AS_CAN_BE, 100))
        @ affine.flip_map(augment.draw_flip(rng, AS_FAR_AS_CAN_BE, 100))
    )
    from_middle = np.indices((48, 48)).reshape(2, -1) - 23.5
    for image, new, one in zip(images[..., 0], apply_map(images, maps)[..., 0], maps, strict=True):
        old_places = one[:2, :2] @ from_middle + one[:2, 2:] + 23.5
        exact = ndimage.map_coordinates(image.astype(float), old_places, order=1, mode="nearest")
        # Rounding to whole grays gives 0.5; the rest is from ways cut to 2**-11.
        assert np.abs(new.ravel() - exact).max() < 0.66


def test_apply_leaves_its_input_alone() -> None:
    images = some_images(3)
    before = images.copy()
    for config in (ALL_ON, AugmentConfig()):
        new = augment.apply(images, augment.draw(np.random.default_rng(5), config, 3))
        assert not np.shares_memory(new, images)
    assert (images == before).all()


def test_sharpness_then_tones_then_erasing() -> None:
    images = some_images(40)
    draws = augment.draw(np.random.default_rng(8), AS_FAR_AS_CAN_BE, 40)
    moved = augment.apply(images, Draws(draws.matrix, np.zeros((40, 4), np.int32)))
    changed = tones.look_up(tones.sharpen(moved, draws.sharpness), draws.tones)
    wanted = augment.apply(changed, draws._replace(matrix=IDENTITIES, sharpness=None, tones=None))
    assert (augment.apply(images, draws) == wanted).all()


def test_what_is_off_has_no_arrays() -> None:
    def members(config: AugmentConfig) -> list[bool]:
        draws = augment.draw(np.random.default_rng(0), config, 3)
        return [draws.sharpness is not None, draws.tones is not None]

    assert members(ALL_ON) == members(AugmentConfig(zoom_probability=1.0)) == [False, False]
    assert members(AugmentConfig(sharpness_probability=1.0)) == [True, False]
    for name in ("gamma", "contrast", "brightness"):
        change: dict[str, Any] = {f"{name}_probability": 1.0}
        assert members(AugmentConfig(**change)) == [False, True]
    assert len(jax.tree.leaves(augment.draw(np.random.default_rng(0), ALL_ON, 3))) == 2


def test_draws_of_old_configs_are_what_they_were() -> None:
    # Recorded before zoom, stretch, sharpness and tones came.
    draws = augment.draw(np.random.default_rng(0), ALL_ON, 2)
    assert draws.matrix.tolist() == RECORDED_MATRIX
    assert draws.erase.tolist() == RECORDED_ERASE


def test_one_change_leaves_the_others_as_they_were() -> None:
    def draw(config: AugmentConfig) -> Draws:
        return augment.draw(np.random.default_rng(9), config, 20)

    before = draw(dataclasses.replace(LATE_ON, **EARLY_ON))
    without_zoom = draw(
        dataclasses.replace(LATE_ON, **EARLY_ON, zoom_probability=0.0, stretch_probability=0.0)
    )
    assert (without_zoom.matrix != before.matrix).any()
    assert (without_zoom.matrix == draw(AugmentConfig(**EARLY_ON)).matrix).all()
    for name in ("erase", "sharpness", "tones"):
        assert (getattr(without_zoom, name) == getattr(before, name)).all()
    only_tones = dataclasses.replace(LATE_ON, **EARLY_ON, sharpness_probability=0.0)
    assert (draw(only_tones).tones == before.tones).all()
    assert (draw(only_tones).matrix == before.matrix).all()


def test_mirrors_may_be_given() -> None:
    is_flipped = np.arange(6) % 2 == 0
    config = dataclasses.replace(ALL_ON, flip_probability=0.0)
    plain, given = (
        augment.draw(np.random.default_rng(0), config, 6, is_flipped=each) for each in (None, is_flipped)
    )
    assert (given.erase == plain.erase).all()
    assert ((given.matrix != plain.matrix).any(axis=(1, 2)) == is_flipped).all()


def test_draws_keep_their_ranges_and_probabilities() -> None:
    rng, count = np.random.default_rng(2), 4000
    half = AugmentConfig(**EARLY_ON)
    degrees = augment.draw_rotation(rng, half, count)
    crop = augment.draw_crop(rng, half, count)
    shift = augment.draw_shift(rng, half, count)
    flip = augment.draw_flip(rng, half, count)
    erase = augment.draw_erase(rng, half, count)
    zoom = augment.draw_zoom(rng, LATE_ON, count)
    stretch = augment.draw_stretch(rng, LATE_ON, count)
    np.testing.assert_allclose(stretch.prod(axis=1), 1)
    for factor in (zoom, stretch[:, 0] / stretch[:, 1]):
        assert abs((factor != 1).mean() - 0.5) < 0.04
        # Log-uniform: as often smaller as larger, to the same factor.
        assert abs(np.log(factor).mean()) < 0.01
        assert 1 / 1.2 <= factor.min() < 1 / 1.195
        assert 1.195 < factor.max() <= 1.2 + 1e-9
    for is_on in (degrees != 0, crop[:, 0] != 1, (shift != 0).all(axis=1), flip, erase[:, 2] > 0):
        assert abs(is_on.mean() - 0.5) < 0.04
    for values, limit in [(degrees, 15), (shift[:, 0], 6), (shift[:, 1], 6)]:
        assert -limit <= values.min() < -0.99 * limit
        assert 0.99 * limit < values.max() <= limit
    assert 0.8 <= crop[:, 0].min() < 0.81
    reach = np.abs(crop[:, 1:]).max(axis=1) + 24 * crop[:, 0]
    assert reach.max() <= 24 + 1e-9
    area = erase[:, 2] * erase[:, 3]
    assert 0.14 < area.max() / 48**2 <= 0.15
    assert erase.min() >= 0
    assert (erase[:, :2] + erase[:, 2:]).max() == 48


@pytest.mark.parametrize(
    "draw_one",
    [
        augment.draw_rotation,
        augment.draw_crop,
        augment.draw_shift,
        augment.draw_flip,
        augment.draw_erase,
        augment.draw_zoom,
        augment.draw_stretch,
        tones.draw_sharpness,
        tones.draw_gamma,
        tones.draw_contrast,
        tones.draw_brightness,
    ],
)
def test_every_config_takes_the_same_random_values(
    draw_one: Callable[[np.random.Generator, AugmentConfig, int], np.ndarray],
) -> None:
    all_off, all_on = np.random.default_rng(3), np.random.default_rng(3)
    draw_one(all_off, AugmentConfig(), 5)
    draw_one(all_on, AS_FAR_AS_CAN_BE, 5)
    assert all_off.bit_generator.state == all_on.bit_generator.state
