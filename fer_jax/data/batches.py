"""Epoch order, mirrors in turn and fixed-shape batches: a batch is a pure function of (seed, step)."""

import math
from collections.abc import Iterator

import numpy as np

from fer_jax.config.training import Sampling
from fer_jax.randomness import Stream, numpy_rng


def epoch_order(seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Shuffle the training rows for one epoch.

    Args:
        seed: the training seed.
        epoch: from 0.
        indices: int [N], rows of the training part.

    Returns:
        int [N], the same rows in the epoch's order.
    """
    return numpy_rng(seed, Stream.EPOCH_ORDER, epoch).permutation(indices)


def sampled_order(
    seed: int, epoch: int, indices: np.ndarray, labels: np.ndarray, *, sampling: Sampling
) -> np.ndarray:
    """Choose and shuffle the training rows of one epoch, so that its classes come as often as asked.

    A class is given its number of places, and its rows take turns: the counts of two rows of a class differ
    by 1 at most.

    Args:
        seed: the training seed.
        epoch: from 0.
        indices: int [N], rows of the training part.
        labels: int [N], their classes, >= 0.
        sampling: "all": each row once, as `epoch_order` has them; "balanced": each class that there is
            equally often; "sqrt": each as often as the square root of its share says.

    Returns:
        int [N], rows in the epoch's order, with repeats and gaps unless all are asked for.

    >>> rows, labels = np.array([10, 11, 12, 13, 14, 15]), np.array([0, 1, 1, 1, 1, 1])
    >>> np.sort(sampled_order(0, 0, rows, labels, sampling="balanced"))[:4].tolist()
    [10, 10, 10, 11]
    """
    if sampling == "all":
        return epoch_order(seed, epoch, indices)
    rng = numpy_rng(seed, Stream.EPOCH_ORDER, epoch)
    power = {"sqrt": 0.5, "balanced": 0.0}[sampling]
    counts = np.bincount(labels)
    shares = np.where(counts > 0, counts**power, 0.0)
    places = _whole_parts(shares / shares.sum(), len(indices))
    # Whole rounds of a class, then some of its rows: which ones, each epoch draws anew.
    chosen = [
        np.resize(rng.permutation(indices[labels == label]), wanted) for label, wanted in enumerate(places)
    ]
    return rng.permutation(np.concatenate(chosen))


def _whole_parts(shares: np.ndarray, total: int) -> np.ndarray:
    """Cut a whole number into whole parts of given shares, by the largest remainders; int [parts]."""
    exact = shares * total
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    return parts


def mirrors_in_turn(seed: int, epoch: int, rows: np.ndarray, *, share: float) -> np.ndarray:
    """Say which images `augment.alternate_flip` mirrors: each in its turn, from a random first turn on.

    With share 1/2 an image is seen both ways in any two epochs that follow each other (Jordan 2024, "94% on
    CIFAR-10 in 3.29 Seconds on a Single GPU").

    Args:
        seed: the training seed.
        epoch: from 0.
        rows: int [B], of the Examples.
        share: of the epochs in which an image is mirrored, in [0, 1].

    Returns:
        bool [B]. The mirrored epochs of a row among any n are n × share, rounded up or down.
    """
    # A byte for each row up to the last one needed; more of them leave those before as they were.
    starts = np.frombuffer(numpy_rng(seed, Stream.AUGMENT).bytes(int(rows.max()) + 1), np.uint8)[rows] / 256
    return np.floor(starts + (epoch + 1) * share) > np.floor(starts + epoch * share)


def cut(order: np.ndarray, batch_size: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut one fixed-shape batch out of an order.

    Args:
        order: int [N], rows in the order to visit.
        batch_size: B.
        position: number of the batch, from 0.

    Returns:
        Rows int [B] and weights float32 [B]: 1, or 0 for padding (which repeats the first row).

    >>> rows, weights = cut(np.array([5, 3, 8]), 2, 1)
    >>> rows.tolist(), weights.tolist()
    ([8, 5], [1.0, 0.0])
    """
    rows = order[position * batch_size : (position + 1) * batch_size]
    missing = batch_size - len(rows)
    weights = np.ones(batch_size, np.float32)
    if missing:
        weights[len(rows) :] = 0.0
        rows = np.concatenate([rows, np.repeat(order[:1], missing)])
    return rows, weights


def in_order(order: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut all batches of one pass over an order, the padded last one included."""
    for position in range(math.ceil(len(order) / batch_size)):
        yield cut(order, batch_size, position)
