"""Fuzz every reader: valid inputs edited at random, 10,000 for each reader, against slow strict oracles.

    python -m benchmarks.reliability.fuzz --inputs 10000
    python -m benchmarks.reliability.fuzz --readers csv card --engine atheris

A reader answers or refuses. It fails where it raises anything but a `FerJaxError`, where the message holds
control characters or is long, where it accepts what the oracle refuses or reads otherwise, where it refuses
what nobody edited, and where it takes more than `SECONDS` or `MEMORY_MIB`. Each reader runs in a process of
its own, so that a crash is one failure and memory is its own. Inputs come in chunks, each drawn by
Hypothesis from a seed of its own; a failure names the chunk's seed and its number in it, and `--keep` writes
the input. With `--engine atheris` (pip install atheris, on Linux) coverage guides the drawing, see
`fuzz_atheris`. At the end come the bombs, small files that promise much, see `fuzz_bombs`.

Exit status: 0 without failures, 1 with some.
"""

import contextlib
import io
import json
import multiprocessing
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

try:
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, settings
except ImportError:
    sys.exit("error: this needs hypothesis: pip install 'fer-jax[dev]'")

from benchmarks.harness import arena, bench
from benchmarks.reliability.fuzz_bombs import BOMBS
from benchmarks.reliability.fuzz_data import READERS as DATA_READERS
from benchmarks.reliability.fuzz_edits import Input, Reader, write
from benchmarks.reliability.fuzz_oracles import RefusedError
from benchmarks.reliability.fuzz_runs import READERS as RUN_READERS
from fer_jax import cli
from fer_jax.errors import ConfigError, FerJaxError
from fer_jax.files import Json, read_json

PROGRAM: Final = "python -m benchmarks.reliability.fuzz"
READERS: Final = {reader.name: reader for reader in (*DATA_READERS, *RUN_READERS)}
CHUNK: Final = 500
SECONDS: Final = 10.0
MEMORY_MIB: Final = 1024
"""What a process may map beyond what it has when the first input comes."""
BOMB_SECONDS: Final = 60.0
BOMB_MEMORY_MIB: Final = 3072
"""Up to 1 GiB of a table is read, whatever it unpacks from."""
MESSAGE_LETTERS: Final = 4200
FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Control characters, halves of surrogate pairs, and what turns the direction of writing."""

Engine = Literal["hypothesis", "atheris"]


@dataclass(frozen=True, kw_only=True)
class FuzzOptions:
    """Fuzz the readers."""

    inputs: int = 10_000
    """Inputs for each reader."""
    readers: tuple[str, ...] = tuple(READERS)
    """Which readers."""
    seed: int = 0
    """Of the first chunk."""
    engine: Engine = "hypothesis"
    """What draws the inputs."""
    workers: int = 2
    """Readers at a time."""
    keep: Path | None = None
    """A folder for the inputs that failed."""
    out: Path = bench.RESULTS / "reliability-fuzz.json"
    """The JSON to write."""


@dataclass
class Tally:
    """What a reader did so far.

    Attributes:
        came: how often it accepted, refused and failed.
        slowest_ms: of all inputs.
        failures: what went wrong, where.
    """

    came: dict[str, int] = field(default_factory=lambda: {"accepted": 0, "refused": 0, "failed": 0})
    slowest_ms: float = 0.0
    failures: list[Json] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many there were."""
        return sum(self.came.values())


