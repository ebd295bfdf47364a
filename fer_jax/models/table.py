"""The one table: config -> module."""

import flax.linen as nn

from fer_jax.config import ModelConfig
from fer_jax.models.cnn import CNN


def make_model(config: ModelConfig) -> nn.Module:
    """Build the Linen module that a config describes; its call is `(x, *, is_training) -> logits`."""
    return CNN(config)
