"""Run 3."""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="run3",
    model=ModelConfig(
        blocks=(
            ConvBlock(features=32, dropout_rate=0.5),
            ConvBlock(features=16, dropout_rate=0.5),
            ConvBlock(features=16, dropout_rate=0.5),
        ),
        dense_features=256,
        dense_dropout_rate=0.5,
    ),
    optimizer=OptimizerConfig(name="sgd", momentum=0.0, peak_rate=0.1),
    train=TrainConfig(epochs=8),
)
