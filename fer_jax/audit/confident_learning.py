"""Confident learning: which labels are probably wrong, judged by a network that was not trained on them.

Source: Northcutt, Jiang, Chuang, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal of
Artificial Intelligence Research 70 (2021): the confident joint, its off-diagonal examples, and their ranking
by normalised margin. For any number of classes C.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import softmax

from fer_jax.metrics.calibration import fit_temperature

ASSUMED_WRONG: Final = 0.1
"""Share of the labels that is taken to be wrong before a network looks at them. It is cautious for FER2013,
where FER+'s annotators dispute about a third; a larger share would mark more rows."""
NO_CLASS: Final = -1
"""In place of a class for an example that reaches no class's threshold."""


class Confident(NamedTuple):
    """The result of confident learning on N labelled examples.

    Attributes:
        thresholds: float64 [C], the mean probability of their own label over a class's examples; infinite
            for a class without examples.
        likely: int64 [N], the most probable class among those with a threshold that the example reaches, or
            `NO_CLASS`.
        joint: int64 [C, C], the confident joint: examples by given label (row) and likely class (column).
        margins: float64 [N], probability of the given label minus that of the best other one, in [-1, 1].
        flagged: int64 [F], examples with a likely class that is not their label, the lowest margin first.
    """

    thresholds: np.ndarray
    likely: np.ndarray
    joint: np.ndarray
    margins: np.ndarray
    flagged: np.ndarray


def find_label_errors(probabilities: np.ndarray, labels: np.ndarray) -> Confident:
    """Find the examples that confidently belong to another class than their label.

    Args:
        probabilities: float [N, C], C >= 2, each row sums to 1; predicted out of sample, that is, by a
            network that was trained without the example and its copies.
        labels: int [N], 0..C-1, as given.

    >>> found = find_label_errors(np.array([[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]]), np.array([0, 0, 1]))
    >>> found.thresholds.tolist(), found.joint.tolist(), found.flagged.tolist()
    ([0.5, 0.75], [[1, 1], [0, 1]], [1])
    """
    probabilities = probabilities.astype(np.float64)
    examples, classes = probabilities.shape
    own = probabilities[np.arange(examples), labels]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=own, minlength=classes)
    thresholds = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    reaching = np.where(probabilities >= thresholds, probabilities, -1.0)
    likely = np.where((reaching >= 0).any(axis=1), reaching.argmax(axis=1), NO_CLASS)
    is_sure = likely != NO_CLASS
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[is_sure], likely[is_sure]), 1)
    others = probabilities.copy()
    others[np.arange(examples), labels] = -np.inf
    margins = own - others.max(axis=1)
    flagged = np.flatnonzero(is_sure & (likely != labels))
    return Confident(thresholds, likely, joint, margins, flagged[np.argsort(margins[flagged], kind="stable")])


def estimate_joint(joint: np.ndarray, label_counts: np.ndarray) -> np.ndarray:
    """Estimate the joint distribution of given labels and true classes: the confident joint, calibrated.

    Each row is scaled to its label's share of all examples (equation 3 of the paper); the mass off the
    diagonal is the estimated share of wrong labels.

    Args:
        joint: int [C, C], see `Confident`.
        label_counts: int [C], examples of each given label; at least one in total.

    Returns:
        float64 [C, C], sums to 1. A label without confident examples is taken to be right.

    >>> estimate_joint(np.array([[1, 1], [0, 1]]), np.array([2, 2])).tolist()
    [[0.25, 0.25], [0.0, 0.5]]
    """
    rows = joint.sum(axis=1, keepdims=True)
    shares = np.divide(joint, rows, out=np.eye(len(joint)), where=rows > 0)
    return shares * (label_counts / label_counts.sum())[:, None]


def estimate_wrong(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Estimate how probable it is that each label is wrong.

    Suppose that a tenth of the labels (`ASSUMED_WRONG`) was drawn by the frequencies of the classes, whatever
    the images show. By Bayes' rule the probability that a label was is a tenth of its frequency over its
    probability given the image. Networks that know little say about the frequencies, and a tenth remains. The
    probabilities are calibrated first, by one temperature that is fitted on the labels.

    Args:
        probabilities: float [N, C], each row sums to 1; predicted out of sample.
        labels: int [N], 0..C-1, as given.

    Returns:
        float64 [N], 0..1.

    >>> estimate_wrong(np.full((4, 2), 0.5), np.array([0, 1, 0, 1])).round(3).tolist()
    [0.1, 0.1, 0.1, 0.1]
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny))
    calibrated = softmax(logits / fit_temperature(logits, labels), axis=1)
    frequencies = np.bincount(labels, minlength=logits.shape[1]) / len(labels)
    own = calibrated[np.arange(len(labels)), labels]
    return np.minimum(1, ASSUMED_WRONG * frequencies[labels] / np.maximum(own, np.finfo(np.float64).tiny))
