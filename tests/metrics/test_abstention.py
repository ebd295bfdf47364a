"""Abstention: thresholds and curves counted by hand, ties and empty answers included."""

import numpy as np
import pytest

from fer_jax.metrics.abstention import COVERAGES, LEFT_OUT, apply_thresholds, choose_thresholds, measure


def test_a_threshold_leaves_out_at_most_the_fraction_it_is_chosen_for() -> None:
    ten = np.array([0.3, 0.4, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    found = choose_thresholds(ten, [0.0, 0.1, 0.2, 0.3, 0.5])
    assert list(found.values()) == [0.3, 0.4, 0.4, 0.4, 0.6]
    # The three equal ones stay together: one image lies below 0.4, not two or three.
    assert [int((ten < threshold).sum()) for threshold in found.values()] == [0, 1, 1, 1, 5]
    assert choose_thresholds(np.array([0.7]), LEFT_OUT) == dict.fromkeys(LEFT_OUT, 0.7)


def test_the_answered_images_are_counted_and_may_be_none() -> None:
    confidences, is_correct = np.array([0.2, 0.5, 0.8]), np.array([False, True, True])
    some, none = apply_thresholds(confidences, is_correct, {0.2: 0.5, 0.5: 0.9})
    assert (some["images"], some["answered"], some["correct"], some["accuracy"]) == (3, 2, 2, 1)
    assert some["accuracy_low"] < 1 and (some["left_out"], some["threshold"]) == (0.2, 0.5)
    assert (none["answered"], none["correct"], none["accuracy"], none["accuracy_low"]) == (0, 0, None, None)


def make_logits(confidences: list[float]) -> np.ndarray:
    """Give logits of class 0 with these probabilities, and the rest for class 1."""
    first = np.array(confidences)
    return np.log(np.stack([first, 1 - first], axis=1))


def test_thresholds_of_other_images_are_applied_to_the_measured_ones() -> None:
    measured = make_logits([0.95, 0.6, 0.8, 0.7]), np.array([0, 1, 0, 1])
    validation = make_logits([0.9, 0.55, 0.65, 0.75, 0.85]), np.zeros(5, int)
    found = measure(*measured, validation=validation)
    by_fraction = {each["left_out"]: each for each in found["thresholds"]}
    assert by_fraction[0.2]["threshold"] == pytest.approx(0.65)
    assert (by_fraction[0.2]["answered"], by_fraction[0.2]["correct"]) == (3, 2)
    assert by_fraction[0.5]["threshold"] == pytest.approx(0.75)
    assert (by_fraction[0.5]["answered"], by_fraction[0.5]["correct"]) == (2, 2)
    assert not found["is_chosen_here"]
    assert measure(*measured, validation=measured)["is_chosen_here"]
    # They are among the measured ones, whose logits were computed in other batches.
    both = [np.concatenate(parts) for parts in zip(measured, validation, strict=True)]
    assert measure(*both, validation=(validation[0] + 1e-6, validation[1]))["is_chosen_here"]
    curve = found["curve"]
    assert [each["coverage"] for each in curve] == list(COVERAGES)
    assert (curve[0]["answered"], curve[0]["correct"]) == (4, 2)
    assert (curve[-1]["answered"], curve[-1]["correct"]) == (1, 1)
    assert measure(*measured, validation=None)["thresholds"] == []
