"""Our small network: residual blocks of dense convolutions, at most as large as mini-Xception.

Why: mini-Xception spends its time in depthwise and pointwise convolutions at full resolution, which wait for
memory; a dense 3 × 3 convolution does more with every number it reads. So the faces are halved right behind
the first convolution, and most weights stand where the maps are small.
Ours: two plain convolutions, then two residual blocks with squeeze-and-excite that halve the maps, and a
global mean; run 7's augmentation, label smoothing 0.1, AdamW, a warm-up and a cosine.

Command: python -m fer_jax.train --config configs/tiny.py --data fer2013.csv
Cost: 53,632 parameters, 10.3 million multiply-accumulates an image.
"""

from fer_jax.config import (
    Config,
    ConvBlock,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)
from fer_jax.config_augment import AugmentConfig

config = Config(
    name="tiny",
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
            ConvBlock(features=16, pool=True),
            ConvBlock(features=24),
            ConvBlock(features=32, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=44, kind="residual", pool=True, squeeze_excite=True),
        ),
        head="mean",
        dense_features=0,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="adamw", peak_rate=0.003, schedule="cosine", warmup_epochs=2, weight_decay=0.02
    ),
    train=TrainConfig(epochs=100, batch_size=64, select="best"),
)
