"""Run 3: a higher learning rate, and dropout after every ReLU. Too much regularisation.

The notebook's: the learning rate raised, dropout p = 0.5 after every ReLU; train 30, val 30. Its
diagnosis: too much regularisation, large bias.
Ours: run 2's network; ten times its learning rate.

Command: python -m fer_jax.train --config configs/run3.py --data train.csv
Measured: train 28.9, val 28.2, test 28.5 percent
(one seed; the last, with no selection).
Cost: 4 epochs of 35.6 s on AMD EPYC, 2 cores.
"""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

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
