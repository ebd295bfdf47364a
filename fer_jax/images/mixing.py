"""Mixup and cutmix: each image of a batch is mixed with the one before it, and so are their targets.

As in `augment`, only `draw` sees randomness; `apply` works on NumPy and JAX arrays alike.
"""

from typing import Any, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.config.augment import MixConfig

_HEIGHT, _WIDTH, _ = fer2013.IMAGE_SHAPE


class Mix(NamedTuple):
    """How each of B images is mixed with its partner.

    Attributes:
        share: float32 [B], what mixup leaves of the image's own pixels, 0..1; 1 for no mixup.
        box: int32 [B, 4], top, left, height and width in pixels of the partner's rectangle; all 0 for none.
    """

    share: Any
    box: Any


def draw(rng: np.random.Generator, config: MixConfig, images: int) -> Mix | None:
    """Draw how to mix a batch, image by image.

    Mixup is of Zhang et al. 2018, cutmix of Yun et al. 2019: a rectangle of the image's form around any
    pixel, cut off at the edges.

    Args:
        rng: source of the randomness.
        config: of the mixing.
        images: how many images, B.

    Returns:
        NumPy arrays; None where the config has no mixing.

    >>> draw(np.random.default_rng(0), MixConfig(), 2) is None
    True
    """
    if not config.is_on:
        return None
    is_mixed = rng.random(images) < config.probability
    is_cut = rng.random(images) < (0.5 if config.mixup_alpha else 1.0)
    if not config.cutmix_alpha:
        is_cut = np.zeros(images, bool)
    middle = rng.random((images, 2)) * (_HEIGHT, _WIDTH)
    # Where a kind is off its numbers are drawn from Beta(1, 1), and not used.
    share, area = (
        rng.beta(alpha, alpha, images) for alpha in (config.mixup_alpha or 1.0, config.cutmix_alpha or 1.0)
    )
    half = np.sqrt(1 - area)[:, None] * (_HEIGHT, _WIDTH) / 2
    start, end = (np.clip(np.rint(edge), 0, (_HEIGHT, _WIDTH)) for edge in (middle - half, middle + half))
    box = np.hstack([start, end - start]) * (is_mixed & is_cut)[:, None]
    return Mix(np.where(is_mixed & ~is_cut, share, 1.0).astype(np.float32), box.astype(np.int32))


def apply(images: Any, targets: Any, weights: Any, mix: Mix) -> tuple[Any, Any]:
    """Mix a batch. Deterministic; may be traced by `jax.jit`.

    Args:
        images: float32 [B, 48, 48, 1], NumPy or JAX. The partner of image b is image b - 1, of the first the
            last.
        targets: float32 [B, C].
        weights: float32 [B]; with a partner of weight 0, which is padding, nothing is mixed.
        mix: of B images, arrays of the same library.

    Returns:
        The mixed images, and the targets in the exact shares of the pixels; shapes and types stay.
    """
    xp = images.__array_namespace__()
    is_real = xp.roll(weights, 1) > 0
    share = xp.where(is_real, mix.share, xp.float32(1))
    top, left, height, width = (xp.where(is_real, mix.box[:, k], 0)[:, None] for k in range(4))
    row, column = xp.arange(_HEIGHT), xp.arange(_WIDTH)
    is_row = (row >= top) & (row < top + height)
    is_column = (column >= left) & (column < left + width)
    in_box = (is_row[:, :, None] & is_column[:, None, :])[..., None]
    own = share[:, None, None, None]
    others = xp.roll(images, 1, axis=0)
    mixed = xp.where(in_box, others, own * images + (1 - own) * others)
    kept = fer2013.PIXEL_COUNT - (height * width)
    own = share[:, None] * (kept.astype("float32") / fer2013.PIXEL_COUNT)
    return mixed, own * targets + (1 - own) * xp.roll(targets, 1, axis=0)
