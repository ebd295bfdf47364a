"""Mixup and cutmix, by hand, and against a plain loop over the pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.config.augment import MixConfig
from fer_jax.images.mixing import Mix, apply, draw

ONES = np.ones(3, np.float32)
TARGETS = np.eye(3, dtype=np.float32)


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 48, 48, 1)).astype(np.float32)


def test_targets_and_pixels_by_hand() -> None:
    images = faces(3)
    box = np.array([[0, 0, 0, 0], [0, 0, 24, 24], [0, 0, 0, 0]], np.int32)
    mixed, targets = apply(images, TARGETS, ONES, Mix(np.array([0.75, 1, 1], np.float32), box))
    # The first image's partner is the last one. A quarter of the second image is the first one's.
    np.testing.assert_array_equal(targets, [[0.75, 0, 0.25], [0.25, 0.75, 0], [0, 0, 1]])
    np.testing.assert_allclose(mixed[0], 0.75 * images[0] + 0.25 * images[2], rtol=1e-6)
    np.testing.assert_array_equal(mixed[1, :24, :24], images[0, :24, :24])
    np.testing.assert_array_equal(mixed[1, 24:], images[1, 24:])
    np.testing.assert_array_equal(mixed[2], images[2])


def test_padding_is_nobodys_partner() -> None:
    images, box = faces(3), np.tile(np.array([5, 5, 10, 10], np.int32), (3, 1))
    weights = np.array([1, 1, 0], np.float32)
    mixed, targets = apply(images, TARGETS, weights, Mix(np.full(3, 0.5, np.float32), box))
    np.testing.assert_array_equal(mixed[0], images[0])
    np.testing.assert_array_equal(targets[0], TARGETS[0])
    assert targets[1, 0] > 0.5


@pytest.mark.parametrize(
    "config",
    [MixConfig(mixup_alpha=0.4), MixConfig(cutmix_alpha=1), MixConfig(mixup_alpha=1, cutmix_alpha=1)],
    ids=["mixup", "cutmix", "both"],
)
def test_numpy_jax_and_a_plain_loop_agree(config: MixConfig) -> None:
    count = 5
    images, weights = faces(count), np.ones(count, np.float32)
    targets = np.random.default_rng(1).dirichlet(np.ones(8), count).astype(np.float32)
    mix = draw(np.random.default_rng(2), config, count)
    assert mix is not None
    mixed, shares = apply(images, targets, weights, mix)
    on_device = jax.jit(apply)(*map(jnp.asarray, (images, targets, weights)), mix)
    for b in range(count):
        top, left, height, width = mix.box[b]
        own = 0.0
        wanted = np.empty((48, 48))
        for y in range(48):
            for x in range(48):
                is_pasted = top <= y < top + height and left <= x < left + width
                share = 0.0 if is_pasted else float(mix.share[b])
                wanted[y, x] = share * images[b, y, x, 0] + (1 - share) * images[b - 1, y, x, 0]
                own += share / 48**2
        for found in (mixed, on_device[0]):
            np.testing.assert_allclose(found[b, :, :, 0], wanted, atol=1e-6)
        for found in (shares, on_device[1]):
            np.testing.assert_allclose(found[b], own * targets[b] + (1 - own) * targets[b - 1], atol=1e-6)


def test_the_laws_of_the_draws() -> None:
    config = MixConfig(mixup_alpha=0.3, cutmix_alpha=0.7, probability=0.6)
    mix = draw(np.random.default_rng(0), config, 20_000)
    assert mix is not None
    assert mix.share.dtype == np.float32 and mix.box.dtype == np.int32
    is_blended, is_cut = mix.share < 1, mix.box[:, 2:].prod(axis=1) > 0
    assert not (is_blended & is_cut).any()
    # Each kind takes half of the mixed images; some rectangles round to nothing.
    np.testing.assert_allclose(is_blended.mean(), 0.3, atol=0.02)
    np.testing.assert_allclose(is_cut.mean(), 0.3, atol=0.03)
    # The variance of Beta(a, a) about its mean 1/2 is 1 / (8 a + 4).
    np.testing.assert_allclose(mix.share[is_blended].mean(), 0.5, atol=0.02)
    np.testing.assert_allclose(mix.share[is_blended].var(), 1 / (8 * 0.3 + 4), atol=0.01)
    assert (mix.box >= 0).all() and (mix.box[:, :2] + mix.box[:, 2:] <= 48).all()
    again = draw(np.random.default_rng(0), config, 20_000)
    jax.tree.map(np.testing.assert_array_equal, mix, again)
    for off in (MixConfig(), MixConfig(mixup_alpha=1, probability=0)):
        assert draw(np.random.default_rng(0), off, 4) is None
