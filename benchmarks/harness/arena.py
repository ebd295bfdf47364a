"""How fast is one thing against another? Live processes that take turns, so that all meet the same machine.

Each candidate is a worker process with its own allocator, flags and libraries. They are started one after
another, each says when it is ready, and then they are measured in turns, A B C A B C, so that a change of
the machine's speed meets all of them. A worker is any program that calls `serve`; started by hand, it is told
what to do by lines on its standard input: `go 5` runs five times, `stop` ends it. `benchmarks.harness.gemm` is one.
"""

import contextlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import re
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

from fer_jax.errors import RunError
from fer_jax.files import write_json
from fer_jax.runtime import machine

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
HOW_TO_INSTALL = "pip install 'fer-jax[bench]'"
ANSWERS = "FER_JAX_ARENA_ANSWERS"
"""Environment variable with the number of the file descriptor that a worker answers on."""
TAIL_CHARACTERS = 2000
PATIENCE_SECONDS = 30.0
"""How long a worker that was told to stop may take over it."""

Library = Literal["jax", "torch"]
Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Candidate:
    """One of the things to compare: a program that calls `serve`.

    Attributes:
        name: its row in the table.
        command: argv of the worker, run in the root of the repository.
        environment: variables on top of the inherited ones.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """What came of one candidate.

    Attributes:
        name: of the candidate.
        facts: what the worker said when it was ready and at its end; `start_s`, seconds from its start
            until it was ready, and `peak_rss_mib` are always there.
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
    """Be a worker: say what is ready, run when told to, and end when told to or when nobody listens.

    Args:
        facts: ready for JSON, such as compile seconds and versions.
        run: one iteration. It must not return before its result is there.
        untimed_iterations: run so often before the measured ones of each turn, to be warm again after
            the others' turns.
        at_end: gives facts that are known only then, such as the last loss.
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
    """Tell the most memory that this process has held, in MiB."""
    with contextlib.suppress(OSError, StopIteration):
        # On Linux not getrusage: its peak includes the memory of the process that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def tail(printed: bytes) -> str:
    """Give the end of what a program printed, for a message."""
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
                cwd=ROOT,
                # Several processes share the GPU here: JAX may not take most of its memory at the start.
                env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
                | os.environ
                | dict(candidate.environment)
                | {ANSWERS: str(writing)},
                stdin=subprocess.PIPE,
                # Answers have a pipe of their own, so that no library can print into them.
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
        """Say how the worker ended, with the tail of what it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_SECONDS)
        self._stderr.flush()
        self._stderr.seek(0)
        printed, status = tail(self._stderr.read()), self.process.poll()
        return RunError(
            f"the worker {self.candidate.name!r} ended with status {status}; it printed:\n{printed}"
        )

    def close(self) -> None:
        """End the process, whatever it is doing."""
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
        rounds: how often each has its turn.
        iterations: measured runs of each turn.

    Returns:
        One result for each candidate, in their order.

    Raises:
        RunError: a worker ended too early; the message has the end of what it printed.
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


# The figures.


def median_s(result: Result) -> float:
    """Take the median of all samples, in seconds."""
    return statistics.median(itertools.chain(*result.samples))


def spread(result: Result) -> dict[str, float]:
    """Take smallest, quartiles and largest of all samples, in seconds: `min`, `q1`, `median`, `q3`, `max`."""
    samples = list(itertools.chain(*result.samples))
    # Quartiles of one sample are that sample.
    q1, median, q3 = statistics.quantiles(samples * 2 if len(samples) == 1 else samples, method="inclusive")
    return {"min": min(samples), "q1": q1, "median": median, "q3": q3, "max": max(samples)}


def ratios(result: Result, baseline: Result) -> list[float]:
    """Divide the baseline's median by the result's, round by round: above 1 is faster than the baseline.

    >>> ratios(Result("a", {}, [[1.0], [1.0]]), Result("b", {}, [[2.0], [3.0]]))
    [2.0, 3.0]
    """
    pairs = zip(result.samples, baseline.samples, strict=True)
    return [statistics.median(other) / statistics.median(own) for own, other in pairs]


def to_row(result: Result) -> dict[str, Any]:
    """Turn a result into JSON: name, facts, spread in seconds and the samples themselves."""
    return {
        "name": result.name,
        "facts": result.facts,
        "spread_s": spread(result),
        "samples_s": result.samples,
    }


def format_range(values: Sequence[float], decimals: int) -> str:
    """Write median, smallest and largest.

    >>> format_range([3.0, 1.0, 2.0], 1)
    '2.0 (1.0..3.0)'
    """
    return (
        f"{statistics.median(values):.{decimals}f} ({min(values):.{decimals}f}..{max(values):.{decimals}f})"
    )


# The place, and the file.


def is_installed(module: str) -> bool:
    """Say whether a library of the extra `bench` is there, without importing it."""
    return importlib.util.find_spec(module) is not None


def has_gpu() -> bool:
    """Say whether an NVIDIA GPU is there, without starting any library."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def multiplies_bfloat16() -> bool:
    """Say whether the machine has instructions for bfloat16; products without them can take minutes each."""
    cpu = Path("/proc/cpuinfo")
    return (
        has_gpu()
        or not cpu.exists()
        or re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", cpu.read_text()) is not None
    )


def list_versions() -> dict[str, str]:
    """List the versions of what a run needs and of the libraries that it is compared with."""
    others = (
        "torch",
        "torchvision",
        "triton",
        "onnx",
        "onnxruntime",
        "opencv-python-headless",
        "opencv-python",
        "pillow",
    )
    versions = machine.list_versions()
    for name in others:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def write(
    out: Path,
    *,
    question: str,
    command: str,
    settings: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    extra: Mapping[str, Any],
) -> None:
    """Write one benchmark's JSON, with the machine, the versions, the commit and the date.

    Call it after `compare`: naming the device starts JAX in this process.

    Args:
        out: the file; its folder is made if need be.
        question: what was asked.
        command: what to type to ask it again.
        settings: what was chosen, ready for JSON.
        results: one a row, see `to_row`.
        extra: more entries of the file.

    Paths lose their folders, see `without_folders`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "question": question,
        "command": command,
        "date": machine.now(),
        "git": machine.git_commit(),
        "machine": machine.describe_cpu(),
        "device": machine.describe_device(),
        "versions": list_versions(),
        "settings": settings,
        "results": results,
    }
    write_json(out, without_folders({**content, **extra}))


@contextmanager
def reading(file: Path | str) -> Iterator[None]:
    """Turn what goes wrong with a JSON of other content into one message.

    Args:
        file: that is made use of, or words for it.

    Raises:
        RunError: an entry is missing or of another kind.
    """
    try:
        yield
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{file} is not as the benchmarks write it now ({error!r}); measure it again, or name another"
        ) from error


def without_folders(content: Any) -> Any:
    """Take the folders of absolute paths out of every text: they say where a file lay, not what it is.

    Args:
        content: texts, numbers, lists and mappings, nested.

    Returns:
        The same, with paths below the repository seen from its root, and of others the file's name alone.

    >>> without_folders({"command": f"train --config {ROOT}/configs/run6.py --data /home/me/train.csv"})
    {'command': 'train --config configs/run6.py --data train.csv'}
    """
    if isinstance(content, str):
        return re.sub(r"(?<![\w.:/])/(?:[\w.~-]+/)+", "", content.replace(f"{ROOT}/", ""))
    if isinstance(content, Mapping):
        return {name: without_folders(value) for name, value in content.items()}
    if isinstance(content, Sequence):
        return [without_folders(value) for value in content]
    return content
