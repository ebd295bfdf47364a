"""Run 1: one convolution, no batch norm. Too simple.

The notebook's: Conv(1 -> 32, 3 x 3, pad 1), ReLU, flatten, Linear(-> 256), ReLU, Linear(-> 7); no
preprocessing; train 47, test 40. Its diagnosis: too simple a model; sensitive to the initialisation
and the hyper-parameters.
Ours: plain SGD, learning rate, batch size and epochs; standardised pixels, without which the learning rate
would have to change with the data.

Command: python -m fer_jax.train --config configs/run1.py --data train.csv
Measured: train 47.9, val 40.0, test 41.7 percent
(one seed; the last, with no selection).
Cost: 6 epochs of 12.5 s on AMD EPYC, 2 cores.
"""

from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="run1",
    model=ModelConfig(blocks=(ConvBlock(features=32, batch_norm=False),), dense_features=256),
    optimizer=OptimizerConfig(name="sgd", momentum=0.0, peak_rate=0.01),
    train=TrainConfig(epochs=6, select="last"),
)
