"""The crop rules on boxes and landmarks whose crops are known."""

import numpy as np
import pytest

from benchmarks.photos.crop_rules import RULES
from fer_jax.data.synthetic import draw_examples
from fer_jax.faces.crop import CONTRACT

POINTS = np.array([[0.307, 0.387], [0.684, 0.387], [0.484, 0.597], [0.345, 0.763], [0.651, 0.763]])
FACE = np.repeat(draw_examples(seed=0, examples=1).images[0], 3, axis=2)
PICTURE = np.pad(FACE, ((30, 40), (20, 50), (0, 0)), mode="edge")
OURS = 48 / CONTRACT.side_factor


def distance(cut: np.ndarray, wanted: np.ndarray) -> float:
    assert cut.shape == (48, 48, 1) and cut.dtype == np.uint8
    return float(np.abs(cut[..., 0].astype(float) - wanted).mean())


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("contract", (44 - OURS / 2, 54 - 48 * CONTRACT.shift_down - OURS / 2, OURS, OURS)),
        ("rmn", (20 + 24 - 20 / 1.1, 30 + 24 - 28 / 1.1, 40 / 1.1, 56 / 1.1)),
        ("fer", (20 + 12, 30 + 10, 24, 28)),
        ("deepface", (20, 30, 48, 48)),
        ("emotiefflib", (20, 30, 48, 48)),
        ("py-feat", (24, 34, 40, 40)),
        ("wide", (40, 34, 8, 40)),
        ("landmarks", (0, 0, 1, 1)),
    ],
)
def test_each_rule_finds_the_face_in_the_box_that_is_made_for_it(name: str, box: tuple[float, ...]) -> None:
    cut = RULES[name].cut(PICTURE, np.array(box, float), 48 * POINTS + (20, 30))
    # Twice resampled, as by `deepface` and by `landmarks`, an edge moves by less than a gray level or two.
    assert distance(cut, FACE[..., 0]) < 3


def test_black_bars_stand_beside_a_tall_box() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    cut = RULES["deepface"].cut(white, np.array([30.0, 20, 24, 48]), POINTS)[..., 0]
    # The filter rings a little beside an edge.
    assert cut[:, :11].max() < 8 and cut[:, -11:].max() < 8 and cut[:, 14:34].min() > 247


def test_landmarks_turn_a_face_back() -> None:
    turned = np.rot90(PICTURE, -1).copy()
    x, y = (48 * POINTS + (20, 30)).T
    landmarks = np.stack([PICTURE.shape[0] - y, x], axis=1)
    cut = RULES["landmarks"].cut(turned, np.zeros(4), landmarks)
    assert distance(cut, FACE[..., 0]) < 3
