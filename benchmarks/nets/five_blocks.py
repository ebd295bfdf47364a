"""The small network of `tiny.py`, one block deeper and narrower.

For the comparison of networks of that size on a hold-out; the recipe is that of `tiny.py`.

Command: python -m benchmarks.accuracy.networks train --data fer2013.csv
"""

from fer_jax.config import (
    AugmentConfig,
    AverageConfig,
    Config,
    ConvBlock,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)

config = Config(
    name="five_blocks",
    split=SplitConfig(protocol="official"),
    augment=AugmentConfig(
        shift_probability=1.0,
        max_shift_px=3,
        rotate_probability=0.5,
        max_rotation_deg=10,
        flip_probability=0.5,
        alternate_flip=True,
    ),
    model=ModelConfig(
        blocks=(
            ConvBlock(features=16, pool=True),
            ConvBlock(features=24, kind="residual", pool=True),
            ConvBlock(features=28, kind="residual", squeeze_excite=True),
            ConvBlock(features=28, kind="residual", squeeze_excite=True),
            ConvBlock(features=32, kind="residual", pool=True, squeeze_excite=True),
        ),
        head="mean",
        dense_features=0,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.005,
        momentum=0.95,
        schedule="cosine",
        warmup_epochs=1,
        weight_decay=0.02,
    ),
    average=AverageConfig(ema_decay=0.998, stats_examples=2048),
    train=TrainConfig(
        epochs=80,
        batch_size=64,
        select="last",
        train_eval_examples=1024,
    ),
)
