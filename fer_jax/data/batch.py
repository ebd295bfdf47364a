"""Epoch order and fixed-shape batches: a batch is a pure function of (seed, step)."""

import math
from collections.abc import Iterator

import numpy as np

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
