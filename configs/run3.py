"""Run 3: a higher rate, and dropout after every ReLU. Too much of a good thing.

The notebook's: the rate raised, dropout p = 0.5 after every ReLU; train 30, val 30. Its diagnosis: too much
regularisation, large bias.
Ours: run 2's network; the rate, ten times run 2's.

Command: python -m fer_jax.train --config configs/run3.py --data train.csv
Measured: train 28.9, val 28.2, test 28.5 percent
(one seed; the last, with no selection).
Cost: 4 epochs of 35.6 s on AMD EPYC, 2 cores.
"""

from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig, TrainConfig

config = Config(
    name="run3",
    model=ModelConfig(
        blocks=(
            ConvBlock(features=32, dropout_rate=0.5),
            ConvBlock(features=16, dropout_rate=0.5),
            ConvBlock(features=8, dropout_rate=0.5),
        ),
        dense_features=256,
        dense_dropout_rate=0.5,
    ),
    optimizer=OptimizerConfig(name="adam", peak_rate=0.003),
    train=TrainConfig(epochs=4, select="last"),
)
