"""Corruptions by hand: bytes in, bytes out, the same for a row whatever stands beside it."""

import io

import numpy as np
import pytest
from PIL import Image

from fer_jax.data.synthetic import draw_examples
from fer_jax.images import augment
from fer_jax.images.corruptions import CORRUPTIONS, Chances, Corruption, draw_chances

ROWS = np.array([3, 17, 4000, 28, 5, 6, 7, 8])
BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return draw_examples(seed=0, examples=len(ROWS)).images


@pytest.fixture(scope="module")
def chances() -> Chances:
    return draw_chances(ROWS, seed=0)


def apply(name: str, images: np.ndarray, chances: Chances, level: float) -> np.ndarray:
    return BY_NAME[name].apply(images, chances, level)


def of(chances: Chances, picked: list[int]) -> Chances:
    return Chances(*(each[picked] for each in chances))


def test_the_sheet_has_nine_corruptions_of_five_strengths() -> None:
    wanted = {"blur", "noise", "jpeg", "brightness", "contrast", "occlusion", "shift", "scale", "rotation"}
    assert set(BY_NAME) == wanted
    assert all(len(set(corruption.levels)) == 5 for corruption in CORRUPTIONS)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_a_stronger_level_changes_more_and_always_in_the_same_way(
    corruption: Corruption, faces: np.ndarray, chances: Chances
) -> None:
    before = faces.copy()
    new = [corruption.apply(faces, chances, level) for level in corruption.levels]
    np.testing.assert_array_equal(faces, before)
    assert all(each.dtype == np.uint8 and each.shape == faces.shape for each in new)
    changes = [np.abs(each.astype(float) - faces).mean() for each in new]
    assert changes[0] > 0
    assert (np.diff(changes) > 0).all()
    # Drawn again, and for some of the rows only, in another order.
    picked = [2, 0]
    again = corruption.apply(faces[picked], draw_chances(ROWS[picked], seed=0), corruption.levels[4])
    np.testing.assert_array_equal(again, new[4][picked])


def test_another_seed_and_another_row_have_other_chances(chances: Chances) -> None:
    other = draw_chances(ROWS, seed=1)
    assert not (other.place == chances.place).any()
    assert not (other.noise == chances.noise).all(axis=(1, 2, 3)).any()
    assert len(np.unique(chances.place)) == 2 * len(ROWS)
    assert set(draw_chances(np.arange(40), seed=0).sign) == {-1, 1}


def test_blur_spreads_a_dot_to_the_gaussian(chances: Chances) -> None:
    dot = np.zeros((1, 48, 48, 1), np.uint8)
    dot[0, 20, 30] = 255
    blurred = apply("blur", dot, of(chances, [0]), 1.0)[0, ..., 0].astype(float)
    down, right = np.mgrid[:48, :48] - np.array([20, 30])[:, None, None]
    wanted = 255 * np.exp(-(down**2 + right**2) / 2) / (2 * np.pi)
    assert np.abs(blurred - wanted).max() <= 1
    flat = np.full((1, 48, 48, 1), 77, np.uint8)
    np.testing.assert_array_equal(apply("blur", flat, of(chances, [0]), 3), flat)


def test_noise_has_its_deviation_and_stays_within_the_bytes(chances: Chances) -> None:
    gray = np.full((len(ROWS), 48, 48, 1), 128, np.uint8)
    noisy = apply("noise", gray, chances, 20.0).astype(float) - 128
    assert abs(noisy.mean()) < 0.6
    assert noisy.std() == pytest.approx(20, rel=0.02)
    white = apply("noise", np.full_like(gray, 255), chances, 20.0)
    assert white.min() > 128
    assert (white == 255).mean() == pytest.approx(0.5, abs=0.03)


def test_jpeg_is_pillows(faces: np.ndarray, chances: Chances) -> None:
    buffer = io.BytesIO()
    Image.fromarray(faces[1, ..., 0]).save(buffer, "JPEG", quality=20)
    wanted = np.asarray(Image.open(buffer))
    np.testing.assert_array_equal(apply("jpeg", faces, chances, 20)[1, ..., 0], wanted)


def test_brightness_and_contrast_by_hand(chances: Chances) -> None:
    image = np.full((1, 48, 48, 1), 100, np.uint8)
    image[0, :24] = 60
    chance = of(chances, [0])
    moved = int(32 * chance.sign[0])
    np.testing.assert_array_equal(apply("brightness", image, chance, 32), image + np.int64(moved))
    flatter = apply("contrast", image, chance, 0.5)
    assert (flatter[0, :24] == 70).all()
    assert (flatter[0, 24:] == 90).all()
    dark = np.full((1, 48, 48, 1), 3, np.uint8)
    both = apply(
        "brightness", np.repeat(dark, 2, axis=0), Chances(chance.place, np.array([-1.0, 1]), dark), 16
    )
    assert (both[0] == 0).all()
    assert (both[1] == 19).all()


def test_occlusion_covers_one_gray_square_inside_the_picture(chances: Chances) -> None:
    white = np.full((len(ROWS), 48, 48, 1), 255, np.uint8)
    covered = apply("occlusion", white, chances, 12)[..., 0] == augment.ERASE_GRAY
    assert (covered.sum(axis=(1, 2)) == 144).all()
    assert (covered.any(axis=1).sum(axis=1) == 12).all()
    assert (covered.any(axis=2).sum(axis=1) == 12).all()
    assert len(np.unique(covered, axis=0)) == len(ROWS)


def middle_of_mass(images: np.ndarray) -> np.ndarray:
    """Row and column of the middle of each picture's light, float64 [N, 2]."""
    light = images[..., 0].astype(float)
    total = light.sum(axis=(1, 2))
    places = np.arange(48)
    return np.column_stack([light.sum(axis=2) @ places / total, light.sum(axis=1) @ places / total])


def test_the_face_box_moves_by_the_distance_in_every_direction(chances: Chances) -> None:
    blob = np.zeros((len(ROWS), 48, 48, 1), np.uint8)
    blob[:, 22:26, 22:26] = 200
    ways = middle_of_mass(apply("shift", blob, chances, 8)) - middle_of_mass(blob)
    np.testing.assert_allclose(np.hypot(*ways.T), 8, atol=0.1)
    assert len(np.unique(np.sign(ways), axis=0)) > 1


def test_the_face_box_scales_and_turns_as_the_sign_says(chances: Chances) -> None:
    box = np.zeros((len(ROWS), 48, 48, 1), np.uint8)
    box[:, 16:32, 16:32] = 200
    areas = apply("scale", box, chances, 1.25).sum(axis=(1, 2, 3)) / (200 * 256)
    # A larger box makes the face in it smaller.
    np.testing.assert_allclose(areas, 1.25 ** (-2 * chances.sign), rtol=0.02)
    side = np.zeros((2, 48, 48, 1), np.uint8)
    side[:, 22:26, 40:44] = 200
    both = Chances(chances.place[:2], np.array([1.0, -1]), chances.noise[:2])
    ways = middle_of_mass(apply("rotation", side, both, 30)) - 23.5
    # Counter-clockwise, what stands on the right goes up.
    wanted = 18 * np.array([[-np.sin(np.pi / 6), np.cos(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
    np.testing.assert_allclose(ways, wanted, atol=0.1)
