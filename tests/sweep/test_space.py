"""A space file: read exactly, applied exactly, spelled out exactly, and refused at the door in words."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from fer_jax import cli
from fer_jax.config.files import load_config
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.overrides import apply, to_options
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.errors import ConfigError
from fer_jax.sweep.space import Choices, Range, load_space
from fer_jax.train.__main__ import TrainCommand

ROOT = Path(__file__).parents[2]
BASE = Config(name="base", model=ModelConfig(blocks=(ConvBlock(), ConvBlock(features=64))))


def write(folder: Path, space: str) -> Path:
    path = folder / "space.py"
    path.write_text(f"space = {space}\n")
    return path


def test_a_space_is_what_its_file_says(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"optimizer.peak_rate": (1e-4, 1, "log"), "train.epochs": (2, 8, "log-int"), '
        '"optimizer.nesterov": [False, True], "optimizer.name": ["adam", "sgd"]}',
    )
    assert load_space(path, BASE) == {
        "optimizer.peak_rate": Range(1e-4, 1.0, "log"),
        "train.epochs": Range(2, 8, "log-int"),
        # adam, the base's, takes no nesterov; sgd, another choice, does.
        "optimizer.nesterov": Choices((False, True)),
        "optimizer.name": Choices(("adam", "sgd")),
    }


def test_a_star_sets_every_block_and_a_number_one() -> None:
    config = apply(BASE, {"model.blocks.*.dropout_rate": 0.5, "model.blocks.1.features": 8}, where="here")
    assert [block.dropout_rate for block in config.model.blocks] == [0.5, 0.5]
    assert [block.features for block in config.model.blocks] == [32, 8]
    assert BASE.model.blocks[1].features == 64


REFUSED: list[tuple[str, str]] = [
    ('{"optimizer.peek_rate": (0.1, 0.2, "log")}', "no config field 'optimizer.peek_rate'; did you mean"),
    ('{"model.blocks.2.features": (1, 2, "int")}', "no config field 'model.blocks.2.features'"),
    ('{"model.blocks": [1, 2]}', "model.blocks is a group of fields"),
    ('{"train.seed": (0, 9, "int")}', "train.seed cannot be swept"),
    ('{"split.protocol": ["seed", "official"]}', "split.protocol cannot be swept"),
    ('{"optimizer.peak_rate": (0.2, 0.1, "log")}', "optimizer.peak_rate is (0.2, 0.1, 'log'); wanted"),
    ('{"optimizer.peak_rate": (0.1, 0.2, "lin")}', "wanted a tuple (low, high, kind)"),
    ('{"optimizer.peak_rate": (0.1, float("inf"), "log")}', "wanted a tuple"),
    ('{"optimizer.peak_rate": 0.1}', "optimizer.peak_rate is 0.1; wanted"),
    ('{"optimizer.peak_rate": (0.0, 0.1, "log")}', "wanted low > 0"),
    ('{"optimizer.peak_rate": (0.0, 0.1, "linear")}', "optimizer.peak_rate cannot be 0.0: config field"),
    ('{"train.epochs": (2, 8, "linear")}', 'give integers and "int"'),
    ('{"train.epochs": (2, 10**400, "int")}', "train.epochs is (2, 1000"),
    ('{"train.epochs": (2.5, 8, "int")}', "train.epochs is (2.5, 8, 'int'); wanted"),
    ('{"optimizer.name": ["adam", "sdg"]}', "optimizer.name cannot be 'sdg'"),
    ('{"optimizer.name": ["adam", "adam"]}', "a list of two different choices"),
    ('{"optimizer.name": ["adam"]}', "a list of two different choices"),
    ('{"optimizer.nesterov": [False, True]}', "optimizer.nesterov cannot be True"),
    (
        '{"model.blocks.*.features": (1, 2, "int"), "model.blocks.0.features": (1, 2, "int")}',
        "both set model.blocks.0.features",
    ),
    ("{}", "defines no `space`"),
    ("{1 / 0: 1}", "line 1: ZeroDivisionError"),
]


@pytest.mark.parametrize(("space", "wanted"), REFUSED, ids=lambda text: text[:40])
def test_an_impossible_space_is_refused_with_file_and_field(tmp_path: Path, space: str, wanted: str) -> None:
    path = write(tmp_path, space)
    with pytest.raises(ConfigError) as raised:
        load_space(path, BASE)
    assert str(path) in str(raised.value) and wanted in str(raised.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no space file .*; did you mean .*space\.py"):
        load_space(write(tmp_path, "{}").with_name("speace.py"), BASE)


@pytest.mark.parametrize(
    "params",
    [
        {"optimizer.peak_rate": 0.00031622776601683795, "model.blocks.*.pool": True},
        {"optimizer.name": "sgd", "optimizer.nesterov": True, "model.blocks.1.batch_norm": False},
        {"split.group_duplicates": False, "data.path": "a b.csv", "name": "other"},
    ],
)
def test_the_options_on_the_command_line_make_the_same_config(params: dict[str, Any], tmp_path: Path) -> None:
    file = ROOT / "configs" / "run5.py"
    base = dataclasses.replace(load_config(file), optimizer=OptimizerConfig(name="adam"))
    config = apply(base, params, where="here")
    words = ["--config", str(file), *to_options(load_config(file), config)]
    assert cli.parse(TrainCommand, words, prog="train").settings == config


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "spaces").glob("*.py")), ids=lambda path: path.name
)
def test_every_space_of_the_house_fits_its_config(path: Path) -> None:
    named = path.read_text().split("--config ")[1].split()[0]
    assert load_space(path, load_config(ROOT / named))
