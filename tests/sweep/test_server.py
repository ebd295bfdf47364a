"""A sweep on a real PostgreSQL server: turns, dead workers, restarts in the middle, and what is refused.

Skipped where no server is installed; `benchmarks.reliability.sweep_team` tries the same with whole sweeps.
"""

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.harness import postgres
from fer_jax.errors import ConfigError, RunError
from fer_jax.sweep.space import Choices, Range, Space

pytest.importorskip("optuna", reason="the extra sweep is not installed: pip install 'fer-jax[sweep]'")
pytest.importorskip("psycopg", reason="the extra sweep-postgres is not installed")

from optuna.trial import TrialState

from fer_jax.sweep import study
from fer_jax.sweep.board import Board, Team, Turn, open_board
from fer_jax.sweep.database import Patience, Pause, check_address
from fer_jax.sweep.locks import ServerLocks

BINARIES = postgres.find_binaries()
pytestmark = pytest.mark.skipif(
    BINARIES is None, reason=f"no PostgreSQL server is installed: {postgres.HOW_TO_INSTALL}"
)
PASSWORD = "s3cret-word"
SPACE: Space = {"rate": Range(1e-5, 1.0, "log"), "name": Choices(("adam", "sgd"))}
DEAD_AFTER_S = 4.0


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    assert BINARIES is not None
    with postgres.running_server(BINARIES, PASSWORD) as running:
        yield running


def make_team(*, patience_s: float = 60.0, said: list[str] | None = None) -> Team:
    tell = print if said is None else said.append
    return Team(
        Patience(patience_s, clock=time.monotonic, pause=Pause(time.monotonic, time.sleep), tell=tell),
        DEAD_AFTER_S,
    )


JOINED: list[Board] = []


@pytest.fixture(autouse=True)
def leave() -> Iterator[None]:
    """Close the connections of a test."""
    yield
    while JOINED:
        JOINED.pop().locks.close()


def join(
    address: str, name: str, *, team: Team | None = None, password: str | None = PASSWORD, seed: int = 3
) -> Board:
    board = open_board(
        address,
        name,
        SPACE,
        {"seed": seed},
        pruner="none",
        spared_epochs=1,
        seed=seed,
        password=password,
        team=team or make_team(),
    )
    JOINED.append(board)
    return board


def complete(board: Board, turn: Turn) -> None:
    study.report(board, turn, value=0.5, epoch=1)
    study.finish(board, turn, value=turn.trial.params["rate"], facts={"accuracies": [0.5]})


def states(board: Board) -> list[str]:
    return [trial["state"] for trial in study.list_trials(board)]


WORK = """
import runpy, sys, time
own = runpy.run_path(sys.argv[1])
board = own["join"](sys.argv[2], sys.argv[3])
while turn := own["study"].take(board, most=int(sys.argv[4])):
    print(turn.trial.number, flush=True)
    time.sleep(float(sys.argv[5]))
    own["complete"](board, turn)
"""


