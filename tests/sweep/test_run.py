"""A tiny sweep on synthetic faces, by its command line: what it finds, writes and spells out."""

import contextlib
import importlib.util
import json
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax import cli
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.sweep import __main__ as sweep
from fer_jax.train import __main__ as train
from fer_jax.train.__main__ import TrainCommand

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(__file__).parents[2]
HAS_OPTUNA = importlib.util.find_spec("optuna") is not None
needs_optuna = pytest.mark.skipif(
    not HAS_OPTUNA, reason="the extra sweep is not installed: pip install 'fer-jax[sweep]'"
)
SMALL = (
    *("--config", str(ROOT / "configs" / "run1.py")),
    *("--split.protocol", "official", "--train.batch-size", "16", "--train.epochs", "3"),
    *("--train.select", "best", "--train.seed", "5", "--model.blocks.0.batch-norm"),
    *("--model.blocks.0.pool", "--model.blocks.0.features", "4", "--model.dense-features", "16"),
)
SETTINGS = ("--trials", "6", "--seeds", "2", "--holdout", "0.25", "--sweep-seed", "1")
TRAINING, PUBLIC = 224, 42
RATES = (1e-7, 0.01)


def write_data(path: Path) -> None:
    """Write faces that are easy to tell apart: a bright band on noise, each class at a height of its own."""
    rng, lines = np.random.default_rng(0), ["emotion,pixels,Usage"]
    for row in range(TRAINING + PUBLIC):
        pixels = rng.integers(0, 60, (48, 48))
        pixels[6 * (row % 7) : 6 * (row % 7) + 6] += 150
        usage = "Training" if row < TRAINING else "PublicTest"
        lines.append(f"{row % 7},{' '.join(map(str, pixels.ravel()))},{usage}")
    path.write_text("\n".join(lines) + "\n")


def write_space(folder: Path, space: str) -> Path:
    path = folder / "rates.py"
    path.write_text(f"space = {space}\n")
    return path


def run_sweep(folder: Path, *more: str, space: str = f'{{"optimizer.peak_rate": {list(RATES)}}}') -> int:
    path = write_space(folder, space)
    data = ("--data", str(folder / "bands.csv"))
    place = ("--storage", f"sqlite:///{folder / 'rates.db'}", "--out", str(folder / "out"))
    return sweep.main([*SMALL, "--space", str(path), *data, *place, *more])


