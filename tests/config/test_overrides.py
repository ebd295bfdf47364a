"""Overrides: a field and its value as the option that `train` takes, and names that are no field."""

import re
from typing import Any

import pytest

from fer_jax.config.overrides import apply, to_option
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "a b", ["--name", "a b"]),
        ("model.dense_dropout_rate", 0.5, ["--model.dense-dropout-rate", "0.5"]),
        ("model.blocks.1.dropout_rate", 0.25, ["--model.blocks.1.dropout-rate", "0.25"]),
        ("optimizer.nesterov", True, ["--optimizer.nesterov"]),
        ("split.group_duplicates", False, ["--split.no-group-duplicates"]),
        ("loss.class_weights", "sqrt", ["--loss.class-weights", "sqrt"]),
    ],
)
def test_an_option_is_what_train_takes(field: str, value: Any, words: list[str]) -> None:
    assert to_option(field, value) == words


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"train.epoch": 1}, "here: there is no config field 'train.epoch'; did you mean 'train.epochs'?"),
        ({"distill.teacher": ("best",)}, "'distill.teacher'; did you mean 'distill.teachers'?"),
        ({"model.blocks.7.pool": True}, "there is no config field 'model.blocks.7.pool'"),
        ({"train.epochs": 1, 1: 2}, "here: there is no config field 1"),
        ("train.epochs=1", "here: it is 'train.epochs=1'; wanted a dict"),
        (
            {"split": {"seed": 3}},
            "here: split has fields of its own, and the ones left out would be reset; set each",
        ),
        ({"model.blocks.*": {"pool": True}}, "set each by its name, such as model.blocks.0.features"),
    ],
    ids=str,
)
def test_an_override_of_no_field_is_refused(settings: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(wanted)):
        apply(Config(name="a"), settings, where="here")
