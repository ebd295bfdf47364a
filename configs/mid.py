"""Our mid-size network: the small one made wider and deeper, for everyday use on a CPU.

Why: the published networks with 5 to 30 million weights take 350 to 1,250 million multiply-accumulates per
image; the question is how much of their accuracy remains with a tenth of that.
Ours: residual blocks of 64 to 192 features (the narrowest without squeeze-and-excitation) at 24, 12 and 6
pixels: on a CPU convolutions are slow on smaller feature maps, and the other layers on larger ones. Then
global average pooling and a little dropout. The recipe is that of `speedrun.py`, longer, with stronger
augmentation and a cosine schedule: 32 pixels for the first 18 of 42 epochs, label smoothing 0.1, Muon,
averaged weights.

Measured: 68.4 ± 0.7 percent on PublicTest by FER2013's labels, 69.4 ± 0.2 with flip TTA (mean ± sd of 2
seeds; the last epoch, with no selection).
Details: docs/results/accuracy.md; the released weights `mid` are its seed 0.

Command: python -m fer_jax.train --config configs/mid.py --data fer2013.csv
Cost: 882 thousand parameters, 54 million multiply-accumulates per image.
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
    name="mid",
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
            ConvBlock(features=64, kind="residual", pool=True),
            ConvBlock(features=128, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=192, kind="residual", squeeze_excite=True),
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
