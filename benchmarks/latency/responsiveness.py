"""How long does a command keep a user waiting? To a refusal, to the first line, and between two lines.

    python -m benchmarks.latency.responsiveness
    python -m benchmarks.latency.responsiveness --data train.csv --commands train evaluate

Each command is started as a new process in an empty folder, with its output in a pipe, as in a log. It is
refused something (a missing file, run or name, a changed field) several times, and does its work on little
data. Writes benchmarks/results/responsiveness-CONFIG.json, with every refusal and every run.
"""

import itertools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from rich.console import Console

from benchmarks.harness import arena, bench, timeline
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.errors import ConfigError, RunError

PROGRAM = "python -m benchmarks.latency.responsiveness"
QUESTION = "How long does a command keep a user waiting?"
WIDTH_OF_A_FILE = 120
RECORD = """\
import dataclasses

from fer_jax.config import DataConfig
from fer_jax.config.files import load_config

base = load_config({config!r})
config = dataclasses.replace(
    base,
    name="bench",
    data=DataConfig(**{data!r}),
    train=dataclasses.replace(base.train, epochs={epochs}),
)
"""
"""The config of all commands: the one that is asked for, on little data."""

Name = Literal[
    "train",
    "evaluate",
    "compare",
    "diagnose",
    "check",
    "sweep",
    "bias_variance",
    "audit",
    "release",
    "show",
    "configs",
]
CONFIG = ("--config", "bench.py")
NO_DATA = (*CONFIG, "--data", "missing.csv")


class Case(NamedTuple):
    """A command.

    Attributes:
        work: its options when it works.
        refusals: its options when it refuses them, with the exit status.
    """

    work: tuple[str, ...]
    refusals: tuple[tuple[int, tuple[str, ...]], ...]


CASES: dict[str, Case] = {
    "train": Case(
        (*CONFIG, "--run-dir", "runs/a"),
        (
            (2, ("--config", "run66")),
            (2, (*CONFIG, "--lr", "0.1")),
            (2, (*CONFIG, "--train.epochs", "many")),
            (3, NO_DATA),
            (4, (*CONFIG, "--run-dir", "runs/a")),
            (4, (*CONFIG, "--run-dir", "runs/a", "--resume", "--train.batch-size", "7")),
        ),
    ),
    "evaluate": Case(
        ("runs/a",),
        ((4, ("runs/aa",)), (4, ("mdi",)), (3, ("runs/a", "--data", "missing.csv")), (2, ("mid",))),
    ),
    "compare": Case(("runs",), ((4, ("runs/a", "runs/aa")), (4, ("runs/a",)))),
    "diagnose": Case(("runs/a",), ((4, ("runs/aa",)), (4, ("runs/a", "--bias-variance", "missing.json")))),
    "check": Case(CONFIG, ((2, ("--config", "run66")), (3, NO_DATA))),
    "sweep": Case(
        (*CONFIG, "--space", "craft", "--trials", "2"),
        ((2, (*CONFIG, "--space", "crafd")), (3, (*NO_DATA, "--space", "craft"))),
    ),
    "bias_variance": Case(
        (*CONFIG, "--seeds", "2", "--resamples", "1"), ((2, (*CONFIG, "--seeds", "1")), (3, NO_DATA))
    ),
    "audit": Case((*CONFIG, "--folds", "2", "--epochs", "1"), ((2, ("--config", "run66")), (3, NO_DATA))),
    "release": Case(
        ("runs/a", "--name", "mine"), ((4, ("runs/aa", "--name", "mine")), (2, ("runs/a", "--name", "M")))
    ),
    "show": Case(CONFIG, ((2, ("--config", "run66")), (3, NO_DATA))),
    "configs": Case((), ((2, ("--config", "run66")),)),
}
"""In the order in which they are started: the first makes the run that the others need."""
OTHER_RUN = (*CONFIG, "--run-dir", "runs/b", "--optimizer.peak-rate", "0.002")
"""What `compare` compares the run with."""


@dataclass(frozen=True)
class Responsiveness:
    """Time the commands as a user meets them: refused, and at work."""

    config: Path = Path("configs/run6.py")
    """The config that the commands work with."""
    data: Path | None = None
    """A FER2013 file; without it the faces are synthetic."""
    examples: int = 2000
    """Number of synthetic faces."""
    epochs: int = 2
    """Epochs of each training."""
    commands: tuple[Name, ...] = get_args(Name)
    """Commands to time."""
    rounds: int = 3
    """How often each command works, and each refusal is provoked."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/responsiveness-CONFIG.json."""


CACHES: Final = "one of its own for each command that works"


class Waits(NamedTuple):
    """How long one run of a command kept a user waiting, in seconds.

    Attributes:
        first_line: from the start of the process to the first output.
        silence: the longest time without output after that, up to the end of the process.
        total: from the start to the end.
    """

    first_line: float
    silence: float
    total: float


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Responsiveness, argv, prog=PROGRAM), argv))


