"""Confident learning: a table computed by hand, and flipped labels under a predictor that is always right."""

import numpy as np

from fer_jax.audit.confident_learning import NO_CLASS, estimate_joint, estimate_wrong, find_label_errors

# Sixteenths, so that every sum is exact.
PROBABILITIES = np.array(
    [
        [12, 2, 2],
        [4, 8, 4],  # labelled 0, reaches only class 1
        [8, 4, 4],
        [2, 12, 2],
        [10, 4, 2],  # labelled 1, reaches only class 0
        [6, 2, 8],
        [9, 1, 6],  # labelled 2, below its own class's threshold
        [5, 5, 6],  # reaches no class
        [7.5, 0.5, 8],  # labelled 1, reaches classes 0 and 2
    ]
)
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 0, 1])


def test_the_table_computed_by_hand() -> None:
    found = find_label_errors(PROBABILITIES / 16, LABELS)
    assert (16 * found.thresholds).tolist() == [7.25, 5.5, 7]
    assert found.likely.tolist() == [0, 1, 0, 1, 0, 2, 0, NO_CLASS, 2]
    assert found.joint.tolist() == [[2, 1, 0], [1, 1, 1], [1, 0, 1]]
    assert (16 * found.margins).tolist() == [10, -4, 4, 10, -6, 2, -3, -1, -7.5]
    assert found.flagged.tolist() == [8, 4, 1, 6]


def test_the_joint_is_scaled_to_the_labels() -> None:
    joint = estimate_joint(np.array([[2, 1, 0], [1, 1, 1], [0, 0, 0]]), np.array([4, 3, 2]))
    np.testing.assert_allclose(joint * 9, np.array([[8 / 3, 4 / 3, 0], [1, 1, 1], [0, 0, 2]]))


def test_flipped_labels_are_all_that_is_found_where_the_predictor_is_right() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 7, 700)
    is_flipped = rng.random(700) < 0.2
    labels = np.where(is_flipped, (truth + rng.integers(1, 7, 700)) % 7, truth)
    probabilities = np.full((700, 7), 0.01)
    probabilities[np.arange(700), truth] = 0.94
    found = find_label_errors(probabilities, labels)
    assert np.sort(found.flagged).tolist() == np.flatnonzero(is_flipped).tolist()
    assert (found.likely == truth).all()
    wrong = 1 - np.trace(estimate_joint(found.joint, np.bincount(labels)))
    np.testing.assert_allclose(wrong, is_flipped.mean())


def test_a_class_without_examples_is_never_likely() -> None:
    found = find_label_errors(np.array([[0.2, 0.8], [0.3, 0.7]]), np.array([0, 0]))
    assert found.thresholds.tolist() == [0.25, np.inf]
    assert found.likely.tolist() == [NO_CLASS, 0]
    assert not len(found.flagged)


def test_the_estimated_precision_is_the_share_of_planted_errors() -> None:
    rng = np.random.default_rng(0)
    for sharpness in (0.0, 1.0, 3.0):
        # What the images show, then labels of which one in ten was drawn without looking.
        logits = sharpness * rng.normal(size=(40_000, 7)) + np.linspace(0, 1, 7)
        shown = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        frequencies = shown.mean(axis=0)
        is_wrong = rng.random(len(shown)) < 0.1
        seen = np.where(is_wrong[:, None], frequencies, shown)
        labels = (seen.cumsum(axis=1) > rng.random((len(seen), 1))).argmax(axis=1)
        # A calibrated network knows the labels' errors too.
        probabilities = 0.9 * shown + 0.1 * frequencies
        wrong = estimate_wrong(probabilities, labels)
        listed = find_label_errors(probabilities, labels).flagged
        listed = listed if sharpness else np.arange(len(labels))
        dropped = listed[wrong[listed] >= 0.5]
        for rows in (listed, dropped) if sharpness else (listed,):
            np.testing.assert_allclose(wrong[rows].mean(), is_wrong[rows].mean(), atol=0.05)
        assert bool(len(dropped)) == bool(sharpness)
        # An overconfident network is calibrated first.
        np.testing.assert_allclose(
            estimate_wrong(probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True), labels),
            wrong,
            atol=0.05,
        )
