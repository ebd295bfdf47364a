"""Mini-Xception (Arriaga et al. 2017): separable convolutions, 57 thousand parameters.

Why: the small network in most demos of facial expressions; its authors report 66 percent, selected on their
test set. It is the baseline for our own small network.
Ours: its layers at 48 × 48 instead of 64 × 64, zero padding, pooling over 2 × 2 windows; run 7's
augmentation, label smoothing 0.1, AdamW, warm-up and cosine.

Command: python -m fer_jax.train --config configs/xception.py --data fer2013.csv
Cost: 56,951 parameters, 6.3 million multiply-accumulates per image.
"""

from fer_jax.config import (
    AugmentConfig,
    Config,
    ConvBlock,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)

config = Config(
    name="xception",
    split=SplitConfig(protocol="official"),
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
            ConvBlock(features=8),
            ConvBlock(features=8),
            ConvBlock(features=16, kind="separable", pool=True),
            ConvBlock(features=32, kind="separable", pool=True),
            ConvBlock(features=64, kind="separable", pool=True),
            ConvBlock(features=128, kind="separable", pool=True),
        ),
        head="classes",
        dense_features=0,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="adamw", peak_rate=0.003, schedule="cosine", warmup_epochs=2, weight_decay=0.02
    ),
    train=TrainConfig(epochs=100, batch_size=64, select="best"),
)
