"""FER+: the network of `mid.py`, trained on the votes of ten annotators instead of FER2013's labels.

Why: Barsoum et al. 2016 found that a network learns more from the annotators' votes than from their majority.
Results on FER+'s and FER2013's labels cannot be compared, which is why each result names its labels.
Ours: eight classes, including contempt; the votes as soft labels, for the rows that the official rule
decides; the augmentation of `mid.py` plus random erasing; the schedule of `speedrun.py` over 42 epochs, 14 of
them at 32 pixels. No label smoothing, since the labels are soft already.

Measured: 87.4 ± 0.1 percent on PublicTest by FER+'s labels, 88.2 ± 0.3 with flip TTA (mean ± sd of 2 seeds;
the last epoch, with no selection).
Details: docs/results/accuracy.md; the released weights `ferplus` are its seed 0.

Command: python -m fer_jax.train --config configs/ferplus.py --data fer2013.csv  (with data/fer2013new.csv)
    python -m fer_jax.evaluate runs/ferplus-seed0 --labels fer2013 --split PublicTest  (with the other labels)
Cost: 882 thousand parameters, 54 million multiply-accumulates per image at full size.
"""

from fer_jax.config import (
    AugmentConfig,
    AverageConfig,
    Config,
    ConvBlock,
    LabelsConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)

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
