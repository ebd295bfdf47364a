"""Run 5."""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="run5",
    model=ModelConfig(
        blocks=(
            ConvBlock(features=32, pool=True, dropout_rate=0.25),
            ConvBlock(features=64, pool=True, dropout_rate=0.25),
            ConvBlock(features=128, pool=True, dropout_rate=0.25),
        ),
        dense_features=256,
        dense_dropout_rate=0.5,
    ),
    optimizer=OptimizerConfig(name="adam", peak_rate=0.0005, l2=0.0001),
    train=TrainConfig(epochs=8),
)
