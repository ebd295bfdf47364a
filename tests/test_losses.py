"""The loss, against plain loops and sums done by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config import LossConfig
from fer_jax.losses import class_weights, cross_entropy


def cross_entropy_by_hand(logits: np.ndarray, label: np.signedinteger, smoothing: float) -> float:
    total = sum(math.exp(z - max(logits)) for z in logits)
    loss = 0.0
    for k, z in enumerate(logits):
        target = (1 - smoothing) * (k == label) + smoothing / 7
        loss -= target * (z - max(logits) - math.log(total))
    return loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_is_that_of_a_plain_loop(smoothing: float) -> None:
    logits = np.random.default_rng(0).normal(0, 4, (16, 7)).astype(np.float32)
    labels = np.arange(16) % 7
    losses = cross_entropy(jnp.asarray(logits), jnp.asarray(labels), label_smoothing=smoothing)
    assert losses.shape == (16,)
    wanted = [
        cross_entropy_by_hand(z.astype(float), y, smoothing) for z, y in zip(logits, labels, strict=True)
    ]
    np.testing.assert_allclose(losses, wanted, rtol=2e-5)


def test_cross_entropy_of_extreme_logits_is_finite() -> None:
    logits = jnp.array([[1e4, 0, 0, 0, 0, 0, -1e4]])
    assert float(cross_entropy(logits, jnp.array([0]), label_smoothing=0.0)[0]) == 0
    assert float(cross_entropy(logits, jnp.array([6]), label_smoothing=0.0)[0]) == 2e4


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("none", (1, 1, 0, 1, 0, 0, 0)),
        # The sum of the rows' square roots is 1 + 2 + 3 = 6, of 14 rows.
        ("sqrt", (14 / 6, 14 / 6 / 2, 0, 14 / 6 / 3, 0, 0, 0)),
        ("balanced", (14 / 3, 14 / 3 / 4, 0, 14 / 3 / 9, 0, 0, 0)),
    ],
)
def test_class_weights_by_hand_have_mean_1_over_the_rows(how: str, wanted: tuple[float, ...]) -> None:
    counts = (1, 4, 0, 9, 0, 0, 0)
    config = LossConfig(class_weights=how)  # type: ignore[arg-type]
    weights = class_weights(config, counts)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, wanted, rtol=1e-6)
    np.testing.assert_allclose((weights * counts).sum() / sum(counts), 1, rtol=1e-6)
