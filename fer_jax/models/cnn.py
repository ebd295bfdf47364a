"""The CNN of runs 1 to 7: convolution blocks, then flatten or mean, then dense layers.

Weights start from He et al. 2015 (`he_normal`, for ReLU), the last layer from small numbers, so that behind
a hidden dense layer the first loss is close to ln 7. A convolution before batch norm has no bias: the norm
would take it away.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax import fer2013
from fer_jax.config import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.models import kernels

BATCH_NORM_MOMENTUM = 0.9
LAST_LAYER_STD = 0.01

_NHWC = ("NHWC", "HWIO", "NHWC")


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
    device: DeviceConfig

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        """Map float [B, H, W, C] to float [B, H', W', features]; H' is H, or H / 2 when pooled."""
        block, dtype = self.block, self.device.compute_dtype
        if block.batch_norm and is_training and self.device.kernels == "fast" and not self.is_initializing():
            return self._train_fast(x)
        x = nn.Conv(
            block.features,
            (3, 3),
            use_bias=not block.batch_norm,
            kernel_init=nn.initializers.he_normal(),
            dtype=dtype,
            name="conv",
        )(x)
        if block.batch_norm:
            is_running = not is_training
            x = nn.BatchNorm(is_running, momentum=BATCH_NORM_MOMENTUM, dtype=dtype, name="norm")(x)
        x = nn.relu(x)
        if block.pool:
            x = max_pool_2x2(x)
        return drop(self, x, self.device, rate=block.dropout_rate, is_training=is_training)

    def _train_fast(self, x: jax.Array) -> jax.Array:
        """Do the same in training mode with the fast kernels, on the variables that the plain layers made."""
        block, params, (batch, height, width, channels) = self.block, self.variables["params"], x.shape
        kernel = params["conv"]["kernel"].astype(x.dtype)
        if channels == 1:
            x = kernels.conv_one_channel(x, kernel, is_pooled=block.pool)
        else:
            x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_NHWC)
        key_words = jax.random.key_data(self.make_rng("dropout")) if block.dropout_rate else None
        x, *moments = kernels.norm_relu_pool_drop(
            x, params["norm"]["scale"], params["norm"]["bias"], key_words, block.pool, block.dropout_rate
        )
        running = self.variables["batch_stats"]["norm"]
        moved = {
            name: BATCH_NORM_MOMENTUM * running[name] + (1 - BATCH_NORM_MOMENTUM) * moment
            for name, moment in zip(("mean", "var"), moments, strict=True)
        }
        self.put_variable("batch_stats", "norm", moved)
        side = 2 if block.pool else 1
        return x.reshape(batch, height // side, width // side, -1)


def drop(
    module: nn.Module, x: jax.Array, device: DeviceConfig, *, rate: float, is_training: bool
) -> jax.Array:
    """Drop in training mode, as a part of a module's `__call__`: with Flax's masks, or with the fast ones."""
    if device.kernels == "plain" or not rate or not is_training:
        return nn.Dropout(rate, deterministic=not is_training)(x)
    return kernels.drop(jax.random.key_data(module.make_rng("dropout")), x, rate=rate)


class CNN(nn.Module):
    """Faces to logits, as a `ModelConfig` says.

    Collections: `params`, and `batch_stats` (running mean and variance of each batch norm; empty where
    the config has none). Training needs an rng named `dropout` and `mutable=["batch_stats"]`. Plain and fast
    kernels have the same variables.
    """

    config: ModelConfig
    device: DeviceConfig

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        """Map standardised float32 [B, 48, 48, 1] to logits float32 [B, 7]."""
        config, device = self.config, self.device
        x = x.astype(device.compute_dtype)
        for index, block in enumerate(config.blocks, start=1):
            x = ConvUnit(block, device, name=f"block{index}")(x, is_training=is_training)
        x = x.reshape(len(x), -1) if config.head == "flatten" else x.mean(axis=(1, 2))
        if config.dense_features:
            he_normal = nn.initializers.he_normal()
            dense = nn.Dense(
                config.dense_features, kernel_init=he_normal, dtype=device.compute_dtype, name="dense"
            )
            x = nn.relu(dense(x))
            x = drop(self, x, device, rate=config.dense_dropout_rate, is_training=is_training)
        last_init = nn.initializers.normal(LAST_LAYER_STD)
        return nn.Dense(fer2013.CLASS_COUNT, kernel_init=last_init, name="logits")(x.astype(jnp.float32))
