"""Run 4."""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="run4",
    model=ModelConfig(
        blocks=(
            ConvBlock(features=32, pool=True, dropout_rate=0.1),
            ConvBlock(features=64, pool=True, dropout_rate=0.1),
            ConvBlock(features=128, pool=True, dropout_rate=0.1),
        ),
        dense_features=256,
        dense_dropout_rate=0.5,
    ),
    optimizer=OptimizerConfig(name="adam", peak_rate=0.0005),
    train=TrainConfig(epochs=8),
)
