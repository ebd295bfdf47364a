"""The fastest way to a good accuracy: few epochs that start with small images and a high learning rate.

Why: nobody publishes how many seconds FER2013 takes. This run combines what the speed runs on CIFAR-10
(airbench) found to help early: large first steps with Muon, alternating flips, smaller images at the start,
averaged weights.
Ours: the network of `mid.py`, 32 pixels for the first 8 of 17 epochs; the learning rate stays at its peak
for as long and then falls linearly to zero, so that most of the learning happens at full resolution, where a
cosine would already be low. Train accuracy and batch statistics are measured on few images.

Measured: 68.1 (66.6 to 69.6) percent on PublicTest by FER2013's labels, 67.7 (66.2 to 69.2) with flip TTA,
without copies of training images 66.8 (65.2 to 68.4) and 66.3 (64.7 to 67.9) (one seed; the last epoch, with
no selection).
Details: docs/results/accuracy.md.

Command: python -m benchmarks.accuracy.time_to_accuracy --config configs/speedrun.py --data fer2013.csv
Cost: 882 thousand parameters, 54 million multiply-accumulates per image at full size.
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
    name="speedrun",
    split=SplitConfig(protocol="official"),
    augment=AugmentConfig(
        shift_probability=1.0,
        max_shift_px=4,
        rotate_probability=0.5,
        max_rotation_deg=10,
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
        dense_dropout_rate=0.2,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.005,
        momentum=0.95,
        schedule="trapezoid",
        warmup_epochs=1,
        cooldown_epochs=9,
        weight_decay=0.05,
    ),
    average=AverageConfig(ema_decay=0.99, stats_examples=2048),
    train=TrainConfig(
        epochs=17,
        batch_size=128,
        select="last",
        train_eval_examples=512,
        small_epochs=8,
        small_side_px=32,
    ),
)
