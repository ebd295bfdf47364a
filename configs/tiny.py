"""Our small network: residual blocks of dense convolutions, at most as large as mini-Xception.

Why: mini-Xception spends its time in depthwise and pointwise convolutions at full resolution, which wait for
memory; a dense 3 × 3 convolution does more with every number it reads. So the faces are halved right behind
the first convolution, and most weights stand where the maps are small.
Ours: two plain convolutions, then two residual blocks with squeeze-and-excite that halve the maps, and a
global mean. The recipe is that of `speedrun.py` on half of the batch: 32 pixels for the first 14 of 30
epochs, shifts, small turns, mirrors in turn, label smoothing 0.1, Muon, averaged weights. The released
weights were taught by `speedrun.py`'s: `tiny-distilled` in `benchmarks/accuracy.py`, measured in its JSON.

Command: python -m fer_jax.train --config configs/tiny.py --data fer2013.csv
Cost: 53,632 parameters, 10.2 million multiply-accumulates an image.
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
from fer_jax.config_craft import AverageConfig

config = Config(
    name="tiny",
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
            ConvBlock(features=24),
            ConvBlock(features=32, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=44, kind="residual", pool=True, squeeze_excite=True),
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
    average=AverageConfig(ema_decay=0.995, stats_examples=2048),
    train=TrainConfig(
        epochs=30,
        batch_size=64,
        select="last",
        train_eval_examples=1024,
        small_epochs=14,
        small_side_px=32,
    ),
)
