"""The main job end to end, on synthetic faces: it learns, resumes to the same bits, and refuses in words."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax import fer2013, files
from fer_jax.api.runs import open_run
from fer_jax.config.data import DataConfig
from fer_jax.config.files import load_config
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.data.synthetic import draw_examples
from fer_jax.diagnose import __main__ as diagnose
from fer_jax.runs import checkpoint
from fer_jax.train import __main__ as train
from fer_jax.train import run as train_run

ROOT = Path(__file__).parents[2]
SMALL = (
    "--config",
    str(ROOT / "configs" / "run6.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "420"),
    *("--model.blocks.0.features", "4", "--model.blocks.1.features", "8", "--model.blocks.2.features", "8"),
    *("--model.dense-features", "16", "--train.batch-size", "16", "--train.epochs", "3"),
)


def run_train(folder: Path, *more: str) -> int:
    return train.main([*SMALL, "--run-dir", str(folder), *more])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def last_hash(folder: Path) -> str:
    digest: str = read(folder / "run.json")["last_state_sha256"]
    return digest


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert run_train(folder) == 0
    return folder


def test_a_run_learns(tmp_path: Path) -> None:
    size = [
        "--model.blocks.0.features",
        "8",
        "--model.blocks.1.features",
        "16",
        "--model.dense-features",
        "64",
    ]
    plain = [f"--augment.{name}-probability=0" for name in ("shift", "rotate", "crop")]
    plain += [f"--model.blocks.{block}.dropout-rate=0" for block in range(3)] + [
        "--model.dense-dropout-rate=0"
    ]
    quick = ["--data.synthetic-examples=1400", "--optimizer.peak-rate=0.002", "--train.epochs=8"]
    assert run_train(tmp_path / "run", *size, *plain, *quick) == 0
    figures = read(tmp_path / "run" / "metrics.json")
    assert figures["train"]["accuracy"] > 0.5
    assert figures["test"]["accuracy_low"] > 1 / 7


def test_the_longest_recipe_trains_when_it_is_made_small(tmp_path: Path) -> None:
    """All of its craft together on each kind of its blocks: what a GPU would otherwise find out first."""
    best = load_config(ROOT / "configs" / "best.py")
    kinds = dict.fromkeys(replace(block, features=2) for block in best.model.blocks)
    config = replace(
        best,
        data=DataConfig(source="synthetic", synthetic_examples=70),
        model=replace(best.model, blocks=tuple(kinds)),
        optimizer=replace(best.optimizer, warmup_epochs=0.5, cooldown_epochs=0.5),
        train=replace(best.train, epochs=1, batch_size=16),
        device=replace(best.device, compile_cache=False),
    )
    folder, clock = tmp_path / "run", itertools.count().__next__
    outcome = train_run.train(config, seeds=1, run_dir=folder, is_resumed=False, invocation="", clock=clock)
    assert outcome == train_run.Outcome(folder, stopped_by=None)
    assert read(folder / "run.json")["finished"]


def test_a_run_leaves_everything_behind(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    wanted = {"config.json", "run.json", "log.jsonl", "metrics.json", "split.npz", "report.md", "tensorboard"}
    assert wanted | {"curves.png", "confusion_val.png", "checkpoints"} <= names
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {"best", "last", "previous"}
    history = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2, 3]
    figures = read(finished / "metrics.json")
    assert figures["val"]["accuracy"] == history[-1]["val_accuracy"]
    run = read(finished / "run.json")
    assert run["finished"] and run["data"]["is_synthetic"]
    assert sum(run["split"]["sizes"].values()) <= 420


def test_the_same_run_gives_the_same_bits(finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    words = ("--train.save-epochs", "3", "--train.select", "last", "--train.measure-epochs", "2")
    assert run_train(again, *words) == 0
    assert last_hash(again) == last_hash(finished)
    # Measured after epoch 2 and the last one; every report copes.
    log, every = ((folder / "log.jsonl").read_text().splitlines() for folder in (again, finished))
    seen = [json.loads(line).get("val_accuracy") for line in log]
    assert seen == [None, *(json.loads(line)["val_accuracy"] for line in every[1:])]
    assert diagnose.main([str(again)]) == 0
    assert (again / "report.html").exists() and "epoch 3 of 3" in (again / "report.md").read_text()
    assert open_run(again).plot("curves").axes
    # Saved at the start and after epoch 3 alone.
    assert read(again / "checkpoints" / "previous" / "meta.json")["step"] == 0


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "fer_jax.train", *SMALL, "--run-dir", str(folder), *more]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_a_live_run_keeps_its_folder_and_one_that_is_told_to_stop_resumes_to_the_same_bits(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is killed is among the tests of several seeds."""
    folder = tmp_path / "stopped"
    process = start(folder)
    try:
        wait_for(folder / "log.jsonl", process)
        process.send_signal(signal.SIGSTOP)
        assert run_train(folder, "--resume") == 4
        assert "another run is writing" in capsys.readouterr().err
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        output = process.communicate(timeout=120)[0]
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 143, output
    assert "--resume" in output
    assert run_train(folder, "--resume") == 0
    assert last_hash(folder) == last_hash(finished)


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_after_the_last_step_stops_before_the_measurements(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sent: signal.Signals,
    status: int,
) -> None:
    folder = tmp_path / "late"
    shutil.copytree(finished, folder)
    monkeypatch.setattr(train_run, "_fit", lambda *_: signal.raise_signal(sent))
    assert run_train(folder, "--resume") == status
    assert f"interrupted by {sent.name}; saved in {folder}" in capsys.readouterr().out
    assert read(folder / "run.json")["finished"] is None


