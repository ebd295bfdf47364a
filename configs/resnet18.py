"""ResNet-18 for small images: a 3 × 3 stem without pooling, eight basic blocks, global average pooling.

Why: the LetheSec repository claims 73.7 percent for this recipe, the best of 300 epochs with ten crops; this
run tests the claim under a clean protocol.
Ours: widths 64, 128, 256, 512 with two basic blocks each, the first of them strided except at width 64; the
mean over the whole 6 × 6 map, whose border the recipe's pooling leaves out; label smoothing 0.1, SGD with
Nesterov momentum at a learning rate of 0.1, warm-up and cosine; run 7's augmentation.

Command: python -m fer_jax.train --config configs/resnet18.py --data fer2013.csv
Cost: 11.2 million parameters, 1.25 billion multiply-accumulates per image; meant for a GPU.
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
    name="resnet18",
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
            ConvBlock(features=64, kind="residual"),
            ConvBlock(features=64, kind="residual"),
            ConvBlock(features=128, kind="residual", pool=True),
            ConvBlock(features=128, kind="residual"),
            ConvBlock(features=256, kind="residual", pool=True),
            ConvBlock(features=256, kind="residual"),
            ConvBlock(features=512, kind="residual", pool=True),
            ConvBlock(features=512, kind="residual"),
        ),
        pooling="stride",
        head="mean",
        dense_features=0,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="sgd",
        peak_rate=0.1,
        momentum=0.9,
        nesterov=True,
        schedule="cosine",
        warmup_epochs=5,
        l2=1e-4,
    ),
    train=TrainConfig(epochs=120, batch_size=128, select="best"),
)
