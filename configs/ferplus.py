"""What ten annotators saw: `mid.py`'s network, aimed at the votes of FER+ instead of FER2013's labels.

Why: Barsoum et al. 2016 found that a network learns more from the annotators' votes than from their majority;
on FER2013's own labels it then scores by another standard, which is why a result names its labels.
Ours: eight classes, contempt among them; the votes' shares as targets, the rows that the official rule
decides; `mid.py`'s changes to the images and rectangles grayed out besides; `speedrun.py`'s schedule over 42
epochs, 14 of them at 32 pixels. The shares are soft already, so there is no label smoothing.

Measured: benchmarks/results/accuracy.json, shown in README; the released weights `ferplus` are its seed 0.

Command: python -m fer_jax.train --config configs/ferplus.py --data fer2013.csv  (with data/fer2013new.csv)
    python -m fer_jax.evaluate runs/ferplus-seed0 --labels fer2013 --split PublicTest  (by the other labels)
Cost: 882 thousand parameters, 54 million multiply-accumulates an image at full size.
"""

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import LabelsConfig, SplitConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, OptimizerConfig, TrainConfig

config = Config(
    name="ferplus",
    labels=LabelsConfig(source="ferplus", mode="votes"),
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
        erase_probability=0.5,
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
        dense_dropout_rate=0.2,
        classes=8,
    ),
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.005,
        momentum=0.95,
        schedule="trapezoid",
        warmup_epochs=1,
        cooldown_epochs=28,
        weight_decay=0.05,
    ),
    average=AverageConfig(ema_decay=0.998, stats_examples=2048),
    train=TrainConfig(
        epochs=42,
        batch_size=128,
        select="last",
        train_eval_examples=1024,
        small_epochs=14,
        small_side_px=32,
    ),
)
