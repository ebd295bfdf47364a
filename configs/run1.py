"""Run 1."""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="run1",
    model=ModelConfig(blocks=(ConvBlock(features=32, batch_norm=False),), dense_features=256),
    optimizer=OptimizerConfig(name="sgd", momentum=0.0, peak_rate=0.01),
    train=TrainConfig(epochs=6),
)
