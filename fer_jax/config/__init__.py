"""A run's config: frozen dataclasses, read from and written to files, with overrides.

Everything a config file needs can be imported from here.
"""

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import (
    AverageConfig,
    DistillConfig,
    InitConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)

__all__ = [
    "AugmentConfig",
    "AverageConfig",
    "Config",
    "ConvBlock",
    "DataConfig",
    "DeviceConfig",
    "DistillConfig",
    "InitConfig",
    "LabelsConfig",
    "LossConfig",
    "MixConfig",
    "ModelConfig",
    "OptimizerConfig",
    "SplitConfig",
    "TrainConfig",
]
