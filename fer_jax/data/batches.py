"""Epoch order, alternating flips and fixed-shape batches: a batch is a pure function of (seed, step)."""

import math
from collections.abc import Iterator

import numpy as np

from fer_jax.config.training import Sampling
from fer_jax.randomness import Stream, numpy_rng


def epoch_order(seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Shuffle the training rows, int [N], for one epoch, from 0, of a training seed.

    With `augment.repeats` R an order serves R epochs, and `epoch` is its number.
    """
    return numpy_rng(seed, Stream.EPOCH_ORDER, epoch).permutation(indices)


def sampled_order(
    seed: int, epoch: int, indices: np.ndarray, labels: np.ndarray, *, sampling: Sampling
) -> np.ndarray:
    """Choose and shuffle the training rows of one epoch, with the class frequencies that are asked for.

    Within a class all rows are used equally often, give or take one.

    Args:
        seed: the training seed.
        epoch: from 0.
        indices: int [N], rows of the training part.
        labels: int [N], their classes, >= 0.
        sampling: "all": each row once, in `epoch_order`; "balanced": each class that occurs equally often;
            "sqrt": each class in proportion to the square root of its number of rows.

    Returns:
        int [N], rows in the epoch's order; unless all are asked for, some repeat and some are missing.

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
    places = _apportion(shares / shares.sum(), len(indices))
    # All rows of a class some number of times, then a part of them, which each epoch draws anew.
    chosen = [
        np.resize(rng.permutation(indices[labels == label]), wanted) for label, wanted in enumerate(places)
    ]
    return rng.permutation(np.concatenate(chosen))


def _apportion(shares: np.ndarray, total: int) -> np.ndarray:
    """Divide an integer in given shares, by the largest remainders; int [parts]."""
    exact = shares * total
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    return parts


def alternate_flips(seed: int, showing: int | np.ndarray, rows: np.ndarray, *, share: float) -> np.ndarray:
    """Choose the images that `augment.alternate_flip` mirrors: each in turn, with a random start.

    With share 1/2 an image is seen both ways in any two consecutive showings (Jordan 2024, "94% on CIFAR-10
    in 3.29 Seconds on a Single GPU").

    Args:
        seed: the training seed.
        showing: how often the images have been shown before, int or int [B]; an epoch shows each image once,
            so this is its number, from 0.
        rows: int [B], of the Examples.
        share: of the showings in which an image is mirrored, in [0, 1].

    Returns:
        bool [B]. In any n consecutive showings a row is mirrored n × share times, rounded up or down.
    """
    # A byte for each row up to the last one needed: a row's byte does not depend on the rows after it.
    starts = np.frombuffer(numpy_rng(seed, Stream.AUGMENT).bytes(int(rows.max()) + 1), np.uint8)[rows] / 256
    return np.floor(starts + (showing + 1) * share) > np.floor(starts + showing * share)


def cut(order: np.ndarray, batch_size: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the batch of a position, from 0, out of the rows of an order, int [N].

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
