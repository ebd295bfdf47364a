"""The loss, against plain loops and sums done by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.training import LossConfig
from fer_jax.engine.losses import class_weights, cross_entropy, to_soft_labels, weigh


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


EFFECTIVE_SUM = 1 + 4 * 8 / 15 + 9 * 256 / 511


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        # A class that is missing here may come in another epoch, where votes are drawn.
        ("none", (1, 1, 1, 1, 1, 1, 1)),
        # The sum of the rows' square roots is 1 + 2 + 3 = 6, of 14 rows.
        ("sqrt", (14 / 6, 14 / 6 / 2, 0, 14 / 6 / 3, 0, 0, 0)),
        ("balanced", (14 / 3, 14 / 3 / 4, 0, 14 / 3 / 9, 0, 0, 0)),
        # Effective numbers of beta 1/2: 2 (1 - 2^-n), so the weights are as 1 : 8/15 : 256/511.
        ("effective", tuple(14 / EFFECTIVE_SUM * w for w in (1, 8 / 15, 0, 256 / 511, 0, 0, 0))),
    ],
)
def test_class_weights_by_hand_have_mean_1_over_the_rows(how: str, wanted: tuple[float, ...]) -> None:
    counts = (1, 4, 0, 9, 0, 0, 0)
    config = LossConfig(class_weights=how, effective_beta=0.5)  # type: ignore[arg-type]
    weights = class_weights(config, counts)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, wanted, rtol=1e-6)
    np.testing.assert_allclose((weights * counts).sum() / sum(counts), 1, rtol=1e-6)


def some_targets() -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(8), 16).astype(np.float32)
    return jnp.asarray(rng.normal(0, 4, (16, 8)).astype(np.float32)), jnp.asarray(shares)


@pytest.mark.parametrize(("smoothing", "gamma"), [(0.0, 0.0), (0.1, 2.0), (0.0, 0.5)])
def test_shares_of_eight_classes_smoothed_and_focal_as_a_plain_loop(smoothing: float, gamma: float) -> None:
    logits, shares = some_targets()
    found = cross_entropy(logits, shares, label_smoothing=smoothing, focal_gamma=gamma)
    for z, t, loss in zip(np.asarray(logits, float), np.asarray(shares, float), found, strict=True):
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        wanted = sum(
            -((1 - smoothing) * t[k] + smoothing / 8) * (1 - p[k]) ** gamma * math.log(p[k]) for k in range(8)
        )
        np.testing.assert_allclose(loss, wanted, rtol=1e-4)


def test_focal_loss_of_gamma_0_is_cross_entropy_bit_by_bit() -> None:
    logits, shares = some_targets()
    plain = cross_entropy(logits, shares, label_smoothing=0.1)
    np.testing.assert_array_equal(plain, cross_entropy(logits, shares, label_smoothing=0.1, focal_gamma=0.0))


def test_focal_loss_of_a_sure_answer_has_a_finite_gradient() -> None:
    logits = jnp.array([[200.0, 0, 0, 0, 0, 0, 0]])
    for label in (0, 1):
        slope = jax.grad(
            lambda z, y=label: cross_entropy(z, jnp.array([y]), label_smoothing=0.0, focal_gamma=0.5).sum()
        )(logits)
        assert np.isfinite(slope).all()


def test_labels_and_their_shares_are_the_same_target() -> None:
    logits, _ = some_targets()
    labels, weights = jnp.arange(16) % 8, np.linspace(0.5, 2, 8).astype(np.float32)
    shares = to_soft_labels(labels, 8)
    assert to_soft_labels(shares, 8) is shares
    np.testing.assert_array_equal(
        cross_entropy(logits, labels, label_smoothing=0.1), cross_entropy(logits, shares, label_smoothing=0.1)
    )
    np.testing.assert_array_equal(weigh(jnp.ones(16), labels, weights), weigh(jnp.ones(16), shares, weights))
    half = jnp.array([[0.5, 0.5, 0, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(weigh(jnp.full(1, 2.0), half, weights), weights[0] + weights[1], rtol=1e-6)
