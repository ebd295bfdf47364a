"""FER+ on the large network: the votes of ten annotators, with the recipe of `best100.py`.

Why: `ferplus.py` trains a network a quarter as large for 42 epochs, which two CPU cores can do. Votes as soft
labels leave less to overfit, so a larger network that trains longer should gain from them too.
Ours: network, augmentation, mixing and schedule of `best100.py`; eight classes, the votes as soft labels, for
the rows that the official rule decides, and no label smoothing, as in `ferplus.py`. Mixing blends votes as it
blends labels.

Measured: not yet; it needs a GPU.

Command: python -m fer_jax.train --config configs/ferplus100.py --data fer2013.csv  (with data/fer2013new.csv)
Cost: 3.8 million parameters, 537 million multiply-accumulates per image; meant for a GPU.
"""

from fer_jax.config import (
    AugmentConfig,
    AverageConfig,
    Config,
    ConvBlock,
    DeviceConfig,
    LabelsConfig,
    MixConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
)

config = Config(
    name="ferplus100",
    labels=LabelsConfig(source="ferplus", mode="votes"),
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
            ConvBlock(features=64, pool=True),
            ConvBlock(features=128, kind="residual"),
            ConvBlock(features=192, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=192, kind="residual", squeeze_excite=True),
            ConvBlock(features=256, kind="residual", pool=True, squeeze_excite=True),
            ConvBlock(features=256, kind="residual", squeeze_excite=True),
        ),
        head="mean",
        dense_features=0,
        dense_dropout_rate=0.3,
        skip_rate=0.1,
        classes=8,
    ),
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
