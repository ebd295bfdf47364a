"""Probabilities of a face in a video, smoothed over time by a time constant τ in seconds.

Log-probabilities are averaged, and renormalised afterwards, so a frame that is certain counts more than one
that is not. Time stamps may be irregular. τ = 0 smooths nothing.

| | for | a frame's weight | lag |
|---|---|---|---|
| `advance` | cameras | falls by e for each τ into the past | a step reaches half after 0.69 τ |
| `smooth` | files | falls by e for each τ into the past and into the future | none |
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from fer_jax.faces.tracks import LOST_AFTER_S


class Average(NamedTuple):
    """The running average of a track.

    Attributes:
        time_s: of its last frame.
        log_probabilities: float64 [C], not renormalised.
    """

    time_s: float
    log_probabilities: np.ndarray


Averages = Mapping[int, Average]
"""The averages of the tracks that go on, by their numbers; `{}` in the beginning."""


def advance(
    averages: Averages, time_s: float, tracks: np.ndarray, log_probabilities: np.ndarray, *, tau_s: float
) -> tuple[Averages, np.ndarray]:
    """Smooth the faces of a frame with those before: an exponential moving average for each track.

    With Δt since the track's last frame, the average moves by 1 − exp(−Δt / τ) of the way to the new value.

    Args:
        averages: after the frame before.
        time_s: of the frame.
        tracks: int [F], the numbers of the faces' tracks, each at most once.
        log_probabilities: float [F, C], finite.
        tau_s: τ in seconds.

    Returns:
        The averages after this frame, and log-probabilities float64 [F, C].
    """
    after = {track: each for track, each in averages.items() if time_s - each.time_s <= LOST_AFTER_S}
    for track, new in zip(tracks.tolist(), np.asarray(log_probabilities, np.float64), strict=True):
        if track in after and tau_s > 0:
            before_s, old = after[track]
            new = old + (1 - np.exp((before_s - time_s) / tau_s)) * (new - old)
        after[track] = Average(time_s, new)
    smoothed = [after[track].log_probabilities for track in tracks.tolist()]
    return after, log_softmax(np.reshape(smoothed, log_probabilities.shape), axis=1)


def smooth(
    times_s: np.ndarray, tracks: np.ndarray, log_probabilities: np.ndarray, *, tau_s: float
) -> np.ndarray:
    """Smooth all faces of a file: a mean over each track's frames with weights exp(−|Δt| / τ).

    It is symmetric in time, so a change of expression stays where it is. It is computed in one pass forwards
    and one backwards.

    Args:
        times_s: float [N], in the order of the frames.
        tracks: int [N], the numbers of the tracks.
        log_probabilities: float [N, C], finite.
        tau_s: τ in seconds.

    Returns:
        Log-probabilities float64 [N, C].
    """
    smoothed = np.array(log_probabilities, np.float64)
    for track in np.unique(tracks) if tau_s > 0 else ():
        rows = np.flatnonzero(tracks == track)
        decay = np.exp(-np.diff(times_s[rows]) / tau_s)
        values = smoothed[rows]
        ones = np.ones((len(rows), 1))
        weighted = np.concatenate([values, ones], axis=1)  # the last column adds the weights up
        both = _sum_past(weighted, decay) + _sum_past(weighted[::-1], decay[::-1])[::-1] - weighted
        smoothed[rows] = both[:, :-1] / both[:, -1:]
    return log_softmax(smoothed, axis=1)


def _sum_past(values: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Sum each row [N, C] and all before it, which fade by `decay` [N − 1] from one row to the next."""
    sums = values.copy()
    for row in range(1, len(sums)):
        sums[row] += decay[row - 1] * sums[row - 1]
    return sums
