"""The CNN of runs 1 to 7: convolution blocks, then flatten or mean, then dense layers.

Weights start from He et al. 2015 (`he_normal`, for ReLU), the last layer from small numbers, so that behind
a hidden dense layer the first loss is close to ln 7. A convolution before batch norm has no bias: the norm
would take it away.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax import fer2013
from fer_jax.config import ConvBlock, DeviceConfig, ModelConfig

BATCH_NORM_MOMENTUM = 0.9
LAST_LAYER_STD = 0.01


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Take the largest of each 2 × 2 window.

    Args:
        x: float [B, H, W, C], H and W even.

    Returns:
        float [B, H / 2, W / 2, C].

    The same values as `nn.max_pool`, but with pairwise maxima: the gradient of `nn.max_pool` is a
    scatter, which is slow on CPU and not deterministic on GPU. Equal largest values share the gradient.
    """
    rows = jnp.maximum(x[:, 0::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


class ConvUnit(nn.Module):
    """Convolution 3 × 3, optional batch norm, ReLU, optional pooling, optional dropout."""

    block: ConvBlock

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        """Map float32 [B, H, W, C] to float32 [B, H', W', features]; H' is H, or H / 2 when pooled."""
        block = self.block
        x = nn.Conv(
            block.features,
            (3, 3),
            use_bias=not block.batch_norm,
            kernel_init=nn.initializers.he_normal(),
            name="conv",
        )(x)
        if block.batch_norm:
            x = nn.BatchNorm(use_running_average=not is_training, momentum=BATCH_NORM_MOMENTUM, name="norm")(
                x
            )
        x = nn.relu(x)
        if block.pool:
            x = max_pool_2x2(x)
        return nn.Dropout(block.dropout_rate, deterministic=not is_training)(x)


class CNN(nn.Module):
    """Faces to logits, as a `ModelConfig` says.

    Collections: `params`, and `batch_stats` (running mean and variance of each batch norm; empty where
    the config has none). Training needs an rng named `dropout` and `mutable=["batch_stats"]`.
    """

    config: ModelConfig
    device: DeviceConfig

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        """Map standardised float32 [B, 48, 48, 1] to logits float32 [B, 7]."""
        config = self.config
        for index, block in enumerate(config.blocks, start=1):
            x = ConvUnit(block, name=f"block{index}")(x, is_training=is_training)
        x = x.reshape(len(x), -1) if config.head == "flatten" else x.mean(axis=(1, 2))
        dense = partial(nn.Dense, kernel_init=nn.initializers.he_normal())
        if config.dense_features:
            x = nn.relu(dense(config.dense_features, name="dense")(x))
            x = nn.Dropout(config.dense_dropout_rate, deterministic=not is_training)(x)
        last_init = nn.initializers.normal(LAST_LAYER_STD)
        return nn.Dense(fer2013.CLASS_COUNT, kernel_init=last_init, name="logits")(x)
