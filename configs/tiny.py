"""Our small network: residual blocks of dense convolutions, at most as large as mini-Xception.

Why: mini-Xception spends its time in depthwise and pointwise convolutions at full resolution, which wait for
memory; a dense 3 × 3 convolution does more with every number it reads. So the faces are halved right behind
the first convolution and again inside the second block, and most weights stand where the maps are small.
Ours: one plain convolution, then three residual blocks, the last two with squeeze-and-excite, and a global
mean; most of the work is done where the maps are 12 pixels wide. It is trained long, on half of
`speedrun.py`'s batch and on images of full size alone, with shifts, small turns, mirrors in turn, label
smoothing 0.1, Muon and averaged weights. The released weights were taught by both seeds of `mid.py`:
`tiny-distilled` in `benchmarks/accuracy.py`, measured in its JSON.

Command: python -m fer_jax.train --config configs/tiny.py --data fer2013.csv
Cost: 54,896 parameters, 7.8 million multiply-accumulates an image.
"""

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import SplitConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, LossConfig, OptimizerConfig, TrainConfig

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
            ConvBlock(features=24, kind="residual", pool=True),
            ConvBlock(features=32, kind="residual", squeeze_excite=True),
            ConvBlock(features=40, kind="residual", pool=True, squeeze_excite=True),
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
    average=AverageConfig(ema_decay=0.998, stats_examples=2048),
    train=TrainConfig(
        epochs=80,
        batch_size=64,
        select="last",
        train_eval_examples=1024,
    ),
)
