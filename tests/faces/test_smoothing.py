"""Smoothing over time, against values computed by hand and against the plain sums."""

import numpy as np
import pytest
from scipy.special import log_softmax

from fer_jax.faces.smoothing import Averages, advance, smooth

SURE, UNSURE = np.log([0.9, 0.1]), np.log([0.5, 0.5])


def stream(times_s: list[float], values: np.ndarray, *, tau_s: float) -> np.ndarray:
    averages: Averages = {}
    rows = []
    for time_s, value in zip(times_s, values, strict=True):
        averages, smoothed = advance(averages, time_s, np.array([1]), value[None], tau_s=tau_s)
        rows.append(smoothed[0])
    return np.array(rows)


def test_the_average_by_hand() -> None:
    """After ln 2 · τ a new value counts half: the mean of the logs, √.45 to √.05, is 3 to 1."""
    tau_s = 0.3
    smoothed = stream([2.0, 2.0 + tau_s * np.log(2)], np.array([SURE, UNSURE]), tau_s=tau_s)
    np.testing.assert_allclose(np.exp(smoothed), [[0.9, 0.1], [0.75, 0.25]])


def test_irregular_times_give_what_regular_ones_give() -> None:
    """While the value stays, it does not matter how many frames there are."""
    few = stream([0.0, 0.9], np.array([SURE, UNSURE]), tau_s=0.5)
    many = stream([0.0, 0.1, 0.15, 0.6, 0.9], np.array([SURE, *[UNSURE] * 4]), tau_s=0.5)
    np.testing.assert_allclose(few[-1], many[-1])


def test_a_step_reaches_half_after_069_tau() -> None:
    times = np.arange(0, 1, 0.01)
    values = np.where(times[:, None] >= 0.1, [[0.0, -4.0]], [[-4.0, 0.0]])
    smoothed = stream(times.tolist(), values, tau_s=0.3)
    crossed = times[np.argmax(smoothed[:, 0] > smoothed[:, 1])]
    assert crossed - 0.1 == pytest.approx(0.69 * 0.3, abs=0.011)


def test_tracks_do_not_mix_and_lost_ones_are_forgotten() -> None:
    averages: Averages = {}
    averages, _ = advance(averages, 0.0, np.array([1, 2]), np.array([SURE, UNSURE]), tau_s=9)
    averages, swapped = advance(averages, 0.1, np.array([2, 1]), np.array([UNSURE, SURE]), tau_s=9)
    np.testing.assert_allclose(np.exp(swapped), [[0.5, 0.5], [0.9, 0.1]])
    averages, none = advance(averages, 0.2, np.zeros(0, int), np.zeros((0, 2)), tau_s=9)
    assert none.shape == (0, 2) and averages.keys() == {1, 2}
    averages, _ = advance(averages, 5.0, np.array([3]), UNSURE[None], tau_s=9)
    assert averages.keys() == {3}


def test_a_file_is_smoothed_as_the_plain_sums_say() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.2, 40))
    tracks, values = rng.integers(1, 4, 40), log_softmax(rng.normal(size=(40, 7)), axis=1)
    smoothed = smooth(times, tracks, values, tau_s=0.3)
    for row in range(40):
        weights = np.exp(-abs(times - times[row]) / 0.3) * (tracks == tracks[row])
        wanted = log_softmax(weights @ values / weights.sum())
        np.testing.assert_allclose(smoothed[row], wanted)


def test_a_file_has_no_lag() -> None:
    """Reversed in time it gives the reversed result, and a step stays between the frames where it was."""
    times = np.array([0.0, 0.1, 0.3, 0.4, 0.5, 0.7])
    one, values = np.ones(6, int), np.array([SURE] * 3 + [SURE[::-1]] * 3)
    smoothed = smooth(times, one, values, tau_s=0.3)
    assert (smoothed[:, 0] > smoothed[:, 1]).tolist() == [True] * 3 + [False] * 3
    backwards = smooth(0.7 - times[::-1], one, values[::-1], tau_s=0.3)
    np.testing.assert_allclose(backwards[::-1], smoothed)


def test_without_a_time_constant_nothing_changes() -> None:
    values = np.array([SURE, UNSURE, SURE])
    np.testing.assert_allclose(stream([0.0, 0.0, 0.1], values, tau_s=0), values)
    np.testing.assert_allclose(smooth(np.zeros(3), np.ones(3, int), values, tau_s=0), values)
    assert smooth(np.zeros(0), np.zeros(0, int), np.zeros((0, 7)), tau_s=0.3).shape == (0, 7)
