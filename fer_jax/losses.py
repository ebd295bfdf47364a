"""Cross-entropy with label smoothing, example by example, and the weights of the classes."""

import jax
import numpy as np
import optax

from fer_jax import fer2013
from fer_jax.config import LossConfig


def class_weights(config: LossConfig, counts: tuple[int, ...]) -> np.ndarray:
    """Weigh the classes by how rare they are.

    Args:
        config: says how: "none" 1, "sqrt" 1 / sqrt(share), "balanced" 1 / share.
        counts: training rows of each class. A class without rows gets weight 0.

    Returns:
        float32 [7]; the mean over the training rows is 1, so that the loss keeps its scale.

    >>> class_weights(LossConfig(class_weights="balanced"), (1, 2, 0, 0, 0, 0, 0))[:2].tolist()
    [1.5, 0.75]
    """
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[config.class_weights]
    rows = np.asarray(counts, np.float64)
    weights = np.where(rows > 0, np.maximum(rows, 1) ** -power, 0.0)
    return (weights * rows.sum() / (weights * rows).sum()).astype(np.float32)


def cross_entropy(logits: jax.Array, labels: jax.Array, *, label_smoothing: float) -> jax.Array:
    """Cross-entropy of each example.

    Args:
        logits: float [B, 7].
        labels: int [B], 0..6.
        label_smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016).

    Returns:
        float [B], in nats, >= 0.

    >>> logits, labels = jax.numpy.zeros((1, 7)), jax.numpy.array([2])
    >>> round(float(cross_entropy(logits, labels, label_smoothing=0.1)[0]), 4)
    1.9459
    """
    one_hot = jax.nn.one_hot(labels, fer2013.CLASS_COUNT, dtype=logits.dtype)
    return optax.losses.softmax_cross_entropy(logits, optax.smooth_labels(one_hot, label_smoothing))