def test_a_damaged_checkpoint_is_named_and_the_one_before_gives_the_same_bits(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(finished, folder)
    (folder / "checkpoints" / "last" / "meta.json").write_text("{")
    (folder / ".run.json.0123abcd.tmp").write_text("{")  # Of a program that was killed.
    assert run_train(folder, "--resume") == 0
    output = capsys.readouterr().out
    assert "meta.json is damaged" in output
    assert "using previous" in output
    assert last_hash(folder) == last_hash(finished)
    assert not list(folder.glob(".*.tmp"))


def test_a_run_resumes_with_the_votes_that_it_began_with(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, votes = tmp_path / "voted", tmp_path / "fer2013new.csv"
    shutil.copytree(finished, folder)
    config = read(folder / "config.json")
    config["labels"] = {"source": "ferplus", "mode": "votes", "keep": "decided", "ferplus": str(votes)}
    files.write_json(folder / "config.json", config)
    faces = draw_examples(seed=0, examples=420)
    places = [CHOICES.index(name) for name in CHOICE_OF_LABEL]
    counts = np.zeros((420, len(CHOICES)), np.int64)
    counts[np.arange(420), np.array(places)[faces.labels]] = 5
    words = ["--resume", "--labels.source", "ferplus", "--labels.mode", "votes"]
    # The record of an older fer_jax has no hash of the votes; this one has it from then on.
    for others, status in ((0, 0), (3, 4)):
        # The same labels win, so the same rows are kept.
        counts[:, places[0]] = np.maximum(counts[:, places[0]], others)
        rows = [
            f"{fer2013.USAGES[usage]},,{','.join(map(str, row))}"
            for usage, row in zip(faces.usages, counts, strict=True)
        ]
        votes.write_text("\n".join([",".join(HEADER), *rows]))
        assert run_train(folder, *words, "--labels.ferplus", str(votes)) == status
    assert "was trained with other votes (SHA-256 " in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["last", "best"])
def test_a_damaged_checkpoint_of_the_last_step_is_written_again_from_its_copy(
    finished: Path, tmp_path: Path, damaged: str
) -> None:
    """No step is left that would write it."""
    folder = tmp_path / "damaged"
    shutil.copytree(finished, folder)
    config = read(folder / "config.json")
    config["train"]["select"] = damaged
    files.write_json(folder / "config.json", config)
    checkpoints = folder / "checkpoints"
    meta = read(checkpoints / "last" / "meta.json")
    meta["progress"]["history"][-1]["is_best"] = True
    files.write_json(checkpoints / "last" / "meta.json", meta)
    files.write_json(checkpoints / "last" / "manifest.json", checkpoint._hashes(checkpoints / "last"))
    shutil.rmtree(checkpoints / "best")
    shutil.copytree(checkpoints / "last", checkpoints / "best")
    (checkpoints / damaged / "meta.json").write_text("{")
    assert run_train(folder, "--resume", "--train.select", damaged) == 0
    assert last_hash(folder) == last_hash(finished)
    assert read(folder / "run.json")["measured_epoch"] == 3
    assert checkpoint.find_damage(checkpoints / damaged) is None


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_train(tmp_path / "run", "--optimizer.peak-rate", "1e30") == 5
    message = capsys.readouterr().err
    assert "step" in message
    assert "peak_rate" in message
    assert read(tmp_path / "run" / "checkpoints" / "last" / "meta.json")["step"] == 0


def test_an_extended_run_is_the_run_that_was_planned_so_and_says_so(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extended, planned = tmp_path / "extended", tmp_path / "planned"
    shutil.copytree(finished, extended)
    assert run_train(extended, "--resume", "--train.epochs", "5") == 4
    assert "add --extend-epochs N" in capsys.readouterr().err
    assert run_train(extended, "--resume", "--extend-epochs", "2") == 0
    assert "extended   by epochs 4 to 5: the learning rate stays at its peak" in capsys.readouterr().out
    assert run_train(extended, "--resume") == 0  # It is finished, and stays as long as it has become.
    assert run_train(planned, "--train.extra-epochs", "2") == 0
    assert last_hash(extended) == last_hash(planned) != last_hash(finished)
    assert len((extended / "log.jsonl").read_text().splitlines()) == 5
    record = read(extended / "run.json")
    assert [(each["from_epoch"], each["to_epoch"]) for each in record["extensions"]] == [(4, 5)]
    assert "by epochs 4 to 5" in (extended / "report.md").read_text()
    assert read(extended / "config.json")["train"]["extra_epochs"] == [2]


def test_an_extension_that_was_killed_is_not_made_again(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its first record was written, and after."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    config, record = folder / "config.json", folder / "run.json"
    config.write_text(json.dumps(read(config) | {"train": read(config)["train"] | {"extra_epochs": [2]}}))
    assert run_train(folder, "--resume", "--extend-epochs", "2") == 4
    assert "is not finished; go on with it first" in capsys.readouterr().err
    record.write_text(json.dumps(read(record) | {"finished": None}))
    assert run_train(folder, "--resume", "--extend-epochs", "2") == 4
    assert run_train(folder, "--resume") == 0
    assert len((folder / "log.jsonl").read_text().splitlines()) == 5
    assert [(each["from_epoch"], each["to_epoch"]) for each in read(record)["extensions"]] == [(4, 5)]


def test_early_stopping_ends_the_run_and_keeps_the_best_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = ("--optimizer.peak-rate", "1e-12", "--train.select", "best", "--train.patience-epochs", "2")
    folder, words = tmp_path / "run", (*still, "--train.epochs", "50", "--train.save-epochs", "50")
    assert run_train(folder, *words) == 0
    record = read(folder / "run.json")
    # The running statistics still move, and with them the accuracy, for some epochs.
    last = record["stopped_early"]
    assert last == record["measured_epoch"] + 2 < 50
    assert f"stopped early, after epoch {last} of 50: no better validation accuracy for 2 epochs" in (
        capsys.readouterr().out
    )
    assert "no better validation accuracy for 2 epochs" in (folder / "report.md").read_text()
    assert run_train(folder, *words, "--resume") == 0
    assert last_hash(folder) == record["last_state_sha256"]
    assert run_train(folder, *words, "--resume", "--extend-epochs", "2") == 4
    assert f"early stopping ends {folder} after epoch {last}" in capsys.readouterr().err


FEW_FACES = ("--data.source", "synthetic", "--data.synthetic-examples", "70")
SLIPS: list[tuple[Sequence[str], int, str]] = [
    ((), 2, "--config"),
    (("--config", "configs/run66.py"), 2, "did you mean 'configs/run6.py'"),
    (("--config", "configs/run6.py", "--optimizer.peek-rate", "1"), 2, "--optimizer.peak-rate"),
    (("--config", "configs/run6.py", "--optimizer.peak-rate", "fast"), 2, "'fast'"),
    (("--config", "configs/run6.py", "--optimizer.peak-rate", "-1"), 2, "optimizer.peak_rate is -1.0"),
    (("--config", "configs/run6.py", "--train.epochs", "1.5"), 2, "1.5"),
    (("--config", "configs/run6.py", "--optimizer.schedule", "cosin"), 2, "cosine"),
    (("--config", "README.md"), 2, "README.md, line"),
    (("--config", "configs/run6.py", "--data", "nowhere.csv"), 3, "nowhere.csv"),
    (("--config", "configs/run6.py", "--data", "README.md"), 3, "README.md"),
    (("--config", "configs/run6.py", "--resume", "--run-dir", "nowhere"), 4, "nowhere"),
    (("--config", "configs/run6.py", "--extend-epochs", "2"), 2, "add --resume"),
    (("--config", "configs/run7.py", "--resume", "--extend-epochs", "2"), 2, "add --restart-schedule"),
    (("--config", "configs/run6.py", "--train.patience-epochs", "2"), 2, "train.select last"),
    (("--config", "configs/run6.py", "--train.trackers", "wandbx"), 2, "wandb"),
    (("--config", "configs/run6.py", *FEW_FACES, "--run-dir", "README.md"), 4, "README.md"),
]


@pytest.fixture
def fresh_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work where there is nothing but the configs and a file that is no data."""
    for name in ("configs", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FER_JAX_DATA", raising=False)
    return tmp_path


@pytest.mark.parametrize(("words", "status", "wanted"), SLIPS, ids=lambda value: str(value)[-40:])
def test_a_slip_gives_one_message_and_its_status(
    words: Sequence[str],
    status: int,
    wanted: str,
    fresh_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        found = train.main(list(words))
    except SystemExit as stopped:  # tyro's own mistakes end the program.
        found = int(stopped.code or 0)
    printed = capsys.readouterr()
    assert found == status, printed.out + printed.err
    assert wanted in printed.err
    assert "Traceback" not in printed.err
    assert not list(fresh_folder.rglob("run.json"))


def test_the_process_ends_with_the_status_and_the_message_alone(fresh_folder: Path) -> None:
    """A slip as a user makes it."""
    words, status, wanted = SLIPS[-1]
    done = subprocess.run(
        [sys.executable, "-m", "fer_jax.train", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert wanted in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(fresh_folder.rglob("run.json"))
