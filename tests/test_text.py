"""Text: one minus, one dash for what is missing, one space before the percent sign."""

import pytest

from fer_jax import text


def test_numbers_have_the_same_signs_everywhere() -> None:
    assert text.percent(-0.05) == "−5.0 %"
    assert text.percent(0.5, digits=0) == "50 %"
    assert text.signed(0.0123, digits=3) == "+0.012"
    assert text.signed(-0.0123, digits=3) == "−0.012"
    assert text.interval([-0.1, 0.25], scale=100, digits=1) == "−10.0 – 25.0"
    assert text.mean_and_spread([-2.0, -4.0], digits=2) == "−3.00 ± 1.41"
    assert text.number(-1.5) == "−1.5" and text.number([1, 2]) == "[1, 2]"


@pytest.mark.parametrize("write", [text.percent, text.decimal, text.interval, text.number])
def test_what_is_missing_is_a_dash(write: object) -> None:
    assert callable(write) and write(None) == "–"


def test_another_word_for_what_is_missing() -> None:
    assert text.percent(None, missing="none") == text.decimal(None, missing="none") == "none"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.1, "0.1"),
        (6.0, "6"),
        (3e-4, "0.0003"),
        (1e-5, "1e-05"),
        (True, "True"),
        (128, "128"),
        ([{}], "1 block"),
    ],
)
def test_a_config_value_is_short_and_exact(value: object, written: str) -> None:
    assert text.describe_value(value) == written


def test_bars_and_columns_in_markdown() -> None:
    assert text.escape("a | b") == "a \\| b"
    table = text.to_markdown([["run", "val"], ["a", "1"]], left_columns=1)
    assert table.splitlines() == ["| run | val |", "| --- | ---: |", "| a | 1 |"]
