"""The base of the ablation: a small network with a plain recipe, on few images, for few epochs.

Small enough to train twenty changes with three seeds each on two cores: a plain network at an eighth of the
usual width, shift and flip, cross-entropy, dropout, and the optimizer that gets furthest in few steps. It is
not meant for a table of results.

Command: python -m benchmarks.accuracy.ablation train --data train.csv
"""

from fer_jax.config import AugmentConfig, Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="ablation",
    augment=AugmentConfig(shift_probability=1.0, max_shift_px=2, flip_probability=0.5),
    model=ModelConfig(
        blocks=(
            ConvBlock(features=16, pool=True),
            ConvBlock(features=32, pool=True),
            ConvBlock(features=64, pool=True),
        ),
        head="mean",
        dense_features=0,
        dense_dropout_rate=0.2,
    ),
    optimizer=OptimizerConfig(
        name="muon", peak_rate=0.005, momentum=0.95, schedule="cosine", warmup_epochs=1, weight_decay=0.02
    ),
    train=TrainConfig(epochs=8, batch_size=64, select="last", train_eval_examples=512, max_examples=5000),
)
