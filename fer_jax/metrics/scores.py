"""Scores derived from counts and predictions: Wilson intervals, per-class ratios, top-2 hits, ROC-AUC."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fer_jax.metrics.counts import Counts, mean_loss


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927).

    >>> tuple(round(end, 4) for end in wilson_interval(8, 10))
    (0.4902, 0.9433)
    """
    # The import takes half a second, which only the end of a run should pay.
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def proportion(correct: int, total: int) -> dict[str, Any]:
    """Describe an accuracy on at least one image, ready for JSON.

    Returns:
        `correct`, `total`, `accuracy`, and its Wilson interval (95 %): `accuracy_low` and `accuracy_high`.
    """
    low, high = wilson_interval(correct, total)
    return {
        "correct": correct,
        "total": total,
        "accuracy": correct / total,
        "accuracy_low": low,
        "accuracy_high": high,
    }


def copy_free(is_correct: np.ndarray, is_copy: np.ndarray | None) -> dict[str, Any] | None:
    """Describe the accuracy without the images that are exact copies of training images.

    Args:
        is_correct: bool [N].
        is_copy: bool [N]; None if the training images are not known.

    Returns:
        What `proportion` does; None if the training images are not known, or no other image is left.

    >>> found = copy_free(np.array([True, True, False]), np.array([True, False, False]))
    >>> found["correct"], found["total"]
    (1, 2)
    """
    if is_copy is None or is_copy.all():
        return None
    return proportion(int((is_correct & ~is_copy).sum()), int((~is_copy).sum()))


def tells_copies_apart(figures: dict[str, Any]) -> bool:
    """Whether some of the measured images are copies of training images, and others are not.

    Args:
        figures: `total` and, where the training images are known, `copy_free`.
    """
    without = figures.get("copy_free")
    return bool(without is not None and without["total"] != figures["total"])


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """95 % interval of the first proportion minus the second, measured on different images, in -1..1.

    From the Wilson intervals of both (Newcombe 1998, "Interval estimation for the difference between
    independent proportions", method 10).

    Args:
        first: correct and total.
        second: the same.

    >>> tuple(round(end, 4) for end in difference_interval((56, 70), (48, 80)))
    (0.0524, 0.3339)
    """
    ours, theirs = first[0] / first[1], second[0] / second[1]
    (low, high), (other_low, other_high) = wilson_interval(*first), wilson_interval(*second)
    below = math.hypot(ours - low, other_high - theirs)
    above = math.hypot(high - ours, theirs - other_low)
    return ours - theirs - below, ours - theirs + above


def summarise(counts: Counts, names: Sequence[str]) -> dict[str, Any]:
    """Compute every reported metric from the counts of at least one example, ready for JSON.

    `names` are those of the C classes.

    Returns:
        `correct`, `total`, `accuracy` with `accuracy_low` and `accuracy_high` (Wilson, 95 %), `loss`,
        `balanced_accuracy` (mean recall of the classes that have examples), `macro_f1` (mean over the
        same classes), `per_class` and `confusion`. A ratio without a denominator is None.
    """
    confusion = np.asarray(counts.confusion, np.int64)
    correct, total = int(np.trace(confusion)), int(confusion.sum())
    rows = [_class_figures(confusion, index, name) for index, name in enumerate(names)]
    present = [row for row in rows if row["count"]]
    return {
        **proportion(correct, total),
        "loss": mean_loss(counts),
        "balanced_accuracy": float(np.mean([row["recall"] for row in present])),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "per_class": rows,
        "confusion": confusion.tolist(),
    }


def list_names(figures: Mapping[str, Any]) -> tuple[str, ...]:
    """List the names of the classes in what `summarise` returned, in the order of its confusion matrix."""
    return tuple(each["label"] for each in figures["per_class"])


def _class_figures(confusion: np.ndarray, index: int, name: str) -> dict[str, Any]:
    hits = int(confusion[index, index])
    examples, predicted = int(confusion[index].sum()), int(confusion[:, index].sum())
    return {
        "label": name,
        "precision": hits / predicted if predicted else None,
        "recall": hits / examples if examples else None,
        "f1": 2 * hits / (examples + predicted) if examples + predicted else None,
        "count": examples,
        "predicted": predicted,
    }


def top2_hits(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Find the images whose label is among the two classes with the largest logits: bool [N].

    Of equal logits, float [N, C], the earlier class counts as the larger, as for `argmax`.

    >>> top2_hits(np.array([[3.0, 1, 2, 0, 0, 0, 0]]).repeat(3, axis=0), np.array([0, 1, 2])).tolist()
    [True, False, True]
    """
    top2 = np.argsort(-logits, axis=1, kind="stable")[:, :2]
    return (top2 == labels[:, None]).any(axis=1)


def confusion_ratios(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """Compute `accuracy`, `balanced_accuracy` and `macro_f1`, defined as in `summarise`, each float64 [R].

    `confusions` are float or int [R, C, C], each of at least one example.
    """
    hits = confusions.diagonal(axis1=1, axis2=2).astype(np.float64)
    examples, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    # A class without examples does not count: it has no hits and is not among those present.
    recalls, f1s = hits / np.maximum(examples, 1), 2 * hits / np.maximum(examples + predicted, 1)
    present = (examples > 0).sum(axis=1)
    return {
        "accuracy": hits.sum(axis=1) / examples.sum(axis=1),
        "balanced_accuracy": recalls.sum(axis=1) / present,
        "macro_f1": f1s.sum(axis=1) / present,
    }


def roc_auc(scores: np.ndarray, is_positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve, for many weightings of the images at once.

    It is the Mann-Whitney statistic: the fraction of all pairs of a positive and a negative in which the
    positive has the larger score, ties counting one half (Hanley and McNeil 1982, "The Meaning and Use of the
    Area under a Receiver Operating Characteristic (ROC) Curve"). An image of weight 2 counts as two images.

    Args:
        scores: float [N], larger for what looks more like a positive.
        is_positive: bool [N].
        weights: float [R, N], each >= 0.

    Returns:
        float64 [R], in 0..1; NaN where the positives or the negatives weigh nothing.

    >>> roc_auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True]), np.ones((1, 4)))
    array([0.875])
    """
    negatives = np.flatnonzero(~is_positive)
    negatives = negatives[np.argsort(scores[negatives])]
    below = np.searchsorted(scores[negatives], scores[is_positive], side="left")
    up_to = np.searchsorted(scores[negatives], scores[is_positive], side="right")
    # Weight of the first k negatives, for k from 0 on.
    cumulated = np.zeros((len(weights), len(negatives) + 1))
    np.cumsum(weights[:, negatives], axis=1, out=cumulated[:, 1:])
    positives = weights[:, is_positive]
    wins = (positives * (cumulated[:, below] + cumulated[:, up_to])).sum(axis=1) / 2
    pairs = positives.sum(axis=1) * cumulated[:, -1]
    return np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
