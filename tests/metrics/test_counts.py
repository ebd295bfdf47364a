"""Figures from counts, against sums done by hand."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from fer_jax import fer2013
from fer_jax.metrics.counts import Counts, accuracy, count, count_predictions, mean_loss, merge
from fer_jax.metrics.scores import confusion_ratios, roc_auc, summarise, top2_hits, wilson_interval


def one_hot(predictions: list[int]) -> jnp.ndarray:
    return jnp.eye(7)[jnp.array(predictions)]


def test_count_puts_the_true_class_in_the_row_and_leaves_padding_out() -> None:
    labels, predictions = [0, 0, 3, 6, 2], [0, 3, 3, 1, 2]
    losses = jnp.array([0.5, 1.0, 2.0, 4.0, 8.0])
    counts = count(one_hot(predictions), jnp.array(labels), losses, jnp.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    wanted = np.zeros((7, 7), int)
    wanted[0, 0] = wanted[0, 3] = wanted[3, 3] = wanted[6, 1] = 1
    np.testing.assert_array_equal(counts.confusion, wanted)
    assert counts.confusion.dtype == jnp.int32
    assert float(counts.loss_sum) == 7.5
    merged = merge([counts])
    assert accuracy(merged) == 0.5
    assert mean_loss(merged) == 7.5 / 4


def test_merged_batches_are_one_big_batch() -> None:
    rng = np.random.default_rng(0)
    arrays = (rng.normal(size=(50, 7)), rng.integers(0, 7, 50), rng.uniform(size=50), np.ones(50))
    logits, labels, losses, is_real = (jnp.asarray(each) for each in arrays)
    whole = merge([count(logits, labels, losses, is_real)])
    cuts = [slice(30, 50), slice(0, 7), slice(7, 30)]
    merged = merge([count(logits[cut], labels[cut], losses[cut], is_real[cut]) for cut in cuts])
    np.testing.assert_array_equal(merged.confusion, whole.confusion)
    assert merged.confusion.sum() == 50
    assert merged.confusion.dtype == np.int64
    np.testing.assert_allclose(merged.loss_sum, whole.loss_sum, rtol=1e-6)


def test_merging_does_not_lose_small_batches_behind_large_sums() -> None:
    big = Counts(np.float32(2**25), np.zeros((7, 7), np.int32))
    small = Counts(np.float32(1), np.zeros((7, 7), np.int32))
    assert merge([big] + [small] * 3).loss_sum == 2**25 + 3


@pytest.mark.parametrize(("correct", "total"), [(0, 5), (5, 5), (1, 2), (2600, 3589)])
def test_the_interval_is_wilsons(correct: int, total: int) -> None:
    z, p = 1.959963984540054, correct / total
    middle = (p + z * z / 2 / total) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / 4 / total**2) / (1 + z * z / total)
    np.testing.assert_allclose(wilson_interval(correct, total), (middle - half, middle + half), atol=1e-12)


def test_the_figures_of_a_small_confusion_by_hand() -> None:
    confusion = np.zeros((7, 7), np.int64)
    confusion[0, 0], confusion[0, 1] = 3, 1
    confusion[1, 0], confusion[1, 1], confusion[1, 2] = 2, 2, 2
    # Class 2 has no examples but is predicted; classes 3 to 6 are neither.
    figures = summarise(Counts(10.0, confusion), fer2013.LABELS)
    assert (figures["correct"], figures["total"], figures["accuracy"], figures["loss"]) == (5, 10, 0.5, 1.0)
    assert (figures["accuracy_low"], figures["accuracy_high"]) == wilson_interval(5, 10)
    first, second, third, fourth = figures["per_class"][:4]
    assert (first["label"], first["count"], first["predicted"]) == ("angry", 4, 5)
    assert (first["precision"], first["recall"]) == (3 / 5, 3 / 4)
    assert first["f1"] == pytest.approx(2 * (3 / 5) * (3 / 4) / (3 / 5 + 3 / 4))
    assert (second["precision"], second["recall"], second["f1"]) == (2 / 3, 1 / 3, 4 / 9)
    assert (third["precision"], third["recall"], third["f1"], third["predicted"]) == (0, None, 0, 2)
    assert (fourth["precision"], fourth["recall"], fourth["f1"]) == (None, None, None)
    assert figures["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert figures["macro_f1"] == pytest.approx((first["f1"] + 4 / 9) / 2)
    assert figures["confusion"] == confusion.tolist()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_counting_on_the_host_is_counting_on_the_device() -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(7), 50), rng.integers(0, 7, 50)
    losses = -np.log(probs[np.arange(50), labels])
    device = merge([count(jnp.asarray(probs), jnp.asarray(labels), jnp.asarray(losses), jnp.ones(50))])
    host = count_predictions(np.log(probs), labels)
    np.testing.assert_array_equal(host.confusion, device.confusion)
    assert host.loss_sum == pytest.approx(losses.sum(), rel=1e-12)


def test_of_equal_logits_the_earlier_class_is_larger() -> None:
    logits = np.array([[1.0, 0, 1, 1, 0, 0, 0]]).repeat(4, axis=0)
    assert top2_hits(logits, np.array([0, 2, 3, 1])).tolist() == [True, True, False, False]


def test_the_ratios_of_many_confusions_are_those_of_each() -> None:
    confusions = np.random.default_rng(0).poisson(3, (20, 7, 7))
    confusions[3, 2] = 0
    confusions[4, 1:] = 0
    confusions[5, :, 6] = 0
    ratios = confusion_ratios(confusions)
    for number, confusion in enumerate(confusions):
        wanted = summarise(Counts(0.0, confusion), fer2013.LABELS)
        assert {name: each[number] for name, each in ratios.items()} == pytest.approx(
            {name: wanted[name] for name in ratios}
        )


def auc_by_pairs(scores: np.ndarray, is_positive: np.ndarray) -> float:
    wins, pairs = 0.0, 0
    for positive in scores[is_positive]:
        for negative in scores[~is_positive]:
            wins += 1.0 if positive > negative else 0.5 if positive == negative else 0.0
            pairs += 1
    return wins / pairs


def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_for_half() -> None:
    rng = np.random.default_rng(0)
    scores, is_positive = rng.integers(0, 9, 80) / 9, rng.random(80) < 0.3
    weights = np.vstack([np.ones(80), rng.integers(0, 4, (3, 80))])
    aucs = roc_auc(scores, is_positive, weights)
    wins = mannwhitneyu(scores[is_positive], scores[~is_positive]).statistic
    assert aucs[0] == pytest.approx(wins / is_positive.sum() / (~is_positive).sum())
    for auc, weight in zip(aucs, weights.astype(int), strict=True):
        assert auc == pytest.approx(auc_by_pairs(scores.repeat(weight), is_positive.repeat(weight)))


def test_auc_has_no_value_without_positives_or_without_negatives() -> None:
    scores, is_positive = np.array([0.1, 0.2, 0.3]), np.array([True, False, False])
    weights = np.array([[1.0, 1, 1], [0, 1, 1], [2, 0, 0]])
    np.testing.assert_array_equal(roc_auc(scores, is_positive, weights), [0, np.nan, np.nan])
    assert np.isnan(roc_auc(scores, np.zeros(3, bool), weights)).all()
