"""The benchmark of waiting at tiny size, and what it counts as waiting."""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks.latency import responsiveness
from benchmarks.tables.parts import responsiveness_table
from fer_jax.diagnose import __main__ as diagnose
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, ModelConfig, TrainConfig

config = Config(
    name="tiny",
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=4),
    train=TrainConfig(batch_size=16),
)
'''


def test_silence_is_the_longest_time_without_output(tmp_path: Path) -> None:
    code = (
        "import sys, time; time.sleep(0.2); print('a', flush=True); time.sleep(0.6); print('b', flush=True);"
        "time.sleep(0.3); sys.exit(3)"
    )
    waits, status, printed = responsiveness.watch([sys.executable, "-c", code], tmp_path, os.environ)
    assert (status, printed) == (3, b"a\nb\n")
    # On a busy machine a line may be read late, so that one wait seems longer and the next one shorter.
    assert waits.first_line >= 0.2
    assert waits.first_line + waits.silence >= 0.8
    assert waits.total >= 1.1


def test_commands_are_timed_at_work_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The refusals of a run that is there; the others are those of the next test.
    case = responsiveness.CASES["train"]
    monkeypatch.setitem(responsiveness.CASES, "train", case._replace(refusals=case.refusals[-2:]))
    config, out = tmp_path / "tiny.py", tmp_path / "out.json"
    config.write_text(RECORD)
    words = [
        "--config",
        str(config),
        "--examples",
        "140",
        "--epochs",
        "1",
        "--rounds",
        "1",
        "--out",
        str(out),
    ]
    assert responsiveness.main([*words, "--commands", "train", "configs"]) == 0
    content = json.loads(out.read_text())
    rows = {row["name"]: row for row in content["results"]}
    assert list(rows) == ["train", "configs"]
    for name, row in rows.items():
        assert len(row["refusals_s"]) == len(responsiveness.CASES[name].refusals)
        assert 0 < row["first_line_s"][0] < row["total_s"][0] + 1e-9
    text = responsiveness_table(content)
    assert "| `train` |" in text and "tiny, 1 epoch, 140 synthetic faces" in text


def test_what_is_refused_before_there_is_a_run_has_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.py").write_text(RECORD)
    refusals = [(train, each) for each in responsiveness.CASES["train"].refusals[:-2]]
    refusals += [(diagnose, each) for each in responsiveness.CASES["diagnose"].refusals[:1]]
    for command, (status, words) in refusals:
        try:
            found = command.main(list(words))
        except SystemExit as stopped:  # tyro's own mistakes end the program.
            found = int(stopped.code or 0)
        assert found == status, words


def test_a_command_that_ends_otherwise_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.py"
    config.write_text(RECORD)
    words = ["--config", str(config), "--examples", "70", "--data", str(tmp_path / "none.csv")]
    assert responsiveness.main([*words, "--commands", "show"]) == 4
    error = capsys.readouterr().err
    assert "ended with status 3, not 0" in error and "none.csv" in error
    assert responsiveness.main(["--rounds", "0"]) == 2
