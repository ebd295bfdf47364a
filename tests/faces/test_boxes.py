"""Boxes: overlap by hand, and the suppression of several boxes of one face."""

import numpy as np

from fer_jax.faces.boxes import Boxes, iou, join, suppress


def make_boxes(*xywh_score: tuple[float, ...]) -> Boxes:
    rows = np.array(xywh_score, float).reshape(-1, 5)
    return Boxes(rows[:, :4], rows[:, 4], np.zeros((len(rows), 5, 2)))


def test_iou_by_hand() -> None:
    a = np.array([[0.0, 0, 4, 4], [10, 10, 2, 2]])
    b = np.array([[2.0, 0, 4, 4], [0, 0, 2, 2], [0, 0, 0, 0]])
    np.testing.assert_allclose(iou(a, b), np.array([[8 / 24, 4 / 16, 0], [0, 0, 0]]))
    assert iou(np.empty((0, 4)), b).shape == (0, 3)


def test_the_best_box_of_a_face_is_kept() -> None:
    boxes = make_boxes((0, 0, 10, 10, 0.8), (1, 0, 10, 10, 0.9), (30, 30, 10, 10, 0.7), (2, 0, 10, 10, 0.85))
    kept = suppress(boxes, most_iou=0.3)
    assert kept.scores.tolist() == [0.9, 0.7]
    assert len(suppress(boxes, most_iou=1.0)) == 4
    assert len(suppress(make_boxes(), most_iou=0.3)) == 0


def test_a_suppressed_box_suppresses_nothing() -> None:
    # The second overlaps the first and the third; the third only the second, which is gone.
    boxes = make_boxes((0, 0, 10, 10, 0.9), (5, 0, 10, 10, 0.8), (10, 0, 10, 10, 0.7))
    assert suppress(boxes, most_iou=0.3).scores.tolist() == [0.9, 0.7]


def test_joined_and_scaled() -> None:
    both = join([make_boxes((0, 0, 1, 2, 0.9)), make_boxes((3, 4, 5, 6, 0.8))]).scaled(2)
    assert both.xywh.tolist() == [[0, 0, 2, 4], [6, 8, 10, 12]]
    assert both.scores.tolist() == [0.9, 0.8]
