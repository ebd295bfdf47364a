"""Count, merge, divide once: steps return `Counts`, ratios are taken at the end.

`Counts` merge by `+` of their leaves, so the order and the size of the batches do not matter.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax import fer2013


class Counts(NamedTuple):
    """Sums over examples.

    Attributes:
        loss_sum: float32 [], summed plain cross-entropy, in nats.
        confusion: int32 [7, 7], examples by true class (row) and predicted class (column).
    """

    loss_sum: Any
    confusion: Any


def count(logits: jax.Array, labels: jax.Array, losses: jax.Array, is_real: jax.Array) -> Counts:
    """Count one batch.

    Args:
        logits: float [B, 7].
        labels: int [B], 0..6.
        losses: float [B], the examples' plain cross-entropy.
        is_real: float [B], 1 for an example, 0 for padding.
    """
    predictions = logits.argmax(axis=-1)
    confusion = jnp.zeros((fer2013.CLASS_COUNT, fer2013.CLASS_COUNT), jnp.int32)
    confusion = confusion.at[labels, predictions].add(is_real.astype(jnp.int32))
    return Counts((losses * is_real).sum(), confusion)


def merge(batches: list[Counts]) -> Counts:
    """Add up the counts of all batches on the host: loss in float64, confusion in int64."""
    loss_sum = np.sum([np.asarray(c.loss_sum, np.float64) for c in batches])
    confusion = np.sum([np.asarray(c.confusion, np.int64) for c in batches], axis=0)
    return Counts(loss_sum, confusion)


def accuracy(counts: Counts) -> float:
    """Share of the examples that were predicted right."""
    return float(np.trace(counts.confusion) / counts.confusion.sum())


def mean_loss(counts: Counts) -> float:
    """Mean cross-entropy of an example, in nats."""
    return float(counts.loss_sum / counts.confusion.sum())


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927).

    >>> tuple(round(end, 4) for end in wilson_interval(8, 10))
    (0.4902, 0.9433)
    """
    from scipy.stats import binomtest  # It takes half a second, for which only the end of a run has to wait.

    interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def summarise(counts: Counts) -> dict[str, Any]:
    """Turn counts into every reported figure, ready for JSON.

    Args:
        counts: of at least one example.

    Returns:
        `correct`, `total`, `accuracy` with `accuracy_low` and `accuracy_high` (Wilson, 95 %), `loss`,
        `balanced_accuracy` (mean recall of the classes that have examples), `macro_f1` (mean over the
        same classes), `per_class` and `confusion`. A ratio without a denominator is None.
    """
    confusion = np.asarray(counts.confusion, np.int64)
    correct, total = int(np.trace(confusion)), int(confusion.sum())
    low, high = wilson_interval(correct, total)
    rows = [_class_figures(confusion, index) for index in range(fer2013.CLASS_COUNT)]
    present = [row for row in rows if row["count"]]
    return {
        "correct": correct,
        "total": total,
        "accuracy": correct / total,
        "accuracy_low": low,
        "accuracy_high": high,
        "loss": mean_loss(counts),
        "balanced_accuracy": float(np.mean([row["recall"] for row in present])),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "per_class": rows,
        "confusion": confusion.tolist(),
    }


def _class_figures(confusion: np.ndarray, index: int) -> dict[str, Any]:
    hits = int(confusion[index, index])
    examples, predicted = int(confusion[index].sum()), int(confusion[:, index].sum())
    return {
        "label": fer2013.LABELS[index],
        "precision": hits / predicted if predicted else None,
        "recall": hits / examples if examples else None,
        "f1": 2 * hits / (examples + predicted) if examples + predicted else None,
        "count": examples,
        "predicted": predicted,
    }
