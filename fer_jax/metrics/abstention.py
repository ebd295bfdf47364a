"""Abstention: how accurate a network is on the images it is most certain of, and a threshold for that.

Certainty is the confidence, the largest predicted probability as `Classifier.predict` returns it: without a
temperature, so that a threshold can be compared with what a user sees.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy.special import log_softmax

from fer_jax.metrics.calibration import confidences_of
from fer_jax.metrics.scores import proportion

LEFT_OUT: Final = (0.1, 0.2, 0.3, 0.5)
"""Fractions of the least certain images for which a threshold is chosen."""

COVERAGES: Final = tuple(percent / 100 for percent in range(100, 0, -5))
"""Fractions of the images, the most certain ones, on which the curve has accuracies."""


def measure(
    logits: np.ndarray, labels: np.ndarray, *, validation: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, Any]:
    """Measure the accuracy on the most certain images; ready for JSON.

    Args:
        logits: float64 [N, C], N >= 1.
        labels: int [N], 0..C-1.
        validation: the same of the images on which the thresholds are chosen; None to choose none.

    Returns:
        `curve`, see `trace_curve`; `thresholds`, see `apply_thresholds`, empty without a validation part;
        and `is_chosen_here`, whether these are (mostly) among the measured images, which flatters a little.
    """
    confidences, is_correct = confidences_of(log_softmax(logits, axis=1), labels)
    thresholds = []
    if validation is not None:
        certain, _ = confidences_of(log_softmax(validation[0], axis=1), validation[1])
        thresholds = apply_thresholds(confidences, is_correct, choose_thresholds(certain, LEFT_OUT))
    return {
        "curve": trace_curve(confidences, is_correct),
        "thresholds": thresholds,
        "is_chosen_here": validation is not None and _are_among(validation[0], logits),
    }


def _are_among(some: np.ndarray, logits: np.ndarray) -> bool:
    """Whether most rows of some logits float64 [M, C] are among those of others, float64 [N, C].

    The same image gives the same logits but for rounding. A few are shared anyhow: parts have copies.
    """
    # Adding 0 makes -0 a 0, whose bytes differ.
    known = {row.tobytes() for row in logits.round(3) + 0.0}
    return sum(row.tobytes() in known for row in some.round(3) + 0.0) > len(some) / 2


def choose_thresholds(confidences: np.ndarray, fractions: Sequence[float]) -> dict[float, float]:
    """Choose for each fraction the threshold below which at most that fraction of the images lies.

    Args:
        confidences: float64 [N] of validation images, in 0..1; N >= 1.
        fractions: in 0..1, below 1.

    Returns:
        Fraction -> threshold, the confidence of the least certain image that stays.

    >>> choose_thresholds(np.array([0.9, 0.5, 0.7, 0.6, 0.8]), [0.2, 0.5])
    {0.2: 0.6, 0.5: 0.7}
    """
    ascending = np.sort(confidences)
    # Rounded first: 0.3 * 10 is a little more than 3, and 0.29 * 100 a little less than 29.
    places = {each: math.floor(round(each * len(ascending), 9)) for each in fractions}
    return {fraction: float(ascending[place]) for fraction, place in places.items()}


def apply_thresholds(
    confidences: np.ndarray, is_correct: np.ndarray, thresholds: dict[float, float]
) -> list[dict[str, Any]]:
    """Count what is answered, and answered right, if images below a threshold are left out.

    Args:
        confidences: float64 [N].
        is_correct: bool [N].
        thresholds: see `choose_thresholds`.

    Returns:
        For each: `left_out` (the fraction that it was chosen for), `threshold`, `answered` and `images` (N),
        `correct` (of those answered), `accuracy`, `accuracy_low` and `accuracy_high`; these three are None
        if nothing is answered.
    """
    rows = []
    for fraction, threshold in thresholds.items():
        is_answered = confidences >= threshold
        counts = _count(is_correct[is_answered])
        rows.append({"left_out": fraction, "threshold": threshold, "images": len(confidences), **counts})
    return rows


def trace_curve(confidences: np.ndarray, is_correct: np.ndarray) -> list[dict[str, Any]]:
    """Compute the accuracy on the most certain images, from all of them to the most certain twentieth.

    Args:
        confidences: float64 [N], N >= 1; of equal ones the earlier image counts as more certain.
        is_correct: bool [N].

    Returns:
        For each of `COVERAGES`: `coverage`, `answered` (images: that fraction, rounded up), `correct`,
        `accuracy`, `accuracy_low`, `accuracy_high`.

    >>> curve = trace_curve(np.array([0.9, 0.5, 0.7, 0.6]), np.array([True, False, True, False]))
    >>> [(each["answered"], each["correct"]) for each in curve if each["coverage"] in (1.0, 0.75, 0.5)]
    [(4, 2), (3, 2), (2, 2)]
    """
    in_order = is_correct[np.argsort(-confidences, kind="stable")]
    rows = []
    for coverage in COVERAGES:
        answered = math.ceil(round(coverage * len(in_order), 9))
        rows.append({"coverage": coverage, **_count(in_order[:answered])})
    return rows


def _count(is_correct: np.ndarray) -> dict[str, Any]:
    if not len(is_correct):
        nothing = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high"))
        return {"answered": 0, "correct": 0, **nothing}
    counts = proportion(int(is_correct.sum()), len(is_correct))
    return {"answered": counts.pop("total"), **counts}
