"""The bootstrap, against the binomial distribution, which it is for a share of the images."""

import numpy as np
from scipy.stats import binom

from fer_jax.metrics.bootstrap import RESAMPLES, draw_weights, percentile_interval, resample
from fer_jax.randomness import Stream, numpy_rng


def share_of(is_right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ is_right / weights.sum(axis=1)


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    images, right = 400, 240
    is_right = np.arange(images) < right
    rng = numpy_rng(0, Stream.BOOTSTRAP)
    values = resample(rng, lambda w: {"share": share_of(is_right, w)}, images=images)
    low, high = percentile_interval(values["share"])
    wanted = binom.ppf([0.025, 0.975], images, right / images) / images
    # The deviation of a 2.5 % quantile of 1000 draws is about 0.085 of the deviation, which is 0.0245.
    np.testing.assert_allclose((low, high), wanted, atol=4 * 0.085 * 0.0245)


def test_a_resample_has_as_many_images_and_leaves_out_one_in_e() -> None:
    weights = draw_weights(numpy_rng(0, Stream.BOOTSTRAP), images=500, resamples=40)
    assert weights.shape == (40, 500)
    assert (weights.sum(axis=1) == 500).all()
    assert abs((weights == 0).mean() - np.exp(-1)) < 0.01
    assert len(np.unique(weights, axis=0)) == 40


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.arange(50.0)

    def ends(seed: int) -> list[float]:
        rng = numpy_rng(seed, Stream.BOOTSTRAP)
        found = resample(rng, lambda w: {"mean": w @ values / 50}, images=50)["mean"]
        return percentile_interval(found).tolist()

    assert ends(0) == ends(0) != ends(1)


def test_every_resample_counts_once_and_one_without_a_value_not_at_all() -> None:
    calls: list[int] = []

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        start = sum(calls)
        calls.append(len(weights))
        number = start + np.arange(len(weights), dtype=float)
        half = np.where(number < RESAMPLES / 2, np.nan, number)
        never = np.full(len(weights), np.nan)
        return {"number": number, "pair": np.stack([half, never], axis=1)}

    values = resample(numpy_rng(0, Stream.BOOTSTRAP), figures, images=3)
    ends = {name: percentile_interval(each) for name, each in values.items()}
    assert sum(calls) == RESAMPLES == 1000
    np.testing.assert_allclose(ends["number"], np.quantile(np.arange(1000.0), [0.025, 0.975]))
    np.testing.assert_allclose(ends["pair"][:, 0], np.quantile(np.arange(500.0, 1000), [0.025, 0.975]))
    assert np.isnan(ends["pair"][:, 1]).all()
