"""The recipe of `best100.py` on another network as large: deeper, and without squeeze-and-excitation.

Why: an ensemble gains from members that make different mistakes, and two seeds of one network differ less
than two architectures do. So this network differs from that of `best.py` where that costs no strength.
Ours: two plain convolutions at 48 pixels, as in VGG, instead of one; a single residual block at 24 pixels,
which pools; then four residual blocks of equal width at 12 pixels, and one down to 6. Four fifths of the
operations are at 12 pixels; in `best.py` about half are at 24. There are 14 convolutions of 3 × 3 instead of
11. Eight of them in a row at 12 pixels see the whole face, so that no squeeze-and-excitation has to tell each
place about the rest of the image, and stochastic depth suits a stack of equal blocks. Pooling and head stay
as they are: the alternatives have not been tried on a network this large.

Measured: not yet; it needs a GPU. `python -m benchmarks.gpu` trains it beside `best100.py`.

Command: python -m fer_jax.train --config configs/best100_plain.py --data fer2013.csv --seeds 4
    python -m fer_jax.evaluate runs/best100-seeds0-3 runs/best100_plain-seeds0-3 --split PublicTest
Cost: 3.9 million parameters, 565 million multiply-accumulates per image; meant for a GPU.
"""

from fer_jax.config import (
    AugmentConfig,
    AverageConfig,
    Config,
    ConvBlock,
    DeviceConfig,
    LossConfig,
    MixConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)

config = Config(
    name="best100_plain",
    split=SplitConfig(protocol="official"),
    augment=AugmentConfig(
        shift_probability=1.0,
        max_shift_px=6,
        rotate_probability=0.5,
        max_rotation_deg=12,
        crop_probability=0.7,
        min_crop_scale=0.75,
        zoom_probability=0.5,
        max_zoom=1.15,
        stretch_probability=0.5,
        max_stretch=1.15,
        flip_probability=0.5,
        alternate_flip=True,
        contrast_probability=0.5,
        max_contrast=1.4,
        brightness_probability=0.5,
        max_brightness=0.15,
        erase_probability=0.5,
        max_erase_fraction=0.3,
    ),
    mix=MixConfig(mixup_alpha=0.4, cutmix_alpha=1.0, probability=0.6),
    model=ModelConfig(
        blocks=(
            ConvBlock(features=32),
            ConvBlock(features=64, pool=True),
            ConvBlock(features=128, kind="residual", pool=True),
            ConvBlock(features=192, kind="residual"),
            ConvBlock(features=192, kind="residual"),
            ConvBlock(features=192, kind="residual"),
            ConvBlock(features=192, kind="residual"),
            ConvBlock(features=256, kind="residual", pool=True),
        ),
        head="mean",
        dense_features=0,
        dense_dropout_rate=0.3,
        skip_rate=0.1,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.007,
        momentum=0.95,
        schedule="trapezoid",
        warmup_epochs=2,
        cooldown_epochs=70,
        weight_decay=0.07,
    ),
    average=AverageConfig(ema_decay=0.996, stats_examples=4096),
    train=TrainConfig(
        epochs=100,
        batch_size=256,
        select="last",
        save_epochs=100,
        measure_epochs=10,
        eval_batch_size=256,
        train_eval_examples=1024,
    ),
    device=DeviceConfig(compute_dtype="bfloat16"),
)
