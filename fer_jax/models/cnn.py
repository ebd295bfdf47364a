"""The CNN: convolution blocks, then flatten or mean, then dense layers; or logits at each place, then mean.

Weights start from He et al. 2015 (`he_normal`, for ReLU), see `models.layers`, the last layer from small
numbers, so that after a hidden dense layer the first loss is close to ln C.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.config.model import DeviceConfig, ModelConfig
from fer_jax.models.blocks import UNITS, skip_rates
from fer_jax.models.layers import drop

LAST_LAYER = "logits"
"""Name of every network's last layer; its inputs are the last features."""
LAST_LAYER_STD = 0.01


def name_block(index: int) -> str:
    """Name the layer of a block by its place, from 0.

    >>> name_block(0)
    'block1'
    """
    return f"block{index + 1}"


class CNN(nn.Module):
    """The network that a `ModelConfig` describes, from images to logits.

    Collections: `params`, and `batch_stats` (running mean and variance of each batch norm; empty where
    the config has none). Training needs an rng named `dropout` and `mutable=["batch_stats"]`. Plain and fast
    kernels have the same variables.
    """

    config: ModelConfig
    device: DeviceConfig

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool, frozen_blocks: int = 0) -> jax.Array:
        """Map standardised float32 [B, 48, 48, 1] to logits float32 [B, classes].

        In training so many first blocks run as they predict, and get no gradient.
        """
        config, device = self.config, self.device
        x = x.astype(device.compute_dtype)
        rates = skip_rates(config.blocks, config.skip_rate)
        for index, (block, rate) in enumerate(zip(config.blocks, rates, strict=True)):
            unit = UNITS[block.kind](block, device, config.pooling, rate, name=name_block(index))
            x = unit(x, is_training=is_training and index >= frozen_blocks)
            if index + 1 == frozen_blocks:
                x = jax.lax.stop_gradient(x)
        if config.head == "flatten":
            x = x.reshape(x.shape[0], -1)
        elif config.head == "mean":
            x = x.mean(axis=(1, 2))
        if config.dense_features:
            he_normal = nn.initializers.he_normal()
            dense = nn.Dense(
                config.dense_features, kernel_init=he_normal, dtype=device.compute_dtype, name="dense"
            )
            x = nn.relu(dense(x))
        x = drop(self, x, device, rate=config.dense_dropout_rate, is_training=is_training)
        x, init = x.astype(jnp.float32), nn.initializers.normal(LAST_LAYER_STD)
        if config.head == "classes":
            # Liu et al. 2014, "Network in network": a map for each class, and its mean.
            return nn.Conv(config.classes, (3, 3), kernel_init=init, name=LAST_LAYER)(x).mean(axis=(1, 2))
        return nn.Dense(config.classes, kernel_init=init, name=LAST_LAYER)(x)


def make_model(config: ModelConfig, device: DeviceConfig) -> nn.Module:
    """Build the Linen module that a config describes; its call is `(x, *, is_training) -> logits`."""
    return CNN(config, device)