def read(folder: Path) -> Any:
    return json.loads((folder / "out" / "sweep.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    write_data(folder / "bands.csv")
    assert run_sweep(folder, *SETTINGS) == 0
    return folder


@needs_optuna
def test_the_better_of_two_rates_is_found(finished: Path) -> None:
    result = read(finished)
    trials = result["trials"]
    assert {trial["params"]["optimizer.peak_rate"] for trial in trials} == set(RATES)
    best = trials[result["best"]["number"]]
    assert best["params"]["optimizer.peak_rate"] == RATES[1]
    assert best["value"] == max(trial["value"] for trial in trials) == np.mean(best["accuracies"])
    assert best["value"] > 2 * min(trial["value"] for trial in trials)
    assert len(best["accuracies"]) == 2 and len(best["curve"]) == 3
    # A trial is a function of its parameters: each rate is trained once, and its figures are copied.
    outcomes = {(trial["params"]["optimizer.peak_rate"], tuple(trial["curve"])) for trial in trials}
    assert len(trials) == 6 and len(outcomes) == 2
    assert [trial["seconds"] > 0 for trial in trials] == ["same_as" not in trial for trial in trials]
    assert sum("same_as" in trial for trial in trials) == 4
    # PublicTest neither teaches nor judges.
    assert result["images"] == {"train": TRAINING * 3 // 4, "val": TRAINING // 4}
    assert {path.name for path in (finished / "out").iterdir()} >= {"history.png", "slices.png"}


def play_back(monkeypatch: pytest.MonkeyPatch, accuracies: dict[int, tuple[float, ...]]) -> None:
    """Let trials report the validation accuracies of their seeds after these epochs, instead of training."""
    from fer_jax.sweep import run

    def run_unsaved(job: Any, replicas: Any, *, on_epoch: Any, **_: Any) -> None:
        for epoch, values in accuracies.items():
            records = [{"epoch": epoch, "val_accuracy": value} for value in values]
            for replica, record in zip(replicas, records, strict=True):
                replica.progress.history.append(record)
            on_epoch(records)

    monkeypatch.setattr(run, "run_unsaved", run_unsaved)


@needs_optuna
@pytest.mark.parametrize(("select", "scores"), [("best", [0.75, 0.5]), ("last", [0.25, 0.375])])
def test_the_score_of_a_trial_is_that_of_the_epoch_that_its_config_selects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select: str, scores: list[float]
) -> None:
    curves = ((0.125, 0.75, 0.25), (0.5, 0.25, 0.375))
    play_back(monkeypatch, dict(enumerate(zip(*curves, strict=True), start=1)))
    write_data(tmp_path / "bands.csv")
    assert run_sweep(tmp_path, *SETTINGS, "--trials", "1", "--train.select", select) == 0
    (trial,) = read(tmp_path)["trials"]
    assert trial["accuracies"] == scores
    assert trial["value"] == np.mean(scores)
    assert trial["curve"] == [np.mean(values) for values in zip(*curves, strict=True)]


@needs_optuna
def test_a_copied_trial_has_its_curve_at_the_epochs_that_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_back(monkeypatch, {2: (0.125,), 4: (0.75,), 5: (0.5,)})
    write_data(tmp_path / "bands.csv")
    seldom = ("--train.epochs", "5", "--train.measure-epochs", "2", "--train.select", "last")
    assert run_sweep(tmp_path, *SETTINGS, *seldom, "--seeds", "1", "--trials", "3") == 0
    trials = read(tmp_path)["trials"]
    # With two rates to choose from, at least one of three trials is a copy.
    assert any("same_as" in trial for trial in trials)
    assert {(*trial["epochs"], *trial["curve"]) for trial in trials} == {(2, 4, 5, 0.125, 0.75, 0.5)}


@needs_optuna
def test_the_same_command_goes_on_and_finds_nothing_to_do(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read(finished)
    assert run_sweep(finished, *SETTINGS) == 0
    assert read(finished)["trials"] == before["trials"]
    printed = capsys.readouterr().out
    words = shlex.split(
        next(line for line in printed.splitlines() if line.startswith("python -m fer_jax.train"))
    )
    found = cli.parse(TrainCommand, words[3:], prog="train").settings
    assert (found.optimizer.peak_rate, found.train.seed, found.model.dense_features) == (RATES[1], 5, 16)
    assert found.data.path == str(finished / "bands.csv")
    assert "Chosen and measured on the same" in printed


@needs_optuna
def test_a_report_lists_the_trials_behind_its_lock(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    from fer_jax.sweep import study

    list_trials = study.list_trials

    def list_behind_the_lock(board: Any) -> Any:
        # Else a worker that ends at the same time could replace its report by one without its last trial.
        with pytest.raises(filelock.Timeout), filelock.FileLock(finished / "out" / ".report.lock", timeout=0):
            pass
        return list_trials(board)

    monkeypatch.setattr(study, "list_trials", list_behind_the_lock)
    assert run_sweep(finished, *SETTINGS) == 0


@needs_optuna
def test_a_sweep_of_other_settings_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_sweep(finished, *SETTINGS, "--seeds", "1") == 4
    assert "its seeds is [5, 6], and here it is [5]" in capsys.readouterr().err


@needs_optuna
def test_a_sweep_of_another_database_is_refused_before_any_trial(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fer_jax.sweep import study

    monkeypatch.setattr(study, "take", lambda *_, **__: pytest.fail("a trial began"))
    before, other = read(finished), f"sqlite:///{tmp_path / 'other.db'}"
    assert run_sweep(finished, *SETTINGS, "--storage", other) == 4
    said = capsys.readouterr().err
    assert "rates.db, which are not in this sweep's, sqlite:///" in said and "other.db" in said
    assert read(finished) == before
    # That of the same name which was deleted is another one.
    (tmp_path / "bands.csv").symlink_to(finished / "bands.csv")
    gone = {"identity": "0", "address": f"sqlite:///{tmp_path / 'rates.db'}"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sweep.json").write_text(json.dumps(before | {"database": gone}))
    assert run_sweep(tmp_path, *SETTINGS) == 4
    assert "has the trials of an earlier database, which are not in" in capsys.readouterr().err


@needs_optuna
def test_a_sweep_that_ended_meanwhile_keeps_its_report(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fer_jax.sweep import study

    theirs = read(finished) | {"pruner": "none"}

    def take(*args: Any, **more: Any) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "sweep.json").write_text(json.dumps(theirs))

    monkeypatch.setattr(study, "take", take)
    (tmp_path / "bands.csv").symlink_to(finished / "bands.csv")
    assert run_sweep(tmp_path, *SETTINGS) == 4
    assert 'its pruner is "none", and here it is "median"' in capsys.readouterr().err
    assert read(tmp_path) == theirs


@needs_optuna
def test_a_database_that_fails_between_trials_is_named(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlalchemy.exc

    from fer_jax.sweep import study

    def take(*args: Any, **more: Any) -> None:
        raise sqlalchemy.exc.OperationalError("", {}, Exception("database is locked"))

    monkeypatch.setattr(study, "take", take)
    assert run_sweep(finished, *SETTINGS) == 4
    assert "rates.db cannot be used: (builtins.Exception) database is locked" in capsys.readouterr().err


@needs_optuna
def test_a_signal_ends_the_trial_and_lines_it_up_again(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fer_jax.sweep import run

    monkeypatch.setattr(run, "watch_signals", lambda: contextlib.nullcontext([signal.SIGTERM]))
    (tmp_path / "bands.csv").symlink_to(finished / "bands.csv")
    assert run_sweep(tmp_path, *SETTINGS) == 128 + signal.SIGTERM
    stopped, lined_up = read(tmp_path)["trials"]
    assert (stopped["state"], lined_up["state"], lined_up["repeats"]) == ("interrupted", "waiting", 0)
    assert not list(tmp_path.glob(".*trial*.lock"))


def write_votes(path: Path) -> None:
    """Write a FER+ file: eight votes for each row's label, two for contempt."""
    lines = [",".join(HEADER)]
    for row in range(TRAINING + PUBLIC):
        votes = {CHOICE_OF_LABEL[row % 7]: 8, "contempt": 2}
        counts = ",".join(str(votes.get(choice, 0)) for choice in CHOICES)
        lines.append(f"{'Training' if row < TRAINING else 'PublicTest'},fer.png,{counts}")
    path.write_text("\n".join(lines) + "\n")


@needs_optuna
def test_soft_labels_and_teachers_work_as_in_training(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, votes, teacher = tmp_path / "bands.csv", tmp_path / "votes.csv", tmp_path / "teacher"
    data.symlink_to(finished / "bands.csv")
    write_votes(votes)
    labels = ("--labels.source", "ferplus", "--labels.ferplus", str(votes), "--model.classes", "8")
    seeded = (*labels, "--split.protocol", "seed", "--train.epochs", "2")
    assert train.main([*SMALL, *seeded, "--data", str(data), "--run-dir", str(teacher)]) == 0
    taught = ("--distill.teachers", str(teacher))
    assert run_sweep(tmp_path, *seeded, *taught, "--trials", "2") == 0
    result = read(tmp_path)
    assert {trial["state"] for trial in result["trials"]} <= {"complete", "pruned"}
    assert all(word in result["best"]["command"] for word in ("--labels.source ferplus", str(teacher)))
    assert "50 % of the targets from teacher" in capsys.readouterr().out
    # With the official protocol the hold-out contains images that this teacher was trained on.
    assert run_sweep(tmp_path, *labels, *taught, "--holdout", "0.5") == 2
    assert f"{teacher} was trained on" in capsys.readouterr().err


@needs_optuna
@pytest.mark.parametrize(
    ("choices", "wanted"),
    [
        (
            '"init.weights": [None, "tiny", "runs/typo"]',
            "init.weights cannot be 'runs/typo': there is no run",
        ),
        # No bank goes with the config's zero views: only together are the two accepted.
        (
            '"distill.bank": [None, "typo.safetensors"], "distill.views": [0, 2]',
            "distill.bank cannot be 'typo.safetensors': distill.bank: there is no file",
        ),
    ],
)
def test_a_choice_that_is_not_there_is_refused_before_any_trial(
    finished: Path, tmp_path: Path, choices: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bands.csv").symlink_to(finished / "bands.csv")
    assert run_sweep(tmp_path, "--trials", "1", space=f"{{{choices}}}") == 4
    assert f"{tmp_path / 'rates.py'}: {wanted}" in capsys.readouterr().err
    assert not (tmp_path / "rates.db").exists()


@needs_optuna
def test_the_weights_of_a_choice_decide_and_are_looked_at_before_any_trial(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fer_jax.runs.sources import WEIGHTS
    from fer_jax.sweep import study

    monkeypatch.setattr(study, "take", lambda *_, **__: None)
    (tmp_path / "bands.csv").symlink_to(finished / "bands.csv")
    ours = tmp_path / "ours.safetensors"

    def start_from(name: str) -> int:
        for path in (ours, ours.with_suffix(".json")):
            shutil.copy((WEIGHTS / name).with_suffix(path.suffix), path)
        return run_sweep(tmp_path, space=f'{{"init.weights": [None, "{ours}"]}}')

    assert start_from("tiny") == start_from("tiny") == 0
    assert start_from("mid") == 4
    assert f"another sweep 'run1-rates': its files.init.weights {ours} is " in capsys.readouterr().err
    ours.write_bytes(b"torn")
    assert run_sweep(tmp_path, space=f'{{"init.weights": [None, "{ours}"]}}') == 4
    assert "ours.json: mid.safetensors is damaged" in capsys.readouterr().err


SLIPS = [
    (("--trials", "0"), "--trials is 0"),
    (("--seeds", "0"), "--seeds is 0"),
    (("--holdout", "1"), "--holdout is 1"),
    (("--hours", "0"), "--hours is 0"),
    (("--spared-epochs", "0"), "--spared-epochs is 0"),
    (("--train.resample", "1"), "train.resample is 1"),
    (("--dead-after-s", "1"), "--dead-after-s is 1"),
    (("--patience-minutes", "-1"), "--patience-minutes is -1"),
    (("--optimizer.peek-rate", "1"), "peek-rate"),
]


@pytest.mark.parametrize(("words", "wanted"), SLIPS, ids=lambda value: str(value)[-30:])
def test_a_slip_gives_one_message(
    tmp_path: Path, words: tuple[str, ...], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: Any = run_sweep(tmp_path, *words)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    captured = capsys.readouterr()
    assert wanted in captured.err + captured.out


def test_a_file_in_place_of_the_folder_is_refused_before_any_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path / "bands.csv")
    (tmp_path / "out").touch()
    assert run_sweep(tmp_path) == 4
    assert f"--out is {tmp_path / 'out'}, a file; name a folder" in capsys.readouterr().err


PASSWORD = "s3cret-word"


@needs_optuna
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--storage", f"mysql://me:{PASSWORD}@host/db"), "wanted sqlite:///PATH or postgresql:"),
        (("--storages", f"postgresql://me:{PASSWORD}@host/db"), "--storages"),
        ((f"--storage=postgresql://me:{PASSWORD}@host/db",), "pip install 'fer-jax[sweep-postgres]'"),
        (("--storage", f"postgresql:///db?password={PASSWORD}"), "?password=***"),
    ],
)
def test_a_password_is_in_no_message(
    tmp_path: Path,
    words: tuple[str, ...],
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    try:
        status: Any = run_sweep(tmp_path, *words)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    captured = capsys.readouterr()
    said = captured.err + captured.out
    assert wanted in said and PASSWORD not in said and "Traceback" not in said


def test_without_optuna_the_way_to_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run_sweep(tmp_path) == 2
    assert "pip install 'optuna>=4'" in capsys.readouterr().err
