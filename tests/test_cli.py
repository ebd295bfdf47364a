"""The command line: how the help of each command reads on a narrow terminal."""

import importlib
import itertools

import pytest

from fer_jax.__main__ import VERBS

COLUMNS = 80


@pytest.mark.parametrize("verb", VERBS)
def test_help_breaks_lines_between_words_where_they_are_full(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    with pytest.raises(SystemExit):
        importlib.import_module(f"fer_jax.{verb}.__main__").main(["--help"])
    lines = [line.rstrip("\n") for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= COLUMNS
    for line, after in itertools.pairwise(lines):
        words = after.strip(" │").split(" ")
        is_boxed = line.startswith("│       ") and after.startswith("│       ")
        is_text = line[:1].isalpha() and (after[:1].isalpha() or after.startswith("  "))
        if is_boxed or is_text:
            # The words of an option's help start after eight columns, and a box ends two before the last one.
            room = COLUMNS - 2 if is_boxed else COLUMNS
            assert len(line.rstrip(" │")) + 1 + len(words[0]) > room, f"{line}\n{after}"
