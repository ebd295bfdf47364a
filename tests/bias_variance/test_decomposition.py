"""Bias and variance: worked examples, exact identities, and the plain loops of the definitions."""

import math

import numpy as np
import pytest

from fer_jax.bias_variance.decomposition import (
    brier,
    cross_entropy,
    decompose,
    noise_of_votes,
    variance_sources,
    zero_one,
)
from fer_jax.randomness import Stream, numpy_rng

LABELS = numpy_rng(0, Stream.SHOW, 1).integers(7, size=40)


def draw_log_probs(*shape: int) -> np.ndarray:
    logits = 2 * numpy_rng(0, Stream.SHOW, *shape).standard_normal((*shape, len(LABELS), 7))
    logits[..., np.arange(len(LABELS)), LABELS] += 1.5
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


LANES = draw_log_probs(5)


def test_domingos_on_a_worked_example() -> None:
    # Every label is 0. Columns: no bias, one replica of four wrong; bias, the replica that differs is right;
    # bias, it is wrong in another way; two against two, where the lower label is the main prediction: right.
    predictions = np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0], [1, 0, 2, 0]])
    assert zero_one(predictions, np.zeros(4, int)) == {
        "loss": (1 / 4 + 3 / 4 + 1 + 1 / 2) / 4,
        "bias": 2 / 4,
        "variance": 3 / 16 - 1 / 16,
        "variance_unbiased": (1 / 4 + 1 / 2) / 4,
        "variance_biased": (1 / 4) / 4,
    }


def test_each_loss_is_bias_plus_variance() -> None:
    parts = zero_one(LANES.argmax(axis=-1), LABELS)
    assert parts["variance_unbiased"] > 0.05 and parts["variance_biased"] > 0.05
    assert parts["variance"] == parts["variance_unbiased"] - parts["variance_biased"]
    for each in (parts, brier(np.exp(LANES), LABELS), cross_entropy(LANES, LABELS)):
        assert each["loss"] == pytest.approx(each["bias"] + each["variance"], abs=1e-12)
        assert each["bias"] > 0


def test_replicas_that_agree_have_no_variance() -> None:
    same = np.stack([LANES[0]] * 3)[None]
    for parts in decompose(same, LABELS).values():
        assert parts["variance"] == pytest.approx(0, abs=1e-12)
        assert parts["bias"] == pytest.approx(parts["loss"])
        assert parts["spread"] is None


def test_brier_is_the_plain_loop() -> None:
    probs = np.exp(LANES)
    bias = variance = 0.0
    for image, label in enumerate(LABELS):
        for k in range(7):
            mean = sum(probs[replica, image, k] for replica in range(5)) / 5
            bias += (mean - (k == label)) ** 2 / len(LABELS)
            variance += sum((probs[replica, image, k] - mean) ** 2 for replica in range(5)) / 5 / len(LABELS)
    parts = brier(probs, LABELS)
    assert (parts["bias"], parts["variance"]) == pytest.approx((bias, variance))


def test_cross_entropy_is_the_plain_loop() -> None:
    bias = variance = 0.0
    for image, label in enumerate(LABELS):
        powers = [math.exp(sum(LANES[replica, image, k] for replica in range(5)) / 5) for k in range(7)]
        main = [power / sum(powers) for power in powers]
        bias -= math.log(main[label]) / len(LABELS)
        for replica in range(5):
            divergence = sum(p * (math.log(p) - LANES[replica, image, k]) for k, p in enumerate(main))
            variance += divergence / 5 / len(LABELS)
    parts = cross_entropy(LANES, LABELS)
    assert (parts["bias"], parts["variance"]) == pytest.approx((bias, variance))


def test_the_sources_of_variance() -> None:
    # One image, one class: resamples at 0.2 and 0.6, seeds 0.1 around, the other way on the second. Seed
    # 2 · 0.01; the means differ by 0.4, so their variance is 0.08, of which the seeds bring 0.04 / 2.
    probs = np.array([[0.1, 0.3], [0.7, 0.5]]).reshape(2, 2, 1, 1)
    assert variance_sources(probs) == pytest.approx({"seed": 0.02, "data": 0.06})
    assert variance_sources(np.stack([probs[0], probs[0]]))["data"] == 0
    # What a seed does alike on every resample is in all of their means, and tells no two of them apart.
    shifted = variance_sources(probs + np.array([0.0, 0.2]).reshape(1, 2, 1, 1))
    assert shifted["data"] == pytest.approx(0.06)
    assert shifted["seed"] > 0.03


def test_the_spread_is_the_jackknife_over_resamples() -> None:
    log_probs = draw_log_probs(3, 2)
    parts = decompose(log_probs, LABELS)["brier"]
    left = [
        brier(np.exp(log_probs[[k for k in range(3) if k != out]].reshape(4, -1, 7)), LABELS)["variance"]
        for out in range(3)
    ]
    mean = sum(left) / 3
    wanted = math.sqrt(2 / 3 * sum((each - mean) ** 2 for each in left))
    assert isinstance(parts["spread"], dict)
    assert parts["spread"]["variance"] == pytest.approx(wanted)
    assert wanted > 0


def test_the_noise_of_votes() -> None:
    # Nine of ten for happy: the tenth vote is against the others. Five against five for angry and sad: the
    # other nine are always for the other one. Then a single vote, which no other can be held against.
    votes = np.array([[0, 0, 0, 9, 0, 0, 1], [5, 0, 0, 0, 5, 0, 0], [1, 0, 0, 0, 0, 0, 0]])
    entropies = -0.9 * math.log(0.9) - 0.1 * math.log(0.1), math.log(2)
    assert noise_of_votes(votes, np.array([6, 4, 0])) == pytest.approx(
        {
            "images": 2,
            "zero_one": (0.1 + 1) / 2,
            "brier": (1 - 0.82 + 0.5) / 2 * 10 / 9,
            "cross_entropy": sum(entropies) / 2 + 1 / 20,
            "label_is_not_majority": 1 / 2,
        }
    )


def test_ten_votes_do_not_make_the_noise_look_smaller_than_it_is() -> None:
    rng = numpy_rng(0, Stream.SHOW, 2)
    probs = rng.dirichlet([0.5] * 7, size=4000)
    votes = rng.multinomial(10, probs)
    found = noise_of_votes(votes, votes.argmax(axis=1))
    assert found["brier"] == pytest.approx((1 - (probs**2).sum(axis=1)).mean(), abs=0.01)
    true = (1 - probs.max(axis=1)).mean()
    assert true <= found["zero_one"] <= true + 0.06
    assert (1 - votes.max(axis=1) / 10).mean() < true - 0.03
