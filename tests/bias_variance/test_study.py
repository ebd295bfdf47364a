"""A tiny study on synthetic faces: exact results, the same after a kill, as `train` gives them."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.bias_variance import __main__ as bias_variance
from fer_jax.bias_variance import decomposition
from fer_jax.config.data import SplitConfig
from fer_jax.data import synthetic
from fer_jax.data.split import split_examples
from fer_jax.inference.predictor import predict
from fer_jax.inference.run_weights import load, load_data
from fer_jax.runs import record
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(__file__).parents[2]
SMALL = (
    "--config",
    str(ROOT / "configs" / "run1.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "280", "--train.max-examples", "128"),
    *("--train.batch-size", "32", "--train.epochs", "2", "--optimizer.peak-rate", "0.05"),
    *("--model.blocks.0.batch-norm", "--model.blocks.0.pool", "--model.blocks.0.dropout-rate", "0.1"),
    *("--augment.flip-probability", "0.5"),
)
WIDTH = ("--width", "0.0625")
WIDENED = ("--model.blocks.0.features", "2", "--model.dense-features", "16")
STUDY = (*SMALL, *WIDTH, "--seeds", "2", "--resamples", "2", "--train.seed", "3", "--train.select", "best")


def run_study(folder: Path, *more: str) -> int:
    place = ("--work-dir", str(folder / "work"), "--out", str(folder / "out.json"))
    return bias_variance.main([*STUDY, *place, *more])


def read(folder: Path) -> Any:
    return json.loads((folder / "out.json").read_text())


def without_clock(result: Any) -> Any:
    replicas = [
        {name: value for name, value in replica.items() if name != "seconds"} for replica in result["lanes"]
    ]
    return {**result, "lanes": replicas, "cost": None, "command": None, "git": None}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    assert run_study(folder) == 0
    return folder


def replica_logits(folder: Path, resample: int, seed: int) -> np.ndarray:
    with np.load(folder / "work" / f"val-resample{resample}-seed{seed}.npz") as replica:
        logits: np.ndarray = replica["logits"]
        return logits


def test_the_result_is_the_decomposition_of_all_replicas(finished: Path) -> None:
    result = read(finished)
    assert (result["seeds"], result["resamples"], result["train_images"]) == ([3, 4], [1, 2], 128)
    logits = np.array([[replica_logits(finished, k, seed) for seed in (3, 4)] for k in (1, 2)], np.float64)
    assert logits.shape == (2, 2, result["images"], 7)
    assert len({replica.tobytes() for replica in logits.reshape(4, -1)}) == 4
    shares = np.exp(logits)
    log_probs = np.log(shares / shares.sum(axis=-1, keepdims=True))
    parts = result["losses"]
    assert parts["brier"]["variance"] == pytest.approx(
        decomposition.brier(np.exp(log_probs).reshape(4, -1, 7), np.zeros(result["images"], int))["variance"]
    )
    for each in parts.values():
        assert each["loss"] == pytest.approx(each["bias"] + each["variance"])
        assert each["spread"]["loss"] >= 0
    errors = [1 - replica["val_accuracy"] for replica in result["lanes"]]
    assert parts["zero_one"]["loss"] == pytest.approx(sum(errors) / 4)
    assert result["config"]["model"]["blocks"][0]["features"] == 2
    # An epoch that is chosen on the measured images would make the errors too small.
    assert result["config"]["train"]["select"] == "last"
    assert result["noise"] is None and result["data"]["is_synthetic"]


def test_a_replica_is_the_run_that_train_makes(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [*SMALL, *WIDENED, "--train.seed", "4", "--train.resample", "2", "--run-dir", str(folder)]
    assert train.main(words) == 0
    trained = load(folder, None, None)
    images = load_data(trained, is_other_file=False).images[trained.saved["val"]]
    np.testing.assert_allclose(
        predict(trained.network, images)[0], replica_logits(finished, 2, 4), rtol=0, atol=1e-5
    )
    # The record of a resampled run is about what it trained on: rows that repeat.
    rows = record.read_split(folder)["train"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(rows) == 128 == metrics["train"]["total"] and len(set(rows.tolist())) < 100


def test_a_killed_study_goes_on_to_the_same_result(finished: Path, tmp_path: Path) -> None:
    folder, first = tmp_path / "killed", tmp_path / "killed" / "work" / "val-resample1-seed3.npz"
    words = [sys.executable, "-m", "fer_jax.bias_variance", *STUDY]
    words += ["--work-dir", str(folder / "work"), "--out", str(folder / "out.json")]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not first.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{first} did not appear"
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (folder / "out.json").exists()
    kept = first.stat().st_mtime_ns
    assert run_study(folder) == 0
    assert first.stat().st_mtime_ns == kept
    assert without_clock(read(folder)) == without_clock(read(finished))


def write_votes(path: Path, *, contempt: bool) -> np.ndarray:
    """Write a FER+ file: eight votes for each row's label, two for the next one; returns the labels.

    With `contempt`, the eight votes of every fifth row are for that.
    """
    faces = synthetic.draw_examples(seed=0, examples=280)
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
    ours = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    place = [names.index(name) for name in ours]
    lines = ["Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"]
    for row, (label, usage) in enumerate(zip(faces.labels, faces.usages, strict=True)):
        votes = [0] * 10
        votes[7 if contempt and row % 5 == 0 else place[label]] += 8
        votes[place[(label + 1) % 7]] += 2
        lines.append(f"{fer2013.USAGES[usage]},fer{row:07d}.png,{','.join(map(str, votes))}")
    path.write_text("\n".join(lines) + "\n")
    is_contempt = contempt & (np.arange(len(faces.labels)) % 5 == 0)
    return np.where(is_contempt, 7, faces.labels)


def test_votes_bound_the_noise(finished: Path, tmp_path: Path) -> None:
    folder, path = tmp_path / "votes", tmp_path / "fer2013new.csv"
    shutil.copytree(finished, folder)
    write_votes(path, contempt=False)
    assert run_study(folder, "--ferplus", str(path)) == 0
    noise = read(folder)["noise"]
    assert noise["images"] == read(folder)["images"]
    assert (noise["zero_one"], noise["brier"]) == pytest.approx((0.2, 0.32 * 10 / 9))


def test_with_soft_labels_errors_are_measured_against_the_majority(tmp_path: Path) -> None:
    path, folder = tmp_path / "fer2013new.csv", tmp_path / "soft"
    labels = write_votes(path, contempt=True)
    words = ("--labels.source", "ferplus", "--labels.ferplus", str(path), "--model.classes", "8")
    more = ("--ferplus", str(path))
    assert run_study(folder, *words, *more, "--resamples", "1", "--train.epochs", "1") == 0
    result = read(folder)
    logits = np.stack([replica_logits(folder, 1, seed) for seed in (3, 4)])
    assert logits.shape == (2, result["images"], 8)
    rows = split_examples(synthetic.draw_examples(seed=0, examples=280), SplitConfig()).val
    errors = (logits.argmax(axis=-1) != labels[rows]).mean()
    assert result["losses"]["zero_one"]["loss"] == pytest.approx(errors)
    # Each image has the label that most voted for; FER2013's own label has none of them in every fifth.
    assert (labels[rows] == 7).any() and result["noise"]["label_is_not_majority"] == 0


def test_a_damaged_file_of_a_replica_is_made_again(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(finished, folder)
    (folder / "work" / "val-resample1-seed3.npz").write_bytes(b"damaged")
    assert run_study(folder) == 0
    assert without_clock(read(folder)) == without_clock(read(finished))


def test_a_file_that_is_no_study_is_not_replaced(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(finished, folder)
    (folder / "out.json").write_text("notes")
    assert run_study(folder) == 4
    assert "out.json exists; give --overwrite to replace it, or another --out" in capsys.readouterr().err
    assert (folder / "out.json").read_text() == "notes"


SLIPS = [
    (("--seeds", "1"), 2, "--seeds is 1"),
    (("--resamples", "0"), 2, "--resamples is 0"),
    (("--width", "0"), 2, "--width is 0"),
    (("--train.resample", "1"), 2, "--resamples draws them"),
    (("--train.epochs", "3"), 4, "its settings.train.epochs is 2, and here it is 3"),
    (("--train.epochs", "3", "--overwrite"), 4, "another study"),
    (("--ferplus", "nowhere.csv"), 3, "nowhere.csv"),
]


@pytest.mark.parametrize(("words", "status", "wanted"), SLIPS, ids=lambda value: str(value)[-40:])
def test_a_slip_gives_one_message(
    finished: Path, words: tuple[str, ...], status: int, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read(finished)
    assert run_study(finished, *words) == status
    assert wanted in capsys.readouterr().err
    assert read(finished) == before
