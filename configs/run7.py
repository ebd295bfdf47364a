"""Run 7: the step that run 6 asks for. Keep the augmentation, take the other brakes off.

The notebook's: not run; run 6's diagnosis says to reduce the other regularisation, runs 4 and 5 say that
label smoothing and help for the rare classes are missing.
Ours: the dropout after the blocks goes, that before the last layer stays at 0.25; augmentation is milder,
on half the images each, with a mirror image for every other one; label smoothing 0.1; a class weighs
1 / sqrt(its share); AdamW with a warm-up and a cosine down to 0, and epochs enough to use the room.

Command: python -m fer_jax.train --config configs/run7.py --data train.csv
Measured: train 68.2 ± 0.4, val 61.1 ± 0.7, test 59.4 ± 0.3 percent
(mean ± sd of 3 seeds; the last, with no selection).
Cost: 30 epochs of 17.6 s on AMD EPYC, 2 cores.
"""

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig, OptimizerConfig, TrainConfig

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
