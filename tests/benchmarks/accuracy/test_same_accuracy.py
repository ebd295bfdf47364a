"""The comparison of an old and a new training: figures from the folders, and mistakes in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import same_accuracy
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.files import write_json


def counts(correct: int) -> dict[str, Any]:
    return {part: {"correct": correct, "total": 10} for part in same_accuracy.PARTS}


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    folders = []
    for seed, correct in enumerate((6, 8)):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        write_json(folder / "config.json", to_json(Config(name="tiny")))
        facts = dict.fromkeys(("command", "started", "machine", "device", "xla_flags"), "x") | {
            "data": {"description": "faces", "sha256": "d", "is_synthetic": True},
            "split": {"sha256": "s", "sizes": {}, "copies_of_training_images": {}},
            "resumed": [],
            "tuning": [],
            "versions": {},
        }
        more = {
            "git": "g",
            "seed": seed,
            "selection": "last",
            "last_state_sha256": "s",
            "finished": "f",
            "batches": "b",
        }
        write_json(folder / "run.json", facts | more)
        write_json(folder / "metrics.json", counts(correct))
        folders.append(str(folder))
    ladder = {"data_sha256": "d", "rows": [{"name": "tiny", "seeds": [counts(5), counts(7)]}]}
    write_json(tmp_path / "ladder.json", ladder)
    return [*folders, "--ladder", str(tmp_path / "ladder.json"), "--out", str(tmp_path / "out.json")]


def test_new_runs_are_held_against_the_ladder(words: list[str]) -> None:
    assert same_accuracy.main(words) == 0
    content = json.loads(Path(words[-1]).read_text())
    (row,) = [each for each in content["results"] if each["part"] == "val"]
    # Means 60 and 70, both with a deviation of sqrt(200): the standard error is sqrt(200 / 2 + 200 / 2).
    assert row["difference"] == pytest.approx(10)
    assert row["in_standard_errors"] == pytest.approx(10 / 200**0.5)
    assert [seed["val"]["correct"] for seed in content["now"]] == [6, 8]
    before, now = ([{"val": {"correct": right, "total": 10}}] * 2 for right in (5, 6))
    assert same_accuracy.compare_part("val", before, now)["in_standard_errors"] is None


def test_one_run_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for few in ([], words[:1]):
        assert same_accuracy.main([*few, *words[2:]]) == 2
        assert "at least two runs" in capsys.readouterr().err


def test_a_run_that_is_not_finished_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(words[1]) / "run.json"
    write_json(path, json.loads(path.read_text()) | {"finished": None})
    assert same_accuracy.main(words) == 4
    assert "not a finished run of tiny" in capsys.readouterr().err
    assert not Path(words[-1]).exists()


def test_runs_on_other_data_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(words[words.index("--ladder") + 1])
    write_json(path, json.loads(path.read_text()) | {"data_sha256": "e"})
    assert same_accuracy.main(words) == 4
    assert "seed0 was trained on other data than the ladder: faces" in capsys.readouterr().err