def start(server: postgres.Server, name: str, most: int, seconds: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WORK, __file__, server.address, name, str(most), str(seconds)]
    return subprocess.Popen(words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


def test_workers_that_begin_at_once_share_the_trials(server: postgres.Server) -> None:
    server.make_database("fresh")  # They create the tables too.
    address = server.address.replace(postgres.DATABASE, "fresh")
    words = [sys.executable, "-c", WORK, __file__, address, "shared", "12", "0"]
    workers = [
        subprocess.Popen(words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = [worker.communicate()[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sorted(int(number) for numbers in printed for number in numbers) == list(range(12))
    board = join(address, "shared")
    trials = study.list_trials(board)
    assert [trial["state"] for trial in trials] == ["complete"] * 12
    assert len({trial["params"]["rate"] for trial in trials}) == 12
    assert len({trial["worker"] for trial in trials}) == sum(map(bool, printed))


def test_the_trial_of_a_killed_worker_is_repeated_once(server: postgres.Server) -> None:
    board = join(server.address, "killed")
    with start(server, "killed", 2, 1000) as worker:
        assert worker.stdout is not None and worker.stdout.readline() == "0\n"
        mine = study.take(board, most=2)
        assert mine is not None and mine.trial.number == 1
        complete(board, mine)
        # It lives: nobody takes its trial, and who is done may go.
        assert study.take(board, most=2) is None and not study.wait_for_others(board)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    killed_at = time.monotonic()
    # It looks alive for a while; the last worker waits until that is sure.
    assert study.take(board, most=2) is None and study.wait_for_others(board)
    assert time.monotonic() - killed_at < 2 * DEAD_AFTER_S
    again = study.take(board, most=2)
    assert again is not None and study.list_trials(board)[2]["repeats"] == 0
    assert again.trial.params == study.list_trials(board)[0]["params"]
    complete(board, again)
    assert study.take(board, most=2) is None
    assert states(board) == ["interrupted", "complete", "complete"]


def test_a_worker_that_was_taken_for_dead_does_not_count_twice(server: postgres.Server) -> None:
    slow, other = join(server.address, "slow"), join(server.address, "slow")
    turn = study.take(slow, most=1)
    assert turn is not None
    turn.hold.release()  # As if no heartbeat arrived any more.
    again = study.take(other, most=1)
    assert again is not None and again.trial.number == 1
    with pytest.raises(study.TakenError):
        study.report(slow, turn, value=0.5, epoch=1)
    with pytest.raises(study.TakenError):
        study.finish(slow, turn, value=0.5, facts={})
    complete(other, again)
    assert states(other) == ["interrupted", "complete"]


def test_nobody_is_silent_for_longer_than_there_was_a_server_to_hear(
    server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the server's start nobody knows how long it took until it answered."""
    board = join(server.address, "listening")
    rows = [(1, 50.0, 60.0), (2, 3600.0, 60.0)]
    assert isinstance(board.locks, ServerLocks)
    running: Any = [SimpleNamespace(_trial_id=1), SimpleNamespace(_trial_id=2)]
    monkeypatch.setattr(board.locks, "_run", lambda *_, **__: rows)
    for listened, wanted in ((7.0, 7.0), (600.0, 60.0)):
        board.locks._listens_from = time.monotonic() - listened
        silences = board.locks._measure_silences(running)
        assert silences == {1: 50.0, 2: pytest.approx(wanted, abs=5)}


@contextlib.contextmanager
def restarting(server: postgres.Server, *, down_s: float) -> Iterator[None]:
    """Crash the server, and start it again a little later, beside the block."""
    server.stop("immediate")
    thread = threading.Timer(down_s, server.start)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_restart_of_the_server_is_waited_for(server: postgres.Server) -> None:
    said: list[str] = []
    board = join(server.address, "restart", team=make_team(said=said))
    turn = study.take(board, most=2)
    assert turn is not None
    with restarting(server, down_s=1.0):
        study.report(board, turn, value=0.5, epoch=1)
    assert "does not answer" in said[0] and "answers again after" in said[-1]
    # Its heartbeats could not arrive meanwhile: that is no reason to take it for dead.
    assert (
        join(server.address, "restart").locks.list_dead(board.study.get_trials(states=(TrialState.RUNNING,)))
        == []
    )
    with restarting(server, down_s=0.5):
        study.finish(board, turn, value=0.5, facts={})
    assert states(board) == ["complete"]


def test_nothing_is_written_behind_a_door_that_was_lost(
    server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = join(server.address, "door")
    ask = board.study.ask
    asked: list[int] = []

    def ask_later(*args: Any) -> Any:
        if not asked:  # The server restarts after the trials were counted, before the new one is written.
            asked.append(len(board.study.trials))
            with restarting(server, down_s=0.0):
                pass
            # Another worker passes the door meanwhile.
            other = join(server.address, "door")
            theirs = study.take(other, most=1)
            assert theirs is not None
            complete(other, theirs)
        return ask(*args)

    monkeypatch.setattr(board.study, "ask", ask_later)
    assert study.take(board, most=1) is None
    assert asked == [0] and states(board) == ["complete"]


def test_a_server_that_cannot_be_used_is_refused_without_the_password(server: postgres.Server) -> None:
    join(server.address, "taken", seed=1)
    cases = (
        (server.address.replace(str(server.port), "1"), PASSWORD, "check the address"),
        (server.address.replace("127.0.0.1", "nosuch.invalid"), PASSWORD, "check the address"),
        (server.address, "wrong-word", "PGPASSWORD"),
        (server.address.replace(postgres.DATABASE, "nosuch"), PASSWORD, "create it with `createdb`"),
        (server.address.replace("team@", "nobody@"), PASSWORD, "password"),
        (server.address + "?options=-c%20default_transaction_read_only=on", PASSWORD, "is read-only"),
        (server.address, PASSWORD, "contains another sweep 'taken': its seed is 1, and here it is 3"),
    )
    for address, password, wanted in cases:
        with pytest.raises((RunError, ConfigError)) as raised:
            join(address, "taken", team=make_team(patience_s=0.0), password=password)
        message = str(raised.value)
        assert wanted in message and "\n" not in message, message
        if "contains another sweep" not in wanted:  # The others are refused before anything slow begins.
            with pytest.raises((RunError, ConfigError), match=re.escape(message)):
                check_address(address, password)
        assert PASSWORD not in message and "wrong-word" not in message
