"""A deeper network of the size of `tiny.py`, for 80 epochs, taught by `best` and `mid`.

Why: with the network of `tiny.py`, twice the epochs and better teachers gain hardly anything, see
`tiny160.py`, and stronger augmentation costs accuracy, see docs/results/ablation.md. So the network itself
may be the limit, and another one of the same size may do better.
Ours: four residual blocks instead of three, narrower, with pooling in the second and the last of them;
`benchmarks/accuracy/networks.py` compares it with others on a hold-out. The recipe is that of `tiny160.py`
with half the epochs: the averaged answers of the released `best` and `mid` to each image and its mirror image
are 0.7 of the target; shifts, rotations and flips; the first half at 32 pixels.

Measured: 67.0 ± 0.5 percent on PublicTest by FER2013's labels, 68.2 ± 0.3 with flip TTA, without copies of
training images 65.5 ± 0.6 and 66.8 ± 0.3, distilled from best, mid (mean ± sd of 2 seeds; the last epoch,
with no selection).

Command: python -m fer_jax.train --config configs/tiny80.py --data fer2013.csv
    python -m benchmarks.accuracy train --data fer2013.csv --tiers tiny80 --seeds 2 --lanes 2
Cost: 56,915 parameters, 13.7 million multiply-accumulates per image at full size; for the teachers' answers,
kept for all seeds, twice 591 million an image of Training.
"""

from fer_jax.config import (
    AugmentConfig,
    AverageConfig,
    Config,
    ConvBlock,
    DistillConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)

config = Config(
    name="tiny80",
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
            ConvBlock(features=24, kind="residual"),
            ConvBlock(features=28, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=28, kind="residual", squeeze_excite=True),
            ConvBlock(features=32, kind="residual", pool=True, squeeze_excite=True),
        ),
        head="mean",
        dense_features=0,
    ),
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.005,
        momentum=0.95,
        schedule="trapezoid",
        warmup_epochs=1,
        cooldown_epochs=40,
        weight_decay=0.02,
    ),
    average=AverageConfig(ema_decay=0.998, stats_examples=2048),
    distill=DistillConfig(teachers=("best", "mid"), weight=0.7, temperature=1.0),
    train=TrainConfig(
        epochs=80,
        batch_size=64,
        select="last",
        save_epochs=5,
        measure_epochs=10,
        train_eval_examples=1024,
        small_epochs=40,
        small_side_px=32,
    ),
)
