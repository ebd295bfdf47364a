"""Run 2."""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="run2",
    model=ModelConfig(
        blocks=(ConvBlock(features=32), ConvBlock(features=16), ConvBlock(features=16)), dense_features=256
    ),
    optimizer=OptimizerConfig(name="sgd", momentum=0.0, peak_rate=0.003),
    train=TrainConfig(epochs=12),
)
