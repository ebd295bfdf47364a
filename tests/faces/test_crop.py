"""The crop contract: Pillow's gray and Lanczos as references, borders repeated, and the square by hand."""

import numpy as np
import pytest
from PIL import Image

from fer_jax.faces.crop import CONTRACT, Square, cut_out, place_square, resampling_matrix, to_gray


def draw_picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_square_by_hand() -> None:
    square = place_square(np.array([10.0, 20, 16, 25]), CONTRACT, scale=1.0)
    assert square.side == pytest.approx(21.6)  # 1.08 · 20
    assert (square.left, square.top) == pytest.approx((18 - 10.8, 32.5 - 0.01 * 21.6 - 10.8))
    double = place_square(np.array([10.0, 20, 16, 25]), CONTRACT, scale=2.0)
    assert (double.left, double.top) == pytest.approx((square.left - 10.8, square.top - 10.8))


def test_gray_is_pillows() -> None:
    image = draw_picture(64, 64)
    np.testing.assert_array_equal(to_gray(image, CONTRACT), np.asarray(Image.fromarray(image).convert("L")))


@pytest.mark.parametrize("box", [(7.25, 3.5, 80.0), (100.5, 20.0, 31.7), (0.0, 0.0, 150.0)])
def test_inside_a_picture_it_is_pillows_lanczos(box: tuple[float, float, float]) -> None:
    left, top, side = box
    image = draw_picture(160, 170)
    expected = Image.fromarray(image).convert("L")
    expected = expected.resize((48, 48), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    found = cut_out(image, Square(left, top, side), CONTRACT)
    # Pillow takes no pixel from outside the box, and rounds between its two passes.
    inner = (slice(4, -4), slice(4, -4))
    difference = found[..., 0].astype(int) - np.asarray(expected).astype(int)
    assert np.abs(difference[inner]).max() <= 2


def test_a_crop_of_48_pixels_keeps_every_bit() -> None:
    image = np.repeat(draw_picture(48, 48)[..., :1], 3, axis=2)
    np.testing.assert_array_equal(cut_out(image, Square(0, 0, 48), CONTRACT), image[..., :1])


def test_outside_the_border_is_repeated() -> None:
    image = draw_picture(60, 50)
    padded = np.pad(image, ((80, 80), (80, 80), (0, 0)), mode="edge")
    for left, top, side in ((-20.0, -10.0, 70.0), (30.0, 40.0, 55.5), (-60.0, 5.0, 20.0), (-5.0, -5.0, 70.0)):
        found = cut_out(image, Square(left, top, side), CONTRACT)
        expected = cut_out(padded, Square(left + 80, top + 80, side), CONTRACT)
        # Floating point may round one level apart: the sums are taken in another order.
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
        assert not Square(left, top, side).is_inside(60, 50)


def test_each_output_is_a_weighted_mean() -> None:
    for start, length, pixels in ((3.2, 10.0, 40), (-5.0, 300.0, 200), (90.0, 40.0, 100)):
        matrix, first = resampling_matrix(start, length, pixels, 48)
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
        assert first >= 0
        assert first + matrix.shape[1] <= pixels


def test_a_picture_of_one_pixel() -> None:
    image = np.full((1, 1, 3), 77, np.uint8)
    assert (cut_out(image, Square(0, 0, 1), CONTRACT) == 77).all()
