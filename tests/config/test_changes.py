"""How configs differ: rows by field, by block, and the fields of a run that are not at their default."""

from dataclasses import replace

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.changes import NOT_THE_METHOD, list_changes, list_settings, method
from fer_jax.config.data import DataConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import DistillConfig, OptimizerConfig, TrainConfig


def changes(before: Config, after: Config) -> list[list[str]]:
    return list_changes(before, after, ignored=NOT_THE_METHOD)


def test_a_change_is_a_row_and_a_change_of_all_blocks_is_one() -> None:
    before = Config(name="a", model=ModelConfig(blocks=(ConvBlock(dropout_rate=0.1),) * 2))
    blocks = (ConvBlock(features=64), ConvBlock())
    after = Config(name="b", model=ModelConfig(blocks=blocks), augment=AugmentConfig(flip_probability=0.5))
    assert changes(before, after) == [
        ["augment.flip_probability", "0", "0.5"],
        ["model.blocks.0.features", "32", "64"],
        ["model.blocks.*.dropout_rate", "0.1", "0"],
    ]
    deeper = replace(after, model=ModelConfig(blocks=(*blocks, ConvBlock(pool=True, kind="residual"))))
    block = "residual, 32 features, batch norm, pooling"
    assert changes(after, deeper) == [["model.blocks.2", "–", block]]
    assert changes(deeper, after) == [["model.blocks.2", block, "–"]]
    named = replace(before, name="c", optimizer=OptimizerConfig(name="adamw"))
    assert changes(before, named) == [["optimizer.name", "adam", "adamw"]]
    taught = replace(before, distill=DistillConfig(teachers=("runs/a",)))
    assert changes(before, taught) == [["distill.teachers.0", "–", "runs/a"]]


def test_seed_name_and_path_are_not_the_method() -> None:
    first = Config(name="a", train=TrainConfig(seed=1), data=DataConfig(path="a.csv"))
    second = Config(name="b", train=TrainConfig(seed=2, save_epochs=3), data=DataConfig(path="b.csv"))
    assert method(first) == method(second) and changes(first, second) == []
    assert method(first) != method(replace(second, train=TrainConfig(epochs=3)))
    rows = list_changes(first, second, ignored=("name",))
    assert [row[0] for row in rows] == ["data.path", "train.save_epochs", "train.seed"]


def test_the_settings_of_a_run_are_those_that_are_not_the_default() -> None:
    assert list_settings(Config(name="a")) == []
    blocks = (ConvBlock(features=2, pool=True), ConvBlock(dropout_rate=0.25, squeeze_excite=True))
    config = Config(name="a", model=ModelConfig(blocks=blocks), data=DataConfig(path="a.csv"))
    assert list_settings(config) == [
        ["field", "this run", "default"],
        ["data.path", "a.csv", "none"],
        ["model.blocks.0.features", "2", "32"],
        ["model.blocks.0.pool", "True", "False"],
        ["model.blocks.1", "32 features, batch norm, squeeze-and-excitation, dropout 0.25", "–"],
    ]
