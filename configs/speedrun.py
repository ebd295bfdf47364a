"""The shortest way to a good accuracy: few epochs, small faces first, a full rate until these are over.

Why: nobody publishes how many seconds FER2013 takes. What the speed runs on CIFAR-10 (airbench) found to pay
off early is put together here: large first steps with Muon, mirrors in turn, smaller images at the start,
averaged weights.
Ours: `mid.py`'s network, 32 pixels for the first 8 of 17 epochs; the rate stays full that long and then falls
in a straight line to zero, so that most of the learning is done on images of full size. A cosine had used up
its rate before these came. Only as many images for train accuracy and clean statistics as these need.

Measured: benchmarks/results/time_to_accuracy-speedrun.json and accuracy.json, shown in README.

Command: python -m benchmarks.time_to_accuracy --config configs/speedrun.py --data fer2013.csv
Cost: 882 thousand parameters, 54 million multiply-accumulates an image at full size.
"""

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import SplitConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, LossConfig, OptimizerConfig, TrainConfig

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
