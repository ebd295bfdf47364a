"""The start-up benchmark at tiny size."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import bench
from benchmarks.latency import startup
from fer_jax.runtime import cpu

pytestmark = pytest.mark.usefixtures("quick_compile")

RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, ModelConfig, TrainConfig

config = Config(
    name="tiny",
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=4),
    train=TrainConfig(batch_size=16),
)
'''


def test_starts_are_timed_in_their_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "name_autotuned", lambda: None)
    config, out = tmp_path / "tiny.py", tmp_path / "out.json"
    config.write_text(RECORD)
    has_torch = bench.is_installed("torch")
    cases = ["python", "slip", "ours-autotuned", "ours-compiled", *(["torch"] if has_torch else [])]
    words = ["--config", str(config), "--examples", "70", "--rounds", "1", "--whole-epoch", "--out", str(out)]
    assert startup.main([*words, "--cases", *cases]) == 0
    cases.remove("ours-autotuned")
    assert "left out: ours-autotuned" in capsys.readouterr().out
    rows = {row["name"]: row["facts"] for row in json.loads(out.read_text())["results"]}
    assert list(rows) == cases
    assert list(rows["python"]["stages_s"]) == list(rows["slip"]["stages_s"]) == ["total_s"]
    for name in cases[2:]:
        seconds = {stage: values[0] for stage, values in rows[name]["stages_s"].items()}
        parts = [seconds[part] for part in ("import_s", "data_s", "trace_s", "compile_s")]
        assert seconds["data_s"] > 0 and sum(parts) < seconds["total_s"] < seconds["epoch_s"]
    ours = rows["ours-compiled"]
    # What the uncounted start compiled, the counted one found.
    assert 0 < ours["cache_hits"] <= ours["programs"]
    assert ours["stages_s"]["compile_s"][0] > 0 and ours["stages_s"]["trace_s"][0] > 0


def test_a_failing_program_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.py"
    config.write_text(RECORD)
    words = ["--config", str(config), "--data", str(tmp_path / "none.csv"), "--cases", "ours-first"]
    assert startup.main([*words, "--out", str(tmp_path / "out.json")]) == 4
    error = capsys.readouterr().err
    assert "ended with status 3" in error and "none.csv" in error


def test_without_pytorch_its_row_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "is_installed", lambda module: False)
    assert startup.main(["--cases", "torch"]) == 2
    printed = capsys.readouterr()
    assert "pip install 'fer-jax[bench]'" in printed.out and "--cases" in printed.err
