"""Overrides: a field and its value as the option that `train` takes."""

from typing import Any

import pytest

from fer_jax.config.overrides import to_option


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
