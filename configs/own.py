"""For pictures of your own: the network of `mid.py`, for as few as 60 pictures and as many as you have.

Why: with few pictures a small batch gives enough steps, and an accuracy on ten validation pictures is mostly
chance, so no epoch is selected by it.
Ours: the network, augmentation and loss of `mid.py`, so that its released weights are a start to fine-tune
from (`--init.weights mid`); batches of 16, a lower peak learning rate, a longer warm-up. No averaged weights:
with two steps an epoch there is little to average. The classes are named by the folders or the manifest, and
each picture is a face; where a picture shows more than that, give `--data.fit detect`.

Measured: not on anybody's pictures yet; docs/results/fine_tuning.md has what fine-tuning gains with a smaller
network.

Command: python -m fer_jax.train --config configs/own.py --data my_faces
    python -m fer_jax.train --config configs/own.py --data my_faces --init.weights mid  (fine-tuning)
Cost: that of `mid.py` an image: 882 thousand parameters, 54 million multiply-accumulates.
"""

from fer_jax.config import (
    AugmentConfig,
    Config,
    ConvBlock,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

config = Config(
    name="own",
    data=DataConfig(fit="resize", class_map="folders"),
    augment=AugmentConfig(
        shift_probability=1.0,
        max_shift_px=4,
        rotate_probability=0.5,
        max_rotation_deg=12,
        crop_probability=0.5,
        min_crop_scale=0.85,
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
        dense_dropout_rate=0.25,
    ),
    loss=LossConfig(label_smoothing=0.1),
    optimizer=OptimizerConfig(
        name="muon",
        peak_rate=0.002,
        momentum=0.95,
        schedule="cosine",
        warmup_epochs=6,
        weight_decay=0.05,
    ),
    train=TrainConfig(epochs=60, batch_size=16, select="last"),
)
