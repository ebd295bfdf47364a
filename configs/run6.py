"""Run 6."""

from fer_jax.config import AugmentConfig, Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="run6",
    augment=AugmentConfig(
        shift_probability=1.0,
        max_shift_px=6,
        rotate_probability=1.0,
        max_rotation_deg=15,
        crop_probability=1.0,
        min_crop_scale=0.8,
    ),
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
