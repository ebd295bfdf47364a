"""Does one run alone write in a folder? Start eight at once, again and again, and kill the one that runs.

    python -m benchmarks.reliability.concurrency

A round lets eight processes take the lock on one run folder at the same moment, as `python -m
fer_jax.train` does. One of them has to hold it, and the others have to be told at once, by its number, who
does. Every second round kills the owner: the next process that comes has to get the lock. The same again
where `flock` fails with ENOSYS, as on file systems without locks. Then whole trainings are started, eight
at once, and all but one have to leave with status 4. Writes benchmarks/results/reliability-
concurrency.json.
"""

import errno
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.errors import RunError
from fer_jax.files import Json
from fer_jax.runs import folder as runs_folder

PROGRAM: Final = "python -m benchmarks.reliability.concurrency"
QUESTION: Final = "Does one run alone write in a folder, and are the others told at once who does?"
SECONDS: Final = 1.0
"""How long a process that is refused may take, from its attempt to its message."""
TRAIN: Final = ("--config", str(Path(__file__).with_name("tiny.py")), "--train.epochs", "10000")
PATIENCE_SECONDS: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class ConcurrencyOptions:
    """Start several runs in one folder at once, and check that one alone runs."""

    starts: int = 8
    """Processes that start at once."""
    rounds: int = 100
    """How often, with the lock alone; so many again without `flock`."""
    trainings: int = 4
    """How often with whole trainings, half of them without `flock`."""
    out: Path = bench.RESULTS / "reliability-concurrency.json"
    """The JSON to write."""


class Answer(NamedTuple):
    """What a process says of its attempt: whether it holds the lock, the message, and the seconds it took."""

    is_owner: bool
    said: str
    seconds: float


class Starter:
    """A process that takes the lock when it is told to."""

    def __init__(self, *, has_flock: bool) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(end, has_flock), daemon=True)
        self.process.start()
        end.close()
        self._pipe.recv()  # It is ready.

    def attempt(self, folder: Path, at: float) -> None:
        """Let it take the lock at a moment of the monotonic clock."""
        self._pipe.send((folder, at))

    def answer(self) -> Answer:
        """Wait for its answer."""
        return Answer(*self._pipe.recv())

    def release(self) -> None:
        """Let it release the lock."""
        self._pipe.send(None)
        self._pipe.recv()

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.join()


def _serve(pipe: Connection, has_flock: bool) -> None:
    """Take the lock whenever a folder and a moment come, and release it at the next message."""
    if not has_flock:
        remove_flock()
    pipe.send(None)
    while True:
        folder, at = pipe.recv()
        time.sleep(max(0.0, at - time.monotonic()))
        started = time.monotonic()
        try:
            with runs_folder.locked(folder):
                pipe.send((True, "", time.monotonic() - started))
                pipe.recv()
            pipe.send(None)
        except RunError as error:
            pipe.send((False, str(error), time.monotonic() - started))


def remove_flock() -> None:
    """Let `flock` fail in this process, as on a file system without it."""
    import fcntl

    def fail(descriptor: Any, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    fcntl.flock = fail


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 where two ran, or none."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(ConcurrencyOptions, argv, prog=PROGRAM), argv))


def _run(options: ConcurrencyOptions, argv: Sequence[str]) -> int:
    console = bench.make_console()
    results, failures = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for has_flock in (True, False):
            for row, wrong in (
                try_locks(options, Path(scratch), has_flock=has_flock),
                try_trainings(options, Path(scratch), has_flock=has_flock),
            ):
                results.append(row)
                failures += wrong
                show(console, row)
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"starts": options.starts, "rounds": options.rounds, "limit_seconds": SECONDS},
        results=results,
        extra={"failures": failures},
    )
    for line in failures:
        console.print(line)
    console.print(f"{len(failures)} failures; written to {options.out}")
    return 1 if failures else 0


def show(console: Console, row: Json) -> None:
    """Print a row."""
    slowest = "none" if row["refused"] == 0 else f"{row['seconds_to_leave']['max']:.3f} s"
    console.print(
        f"{row['what']}, {row['locks']}: {row['tried']} rounds, {row['killed_owners']} owners killed, "
        f"{row['refused']} refused, the slowest after {slowest}; {row['failed']} failed"
    )


def _summarise(seconds: Sequence[float]) -> Json:
    return {"median": statistics.median(seconds), "max": max(seconds)} if seconds else {}


