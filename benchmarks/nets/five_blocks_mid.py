"""The mid-size network of `mid.py`, one block deeper and narrower.

For the comparison of networks of that size on a hold-out; the recipe is that of `mid.py`.

Command: python -m benchmarks.accuracy.networks train --size mid --data fer2013.csv
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
    name="five_blocks_mid",
    split=SplitConfig(protocol="official"),
    augment=AugmentConfig(
        shift_probability=1.0,
        max_shift_px=4,
        rotate_probability=0.5,
        max_rotation_deg=12,
        crop_probability=0.5,
        min_crop_scale=0.85,
        flip_probability=0.5,
        alternate_flip=True,
    ),
    model=ModelConfig(
        blocks=(
            ConvBlock(features=32, pool=True),
            ConvBlock(features=48, kind="residual", pool=True),
            ConvBlock(features=96, kind="residual", squeeze_excite=True),
            ConvBlock(features=96, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=160, kind="residual", squeeze_excite=True),
        ),
        head="mean",
        dense_features=0,
        dense_dropout_rate=0.25,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.005,
        momentum=0.95,
        schedule="cosine",
        warmup_epochs=1,
        weight_decay=0.05,
    ),
    average=AverageConfig(ema_decay=0.998, stats_examples=2048),
    train=TrainConfig(
        epochs=42,
        batch_size=128,
        select="last",
        train_eval_examples=1024,
        small_epochs=18,
        small_side_px=32,
    ),
)
