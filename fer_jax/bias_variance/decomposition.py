"""Bias and variance of a method's errors, from the predictions of many networks that it trained.

A *replica* is one network: one training seed on one bootstrap resample of the training images. For each
image, the replicas' predictions have a centre, the *main prediction*. Bias is the loss of the main
prediction: what all replicas get wrong together. Variance is how far the replicas are from it: what another
seed or other data would change. Each decomposition is exact for the given replicas: the mean loss of a
replica is bias + (net) variance.

- 0-1 loss: Domingos 2000, "A Unified Bias-Variance Decomposition". Main prediction: the most frequent one.
- Brier score (Brier 1950), squared distance of the probabilities to the label: the mean of the replicas.
- Cross-entropy: Heskes 1998, "Bias/Variance Decompositions for Likelihood-Based Estimators": the geometric
  mean, normalised; the variance is the mean Kullback-Leibler divergence from it.

The noise of the labels is not observed and is part of the bias; `noise_of_votes` says how much annotators
disagree. With few replicas the main prediction is itself noisy, which moves a part of the variance to the
bias: about (variance from the data) / resamples + (variance from the seed) / seeds.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

Parts = dict[str, float]
"""`loss`, `bias`, `variance`, and for the 0-1 loss `variance_unbiased` and `variance_biased`."""


def zero_one(predictions: np.ndarray, labels: np.ndarray) -> Parts:
    """Decompose the 0-1 loss.

    If the main prediction of an image is right (no bias), a replica that differs is wrong: its variance adds
    to the error. If the main prediction is wrong, a replica that differs may be right: that part of its
    variance reduces the error, the rest changes nothing (Domingos 2000, section 3).

    Args:
        predictions: int [L, N], 0..6, of L replicas.
        labels: int [N].

    Returns:
        `loss` = `bias` + `variance`; `variance` (net) = `variance_unbiased` - `variance_biased`.

    >>> zero_one(np.array([[0, 1], [0, 2], [3, 1]]), np.array([0, 2]))["variance_biased"]  # 1/3 of 1 of 2
    0.16666666666666666
    """
    main = main_prediction(predictions)
    is_biased = main != labels
    differs, is_right = predictions != main, predictions == labels
    unbiased = float(np.where(is_biased, 0.0, differs.mean(axis=0)).mean())
    biased = float(np.where(is_biased, is_right.mean(axis=0), 0.0).mean())
    return {
        "loss": float((predictions != labels).mean()),
        "bias": float(is_biased.mean()),
        "variance": unbiased - biased,
        "variance_unbiased": unbiased,
        "variance_biased": biased,
    }


def main_prediction(predictions: np.ndarray) -> np.ndarray:
    """Find each image's most frequent prediction; of equally frequent ones the lowest label.

    Args:
        predictions: int [L, N], >= 0.

    Returns:
        int64 [N].

    >>> main_prediction(np.array([[5, 1], [2, 1], [2, 0], [5, 0]])).tolist()
    [2, 0]
    """
    counts = np.stack([(predictions == label).sum(axis=0) for label in range(int(predictions.max()) + 1)])
    return counts.argmax(axis=0)


def brier(probs: np.ndarray, labels: np.ndarray) -> Parts:
    """Decompose the Brier score, a sum over the classes, 0..2, of probabilities [L, N, C] and labels [N].

    The bias is the squared distance of the mean prediction to the label.
    """
    targets, main = np.eye(probs.shape[-1])[labels], probs.mean(axis=0)
    return {
        "loss": _squared(probs - targets),
        "bias": _squared(main - targets),
        "variance": _squared(probs - main),
    }


def _squared(differences: np.ndarray) -> float:
    return float((differences**2).sum(axis=-1).mean())


def cross_entropy(log_probs: np.ndarray, labels: np.ndarray) -> Parts:
    """Decompose the cross-entropy, in nats.

    Args:
        log_probs: float64 [L, N, C], logarithms of the probabilities of L replicas; finite.
        labels: int [N], 0..C-1.

    Returns:
        `loss` = `bias` + `variance`.
    """
    mean_log = log_probs.mean(axis=0)
    main = mean_log - np.logaddexp.reduce(mean_log, axis=-1, keepdims=True)
    rows = np.arange(len(labels))
    divergence = (np.exp(main) * (main - log_probs)).sum(axis=-1)
    return {
        "loss": float(-log_probs[:, rows, labels].mean()),
        "bias": float(-main[rows, labels].mean()),
        "variance": float(divergence.mean()),
    }


def variance_sources(probs: np.ndarray) -> Parts:
    """Split the variance of the Brier score into the contributions of the seed and of the training data.

    Every seed is trained on every resample, so the design is crossed: a seed's initial weights may have the
    same effect on all resamples. Analysis of variance with two random factors (Searle, Casella and McCulloch
    1992, "Variance Components", chapter 4): the seeds contribute the interaction, which remains after
    subtracting the means of both factors, to the variance between the resamples' means, and not all of the
    variance between seeds.

    Args:
        probs: float64 [R, S, N, C], of S >= 2 seeds on each of R >= 2 resamples.

    Returns:
        `seed` (its main effect and its interaction with the resample) and `data`, the variance of a single
        replica from each, unbiased, so their sum is a little larger than the `variance` of `brier`. `data` is
        at least 0.
    """
    resamples, seeds = probs.shape[:2]
    of_resample, of_seed, overall = probs.mean(axis=1), probs.mean(axis=0), probs.mean(axis=(0, 1))
    seed = _squared(probs - of_resample[:, None]) * seeds / (seeds - 1)
    between = _squared(of_resample - overall) * resamples / (resamples - 1)
    left = _squared(probs - of_resample[:, None] - of_seed + overall)
    interaction = left * resamples * seeds / ((resamples - 1) * (seeds - 1))
    return {"seed": seed, "data": max(0.0, between - interaction / seeds)}


_ON_LOG_PROBS: Final[dict[str, Callable[[np.ndarray, np.ndarray], Parts]]] = {
    "zero_one": lambda log_probs, labels: zero_one(log_probs.argmax(axis=-1), labels),
    "brier": lambda log_probs, labels: brier(np.exp(log_probs), labels),
    "cross_entropy": cross_entropy,
}


def decompose(log_probs: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float | Parts | None]]:
    """Decompose all three losses over all replicas.

    Args:
        log_probs: float64 [R, S, N, C], logarithms of the probabilities of S seeds on each of R resamples.
        labels: int [N], 0..C-1.

    Returns:
        `zero_one`, `brier` and `cross_entropy` -> their `Parts` and `spread`: the standard error of each part
        from leaving out each resample in turn (the jackknife: Efron and Tibshirani 1993, "An Introduction to
        the Bootstrap", chapter 11); None with a single resample.
    """
    result: dict[str, dict[str, float | Parts | None]] = {}
    for name, parts_of in _ON_LOG_PROBS.items():
        parts = parts_of(_flat(log_probs), labels)
        result[name] = {**parts, "spread": _spread(parts_of, log_probs, labels)}
    return result


def _flat(log_probs: np.ndarray) -> np.ndarray:
    return log_probs.reshape(-1, *log_probs.shape[2:])


def _spread(
    parts_of: Callable[[np.ndarray, np.ndarray], Parts], log_probs: np.ndarray, labels: np.ndarray
) -> Parts | None:
    resamples = len(log_probs)
    if resamples < 2:
        return None
    left = [parts_of(_flat(np.delete(log_probs, index, axis=0)), labels) for index in range(resamples)]
    return {name: float(np.std([parts[name] for parts in left]) * np.sqrt(resamples - 1)) for name in left[0]}


def noise_of_votes(votes: np.ndarray, labels: np.ndarray) -> dict[str, float | int]:
    """Measure how much annotators disagree about the same images, a hint at the noise of the labels.

    If the label of an image were the vote of one annotator, no predictor could have a smaller expected loss
    than one that knows the distribution of the votes. A label that several people agreed on is less noisy, so
    for FER+'s majority this is an upper bound. For FER2013's labels it is none: they were made in another way
    and differ from the majority more often, which `label_is_not_majority` counts.

    Ten votes have less spread than the population that they are drawn from, since a vote agrees with a
    majority that it belongs to. So each vote is compared with the majority of the others, the Brier score is
    that of one vote against another, and the entropy has the correction of Miller 1955, "Note on the bias of
    information estimates".

    Args:
        votes: int [N, C], annotators' votes for each class; images with fewer than two are left out.
        labels: int [N], 0..C-1, those that the errors are measured against.

    Returns:
        `images` with votes; `zero_one`, how often a vote is not for the class with most of the image's other
        votes (a tie is broken at random); `brier`, expected score of the votes' distribution;
        `cross_entropy`, its entropy in nats; and `label_is_not_majority`, the share of images with a label
        that got fewer votes than another class.

    >>> figures = noise_of_votes(np.array([[8, 2, 0, 0, 0, 0, 0], [0] * 7]), np.array([1, 0]))
    >>> figures["images"], round(figures["zero_one"], 3), round(figures["brier"], 3)
    (1, 0.2, 0.356)
    """
    totals = votes.sum(axis=1)
    has_votes = totals > 1
    votes, totals = votes[has_votes], totals[has_votes]
    shares = votes / totals[:, None]
    own = shares[np.arange(len(shares)), labels[has_votes]]
    entropy = -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0).sum(axis=1)
    return {
        "images": int(has_votes.sum()),
        "zero_one": float((1 - (shares * _agreement(votes)).sum(axis=1)).mean()),
        "brier": float(((1 - (shares**2).sum(axis=1)) * totals / (totals - 1)).mean()),
        "cross_entropy": float((entropy + ((votes > 0).sum(axis=1) - 1) / (2 * totals)).mean()),
        "label_is_not_majority": float((own < shares.max(axis=1)).mean()),
    }


def _agreement(votes: np.ndarray) -> np.ndarray:
    """Probability that a vote for each class agrees with the majority of the image's other votes: [N, C]."""
    classes = np.arange(votes.shape[1])
    others = votes[:, None] - np.eye(len(classes), dtype=votes.dtype)
    is_most = others == others.max(axis=2, keepdims=True)
    return is_most[:, classes, classes] / is_most.sum(axis=2)
