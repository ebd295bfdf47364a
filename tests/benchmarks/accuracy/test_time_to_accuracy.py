"""The time-to-accuracy benchmark at tiny size, and that it finds the right epoch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.accuracy import time_to_accuracy
from benchmarks.harness import bench, timeline
from fer_jax.errors import ConfigError
from fer_jax.evaluate import __main__ as evaluate

pytestmark = pytest.mark.usefixtures("quick_compile")

RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, ModelConfig, TrainConfig

config = Config(
    name="tiny",
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=4),
    train=TrainConfig(epochs=2, batch_size=16),
)
'''


def measure(out: Path, *words: str) -> dict[str, Any]:
    assert time_to_accuracy.main([*words, "--out", str(out)]) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def call(argv: Sequence[str]) -> str:
    """Evaluate in this process: to start another takes longer."""
    assert list(argv[1:3]) == ["-m", "fer_jax.evaluate"]
    assert evaluate.main(list(argv[3:])) == 0
    return ""


@pytest.mark.usefixtures("without_pictures")
def test_a_real_run_is_timed_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The user's own may have programs.
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(timeline, "call", call)
    config = tmp_path / "tiny.py"
    config.write_text(RECORD)
    words = ("--config", str(config), "--examples", "70", "--targets", "0", "100.5", "--seeds", "3")
    more = ("--views", "flip", "--keep", str(tmp_path / "runs"))
    (row,) = measure(tmp_path / "out.json", *words, *more)["results"]
    at_once, never = row["reached"]
    assert at_once == {"percent": 0, "epoch": 1, "seconds": row["ends_s"][0]}
    assert never == {"percent": 100.5, "epoch": None, "seconds": None}
    drawn = tmp_path / "time.png"
    assert time_to_accuracy.main(["--redraw", str(tmp_path / "out.json"), "--plot", str(drawn)]) == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")
    # Imports and compiling alone take longer than this.
    assert 0.5 < row["ends_s"][0] < row["ends_s"][1] <= row["total_s"]
    assert row["seed"] == 3 and len(row["val_accuracy"]) == 2 and not row["found_compiled_programs"]
    figures = json.loads((tmp_path / "runs" / "tiny-jax-seed3" / "evaluate_val_flip.json").read_text())
    assert figures["views"] == ["identity", "flip"]
    counts = {"correct": figures["correct"], "total": figures["total"]}
    assert row["viewed"] == {"views": "flip", "seconds": row["viewed"]["seconds"]} | counts
    assert row["viewed"]["seconds"] > row["total_s"]


def test_the_first_epoch_that_has_it_counts() -> None:
    records = [{"val_accuracy": value} for value in (0.3, 0.5, 0.4, 0.7)]
    found = time_to_accuracy.find_targets(records, [5.0, 6.0, 7.0, 8.0], (50, 60, 71))
    assert [(each["epoch"], each["seconds"]) for each in found] == [(2, 6.0), (4, 8.0), (None, None)]


def test_without_pytorch_its_rows_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "is_installed", lambda module: module != "cv2")
    options = time_to_accuracy.TimeToAccuracy(programs=("torch-tuned",))
    with pytest.raises(ConfigError, match="--programs"):
        time_to_accuracy.train(options, Console())
    assert "left out: torch-tuned; not installed: cv2; pip install" in capsys.readouterr().out