class TooSlowError(BaseException):
    """The time of an input is up; not an `Exception`, so that no reader catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooSlowError` in the main thread when the time is up."""

    def stop(signum: int, frame: object) -> None:
        raise TooSlowError(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def find_fault(message: str) -> str | None:
    """Find what is wrong with a message; None if nothing is."""
    if found := FORBIDDEN.search(message):
        return f"the message holds {found[0]!r}: {message[:200]!r}"
    if len(message) > MESSAGE_LETTERS:
        return f"the message has {len(message)} letters"
    return None if message.strip() else "the message is empty"


def judge(reader: Reader, given_input: Input, folder: Path, *, seconds: float = SECONDS) -> tuple[str, str]:
    """Let a reader read an input, and return `accepted`, `refused` or `failed` with a message."""
    try:
        with time_limit(seconds), warnings.catch_warnings(action="error"), _silent() as said:
            came = reader.read(folder, given_input.on_bad_row)
    except FerJaxError as error:
        return _judge_refusal(reader, given_input, folder, str(error))
    except (Exception, TooSlowError) as error:
        return "failed", f"{type(error).__name__}: {error}"[:500]
    if said.getvalue():
        return "failed", f"it printed {said.getvalue()[:200]!r}"
    try:
        reader.check(folder, given_input.on_bad_row, came)
    except RefusedError as error:
        return "failed", f"accepted, but the oracle says: {error}"
    return "accepted", ""


def _judge_refusal(reader: Reader, given_input: Input, folder: Path, message: str) -> tuple[str, str]:
    if fault := find_fault(message):
        return "failed", fault
    if not given_input.is_edited:
        return "failed", f"a good input was refused: {message[:300]}"
    if reader.is_exact:
        with contextlib.suppress(RefusedError, FileNotFoundError):
            reader.check(folder, given_input.on_bad_row, None)
            return "failed", f"refused, but the oracle accepts it: {message[:300]}"
    return "refused", message


@contextmanager
def _silent() -> Iterator[io.StringIO]:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        yield said


def fuzz(reader: Reader, *, inputs: int, seed: int, keep: Path | None) -> Tally:
    """Draw inputs for a reader, and count what it does."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as home:
        while tally.inputs < inputs:
            before = tally.inputs
            take = make_taker(reader, tally, Path(home), seed, keep)
            number = min(CHUNK, inputs - before)
            draw(take, reader, number, seed)
            if tally.inputs == before:
                raise ConfigError(f"{reader.name}: the engine draws no more inputs")
            seed += 1
    return tally


def make_taker(
    reader: Reader, tally: Tally, home: Path, seed: int, keep: Path | None
) -> Callable[[Input], None]:
    """Make the function that writes an input into a folder, judges it, and counts."""
    first = tally.inputs

    def take(drawn: Input) -> None:
        folder, number = home / "input", tally.inputs - first
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write(drawn.files, folder)
        started = time.perf_counter()
        came, message = judge(reader, drawn, folder)
        tally.slowest_ms = max(tally.slowest_ms, 1000 * (time.perf_counter() - started))
        tally.came[came] += 1
        if came == "failed":
            tally.failures.append({"reader": reader.name, "seed": seed, "number": number, "message": message})
            if keep is not None:
                shutil.copytree(folder, keep / f"{reader.name}-{seed}-{number}", dirs_exist_ok=True)

    return take


def draw(take: Callable[[Input], None], reader: Reader, number: int, seed: int) -> None:
    """Draw inputs of a reader by Hypothesis; the same seed draws the same."""

    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.seed(seed)
    @given(reader.inputs())
    def one(drawn: Input) -> None:
        take(drawn)

    one()


def _work(name: str, inputs: int, seed: int, keep: Path | None) -> Json:
    """Fuzz one reader in this process, whose memory is limited."""
    start = warm_up(READERS[name])
    return describe(name, fuzz(READERS[name], inputs=inputs, seed=seed, keep=keep), start)


def warm_up(reader: Reader) -> int:
    """Limit the memory of this process; what the first inputs import and compile is not theirs.

    Returns:
        What it has taken at most so far, in MiB.
    """
    fuzz(reader, inputs=20, seed=0, keep=None)
    return limit_memory(MEMORY_MIB)


def describe(name: str, tally: Tally, start: int) -> Json:
    """Describe what a reader did, for JSON."""
    return {
        "reader": name,
        "inputs": tally.inputs,
        **tally.came,
        "slowest_ms": round(tally.slowest_ms, 1),
        "start_mib": start,
        "peak_mib": peak_mib(),
        "failures": tally.failures,
    }


def limit_memory(mebibytes: int) -> int:
    """Limit what this process may still map, and return what it has taken at most so far, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return peak_mib()


def peak_mib() -> int:
    """Return the most memory that this process has taken, in MiB."""
    return int(arena.peak_rss_mib())


def _explode(name: str) -> Json:
    """Let a reader read a bomb in this process, whose memory is limited."""
    bomb = next(bomb for bomb in BOMBS if bomb.name == name)
    with tempfile.TemporaryDirectory() as home:
        bomb.make(Path(home))
        start, started = limit_memory(BOMB_MEMORY_MIB), time.perf_counter()
        empty = Input({}, "stop", is_edited=True)
        came, message = judge(bomb.reader, empty, Path(home), seconds=BOMB_SECONDS)
    took = 1000 * (time.perf_counter() - started)
    facts = {"came": came, "message": message, "ms": round(took, 1)}
    return {**facts, "start_mib": start, "peak_mib": peak_mib()}


def apart(work: Callable[..., Json], *given_to: Any) -> Json:
    """Run a function in a process of its own."""
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, context) as pool:
            return pool.submit(work, *given_to).result()
    except BrokenProcessPool:
        return {"died": True}


