"""Predictions of any model: what is measured by hand, and what is refused."""

from typing import Any

import numpy as np
import pytest

import fer_jax
from fer_jax.errors import ConfigError, DataError

LABELS = np.array([0, 1, 2, 3, 3, 3, 3, 6])


def make_probabilities(predicted: list[int], *, confidence: float) -> np.ndarray:
    rest = (1 - confidence) / 6
    return np.full((len(predicted), 7), rest) + (confidence - rest) * np.eye(7)[predicted]


def test_the_metrics_are_those_counted_by_hand() -> None:
    """Six of eight are right, each said with 90 %: recall 1, 1, 0, 3/4 and 1 of the five classes."""
    scores = fer_jax.evaluate_predictions(
        LABELS, make_probabilities([0, 1, 3, 3, 3, 3, 6, 6], confidence=0.9), title="by hand"
    )
    assert (scores.correct, scores.total, scores.accuracy) == (6, 8, 0.75)
    assert scores.balanced_accuracy == pytest.approx((1 + 1 + 0 + 0.75 + 1) / 5)
    assert scores.ece == pytest.approx(0.15)
    assert scores.loss == pytest.approx(-(6 * np.log(0.9) + 2 * np.log(0.1 / 6)) / 8)
    assert scores.macro_f1 == pytest.approx((1 + 1 + 0 + 0.75 + 2 / 3) / 5)
    assert scores.confusion.loc["happy", "neutral"] == 1
    assert scores.copy_free_accuracy is None
    first = scores.abstention.iloc[0]
    assert (first["coverage"], first["answered"], first["correct"]) == (1, 8, 6)
    assert "by hand" in scores._repr_html_() and "6 of 8 images" in scores._repr_html_()


def test_labels_may_be_names_and_a_certain_answer_has_a_finite_loss() -> None:
    names = np.array(["angry", "happy"])
    scores = fer_jax.evaluate_predictions(names, np.eye(7, dtype=np.float32)[[0, 2]])
    assert (scores.correct, scores.total) == (1, 2)
    assert scores.loss == pytest.approx(-np.log(1e-15) / 2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_labels_may_be_integers_of_any_width(dtype: type) -> None:
    classes = tuple(f"class {k:02}" for k in range(20))
    scores = fer_jax.evaluate_predictions(np.arange(20, dtype=dtype), np.eye(20), names=classes)
    assert (scores.correct, scores.balanced_accuracy) == (20, 1)


def test_images_that_are_all_right_do_not_say_that_others_would_be() -> None:
    scores = fer_jax.evaluate_predictions(LABELS, make_probabilities(LABELS.tolist(), confidence=0.9))
    low, high = scores.accuracy_interval
    assert (low, high) == pytest.approx((0.6756, 1), abs=1e-4)  # Wilson's, of 8 in 8.
    intervals = scores.facts["intervals"]
    assert intervals["balanced_accuracy"] is None and intervals["ece"] is None
    assert "8 of 8 images" in scores._repr_html_()


@pytest.mark.parametrize(
    ("labels", "probabilities", "said"),
    [
        (LABELS, np.zeros((8, 7), int), "came as int64"),
        (LABELS, np.full((8, 21), 1 / 21), r"wanted float \[N, C\], a row an image .* 2 to 20 of them"),
        (LABELS, np.full((8, 5), 0.2), "the probabilities have 5 columns, and 0 names were given"),
        (LABELS, np.full((8, 7), 3.0), "row 0 of the probabilities adds up to 21, from 3 to 3"),
        (LABELS, np.full((8, 7), np.nan), "row 0 of the probabilities is NaN, as where a network abstains"),
        (LABELS[:3], np.full((8, 7), 1 / 7), r"the labels came as int64 \[3\]; wanted int \[8\]"),
        (LABELS + 1, np.full((8, 7), 1 / 7), r"the labels are in 1\.\.7; wanted 0\.\.6"),
        (
            [[0], [1, 2]],
            np.full((2, 7), 1 / 7),
            r"the labels came as an object of type list, which is no array \(.*; wanted int \[2\]",
        ),
        (LABELS, [[0.5, 0.5], [1.0]], r"the probabilities came as an object of type list, .*; wanted float"),
        (np.array(["joy"] * 8), np.full((8, 7), 1 / 7), "there is no class 'joy'; wanted angry"),
    ],
)
def test_what_does_not_fit_is_refused(labels: Any, probabilities: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        fer_jax.evaluate_predictions(labels, probabilities)


def test_names_and_titles_of_a_wrong_type_are_refused() -> None:
    nothing: Any = None
    with pytest.raises(DataError, match="names came None; wanted those of the 7 classes"):
        fer_jax.evaluate_predictions(LABELS, np.full((8, 7), 1 / 7), names=nothing)
    with pytest.raises(ConfigError, match="title came None; wanted text"):
        fer_jax.evaluate_predictions(LABELS, np.full((8, 7), 1 / 7), title=nothing)
