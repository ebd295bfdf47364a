"""`configs`: the list, a record, and a copy to edit."""

from pathlib import Path

import pytest

from fer_jax.config.files import load_config
from fer_jax.config.records import list_names
from fer_jax.configs import __main__ as configs


def test_the_list_names_each_config_with_its_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert configs.main([]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert set(list_names("config")) <= lines.keys()
    assert "test 47.2 ± 1.8 percent" in lines["run6"] and "6 epochs of 20.6 s" in lines["run6"]
    assert "percent on PublicTest by FER+'s labels" in lines["ferplus"]
    assert "not measured" in lines["vgg"]


def test_a_config_is_shown_and_copied_but_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert configs.main(["--config", "run6"]) == 0
    assert "Command: python -m fer_jax.train --config configs/run6.py" in capsys.readouterr().out
    copy = tmp_path / "my.py"
    assert configs.main(["--config", "run6", "--save", str(copy)]) == 0
    assert load_config(copy).name == "my"
    before = copy.read_text()
    for words, wanted in (
        (["--config", "run7", "--save", str(copy)], "which exists already"),
        (["--config", "run7", "--save", str(tmp_path / "my config.txt")], "that ends in .py"),
        (["--save", str(copy)], "nothing was named"),
        (["--config", "run7", "--space", "craft"], "came together"),
        (["--config", "run77"], "did you mean 'run7'?"),
    ):
        assert configs.main(words) == 2
        assert wanted in capsys.readouterr().err
    assert copy.read_text() == before
    assert configs.main(["--space", "craft", "--save", str(tmp_path / "mine.py")]) == 0
