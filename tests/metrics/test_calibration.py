"""Calibration of predictors whose calibration is known."""

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax

from fer_jax.metrics.calibration import BIN_COUNT, confidences_of, describe, expected_error, fit_temperature


def predictions(*groups: tuple[float, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Make groups of images (confidence, images, how many are right): log-probabilities and labels."""
    log_probs, labels = [], []
    for confidence, images, right in groups:
        probs = np.full(7, (1 - confidence) / 6)
        probs[2] = confidence
        log_probs += [np.log(probs)] * images
        labels += [2] * right + [5] * (images - right)
    return np.array(log_probs), np.array(labels)


def test_a_predictor_that_is_as_right_as_it_says_has_no_error() -> None:
    figures = describe(*predictions((0.75, 100, 75), (0.55, 40, 22), (0.3, 10, 3)))
    assert figures["ece"] == pytest.approx(0, abs=1e-12)


def test_one_that_says_90_and_is_right_in_60_is_off_by_30() -> None:
    assert describe(*predictions((0.9, 50, 30)))["ece"] == pytest.approx(0.3)
    # Too sure in one bin does not make up for too modest in another.
    both = describe(*predictions((0.9, 50, 30), (0.5, 150, 90)))
    assert both["ece"] == pytest.approx(0.25 * 0.3 + 0.75 * 0.1)


def test_the_bins_hold_every_image_once() -> None:
    bins = describe(*predictions((0.19, 4, 1), (0.39, 6, 3), (0.41, 5, 0)))["bins"]
    assert len(bins) == BIN_COUNT == 15
    assert (bins[0]["low"], bins[-1]["high"]) == (0, 1)
    assert all(a["high"] == b["low"] for a, b in itertools.pairwise(bins))
    assert [each["count"] for each in bins] == [0, 0, 4, 0, 0, 6, 5] + [0] * 8
    assert bins[5]["confidence"] == pytest.approx(0.39)
    assert bins[5]["accuracy"] == 0.5
    assert bins[0]["confidence"] is None
    assert bins[0]["accuracy"] is None


def test_an_upper_edge_belongs_to_the_bin_below_it() -> None:
    edge = describe(*predictions((0.9, 1, 1)))["bins"][4]["high"]
    assert edge == pytest.approx(1 / 3)
    is_correct, once = np.array([True, False]), np.ones((1, 2))
    # In one bin the excess of one makes up for that of the other; in two bins both count.
    together = expected_error(np.array([edge, edge - 0.01]), is_correct, once)
    apart = expected_error(np.array([edge, edge + 0.01]), is_correct, once)
    np.testing.assert_allclose(together, (1 - 2 * edge + 0.01) / 2)
    np.testing.assert_allclose(apart, (1 - edge + edge + 0.01) / 2)


def test_certainty_falls_into_the_last_bin() -> None:
    figures = describe(np.log(np.eye(7)[[0, 0]] + 1e-300), np.array([0, 1]))
    assert figures["bins"][-1]["count"] == 2
    assert figures["ece"] == pytest.approx(0.5)


def test_a_weight_of_two_is_two_images() -> None:
    rng = np.random.default_rng(0)
    log_probs, labels = log_softmax(rng.normal(size=(60, 7)), axis=1), rng.integers(0, 7, 60)
    weights = rng.integers(0, 4, (3, 60))
    errors = expected_error(*confidences_of(log_probs, labels), weights.astype(float))
    repeated = [describe(log_probs.repeat(w, axis=0), labels.repeat(w))["ece"] for w in weights]
    np.testing.assert_allclose(errors, repeated)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_known_factor(factor: float) -> None:
    # Labels stand exactly in the proportions of the probabilities, so that the best temperature of the
    # logits themselves is 1.
    counts = np.array([[10, 4, 2, 1, 1, 1, 1], [1, 1, 1, 1, 1, 7, 8]])
    labels = np.concatenate([np.repeat(np.arange(7), row) for row in counts])
    logits = np.log(counts).repeat(20, axis=0)
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=1e-4)


def test_the_temperature_stays_finite_where_all_is_right() -> None:
    temperature = fit_temperature(np.eye(7), np.arange(7))
    assert 0 < temperature < 0.01 + np.exp(-5)
