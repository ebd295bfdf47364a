"""Cross-entropy with label smoothing and focal loss, and the class weights."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax.config.training import LossConfig

_SMALLEST_MISS = 1e-6
"""Smallest 1 - p of the focal factor: for a gamma below 1 its slope at 0 would be infinite."""


def class_weights(config: LossConfig, counts: Sequence[float] | np.ndarray) -> np.ndarray:
    """Compute class weights: the rarer the class, the larger.

    Args:
        config: "none" 1, "sqrt" 1 / sqrt(share), "balanced" 1 / share, "effective" 1 / effective
            number, which is (1 - beta^n) / (1 - beta) for n rows (Cui et al. 2019).
        counts: training rows of each of C classes, or sums of their soft labels. A class without rows gets
            weight 0, but for "none".

    Returns:
        float32 [C]; the mean over the training rows is 1, so that the loss keeps its scale.

    >>> class_weights(LossConfig(class_weights="balanced"), (1, 2, 0, 0, 0, 0, 0))[:2].tolist()
    [1.5, 0.75]
    """
    rows = np.asarray(counts, np.float64)
    if config.class_weights == "none":
        return np.ones(len(rows), np.float32)
    if config.class_weights == "effective":
        beta = config.effective_beta
        raw = (1 - beta) / (1 - beta ** np.maximum(rows, 1))
    else:
        raw = np.maximum(rows, 1) ** -{"sqrt": 0.5, "balanced": 1.0}[config.class_weights]
    weights = np.where(rows > 0, raw, 0.0)
    return (weights * rows.sum() / (weights * rows).sum()).astype(np.float32)


def to_soft_labels(targets: jax.Array, classes: int) -> jax.Array:
    """Turn labels int [B] into soft labels float32 [B, C]; soft labels stay as they are."""
    return jax.nn.one_hot(targets, classes) if targets.ndim == 1 else targets


def weigh(weights: jax.Array, targets: jax.Array, class_weights: np.ndarray) -> jax.Array:
    """Multiply the weights of examples, float32 [B], by those of their classes, float32 [C].

    The targets are labels int [B], or soft labels float32 [B, C].
    """
    if targets.ndim == 1:
        return weights * jnp.asarray(class_weights)[targets]
    # Not a matrix product: a GPU may round its factors.
    return weights * (targets * jnp.expand_dims(class_weights, 0)).sum(axis=-1)


def cross_entropy(
    logits: jax.Array, targets: jax.Array, *, label_smoothing: float, focal_gamma: float = 0.0
) -> jax.Array:
    """Cross-entropy of each example.

    Args:
        logits: float [B, C].
        targets: labels int [B], or soft labels float [B, C]; each row sums to 1.
        label_smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016).
        focal_gamma: each class's term is multiplied by (1 - p)^gamma (Lin et al. 2017).

    Returns:
        float [B], in nats, >= 0.

    >>> logits, labels = jax.numpy.zeros((1, 7)), jax.numpy.array([2])
    >>> round(float(cross_entropy(logits, labels, label_smoothing=0.1)[0]), 4)
    1.9459
    """
    soft_labels = optax.smooth_labels(to_soft_labels(targets, logits.shape[-1]), label_smoothing)
    if not focal_gamma:
        return optax.losses.softmax_cross_entropy(logits, soft_labels)
    log_p = jax.nn.log_softmax(logits)
    miss = jnp.maximum(-jnp.expm1(log_p), _SMALLEST_MISS)
    return -(soft_labels * miss**focal_gamma * log_p).sum(axis=-1)
