"""Each benchmark at tiny size; and what the docs and configs say is what the committed JSON says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import ladder
from fer_jax.compare.notebook import NOTEBOOK
from fer_jax.config.files import load_config, to_json
from fer_jax.errors import RunError
from fer_jax.files import json_line, write_json

ROOT = Path(__file__).parents[3]
TIMES = ((1, 9.0), (2, 3.0), (3, 5.0))


def fake_run(folder: Path, *, seed: int, correct: int, is_synthetic: bool) -> None:
    facts = {
        "machine": "a machine",
        "device": "CPU",
        "tuning": [],
        "xla_flags": "",
        "versions": {},
        "git": "g",
        "started": "then",
        "resumed": [],
        "split": {"sha256": "s", "sizes": {}, "copies_of_training_images": {}},
        "data": {"description": "faces", "sha256": "d", "is_synthetic": is_synthetic},
        "parameters": 10,
        "macs": 20,
        "command": "python",
        "finished": "now",
        "measured_epoch": 1,
        "selection": "the last",
        "last_state_sha256": "p",
        "seed": seed,
    }
    folder.mkdir(parents=True)
    config = to_json(load_config(ladder.ROOT / "configs" / "run1.py"))
    config["train"]["seed"] = seed
    write_json(folder / "config.json", config)
    write_json(folder / "run.json", facts)
    names = ("train_accuracy", "val_accuracy", "train_loss", "val_loss", "objective", "rate")
    records = [{"epoch": epoch, "seconds": seconds, **dict.fromkeys(names, 0.5)} for epoch, seconds in TIMES]
    (folder / "log.jsonl").write_text("".join(map(json_line, records)))
    figures = {"correct": correct, "total": 10, "confusion": np.eye(7, dtype=int).tolist()}
    write_json(folder / "metrics.json", dict.fromkeys(ladder.PARTS, figures))


@pytest.fixture
def tiny_ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "configs").mkdir()
    record = '"""Run 1.\n\nMeasured: not yet.\n"""\n'
    record += "from fer_jax.config import Config, ConvBlock, DataConfig, ModelConfig, TrainConfig\n\n"
    record += 'config = Config(name="run1", data=DataConfig(source="synthetic", synthetic_examples=140),\n'
    record += "    model=ModelConfig(blocks=(ConvBlock(features=2),), dense_features=4),\n"
    record += "    train=TrainConfig(epochs=1, batch_size=16))\n"
    (tmp_path / "configs" / "run1.py").write_text(record)
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("no section")
    (tmp_path / "docs" / "ladder.md").write_text("before\n<!-- ladder -->\nold\n<!-- /ladder -->\nafter\n")
    monkeypatch.setattr(ladder, "ROOT", tmp_path)
    monkeypatch.setattr(ladder, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(ladder, "TIMED_RUNS", tmp_path / "timed")
    monkeypatch.setattr(ladder, "RESULTS", tmp_path / "ladder.json")
    monkeypatch.setattr(ladder, "NOTEBOOK", {"run1": NOTEBOOK["run1"]})
    fake_run(tmp_path / "timed" / "run1", seed=0, correct=1, is_synthetic=False)
    return tmp_path


def test_the_ladder_collects_integers_and_writes_them_up(tiny_ladder: Path) -> None:
    for seed, correct in enumerate((4, 5, 6)):
        fake_run(tiny_ladder / "runs" / f"run1-seed{seed}", seed=seed, correct=correct, is_synthetic=False)
    assert ladder.main(["collect"]) == 0
    row: dict[str, Any] = json.loads((tiny_ladder / "ladder.json").read_text())["rows"][0]
    assert row["seconds_per_epoch"] == 4.0
    assert [seed["test"]["correct"] for seed in row["seeds"]] == [4, 5, 6]
    for _ in range(2):
        assert ladder.main(["write"]) == 0
        page = (tiny_ladder / "docs" / "ladder.md").read_text()
        assert page.startswith("before\n<!-- ladder -->\n|") and page.endswith("<!-- /ladder -->\nafter\n")
        assert "50.0 ± 10.0" in page
        config = (tiny_ladder / "configs" / "run1.py").read_text()
        assert "Measured: train 50.0 ± 10.0, val 50.0 ± 10.0, test 50.0 ± 10.0 percent" in config
        assert (tiny_ladder / "docs" / "images" / "curves.png").exists()
        assert load_config(tiny_ladder / "configs" / "run1.py").name == "run1"


@pytest.mark.usefixtures("trainings_in_process", "quick_compile")
def test_the_ladder_trains_what_is_not_finished(tiny_ladder: Path) -> None:
    assert ladder.main(["train", "--runs", "run1", "--seeds", "1"]) == 0
    report_file = tiny_ladder / "runs" / "run1-seed0" / "report.md"
    before = report_file.stat().st_mtime_ns
    assert ladder.main(["train", "--runs", "run1", "--seeds", "1"]) == 0
    assert report_file.stat().st_mtime_ns == before


def test_the_ladder_refuses_a_run_of_another_config(tiny_ladder: Path) -> None:
    fake_run(tiny_ladder / "runs" / "run1-seed0", seed=0, correct=4, is_synthetic=False)
    path = tiny_ladder / "configs" / "run1.py"
    path.write_text(path.read_text().replace("features=2", "features=3"))
    with pytest.raises(RunError, match=r"model\.blocks.*train it again"):
        ladder.collect()


def test_the_ladder_refuses_synthetic_faces_and_missing_runs(tiny_ladder: Path) -> None:
    with pytest.raises(RunError, match="no finished run1"):
        ladder.collect()
    fake_run(tiny_ladder / "runs" / "run1-seed0", seed=0, correct=4, is_synthetic=True)
    with pytest.raises(RunError, match="synthetic faces"):
        ladder.collect()


def test_docs_and_configs_say_what_the_committed_results_say() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "ladder.json").read_text())
    page = ROOT / "docs" / "results" / "ladder.md"
    assert ladder.ladder_table(results) in page.read_text(encoding="utf-8")
    for row in results["rows"]:
        record = (ROOT / "configs" / f"{row['name']}.py").read_text(encoding="utf-8")
        assert ladder.measured(results, row) in record, (
            f"configs/{row['name']}.py: run python -m benchmarks.accuracy.ladder write"
        )


def test_ladder_divides_integers_and_spreads_over_seeds() -> None:
    def seed(train: int, val: int, test: int) -> dict[str, Any]:
        parts = {"train": train, "val": val, "test": test}
        return {"seed": 0} | {part: {"correct": n, "total": 200} for part, n in parts.items()}

    row = {
        "name": "run1",
        "change": "plain",
        "notebook": {"train": 47, "val": None, "test": 40},
        "parameters": 18876775,
        "macs": 1,
        "seconds_per_epoch": 3.21,
        "seeds": [seed(100, 84, 80), seed(104, 80, 80), seed(102, 94, 80)],
    }
    one_seed = row | {"name": "run2", "seeds": [seed(80, 84, 80)]}
    table = ladder.ladder_table({"machine": "a machine", "rows": [row, one_seed]})
    # val is 42, 40, 47 %: mean 43, deviations -1, -3, 4, so sd = sqrt(26 / 2); gap is 8, 12, 4 points.
    assert table.splitlines()[2:4] == [
        "| run1 | plain | 47 / – / 40 | 51.0 ± 1.0 | 43.0 ± 3.6 | 40.0 ± 0.0 | 8.0 ± 4.0 | 3 "
        "| 18,876,775 | 3.2 |",
        "| run2 | plain | 47 / – / 40 | 40.0 | 42.0 | 40.0 | −2.0 | 1 | 18,876,775 | 3.2 |",
    ]
    assert "Machine: a machine." in table