def _run_atheris(name: str, inputs: int, seed: int, keep: Path | None) -> Json:
    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "row.json"
        words = [name, str(inputs), str(seed), str(out), *([] if keep is None else [str(keep)])]
        command = [sys.executable, "-m", "benchmarks.reliability.fuzz_atheris", *words]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        row: Json = read_json(out) if out.exists() else {"died": True}
    return row


def main(argv: list[str] | None = None) -> int:
    """Run the program; return the exit status."""
    return cli.run(lambda: _run(cli.parse(FuzzOptions, argv, prog=PROGRAM), argv))


def _run(options: FuzzOptions, argv: list[str] | None) -> int:
    console = bench.make_console()
    if unknown := set(options.readers).difference(READERS):
        raise ConfigError(f"--readers has {', '.join(unknown)}; wanted some of {', '.join(READERS)}")

    def work(name: str) -> Json:
        started = time.monotonic()
        given_to = (name, options.inputs, options.seed, options.keep)
        row = apart(_work, *given_to) if options.engine == "hypothesis" else _run_atheris(*given_to)
        console.print(f"{time.monotonic() - started:5.0f} s  {name}: {json.dumps(row)}")
        return {"reader": name, **row}

    with ThreadPoolExecutor(options.workers) as pool:
        rows = list((map if options.workers == 1 else pool.map)(work, options.readers))
    died = [{"reader": row["reader"], "message": "the process died"} for row in rows if row.get("died")]
    failures = died + [failure for row in rows for failure in row.pop("failures", [])]
    bombs = [{"bomb": bomb.name} | apart(_explode, bomb.name) for bomb in BOMBS]
    for row in bombs:
        console.print(json.dumps(row))
    failures += [bomb for bomb in bombs if bomb.get("came") != "refused"]
    settings_used = {"inputs": options.inputs, "seed": options.seed, "chunk": CHUNK, "engine": options.engine}
    bench.write(
        options.out,
        question="Does every reader answer or refuse, whatever it is given?",
        command=bench.to_command(PROGRAM, argv),
        settings={
            **settings_used,
            **{"seconds": SECONDS, "memory_mib": MEMORY_MIB},
            **{"bomb_seconds": BOMB_SECONDS, "bomb_memory_mib": BOMB_MEMORY_MIB},
        },
        results=rows,
        extra={"bombs": bombs, "failures": failures},
    )
    console.print(f"{len(failures)} failures; written to {options.out}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
