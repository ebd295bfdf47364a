"""A VGG-like network for benchmarks: two convolutions per resolution, widths 64, 128, 256, 512.

Its convolutions are large, so the step is limited by arithmetic; run 6 is small, and mostly limited by
memory. It is not one of the ladder's runs and has no accuracy to report.

Command: python -m benchmarks.throughput.step --config benchmarks/nets/vgg.py
"""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig

config = Config(
    name="vgg",
    model=ModelConfig(
        blocks=(
            ConvBlock(features=64),
            ConvBlock(features=64, pool=True, dropout_rate=0.25),
            ConvBlock(features=128),
            ConvBlock(features=128, pool=True, dropout_rate=0.25),
            ConvBlock(features=256),
            ConvBlock(features=256, pool=True, dropout_rate=0.25),
            ConvBlock(features=512),
            ConvBlock(features=512, pool=True, dropout_rate=0.25),
        ),
        dense_features=256,
        dense_dropout_rate=0.25,
    ),
    optimizer=OptimizerConfig(name="adam", peak_rate=1e-3),
)
