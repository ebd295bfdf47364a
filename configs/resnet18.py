"""ResNet-18 for small pictures: a 3 × 3 stem without pooling, eight basic blocks, a global mean.

Why: the recipe of the LetheSec repository, 73.7 percent claimed as its best epoch of 300 with ten crops;
whether it holds on fair terms is what this run is for.
Ours: widths 64, 128, 256, 512, two basic blocks each, the first of each but the first strided; the whole
6 × 6 map is averaged, where the recipe's pooling leaves out its border; label smoothing 0.1, SGD with
Nesterov's momentum at 0.1, a warm-up and a cosine; run 7's augmentation.

Command: python -m fer_jax.train --config configs/resnet18.py --data fer2013.csv
Cost: 11.2 million parameters, 1.25 billion multiply-accumulates an image; meant for a GPU.
"""

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import SplitConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig, OptimizerConfig, TrainConfig

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
