"""When a training program finishes each epoch: its log, watched from outside, as a user watches it.

For the benchmarks that run whole programs. A program is anything that appends a line to `log.jsonl` in its
run folder, or in folders inside it, at the end of each epoch, after saving its checkpoint if it has one.
"""

import itertools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.harness import arena, bench
from fer_jax.errors import RunError
from fer_jax.files import read_json_lines
from fer_jax.runtime.signals import watch_signals

POLL_SECONDS = 0.02
"""How often the log is read: often enough for epochs of half a second, and hardly any work."""
PAUSE_SECONDS = 1.0
"""If two looks at the log are further apart, the machine was paused, as virtual machines can be."""
CHECK_FLAGS = ("-c", "from fer_jax.runtime.environment import check_xla_flags; check_xla_flags()")
"""Arguments of Python that let fer_jax try XLA's flags, and remember them in its cache. A program that a
benchmark gives flags to would otherwise spend seconds of its measured start on it."""


@dataclass(frozen=True)
class Timeline:
    """A run of a program, seen from outside.

    Attributes:
        records: the log, one record an epoch; of the first log where there are several.
        ends_s: seconds from the start of the process until each epoch was logged.
        total_s: seconds until the process had ended.
        peak_rss_mib: peak memory of the process itself; None where the system is not Linux.
        pauses_s: how long each pause of the machine was; all other times include them.
    """

    records: list[dict[str, Any]]
    ends_s: list[float]
    total_s: float
    peak_rss_mib: float | None
    pauses_s: list[float]

    @property
    def epoch_s(self) -> list[float]:
        """Seconds of each epoch except the first, which compiles; with evaluation, checkpoint and log."""
        return [end - start for start, end in itertools.pairwise(self.ends_s)]


def python(module: str, *words: str) -> list[str]:
    """Return the command line of a module of this repository."""
    return [sys.executable, "-m", module, *words]


def data_words(data: Path | None, examples: int) -> list[str]:
    """Return the options that choose the data: a file, or a number of synthetic faces."""
    if data is not None:
        return ["--data", str(data.resolve())]
    return ["--data.source", "synthetic", "--data.synthetic-examples", str(examples)]


def name_data(data: Path | None) -> str:
    """Return the name of the data for a JSON's settings: the file's, or `synthetic`."""
    return "synthetic" if data is None else data.name


def watch(argv: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Timeline:
    """Run a program to its end and note when each epoch was done.

    Args:
        argv: its command line; it runs in the root of the repository.
        folder: its run folder, which has no log yet.
        environment: variables in addition to those of this process.

    Raises:
        RunError: it failed, or logged no epoch; the message contains the end of what it printed.
    """
    ends_s: list[float] = []
    pauses_s: list[float] = []
    now = 0.0
    peak_rss_mib: float | None = None
    with tempfile.TemporaryFile() as output, watch_signals() as signals:
        started = time.perf_counter()
        variables = os.environ | dict(environment or {})
        process = subprocess.Popen(argv, cwd=bench.ROOT, env=variables, stdout=output, stderr=output)
        try:
            is_running = True
            while is_running and not signals:
                time.sleep(POLL_SECONDS)
                # Before the log is read: the last line may come just before the end.
                is_running = process.poll() is None
                # And the clock after it: a stall in between makes an epoch end late, but never too early.
                epochs = _count_epochs(folder)
                before, now = now, time.perf_counter() - started
                if now - before > PAUSE_SECONDS:
                    pauses_s.append(now - before)
                peak_rss_mib = arena.peak_rss_mib_of(process.pid) or peak_rss_mib
                ends_s += [now] * (epochs - len(ends_s))
        finally:
            process.kill()
            process.wait()
        if signals:
            sys.exit(128 + signals[0])
        if process.returncode or not ends_s:
            output.seek(0)
            raise _failure(argv, process.returncode, output.read())
    return Timeline(read_json_lines(find_logs(folder)[0]), ends_s, now, peak_rss_mib, pauses_s)


def call(argv: Sequence[str], environment: Mapping[str, str] | None = None, *, status: int = 0) -> str:
    """Run a program to its end, in the root of the repository, and return what it printed.

    Args:
        argv: its command line.
        environment: variables in addition to those of this process.
        status: the exit status that is wanted.

    Raises:
        RunError: it ended with another one; the message contains the end of what it printed.
    """
    done = subprocess.run(
        argv,
        cwd=bench.ROOT,
        env=os.environ | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != status:
        raise _failure(argv, done.returncode, done.stdout)
    return done.stdout.decode()


def _failure(argv: Sequence[str], status: int, printed: bytes) -> RunError:
    return RunError(f"{shlex.join(argv)}: ended with status {status}; it printed:\n{arena.tail(printed)}")


def warn_of_pauses(runs: Iterable[Timeline], console: Console) -> None:
    """Print a warning if the machine was paused during some of the runs."""
    pauses = [pause for run in runs for pause in run.pauses_s]
    if pauses:
        console.print(
            f"WARNING: the machine was paused {len(pauses)} times, for up to {max(pauses):.1f} s; the times "
            "above include the pauses: measure again"
        )


def find_logs(folder: Path) -> list[Path]:
    """Return the logs of a run: its own, or those of the runs in it."""
    return sorted(path for pattern in ("log.jsonl", "*/log.jsonl") for path in folder.glob(pattern))


def _count_epochs(folder: Path) -> int:
    """Return the number of epochs that all logs have."""
    return min((path.read_bytes().count(b"\n") for path in find_logs(folder)), default=0)
