"""The network of `best.py` for more epochs, with stronger augmentation and larger batches.

Why: `best.py` overfits within its million image passes, while the two strongest recipes trained from scratch
(Khaireddin & Chen 2021, and the ResNet-18 of the LetheSec repository) learn from 86 and 43 million crops:
shifts of up to a fifth of the side, crops of 40 out of 48 pixels, up to a third of the image erased.
Ours: crops down to three quarters of the side on 70 percent of the images and shifts of up to 6 pixels; zoom,
stretch, contrast and brightness on half of the images; erasing of up to 30 percent of the area; stochastic
depth; 100 epochs in batches of 256, with learning rate, weight decay and weight averaging set for them, and a
linear decay over the last 70. Mixing, dropout and label smoothing are those of `best.py`.

Measured: not yet; it needs a GPU. `python -m benchmarks.gpu` compares it with `best.py` on a hold-out of
Training, by rules that were fixed beforehand.

Command: python -m fer_jax.train --config configs/best100.py --data fer2013.csv --seeds 4
    python -m fer_jax.evaluate runs/best100-seeds0-3 --split PublicTest --views flip  (their ensemble)
Cost: 3.8 million parameters, 537 million multiply-accumulates per image; meant for a GPU.
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
    name="best100",
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
