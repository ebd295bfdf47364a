"""Boxes and faces matched by hand, and figures computed by hand."""

import numpy as np
import pytest

from benchmarks.photos import chain, rivals, scores
from benchmarks.photos.chain import Sightings
from benchmarks.photos.scenes import Layout, Pasted

FACES = (Pasted(0, 100, 100, 80, 0.0), Pasted(1, 300, 100, 80, 0.0))


def test_a_box_belongs_to_one_face_and_a_face_has_one_box() -> None:
    boxes = np.array(
        [
            [270.0, 60, 60, 80],  # the second face's
            [60, 60, 80, 80],  # the first one's, less sure
            [65, 65, 80, 80],  # the first one's
            [85, 85, 30, 30],  # too small
            [125, 60, 80, 80],  # too far
        ]
    )
    assert chain.match(boxes, np.array([0.9, 0.7, 0.8, 1.0, 1.0]), FACES) == [2, 0]
    assert chain.match(boxes[3:], np.ones(2), FACES) == [None, None]
    assert chain.match(np.empty((0, 4)), np.empty(0), FACES) == [None, None]


def seen(found_scores: list[float]) -> Sightings:
    blank = np.zeros((len(found_scores), 48, 48, 1), np.uint8)
    return Sightings(np.array(found_scores), blank, blank, blank, np.array([0.95, 0.55]))


def test_views_are_scored_on_the_found_and_on_all() -> None:
    labels = np.array([0, 1, 2, 3, -1])
    direct = np.eye(7)[[0, 1, 0, 3, 0]]
    answers = np.eye(7)[[0, 0, 2, 3, 0]]
    answers[3] = np.nan
    logits = dict.fromkeys(("single", "flip", "photo"), answers)
    logits |= {"direct-single": direct, "direct-flip": direct}
    row, *_ = scores.score_views(logits, labels, seen([0.9, 0.8, 0.7, 0.0, 0.9]), min_score=0.7)
    counts = {key: (value["part"], value["total"]) for key, value in row.items() if "part" in value}
    assert counts == {
        "found": (3, 4),
        "accuracy_on_found": (2, 3),
        "accuracy": (2, 4),
        "direct_on_found": (2, 3),
        "direct_on_all": (3, 4),
        "agreement": (2, 4),
    }
    assert (row["against_direct"]["only_first"], row["against_direct"]["only_second"]) == (2, 1)
    # What is found but not surely enough counts as missed.
    row, *_ = scores.score_views(logits, labels, seen([0.6, 0.6, 0.6, 0.0, 0.6]), min_score=0.7)
    assert row["accuracy"]["part"] == 0 and row["accuracy_on_found"]["ratio"] is None


def test_the_detector_is_counted_at_each_threshold() -> None:
    rows = scores.score_detector(seen([0.95, 0.75, 0.0]), scenes=2)
    counts = {row["min_score"]: (row["found"]["part"], row["false"]) for row in rows}
    assert counts == {0.5: (2, 2), 0.6: (2, 1), 0.7: (2, 1), 0.8: (1, 1), 0.9: (1, 1)}


@pytest.mark.parametrize(("label", "is_right"), [("Anger", True), ("angry", True), ("Contempt", False)])
def test_a_rival_is_judged_in_its_own_words(label: str, is_right: bool) -> None:
    answers = [[{"box": [60, 60, 80, 80], "label": label}, {"box": [0, 0, 9, 9], "label": "happy"}]]
    layout = Layout((0,), 640, 480, "noise", FACES, 90)
    judged = rivals.judge(answers, [layout], np.array([0, 3]))
    assert judged["is_found"].tolist() == [True, False] and judged["false"] == 1
    assert judged["is_right"].tolist() == [is_right, False]
