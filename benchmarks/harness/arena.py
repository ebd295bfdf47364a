"""Compare the speed of several candidates fairly: live processes that take turns on the same machine.

Each candidate is a worker process with its own allocator, flags and libraries. The workers start one after
another, each reports when it is ready, and then they are measured in turns, A B C A B C, so that a change in
the machine's speed affects all of them alike. A worker is any program that calls `serve`. One started by hand
reads its commands from standard input: `go 5` runs five iterations, `stop` ends it. An example is
`benchmarks.harness.gemm`.
"""

import contextlib
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from rich.console import Console
from rich.progress import Progress

from benchmarks.harness import bench
from fer_jax.errors import RunError

ANSWERS = "FER_JAX_ARENA_ANSWERS"
"""Environment variable: the file descriptor on which a worker answers."""
TAIL_CHARACTERS = 2000
PATIENCE_SECONDS = 30.0
"""How long a worker may take to end after it was told to stop."""

Library = Literal["jax", "torch"]
Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Candidate:
    """One of the things to compare: a program that calls `serve`.

    Attributes:
        name: its row in the table.
        command: the worker's command line, run in the root of the repository.
        environment: variables in addition to the inherited ones.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """The measurements of one candidate.

    Attributes:
        name: the candidate's.
        facts: what the worker reported when it was ready and when it ended; always with `start_s`, the
            seconds from its start until it was ready, and `peak_rss_mib`.
        samples: seconds of each iteration, [rounds][iterations].
    """

    name: str
    facts: dict[str, Any]
    samples: list[list[float]]


# The worker's side.


def serve(
    facts: Mapping[str, Any],
    run: Callable[[], Any],
    *,
    untimed_iterations: int = 0,
    at_end: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Be a worker: report the facts, run when told to, and end when told to or when nobody is listening.

    Args:
        facts: ready for JSON, such as the seconds of compiling.
        run: one iteration. It must not return before its result has been computed.
        untimed_iterations: extra runs at the start of each turn, to be warm again after the others' turns.
        at_end: returns the facts that are known only at the end, such as the last loss.
    """
    with os.fdopen(int(os.environ.get(ANSWERS, "1")), "w", encoding="utf-8") as answers:

        def say(message: Any) -> None:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

        say(dict(facts))
        # Not `for line in stdin`: that may read ahead and wait.
        while (words := sys.stdin.readline().split()) and words[0] == "go":
            for _ in range(untimed_iterations):
                run()
            say([_time(run) for _ in range(int(words[1]))])
        say({**at_end(), "peak_rss_mib": peak_rss_mib()})


