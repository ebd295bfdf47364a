"""Mixup and cutmix: each image of a batch is mixed with the one before it, and so are their targets.

As in `augment`, only `draw` sees randomness; `apply` works on NumPy and JAX arrays alike.
"""

from typing import Any, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.config.augment import MixConfig
from fer_jax.images.affine import boxes_mask

_HEIGHT, _WIDTH, _ = fer2013.IMAGE_SHAPE


class Mix(NamedTuple):
    """How each of B images is mixed with its partner.

    Attributes:
        share: float32 [B], weight of the image's own pixels in mixup, 0..1; 1 for no mixup.
        box: int32 [B, 4], top, left, height and width in pixels of the partner's rectangle; all 0: no cutmix.
    """

    share: Any
    box: Any


def draw(rng: np.random.Generator, config: MixConfig, images: int) -> Mix | None:
    """Draw how to mix a batch, image by image.

    Mixup: Zhang et al. 2018. Cutmix: Yun et al. 2019, a rectangle with the image's aspect around any pixel,
    clipped at the edges.

    Returns:
        NumPy arrays of B = `images` images; None where the config has no mixing.

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
    # Where a kind is off, its numbers are drawn from Beta(1, 1) and not used.
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
        images: float32 [B, 48, 48, 1], NumPy or JAX. The partner of image b is image b - 1, that of the
            first the last.
        targets: float32 [B, C].
        weights: float32 [B]; an image whose partner has weight 0, padding, is not mixed.
        mix: of B images, arrays of the same library.

    Returns:
        The mixed images, and the targets mixed in proportion to the pixels; shapes and dtypes stay.
    """
    xp = images.__array_namespace__()
    is_real = xp.roll(weights, 1) > 0
    share = xp.where(is_real, mix.share, xp.float32(1))
    box = xp.where(is_real[:, None], mix.box, 0)
    in_box, own = boxes_mask(box), share[:, None, None, None]
    others = xp.roll(images, 1, axis=0)
    mixed = xp.where(in_box, others, own * images + (1 - own) * others)
    kept = fer2013.PIXEL_COUNT - box[:, 2:3] * box[:, 3:4]
    own = share[:, None] * (kept.astype("float32") / fer2013.PIXEL_COUNT)
    return mixed, own * targets + (1 - own) * xp.roll(targets, 1, axis=0)
