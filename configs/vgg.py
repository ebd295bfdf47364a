"""VGG-like: 3 × 3 convolutions of 64 to 512 features, batch norm, global average pooling, one dense layer.

Why: the field's strongest plain networks on FER2013 are of this kind: that of Khaireddin & Chen 2021, and
VGG-19 of the WuJie1010 repository. In the first, two dense layers of 4096 hold 25 of 30 million weights;
global average pooling needs none of them.
Ours: two convolutions at 48 and at 24 pixels, three at 12 and at 6, dropout 0.5 before the last layer; run
7's augmentation, label smoothing 0.1, SGD with Nesterov momentum, warm-up and cosine.

Command: python -m fer_jax.train --config configs/vgg.py --data fer2013.csv
Cost: 7.6 million parameters, 638 million multiply-accumulates per image; meant for a GPU.
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
    name="vgg",
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
            ConvBlock(features=64),
            ConvBlock(features=64, pool=True),
            ConvBlock(features=128),
            ConvBlock(features=128, pool=True),
            ConvBlock(features=256),
            ConvBlock(features=256),
            ConvBlock(features=256, pool=True),
            ConvBlock(features=512),
            ConvBlock(features=512),
            ConvBlock(features=512, pool=True),
        ),
        head="mean",
        dense_features=0,
        dense_dropout_rate=0.5,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="sgd",
        peak_rate=0.05,
        momentum=0.9,
        nesterov=True,
        schedule="cosine",
        warmup_epochs=3,
        l2=5e-4,
    ),
    train=TrainConfig(epochs=120, batch_size=128, select="best"),
)
