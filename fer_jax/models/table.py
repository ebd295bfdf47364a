"""The one table: config -> module."""

import flax.linen as nn

from fer_jax.config import DeviceConfig, ModelConfig
from fer_jax.models.cnn import CNN


def make_model(config: ModelConfig, device: DeviceConfig) -> nn.Module:
    """Build the Linen module that a config describes; its call is `(x, *, is_training) -> logits`."""
    return CNN(config, device)
