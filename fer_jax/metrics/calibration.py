"""Calibration: whether a network that says 0.9 is right nine times in ten.

Confidence is the largest predicted probability. The error and temperature scaling are from Guo, Pleiss, Sun
and Weinberger 2017, "On Calibration of Modern Neural Networks" (ICML).
"""

from typing import Any, Final

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BIN_COUNT: Final = 15
"""Equal-width bins of confidence, as many as in the paper."""

_EDGES: Final = np.linspace(0, 1, BIN_COUNT + 1)
_MAX_LOG_TEMPERATURE: Final = 5.0
"""Temperatures are searched between exp(-5) and exp(5): 1/148 and 148."""


def describe(log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Measure the calibration of some predictions, ready for JSON.

    Args:
        log_probs: float64 [N, C], logarithms of the predicted probabilities; N >= 1.
        labels: int [N], 0..C-1.

    Returns:
        `ece`, see `expected_error`, and `bins`: for each of the 15 `low` and `high` (confidences in
        (low, high]), `count`, and the mean `confidence` and `accuracy` of its images, None without images.
    """
    confidences, is_correct = confidences_of(log_probs, labels)
    numbers = _bin_numbers(confidences)
    bins = []
    for number in range(BIN_COUNT):
        is_inside = numbers == number
        has_any = bool(is_inside.any())
        bins.append(
            {
                "low": float(_EDGES[number]),
                "high": float(_EDGES[number + 1]),
                "count": int(is_inside.sum()),
                "confidence": float(confidences[is_inside].mean()) if has_any else None,
                "accuracy": float(is_correct[is_inside].mean()) if has_any else None,
            }
        )
    ece = expected_error(confidences, is_correct, np.ones((1, len(labels))))
    return {"ece": float(ece[0]), "bins": bins}


def confidences_of(log_probs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each prediction, float64 [N], and whether it is right, bool [N]."""
    return np.exp(log_probs.max(axis=1)), log_probs.argmax(axis=1) == labels


def expected_error(confidences: np.ndarray, is_correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the expected calibration error (ECE) for many weightings of the images at once.

    It is the mean over the 15 bins of |accuracy - mean confidence|, each bin weighted by its images. It
    cannot be negative, so chance alone makes it positive, more so with fewer images.

    Args:
        confidences: float64 [N], in 0..1.
        is_correct: bool [N].
        weights: float64 [R, N], each >= 0; an image of weight 2 counts as two images.

    Returns:
        float64 [R], in 0..1.

    >>> expected_error(np.array([0.9, 0.9, 0.5]), np.array([True, False, True]), np.ones((1, 3))).round(3)
    array([0.433])
    """
    return np.abs(excesses(confidences, is_correct, weights)).sum(axis=1)


def excesses(confidences: np.ndarray, is_correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute by how much accuracy exceeds confidence in each bin; arguments as of `expected_error`.

    Returns:
        float64 [R, 15], accuracy - mean confidence of a bin, times its fraction of the images; the sum of
        their absolute values is the ECE.
    """
    of_image = np.zeros((len(confidences), BIN_COUNT))
    of_image[np.arange(len(confidences)), _bin_numbers(confidences)] = is_correct - confidences
    return weights @ of_image / weights.sum(axis=1, keepdims=True)


def _bin_numbers(confidences: np.ndarray) -> np.ndarray:
    """Find the bin of each confidence: int [N], 0..14; an upper edge belongs to the bin below it."""
    return np.searchsorted(_EDGES[1:-1], confidences, side="left")


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature T whose softmax(logits / T) has the least negative log-likelihood.

    One number for all classes, so that no prediction changes, only its confidence. The likelihood has a
    single peak in 1 / T, so that a search along log T finds it.

    Args:
        logits: float64 [N, C], of images that the network was not trained on; N >= 1.
        labels: int [N], 0..C-1.

    Returns:
        T > 0: above 1 for an overconfident network, below 1 for an underconfident one. It stays within
        exp(-5) and exp(5), which it approaches where all predictions are right, or none is.
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    bounds = (-_MAX_LOG_TEMPERATURE, _MAX_LOG_TEMPERATURE)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x))
