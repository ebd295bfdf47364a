"""Run 7."""

from fer_jax.config import (
    AugmentConfig,
    Config,
    ConvBlock,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

config = Config(
    name="run7",
    augment=AugmentConfig(
        shift_probability=0.5,
        max_shift_px=4,
        rotate_probability=0.5,
        max_rotation_deg=12,
        crop_probability=0.5,
        min_crop_scale=0.85,
        flip_probability=0.5,
    ),
    model=ModelConfig(
        blocks=(
            ConvBlock(features=32, pool=True),
            ConvBlock(features=64, pool=True),
            ConvBlock(features=128, pool=True),
        ),
        dense_features=256,
        dense_dropout_rate=0.25,
    ),
    loss=LossConfig(label_smoothing=0.1, class_weights="sqrt"),
    optimizer=OptimizerConfig(
        name="adamw", peak_rate=0.002, schedule="cosine", warmup_epochs=1, weight_decay=0.05
    ),
    train=TrainConfig(epochs=30),
)