def try_locks(options: ConcurrencyOptions, scratch: Path, *, has_flock: bool) -> tuple[Json, list[str]]:
    """Let processes take the lock at once; return a row and what went wrong."""
    name = "flock" if has_flock else "no flock"
    starters = [Starter(has_flock=has_flock) for _ in range(options.starts)]
    seconds: list[float] = []
    failures: list[str] = []
    killed = taken_over = failed = 0
    for number in range(options.rounds):
        folder, at = scratch / f"{name}-{number // 2}", time.monotonic() + 0.02
        for starter in starters:
            starter.attempt(folder, at)
        answers = [starter.answer() for starter in starters]
        wrong = find_wrong(answers, [starter.process.pid for starter in starters])
        seconds += [answer.seconds for answer in answers if not answer.is_owner]
        for index, answer in enumerate(answers):
            if not answer.is_owner:
                continue
            if number % 2:
                starters[index].release()
                continue
            starters[index].kill()
            killed += 1
            starters[index] = Starter(has_flock=has_flock)
            starters[index].attempt(folder, 0.0)
            if (after := starters[index].answer()).is_owner:
                taken_over += 1
                starters[index].release()
            else:
                wrong.append(f"a killed owner blocks: {after.said}")
        failed += bool(wrong)
        failures += [f"{name}, round {number}: {each}" for each in wrong]
    for starter in starters:
        starter.kill()
    row = {
        **{"what": "lock", "locks": name, "tried": options.rounds, "starts": options.starts},
        **{"killed_owners": killed, "taken_over": taken_over, "refused": len(seconds), "failed": failed},
        "seconds_to_leave": _summarise(seconds),
    }
    return row, failures


def find_wrong(answers: Sequence[Answer], pids: Sequence[int | None]) -> list[str]:
    """List what is wrong with a round."""
    owners = [pid for answer, pid in zip(answers, pids, strict=True) if answer.is_owner]
    if len(owners) != 1:
        return [f"{len(owners)} processes hold the lock: {[answer.said for answer in answers]}"]
    others = [answer for answer in answers if not answer.is_owner]
    wrong = [f"it took {each.seconds:.2f} s" for each in others if each.seconds > SECONDS]
    return wrong + [f"it said {e.said!r}" for e in others if f"(process {owners[0]} on " not in e.said]


WORKER: Final = """
import sys, time
from benchmarks.reliability import concurrency
from fer_jax.runtime.disk import lock
from fer_jax.train.__main__ import main
if sys.argv[1] == "no":
    concurrency.remove_flock()
hold = lock.hold
def timed(folder):
    print(f"lock {time.monotonic()}", flush=True)
    return hold(folder)
lock.hold = timed
status = main(sys.argv[2:])
print(f"told {time.monotonic()}", flush=True)
sys.exit(status)
"""
"""A training that says when it came to the lock, and when it had told the user that another one holds it."""


def try_trainings(options: ConcurrencyOptions, scratch: Path, *, has_flock: bool) -> tuple[Json, list[str]]:
    """Start trainings at once, and kill the one that runs; return a row and what went wrong."""
    name = "flock" if has_flock else "no flock"
    to_leave: list[float] = []
    to_end: list[float] = []
    failures: list[str] = []
    rounds = options.trainings // 2
    failed = 0
    for number in range(rounds):
        wrong, seconds, whole = _train_at_once(options.starts, scratch / f"train-{name}-{number}", has_flock)
        to_leave += seconds
        to_end += whole
        failed += bool(wrong)
        failures += [f"train, {name}, round {number}: {each}" for each in wrong]
    row = {
        **{"what": "training", "locks": name, "tried": rounds, "starts": options.starts},
        **{"killed_owners": rounds, "refused": len(to_leave), "failed": failed},
        **{"seconds_to_leave": _summarise(to_leave), "seconds_from_start": _summarise(to_end)},
    }
    return row, failures


def _train_at_once(starts: int, folder: Path, has_flock: bool) -> tuple[list[str], list[float], list[float]]:
    """Start trainings in one folder; return what is wrong, and the seconds that each refused one took.

    They count from the lock to the message, and from the start of the process to its end.
    """
    words = ["flock" if has_flock else "no", *TRAIN, "--run-dir", str(folder)]
    command = [sys.executable, "-c", WORKER, *words]
    started = time.monotonic()
    live = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(starts)
    ]
    wrong: list[str] = []
    at_lock, from_start, ended = [], [], []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(live) > 1 and time.monotonic() < deadline:
        for process in live:
            if process.poll() is not None:
                now = time.monotonic()
                live.remove(process)
                ended.append((process.returncode, *process.communicate()))
                from_start.append(now - started)
                at_lock += _read_seconds(ended[-1][1])
                break
        time.sleep(0.005)
    if len(live) != 1:
        wrong.append(f"{len(live)} of {starts} run: {ended}")
    owner = live[0].pid if live else 0
    for process in live:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for status, _, said in ended:
        if status != 4 or f"(process {owner} on " not in said or said.count("\n") != 1:
            wrong.append(f"status {status}, it said {said!r}")
    wrong += [f"the message came {each:.2f} s after the lock" for each in at_lock if each > SECONDS]
    try:
        with runs_folder.locked(folder):
            pass
    except RunError as error:
        wrong.append(f"a killed owner blocks: {error}")
    return wrong, at_lock, from_start


def _read_seconds(said: str) -> list[float]:
    """Read how long a training took from its last attempt at a lock to the message; nothing without one."""
    moments = dict(line.split() for line in said.splitlines() if line.startswith(("lock ", "told ")))
    return [float(moments["told"]) - float(moments["lock"])] if len(moments) == 2 else []


if __name__ == "__main__":
    sys.exit(main())