def _measure(options: Responsiveness, argv: list[str] | None) -> int:
    console = bench.make_console(WIDTH_OF_A_FILE)
    config = load_config(options.config)
    if options.rounds < 1:
        raise ConfigError(f"--rounds is {options.rounds}; wanted at least 1")
    names: list[str] = [name for name in CASES if name in options.commands]
    names = bench.keep_installed({name: ["optuna"] if name == "sweep" else [] for name in names}, console)
    if not names:
        raise ConfigError("there is nothing to time; name some with --commands")
    works: dict[str, list[Waits]] = {name: [] for name in names}
    refusals: dict[str, list[list[float]]] = {name: [[] for _ in CASES[name].refusals] for name in names}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(1, options.rounds + 1):
            with tempfile.TemporaryDirectory() as folder:
                _prepare(Path(folder), options)
                for name in names:
                    works[name].append(_work(name, Path(folder), Path(cache)))
                    console.print(f"round {number} of {options.rounds}: {name}: {_describe(works[name][-1])}")
                for name in names:
                    for samples, (status, words) in zip(refusals[name], CASES[name].refusals, strict=True):
                        samples.append(_start(name, words, Path(folder), Path(cache), status=status).total)
    rows = [_row(name, works[name], refusals[name]) for name in names]
    _show(console, rows, f"{config.name}: seconds that a user waits")
    out = options.out or bench.RESULTS / f"responsiveness-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "config": to_json(config),
            "data": timeline.name_data(options.data),
            "examples": options.examples,
            "epochs": options.epochs,
            "rounds": options.rounds,
            "caches": CACHES,
        },
        results=rows,
        extra={},
    )
    console.print(f"written to {out}")
    return 0


def _prepare(folder: Path, options: Responsiveness) -> None:
    """Write the config that all commands work with."""
    synthetic = {"source": "synthetic", "synthetic_examples": options.examples}
    data = synthetic if options.data is None else {"path": str(options.data.resolve())}
    text = RECORD.format(config=str(options.config.resolve()), data=data, epochs=options.epochs)
    (folder / "bench.py").write_text(text)


def _work(name: str, folder: Path, cache: Path) -> Waits:
    """Let a command do its work, after what it needs."""
    needs = {"runs/a": CASES["train"].work} if name != "train" else {}
    if name == "compare":
        needs["runs/b"] = OTHER_RUN
    for run, words in needs.items():
        if not (folder / run).exists():
            _start("train", words, folder, cache, status=0)
    # `check` says with status 1 that it has found a mistake; on little data it may.
    status = 1 if name == "check" else 0
    with tempfile.TemporaryDirectory() as own:  # Nothing that others have compiled is in it.
        return _start(name, CASES[name].work, folder, Path(own), status=status)


def _start(name: str, words: Sequence[str], folder: Path, cache: Path, *, status: int) -> Waits:
    """Start a command in a folder, and note when it prints.

    Raises:
        RunError: it ends with another status than this one, or 0 where the status is 1.
    """
    environment = os.environ | {
        "FER_JAX_CACHE": str(cache),
        "FER_JAX_DATA": "",
        "PYTHONPATH": os.pathsep.join([str(bench.ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    argv = timeline.python(f"fer_jax.{name}", *words)
    waits, came, printed = watch(argv, folder, environment)
    if came not in {status, status if status != 1 else 0}:
        raise RunError(
            f"{shlex.join(argv)}: ended with status {came}, not {status}; it printed:\n{arena.tail(printed)}"
        )
    return waits


def watch(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[Waits, int, bytes]:
    """Run a program in a folder to its end, and note when it prints.

    Args:
        argv: its command line.
        folder: in which it runs.
        environment: all its variables.

    Returns:
        How long it kept a user waiting, its exit status, and what it printed on stdout and stderr.
    """
    printed, times = b"", [time.monotonic()]
    with subprocess.Popen(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        if process.stdout is not None:
            while chunk := os.read(process.stdout.fileno(), 1 << 16):
                times.append(time.monotonic())
                printed += chunk
        status = process.wait()
    times.append(time.monotonic())
    gaps = [after - before for before, after in itertools.pairwise(times[1:])]
    return Waits(times[1] - times[0], max(gaps, default=0.0), times[-1] - times[0]), status, printed


def _row(name: str, works: Sequence[Waits], refusals: Sequence[Sequence[float]]) -> dict[str, Any]:
    words = [shlex.join(words) for _, words in CASES[name].refusals]
    return {
        "name": name,
        "work": shlex.join(CASES[name].work),
        "refusals_s": dict(zip(words, refusals, strict=True)),
        "first_line_s": [each.first_line for each in works],
        "longest_silence_s": [each.silence for each in works],
        "total_s": [each.total for each in works],
    }


def _describe(waits: Waits) -> str:
    return (
        f"first line after {waits.first_line:.1f} s, longest silence {waits.silence:.1f} s, "
        f"{waits.total:.1f} s in all"
    )


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    table = bench.make_table(title, ("refusal", "first line", "longest silence", "in all"), first="command")
    for row in rows:
        refused = [seconds for samples in row["refusals_s"].values() for seconds in samples]
        cells = [arena.format_range(row[key], 1) for key in ("first_line_s", "longest_silence_s", "total_s")]
        table.add_row(row["name"], arena.format_range(refused, 2), *cells)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
