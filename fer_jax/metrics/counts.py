"""Count, merge, divide once: steps return `Counts`, ratios are taken at the end.

`Counts` merge by `+` of their leaves, so the order and the size of the batches do not matter.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Counts(NamedTuple):
    """Sums over examples.

    Attributes:
        loss_sum: float32 [], summed plain cross-entropy, in nats.
        confusion: int32 [C, C], examples by true class (row) and predicted class (column).
    """

    loss_sum: Any
    confusion: Any


def count(logits: jax.Array, labels: jax.Array, losses: jax.Array, is_real: jax.Array) -> Counts:
    """Count one batch.

    Args:
        logits: float [B, C].
        labels: int [B], 0..C-1.
        losses: float [B], the examples' plain cross-entropy.
        is_real: float [B], 1 for an example, 0 for padding.
    """
    predictions = logits.argmax(axis=-1)
    confusion = jnp.zeros((logits.shape[-1], logits.shape[-1]), jnp.int32)
    confusion = confusion.at[labels, predictions].add(is_real.astype(jnp.int32))
    return Counts((losses * is_real).sum(), confusion)


def count_predictions(log_probs: np.ndarray, labels: np.ndarray) -> Counts:
    """Count predictions that are on the host already, in float64.

    `log_probs`, float64 [N, C], N >= 1, are logarithms of the predicted probabilities; `labels` int [N],
    0..C-1.
    """
    classes = log_probs.shape[1]
    cells = labels * classes + log_probs.argmax(axis=1)
    confusion = np.bincount(cells, minlength=classes**2).reshape(-1, classes)
    return Counts(-log_probs[np.arange(len(labels)), labels].sum(), confusion)


def merge(batches: list[Counts]) -> Counts:
    """Add up the counts of all batches on the host: loss in float64, confusion in int64."""
    loss_sum = np.sum([np.asarray(c.loss_sum, np.float64) for c in batches])
    confusion = np.sum([np.asarray(c.confusion, np.int64) for c in batches], axis=0)
    return Counts(loss_sum, confusion)


def accuracy(counts: Counts) -> float:
    """Fraction of the examples that were predicted correctly."""
    return float(np.trace(counts.confusion) / counts.confusion.sum())


def mean_loss(counts: Counts) -> float:
    """Mean cross-entropy of an example, in nats."""
    return float(counts.loss_sum / counts.confusion.sum())