def _time(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_rss_mib() -> float:
    """Return the peak memory of this process in MiB."""
    # On Linux not getrusage: its peak includes the memory of the process that started this one.
    known = peak_rss_mib_of("self")
    if known is not None:
        return known
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def peak_rss_mib_of(pid: int | Literal["self"]) -> float | None:
    """Return the peak memory of a process in MiB; None if it has ended, or where the system is not Linux."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024
    return None


def tail(printed: bytes) -> str:
    """Return the end of what a program printed, for a message."""
    return printed.decode(errors="replace")[-TAIL_CHARACTERS:].strip()


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


# The side of the program that compares.


class _Worker:
    """A worker process and its three pipes."""

    def __init__(self, candidate: Candidate, stderr: IO[bytes]) -> None:
        self.candidate = candidate
        self._stderr = stderr
        reading, writing = os.pipe()
        try:
            self.process = subprocess.Popen(
                candidate.command,
                cwd=bench.ROOT,
                # Several processes share the GPU: JAX must not reserve most of its memory at the start.
                env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
                | os.environ
                | dict(candidate.environment)
                | {ANSWERS: str(writing)},
                stdin=subprocess.PIPE,
                # Answers have their own pipe, so that no library can print into them.
                stdout=stderr,
                stderr=stderr,
                pass_fds=(writing,),
            )
        finally:
            os.close(writing)
        self._answers = os.fdopen(reading, encoding="utf-8")

    def tell(self, line: str) -> None:
        """Send one line."""
        stdin = self.process.stdin
        if stdin is None:
            raise self.failure()
        try:
            stdin.write(f"{line}\n".encode())
            stdin.flush()
        except BrokenPipeError:
            raise self.failure() from None

    def answer(self) -> Any:
        """Wait for one answer.

        Raises:
            RunError: the worker ended without one.
        """
        line = self._answers.readline()
        if not line:
            raise self.failure()
        return json.loads(line)

    def failure(self) -> RunError:
        """Make the error that says how the worker ended and what it printed last."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_SECONDS)
        self._stderr.flush()
        self._stderr.seek(0)
        printed, status = tail(self._stderr.read()), self.process.poll()
        return RunError(
            f"the worker {self.candidate.name!r} ended with status {status}; it printed:\n{printed}"
        )

    def close(self) -> None:
        """End the process, whatever it is doing, and close its pipes."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._answers.close()


def compare(candidates: Sequence[Candidate], *, rounds: int, iterations: int) -> list[Result]:
    """Start all candidates, measure them in turns, and stop them.

    They are started one after another, so that the start of each is measured on its own.

    Args:
        candidates: with different names.
        rounds: turns of each candidate.
        iterations: measured runs per turn.

    Returns:
        One result for each candidate, in their order.

    Raises:
        RunError: a worker ended early; the message contains the end of what it printed.
    """
    total = len(candidates) * (rounds + 1)
    with ExitStack() as stack, _progress(total) as advance:
        workers: list[tuple[_Worker, dict[str, Any], list[list[float]]]] = []
        for candidate in candidates:
            advance(f"starting {candidate.name}", 0)
            start = time.perf_counter()
            worker = _Worker(candidate, stack.enter_context(tempfile.TemporaryFile()))
            stack.callback(worker.close)
            facts = worker.answer()
            workers.append((worker, facts | {"start_s": time.perf_counter() - start}, []))
            advance(f"started {candidate.name}", 1)
        for number in range(1, rounds + 1):
            for worker, _, samples in workers:
                advance(f"round {number} of {rounds}: {worker.candidate.name}", 0)
                worker.tell(f"go {iterations}")
                samples.append([round(seconds, 9) for seconds in worker.answer()])
                advance(f"round {number} of {rounds}: {worker.candidate.name}", 1)
        results = []
        for worker, facts, samples in workers:
            worker.tell("stop")
            last_words = worker.answer()
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(PATIENCE_SECONDS)
            results.append(Result(worker.candidate.name, facts | last_words, samples))
    return results


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda text, count: bar.update(task, description=text, advance=count)


# Statistics of the samples.


def median_s(result: Result) -> float:
    """Return the median of all samples in seconds."""
    return statistics.median(itertools.chain(*result.samples))


def spread(result: Result) -> dict[str, float]:
    """Return `min`, `q1`, `median`, `q3` and `max` of all samples in seconds."""
    samples = list(itertools.chain(*result.samples))
    # Quartiles of one sample are that sample.
    q1, median, q3 = statistics.quantiles(samples * 2 if len(samples) == 1 else samples, method="inclusive")
    return {"min": min(samples), "q1": q1, "median": median, "q3": q3, "max": max(samples)}


def ratios(result: Result, baseline: Result) -> list[float]:
    """Divide the baseline's median by the result's in each round; above 1 is faster than the baseline.

    >>> ratios(Result("a", {}, [[1.0], [1.0]]), Result("b", {}, [[2.0], [3.0]]))
    [2.0, 3.0]
    """
    pairs = zip(result.samples, baseline.samples, strict=True)
    return [statistics.median(other) / statistics.median(own) for own, other in pairs]


def to_row(result: Result) -> dict[str, Any]:
    """Convert a result to JSON: name, facts, spread in seconds, and the samples themselves."""
    return {
        "name": result.name,
        "facts": result.facts,
        "spread_s": spread(result),
        "samples_s": result.samples,
    }


def milliseconds(row: Mapping[str, Any]) -> list[float]:
    """Return all samples of a row made by `to_row`, in milliseconds."""
    return [1000 * seconds for samples in row["samples_s"] for seconds in samples]


def format_range(values: Sequence[float], decimals: int) -> str:
    """Format median, minimum and maximum.

    >>> format_range([3.0, 1.0, 2.0], 1)
    '2.0 (1.0..3.0)'
    """
    return (
        f"{statistics.median(values):.{decimals}f} ({min(values):.{decimals}f}..{max(values):.{decimals}f})"
    )
