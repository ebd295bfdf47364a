"""The network of `tiny.py` for 300 epochs, taught by `best` on augmented images.

Why: `tiny.py` overfits within 80 epochs, and a small network gains most from a teacher. But one that answers
once, to clean images that it knows, teaches little that the labels do not; its answers should be to what the
student sees (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent"). Many
stored views come close to that (Shen and Xing 2022, "A fast knowledge distillation framework for visual
recognition").
Ours: eight stored views of each image, and the answers of the released `best` to them, which make up 0.8 of
the target; no label smoothing, since they are soft already. Beside the shifts, rotations and flips of
`tiny.py`: crops of at least 0.85 of the side on half of the images, erasing on 30 percent, mixup on 30
percent. A cosine over 300 epochs.

Measured: not yet. Over 60 epochs neither the teacher nor this augmentation helped the network of `tiny.py`,
see docs/results/ablation.md.

Command: python -m fer_jax.train --config configs/tiny300.py --data fer2013.csv
    python -m benchmarks.accuracy train --data fer2013.csv --tiers tiny300 --seeds 2 --lanes 2
Cost: 54,896 parameters, 7.8 million multiply-accumulates per image; for the teacher's answers, kept for all
seeds, eight times 537 million an image of Training.
"""

from fer_jax.config import (
    AugmentConfig,
    AverageConfig,
    Config,
    ConvBlock,
    DistillConfig,
    MixConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)

config = Config(
    name="tiny300",
    split=SplitConfig(protocol="official"),
    augment=AugmentConfig(
        shift_probability=1.0,
        max_shift_px=3,
        rotate_probability=0.5,
        max_rotation_deg=10,
        crop_probability=0.5,
        min_crop_scale=0.85,
        flip_probability=0.5,
        erase_probability=0.3,
    ),
    mix=MixConfig(mixup_alpha=0.2, probability=0.3),
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
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.005,
        momentum=0.95,
        schedule="cosine",
        warmup_epochs=1,
        weight_decay=0.02,
    ),
    average=AverageConfig(ema_decay=0.998, stats_examples=2048),
    distill=DistillConfig(teachers=("best",), views=8, weight=0.8, temperature=1.5),
    train=TrainConfig(
        epochs=300,
        batch_size=64,
        select="last",
        save_epochs=5,
        measure_epochs=10,
        train_eval_examples=1024,
    ),
)
