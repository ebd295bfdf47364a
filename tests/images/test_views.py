"""Test-time views, by hand and against Pillow's resize."""

from typing import get_args

import numpy as np
import pytest
from PIL import Image

from fer_jax.images.view_choice import ViewChoice
from fer_jax.images.views import CHOICES, show


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), np.uint8)


def test_every_choice_has_its_views_and_no_view_twice() -> None:
    assert set(CHOICES) == set(get_args(ViewChoice))
    assert {choice: len(names) for choice, names in CHOICES.items()} == {
        "single": 1,
        "flip": 2,
        "shifts": 5,
        "flip-shifts": 10,
        "ten-crop": 10,
        "flip-zooms": 6,
    }
    for names in CHOICES.values():
        assert len(set(names)) == len(names)
    assert set(CHOICES["flip"]) | set(CHOICES["shifts"]) < set(CHOICES["flip-shifts"])


def test_the_identity_changes_nothing_and_flipping_mirrors_every_view(faces: np.ndarray) -> None:
    np.testing.assert_array_equal(show(faces, "identity"), faces)
    np.testing.assert_array_equal(show(faces, "flip"), faces[:, :, ::-1])
    for choice in ("flip-shifts", "ten-crop", "flip-zooms"):
        names = CHOICES[choice]
        half = len(names) // 2
        for plain, flipped in zip(names[:half], names[half:], strict=True):
            # Between pixels the gray is rounded once, half a level to either side.
            difference = show(faces, flipped).astype(int) - show(faces, plain)[:, :, ::-1]
            assert np.abs(difference).max() <= 1, flipped


def test_a_shift_moves_by_two_pixels_and_repeats_the_edge(faces: np.ndarray) -> None:
    up, right = show(faces, "shifted up 2 px"), show(faces, "shifted right 2 px")
    np.testing.assert_array_equal(up[:, :46], faces[:, 2:])
    np.testing.assert_array_equal(up[:, 46:], faces[:, [47, 47]])
    np.testing.assert_array_equal(right[:, :, 2:], faces[:, :, :46])
    np.testing.assert_array_equal(right[:, :, :2], faces[:, :, [0, 0]])
    np.testing.assert_array_equal(show(faces, "shifted down 2 px")[:, 2:], faces[:, :46])
    np.testing.assert_array_equal(show(faces, "shifted left 2 px")[:, :, :46], faces[:, :, 2:])


@pytest.mark.parametrize(
    ("name", "left", "top"),
    [
        ("crop 44 px top left", 0, 0),
        ("crop 44 px top right", 4, 0),
        ("crop 44 px bottom left", 0, 4),
        ("crop 44 px bottom right", 4, 4),
        ("crop 44 px middle", 2, 2),
    ],
)
def test_a_crop_is_pillows_bilinear_resize_of_the_box(
    faces: np.ndarray, name: str, left: int, top: int
) -> None:
    box = (left, top, left + 44, top + 44)
    wanted = [
        np.asarray(Image.fromarray(face[..., 0]).resize((48, 48), Image.Resampling.BILINEAR, box))
        for face in faces
    ]
    # At the crop's own border ours sees the pixel beyond, and Pillow does not.
    difference = show(faces, name)[..., 0].astype(int) - np.array(wanted)
    assert np.abs(difference[:, 1:-1, 1:-1]).max() <= 1


@pytest.mark.parametrize(("name", "side"), [("crop 92 % middle", 0.92), ("crop 85 % middle", 0.85)])
def test_a_zoom_enlarges_the_middle_of_a_ramp(name: str, side: float) -> None:
    """The gray is 5 a pixel, so a row shows 5 times the place that it comes from; no value is a half."""
    rows = np.arange(48)
    ramp = np.broadcast_to(5 * rows[:, None, None], (1, 48, 48, 1)).astype(np.uint8)
    wanted = np.rint(5 * (23.5 + side * (rows - 23.5)))
    assert wanted[[0, 1, 47]].tolist() == {0.92: [9, 14, 226], 0.85: [18, 22, 217]}[side]
    np.testing.assert_array_equal(show(ramp, name)[0, :, :, 0], np.broadcast_to(wanted[:, None], (48, 48)))
    across = show(ramp.transpose(0, 2, 1, 3).copy(), name)
    np.testing.assert_array_equal(across[0, :, :, 0], np.broadcast_to(wanted, (48, 48)))
