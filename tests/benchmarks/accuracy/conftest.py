"""Trainings that the benchmarks would start as processes, in the process of the tests."""

import contextlib
import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from benchmarks.accuracy import ladder
from benchmarks.harness import unattended
from fer_jax.train import __main__ as train


@dataclass(frozen=True)
class Ended:
    """What a benchmark asks a process that has ended already."""

    returncode: int
    pid: int = 0

    def poll(self) -> int:
        return self.returncode

    def send_signal(self, signum: int) -> None:
        pass

    def wait(self, timeout: float | None = None) -> int:
        return self.returncode


def start(argv: Sequence[str], *, cwd: Path, stdout: IO[bytes] | None = None, **_: Any) -> Ended:
    """Train to the end in this process; what is printed goes where the process's output would."""
    assert list(argv[1:3]) == ["-m", "fer_jax.train"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), contextlib.chdir(cwd):
        try:
            status = train.main(list(argv[3:]))
        except SystemExit as stopped:  # tyro's own mistakes end the program.
            status = int(stopped.code or 0)
    if stdout is not None:
        stdout.write(printed.getvalue().encode())
    return Ended(status)


@pytest.fixture
def trainings_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train one run after the other in this process, without pictures and pages.

    To start a process takes longer than to train a tiny network.
    Real processes, side by side, one of which fails, are those of `test_accuracy.py`.
    """
    processes = SimpleNamespace(Popen=start, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(unattended, "subprocess", processes)
    monkeypatch.setattr(unattended, "pin", lambda *_: None)
    monkeypatch.setattr(unattended, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(ladder, "subprocess", SimpleNamespace(run=start))
    monkeypatch.setattr("fer_jax.train.finish.report_plots.write_png", lambda *_: None)
    monkeypatch.setattr("fer_jax.train.finish.run_page.write", lambda folder: folder)
