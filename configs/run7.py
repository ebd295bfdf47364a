"""Run 7: the step that run 6 suggests: keep the augmentation, reduce the other regularisation.

The notebook's: not run; its diagnosis of run 6 asks for less regularisation elsewhere, and that of runs 4
and 5 for label smoothing and for help with the rare classes.
Ours: no dropout after the blocks, still 0.25 before the last layer; milder augmentation, each kind on half of
the images, with flips; label smoothing 0.1; class weights 1 / sqrt(frequency); AdamW with warm-up and a
cosine down to 0, and enough epochs to benefit from all this.

Command: python -m fer_jax.train --config configs/run7.py --data train.csv
Measured: train 68.2 ± 0.4, val 61.1 ± 0.7, test 59.4 ± 0.3 percent
(mean ± sd of 3 seeds; the last, with no selection).
Cost: 30 epochs of 17.6 s on AMD EPYC, 2 cores.
"""

from fer_jax.config import (
    AugmentConfig,
    Config,
    ConvBlock,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

config = Config(
    name="run7",
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
            ConvBlock(features=64, pool=True),
            ConvBlock(features=128, pool=True),
        ),
        dense_features=256,
        dense_dropout_rate=0.25,
    ),
    loss=LossConfig(label_smoothing=0.1, class_weights="sqrt"),
    optimizer=OptimizerConfig(
        name="adamw", peak_rate=0.001, schedule="cosine", warmup_epochs=1, weight_decay=0.05
    ),
    train=TrainConfig(epochs=30, select="last"),
)
