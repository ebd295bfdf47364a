"""What ten annotators saw: `mid.py`'s network, aimed at the votes of FER+ instead of FER2013's labels.

Why: Barsoum et al. 2016 found that a network learns more from the annotators' votes than from their majority;
on FER2013's own labels it then scores by another standard, which is why a result names its labels.
Ours: seven classes, the votes' shares as targets, the rows that the official rule decides.

Command: python -m fer_jax.train --config configs/ferplus.py --data fer2013.csv  (with data/fer2013new.csv)
Cost: 1.1 million parameters, 58 million multiply-accumulates an image.
"""

from fer_jax.config import (
    Config,
    ConvBlock,
    LabelsConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)
from fer_jax.config_augment import AugmentConfig
from fer_jax.config_craft import AverageConfig

config = Config(
    name="ferplus",
    labels=LabelsConfig(source="ferplus", mode="votes"),
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
            ConvBlock(features=32, pool=True),
            ConvBlock(features=40, kind="residual"),
            ConvBlock(features=64, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=96, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=160, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=160, kind="residual", squeeze_excite=True),
        ),
        head="mean",
        dense_features=0,
        dense_dropout_rate=0.25,
    ),
    optimizer=OptimizerConfig(
        name="adamw", peak_rate=0.002, schedule="cosine", warmup_epochs=3, weight_decay=0.05
    ),
    average=AverageConfig(ema_decay=0.999),
    train=TrainConfig(epochs=80, batch_size=128, select="best"),
)
