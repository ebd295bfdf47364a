"""A sweep's memory: who has which turn, and that neither a kill nor company changes what is tried."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax.errors import ConfigError, RunError
from fer_jax.sweep.space import Choices, Range, Space

pytest.importorskip("optuna", reason="the extra sweep is not installed: pip install 'fer-jax[sweep]'")
import optuna

from fer_jax.sweep import board as sweep_board
from fer_jax.sweep import study
from fer_jax.sweep.board import Board, Pruner, Team, Turn
from fer_jax.sweep.database import Patience
from fer_jax.sweep.locks import FileHold, FileLocks

SPACE: Space = {
    "rate": Range(1e-5, 1.0, "log"),
    "width": Range(2, 64, "int"),
    "name": Choices(("adam", "sgd")),
}
TRIALS = 7
ALONE = Team(Patience(0.0, clock=lambda: 0.0, pause=lambda seconds: None, tell=print), dead_after_s=60.0)


def open_board(
    folder: Path,
    decides: dict[str, Any] | None = None,
    *,
    database: str = "sweep.db",
    name: str = "try",
    pruner: Pruner = "median",
) -> Board:
    return sweep_board.open_board(
        f"sqlite:///{folder / database}",
        name,
        SPACE,
        decides or {"seeds": [0]},
        pruner=pruner,
        spared_epochs=1,
        seed=3,
        password=None,
        team=ALONE,
    )


def score(params: dict[str, Any]) -> float:
    """Be best at a rate of 0.01, wide, with sgd."""
    rate = abs(params["rate"] - 0.01) / (params["rate"] + 0.01)
    return 0.5 - 0.3 * rate + 0.002 * params["width"] + 0.05 * (params["name"] == "sgd")


def complete(board: Board, turn: Turn) -> None:
    """Do a trial of two epochs, which the pruner may give up after the first."""
    value = score(turn.trial.params)
    if study.report(board, turn, value=value / 2, epoch=1):
        study.finish(board, turn, value=None, facts={"why": "given up after epoch 1"})
        return
    study.report(board, turn, value=value, epoch=2)
    study.finish(board, turn, value=value, facts={"accuracies": [value]})


def run(board: Board, most: int) -> None:
    while turn := study.take(board, most=most):
        complete(board, turn)


def current(board: Board) -> list[tuple[Any, ...]]:
    """List the trials that count, without their numbers: a repeated one has a later number."""
    trials = [trial for trial in study.list_trials(board) if trial["state"] != "interrupted"]
    return [(each["state"], each["params"], each["value"], each["curve"]) for each in trials]


def test_a_killed_sweep_makes_the_trials_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few that sampler and pruner learn from results here.
    monkeypatch.setattr(study, "RANDOM_TRIALS", 4)
    monkeypatch.setattr(sweep_board, "MEDIAN_TRIALS", 3)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    undisturbed = open_board(whole)
    run(undisturbed, TRIALS)
    assert len({trial[1]["rate"] for trial in current(undisturbed)}) == TRIALS
    for stop in (2, 5):
        board = open_board(killed)
        run(board, stop)
        turn = study.take(board, most=TRIALS)
        assert turn is not None and isinstance(turn.hold, FileHold)
        turn.hold.lock.release()  # What the system does for a process that is killed.
    board = open_board(killed)
    run(board, TRIALS)
    assert current(board) == current(undisturbed)
    states = [trial["state"] for trial in study.list_trials(board)]
    assert [number for number, state in enumerate(states) if state == "interrupted"] == [2, 6]
    assert states.count("complete") + states.count("pruned") == TRIALS and "pruned" in states
    # Who comes when all is done gets nothing to do.
    assert study.take(open_board(killed), most=TRIALS) is None


@pytest.mark.parametrize("killed", [None, 3])
def test_halving_does_not_count_an_interrupted_trial(tmp_path: Path, killed: int | None) -> None:
    board, given_up = open_board(tmp_path, pruner="halving"), []
    for number, value in enumerate((0.50, 0.60, 0.40, 0.62, 0.61, 0.615)):
        turn = study.take(board, most=6)
        assert turn is not None and isinstance(turn.hold, FileHold)
        if number == killed:
            study.report(board, turn, value=value, epoch=1)
            turn.hold.lock.release()
            turn = study.take(board, most=6)
            assert turn is not None
        given_up.append(study.report(board, turn, value=value, epoch=1))
        study.finish(board, turn, value=value, facts={})
    # Of six the best two go on.
    assert given_up == [False, False, True, False, True, False]


TAKE_AND_DIE = """
import runpy, sys
from pathlib import Path
from fer_jax.sweep import study
open_board = runpy.run_path(sys.argv[2])["open_board"]
turn = study.take(open_board(Path(sys.argv[1])), most=4)
print(turn.trial.number, turn.trial.params["rate"], flush=True)
sys.stdin.read()
"""


def test_processes_share_a_sweep_and_take_over_from_the_dead(tmp_path: Path) -> None:
    board = open_board(tmp_path)
    words = [sys.executable, "-c", TAKE_AND_DIE, str(tmp_path), __file__]
    with subprocess.Popen(
        words, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        number, rate = other.stdout.readline().split()
        assert number == "0"
        mine = study.take(board, most=4)
        assert mine is not None and mine.trial.number == 1 and mine.trial.params["rate"] != float(rate)
        complete(board, mine)
        # The other's trial runs: it is counted, and nobody takes it.
        third = study.take(board, most=3)
        assert third is not None and third.trial.number == 2
        assert study.take(board, most=3) is None
        complete(board, third)
        other.send_signal(signal.SIGKILL)
        other.wait()
    again = study.take(board, most=3)
    assert again is not None and again.trial.params["rate"] == float(rate)
    complete(board, again)
    assert study.take(board, most=3) is None
    states = [trial["state"] for trial in study.list_trials(board)]
    assert states == ["interrupted", "complete", "complete", "complete"]
    assert study.list_trials(board)[3]["repeats"] == 0


@pytest.mark.parametrize("other", [{"database": "other.db"}, {"name": "other"}])
def test_sweeps_in_one_folder_may_have_trials_of_the_same_number(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    mine = study.take(open_board(tmp_path), most=2)
    board = open_board(tmp_path, **other)
    theirs = study.take(board, most=2)
    assert mine is not None and theirs is not None and mine.trial.number == theirs.trial.number == 0
    # The other one's trial 0 is dead, while this one's goes on.
    assert isinstance(theirs.hold, FileHold)
    theirs.hold.lock.release()
    again = study.take(board, most=2)
    assert again is not None and again.trial.params == theirs.trial.params


def test_another_sweep_of_the_name_is_refused_with_what_differs(tmp_path: Path) -> None:
    open_board(tmp_path, {"config": {"train.epochs": "3"}, "seeds": [0]})
    with pytest.raises(RunError, match=r"its config\.train\.epochs is '3', and here it is '4'"):
        open_board(tmp_path, {"config": {"train.epochs": "4"}, "seeds": [0]})


@pytest.mark.parametrize(
    ("storage", "error", "wanted"),
    [
        ("sweep.db", ConfigError, "wanted sqlite:///PATH or postgresql:"),
        ("sqlite:///:memory:", ConfigError, "which is not a file"),
        ("nosuch://me:secret@host/db", ConfigError, r"nosuch://me:\*\*\*@host/db'; wanted sqlite:"),
        ("sqlite:///{}/text.db", RunError, "text.db cannot be used: .*not a database"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused(
    tmp_path: Path, storage: str, error: type[Exception], wanted: str
) -> None:
    (tmp_path / "text.db").write_text("This is no database, but a text. " * 100)
    with pytest.raises(error, match=wanted) as raised:
        sweep_board.open_board(
            storage.format(tmp_path),
            "try",
            SPACE,
            {},
            pruner="none",
            spared_epochs=1,
            seed=0,
            password=None,
            team=ALONE,
        )
    assert "secret" not in str(raised.value)


def test_importances_find_what_decides(tmp_path: Path) -> None:
    board = Board(
        optuna.create_study(direction="maximize"), SPACE, 0, FileLocks(tmp_path / "a.db"), "memory", "a"
    )
    for number, rate in enumerate(np.geomspace(1e-5, 1.0, 20)):
        # The rate decides, while the best rates come with all widths and both names.
        params = {"rate": float(rate), "width": 2 + 31 * (number % 3), "name": ("adam", "sgd")[number % 2]}
        board.study.enqueue_trial(params)
        turn = study.take(board, most=20)
        assert turn is not None and turn.trial.params == params
        study.finish(board, turn, value=float(rate), facts={})
        if number == 8:
            assert study.measure_importances(board) is None
    importances = study.measure_importances(board)
    assert importances is not None and next(iter(importances)) == "rate"
    assert sum(importances.values()) == pytest.approx(1)
