"""Mini-Xception (Arriaga et al. 2017): separable convolutions, 57 thousand parameters.

Why: the small network that most demos of facial expressions use, 66 percent by its authors, who select on
their test set. It is what our own small network is held against.
Ours: its layers at 48 × 48 in place of 64 × 64, zeros around the images, 2 × 2 windows for its pooling; run
7's augmentation, label smoothing 0.1, AdamW, a warm-up and a cosine.

Command: python -m fer_jax.train --config configs/xception.py --data fer2013.csv
Cost: 56,951 parameters, 6.3 million multiply-accumulates an image.
"""

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import SplitConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig, OptimizerConfig, TrainConfig

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
