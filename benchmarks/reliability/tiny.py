"""The config of the runs that are killed: tiny, with everything in it that has a state or draws numbers.

Ten steps an epoch with the campaign's 240 synthetic faces, of which 140 are for training.
"""

from fer_jax.config import (
    AugmentConfig,
    Config,
    ConvBlock,
    DataConfig,
    DeviceConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

config = Config(
    name="tiny",
    data=DataConfig(source="synthetic", synthetic_examples=240),
    augment=AugmentConfig(flip_probability=0.5, shift_probability=0.5, rotate_probability=0.5),
    model=ModelConfig(
        blocks=(ConvBlock(features=3, pool=True, dropout_rate=0.1),),
        dense_features=4,
        dense_dropout_rate=0.1,
    ),
    optimizer=OptimizerConfig(name="adam", schedule="plateau", patience_epochs=1),
    train=TrainConfig(epochs=4, batch_size=14, select="last"),
    device=DeviceConfig(compile_cache=True),
)
