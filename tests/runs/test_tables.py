"""Tables of runs: what the files say, a row a record."""

import json
import math
from pathlib import Path

import pytest

from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.errors import RunError
from fer_jax.files import Json
from fer_jax.runs.tables import read_evaluations, read_log, read_metrics

SCORES = {
    "correct": 3,
    "total": 4,
    "accuracy": 0.75,
    "loss": 0.5,
    "per_class": [{"label": "angry", "recall": 1.0}, {"label": "happy", "recall": 0.5}],
}


def write_run(folder: Path, *, seed: int) -> Path:
    folder.mkdir(parents=True)
    facts: Json = {
        "command": "",
        "started": "",
        "finished": None,
        "resumed": [],
        "data": {"description": "", "sha256": "", "is_synthetic": True},
        "split": {"sha256": "", "sizes": {}, "copies_of_training_images": {}},
        "machine": "",
        "device": "CPU",
        "tuning": [],
        "xla_flags": "",
        "versions": {},
        "git": None,
        "seed": seed,
    }
    files = {
        "config.json": to_json(Config(name="small")),
        "run.json": facts,
        "metrics.json": {"train": SCORES, "val": SCORES | {"correct": 2, "accuracy": 0.5}},
        "evaluate_val.json": SCORES
        | {"split": "val", "labels": "fer2013", "views": ["identity", "flip"], "top2_accuracy": 1.0}
        | {"calibration": {"ece": 0.1, "temperature": None}},
        "evaluate_val_faces.json": {"mistakes": []},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    log = [{"epoch": epoch, "val_accuracy": 0.1 * epoch + seed} for epoch in (1, 2)]
    (folder / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in log))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write_run(tmp_path / f"small-seed{seed}", seed=seed)
    return tmp_path


def test_logs_of_all_runs_in_a_folder(runs: Path) -> None:
    table = read_log(runs)
    assert list(table.columns) == ["run", "name", "seed", "epoch", "val_accuracy"]
    assert list(table["run"]) == ["small-seed0"] * 2 + ["small-seed1"] * 2
    assert list(table.groupby("seed")["val_accuracy"].max()) == pytest.approx([0.2, 1.2])


def test_metrics_of_each_part(runs: Path) -> None:
    table = read_metrics([str(runs / "small-seed1")])
    assert list(table["part"]) == ["train", "val"]
    assert list(table["accuracy"]) == [0.75, 0.5]
    assert list(table["recall_happy"]) == [0.5, 0.5]


def test_evaluations_and_no_other_files(runs: Path) -> None:
    table = read_evaluations(runs / "small-seed0")
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["part"], row["views"], row["ece"]) == ("val", 2, 0.1)
    assert math.isnan(row["temperature"])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        read_log(tmp_path)
