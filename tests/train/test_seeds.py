"""Several seeds trained together: each is the run of its seed, and they are reported as one."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fer_jax.config.run import Config
from fer_jax.errors import RunError
from fer_jax.report.seeds import best_epoch_note, epoch_line, markdown_report, seeds_table, summarise_seeds
from fer_jax.runs.location import choose_place
from fer_jax.train import __main__ as train

ROOT = Path(__file__).parents[2]
SMALL = (
    "--config",
    str(ROOT / "configs" / "run6.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "280"),
    *("--model.blocks.0.features", "2", "--model.blocks.1.features", "4", "--model.blocks.2.features", "4"),
    *("--model.dense-features", "8", "--train.batch-size", "16", "--train.epochs", "4"),
)


def run_train(folder: Path, *more: str) -> int:
    return train.main([*SMALL, "--run-dir", str(folder), *more])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def hashes(folder: Path) -> list[str]:
    return [read(folder / f"seed{seed}" / "run.json")["last_state_sha256"] for seed in (3, 4)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert run_train(folder, "--seeds", "2", "--train.seed", "3") == 0
    return folder


def resume(folder: Path) -> int:
    return run_train(folder, "--seeds", "2", "--train.seed", "3", "--resume")


def test_each_seed_is_bit_equal_to_its_run_alone_and_another_seed_gives_other_bits(
    finished: Path, tmp_path: Path
) -> None:
    assert run_train(tmp_path / "alone", "--train.seed", "4") == 0
    alone, together = tmp_path / "alone", finished / "seed4"
    other, own = hashes(finished)
    assert read(alone / "run.json")["last_state_sha256"] == own != other
    assert read(alone / "metrics.json") == read(together / "metrics.json")
    assert {path.name for path in alone.iterdir()} == {path.name for path in together.iterdir()}
    assert read(together / "config.json")["train"]["seed"] == 4


def test_the_summary_is_made_from_the_figures_of_the_seeds(finished: Path) -> None:
    figures = read(finished / "metrics.json")
    each = [read(finished / f"seed{seed}" / "metrics.json") for seed in (3, 4)]
    assert [entry["seed"] for entry in figures["seeds"]] == [3, 4]
    for part in ("train", "val", "test"):
        accuracies = [metrics[part]["accuracy"] for metrics in each]
        assert figures["summary"][part]["accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2)
        assert figures["seeds"][1][part] == each[1][part]
    run = read(finished / "run.json")
    assert run["finished"] and run["seeds"] == [3, 4]
    text = (finished / "report.md").read_text()
    assert "run6, seeds 3 to 4" in text and "SYNTHETIC" in text and "val accuracy" in text


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "fer_jax.train", *SMALL, "--run-dir", str(folder)]
    words += ["--seeds", "2", "--train.seed", "3", *more]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_epochs(folder: Path, epochs: int, process: subprocess.Popen[str]) -> None:
    log, deadline = folder / "seed4" / "log.jsonl", time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < epochs:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{log} did not grow"
        time.sleep(0.005)


def test_stopped_killed_and_resumed_seeds_give_the_same_bits(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    process = start(folder)
    wait_for_epochs(folder, 0, process)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 143, output
    process = start(folder, "--resume")
    wait_for_epochs(folder, 1, process)
    process.kill()
    process.communicate()
    assert resume(folder) == 0
    assert hashes(folder) == hashes(finished)


def test_a_seed_that_was_saved_before_the_kill_goes_back_to_the_others(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ahead"
    shutil.copytree(finished, folder)
    behind = folder / "seed4" / "checkpoints"
    last_step = read(behind / "last" / "meta.json")["step"]
    common = read(behind / "previous" / "meta.json")["step"]
    shutil.rmtree(behind / "last")
    shutil.rmtree(behind / "best")
    assert resume(folder) == 0
    assert f"resuming at step {common} from " in capsys.readouterr().out
    assert hashes(folder) == hashes(finished)
    for seed in (3, 4):
        checkpoints = folder / f"seed{seed}" / "checkpoints"
        steps = [read(checkpoints / name / "meta.json")["step"] for name in ("previous", "last")]
        assert steps == [common, last_step]


def test_seeds_without_a_step_in_common_are_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "apart"
    shutil.copytree(finished, folder)
    for seed, names in ((3, ("previous", "best")), (4, ("last", "best"))):
        for name in names:
            shutil.rmtree(folder / f"seed{seed}" / "checkpoints" / name)
    assert resume(folder) == 4
    assert "no step in common" in capsys.readouterr().err


SLIPS: list[tuple[Sequence[str], int, str]] = [
    (("--seeds", "0"), 2, "--seeds is 0"),
    (("--seeds", "2", "--train.seed", str(2**32 - 1)), 2, "train.seed is 4294967296"),
    (("--seeds", "3", "--train.seed", "3", "--resume"), 4, "[3, 4, 5] were asked for"),
    (("--train.seed", "3", "--resume"), 4, "[3] were asked for"),
    (("--seeds", "2", "--train.seed", "3"), 4, "holds a run already"),
    (("--seeds", "2", "--train.seed", "3", "--resume", "--train.epochs", "5"), 4, "train.epochs"),
]


@pytest.mark.parametrize(("words", "status", "wanted"), SLIPS, ids=lambda value: str(value)[-40:])
def test_a_slip_gives_one_message(
    finished: Path, words: Sequence[str], status: int, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_train(finished, *words) == status
    assert wanted in capsys.readouterr().err


def test_folders_of_several_seeds_stand_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(2):
        place = choose_place(Config(name="a"), 2, None, is_resumed=False)
        assert place.seeds == [0, 1]
        names.append([path.name for path in (place.home, *place.folders)])
        place.folders[1].mkdir(parents=True)
        (place.folders[1] / "run.json").touch()
    assert names == [["a-seeds0-1", "a-seed0", "a-seed1"], ["a-seeds0-1-2", "a-seed0-2", "a-seed1-2"]]


def test_no_run_of_a_seed_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "seed1").mkdir()
    (tmp_path / "seed1" / "run.json").touch()
    # That is left by a run that was killed while it began: its home has no record.
    assert choose_place(Config(name="a"), 2, tmp_path, is_resumed=False).home == tmp_path
    (tmp_path / "seed1" / "log.jsonl").touch()
    with pytest.raises(RunError, match="seed1 holds a run of its own; move it away"):
        choose_place(Config(name="a"), 2, tmp_path, is_resumed=False)
    (tmp_path / "run.json").touch()
    with pytest.raises(RunError, match="holds a run already; add --resume"):
        choose_place(Config(name="a"), 2, tmp_path, is_resumed=False)


def figures(correct: int) -> dict[str, Any]:
    ratios = {"accuracy": correct / 200, "balanced_accuracy": 0.5, "macro_f1": 0.25}
    return {"val": {"correct": correct, "total": 200, "loss": 1.5, **ratios}}


# 42, 40 and 47 %: mean 43, deviations -1, -3, 4, so sd = sqrt(26 / 2).
THREE = [figures(correct) for correct in (84, 80, 94)]


def test_the_spread_is_the_sample_standard_deviation() -> None:
    accuracy = summarise_seeds(THREE)["val"]["accuracy"]
    assert accuracy == pytest.approx({"mean": 0.43, "sd": 0.13**0.5 / 10, "min": 0.4, "max": 0.47})
    assert seeds_table((5, 6, 7), THREE).splitlines() == [
        "seed                  val  correct / total",
        "5                 42.00 %         84 / 200",
        "6                 40.00 %         80 / 200",
        "7                 47.00 %         94 / 200",
        "mean ± sd  43.00 ± 3.61 %                 ",
    ]


def test_the_report_of_several_seeds_has_the_figures() -> None:
    run: dict[str, Any] = {"command": "python", "selection": "the last", "folders": ["a", "b", "c"]}
    run["data"] = {"is_synthetic": False}
    text = markdown_report(
        title="a, seeds 5 to 7", run=run, seeds=(5, 6, 7), metrics=THREE, best_epochs="Best: 2."
    )
    assert (
        "| val | **43.00 ± 3.61 %** | 40.00 – 47.00 | 50.00 ± 0.00 % | 25.00 ± 0.00 % | 1.5000 ± 0.0000 |"
        in text
    )
    assert "| 6 | 40.00 % | 80 / 200 |" in text
    assert "- seed 7: `c`" in text
    assert "SYNTHETIC" not in text and "Best: 2." in text


def test_the_best_epochs_of_the_seeds_by_hand() -> None:
    curves = ((0.5, 0.42, 0.4), (0.2, 0.5, 0.45), (0.1, 0.2, 0.53))
    histories = [[{"val_accuracy": value} for value in curve] for curve in curves]
    assert "highest val accuracy have 51.0 ± 1.7 %" in best_epoch_note(histories, is_selected=False)
    assert "the last epochs have 46.0 ± 6.6 %" in best_epoch_note(histories, is_selected=True)
    rising = [history[:2] for history in histories[1:]]
    assert best_epoch_note(rising, is_selected=False) == "No other epoch has a higher val accuracy."


def test_an_epoch_of_several_seeds_is_one_line() -> None:
    record = {"epoch": 7, "objective": 1.5, "seconds": 24.84, "images_per_second": 812.4}
    records = [record | {"train_accuracy": 0.5, "val_accuracy": val} for val in (0.42, 0.40, 0.47)]
    assert epoch_line(records, epochs=40) == (
        "epoch  7/40  objective  1.500  train  50.0 ±  0.0 %  val  43.0 ±  3.6 %   (40.0 to 47.0)"
        "     812 img/s    24.8 s"
    )
