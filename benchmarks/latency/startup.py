"""How long is it from the command to the first step? New processes, in fer_jax and in PyTorch.

    python -m benchmarks.latency.startup --config configs/run6.py --data train.csv
    python -m benchmarks.latency.startup --config configs/run6.py --cases help ours ours-compiled --rounds 3

Each case starts a new process, in turns: `--help` and a misspelt option, the imports of the libraries alone,
and the real programs until their first step is done, with the parts imports, data, tracing and compiling. On
a GPU most of compiling is choosing kernels: how much is the difference to the case in which they were chosen
before. With `--whole-epoch` the programs go on to the end of the first epoch. The operating system keeps the
files in memory between starts; of our own caches, only those in the case's name are filled. Writes
benchmarks/results/startup-CONFIG.json, with every start.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rich.console import Console

from benchmarks.harness import arena, bench, timeline
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.errors import ConfigError
from fer_jax.runtime import cpu

PROGRAM = "python -m benchmarks.latency.startup"
QUESTION = "How long is it from the command to the first step?"
CACHE, COMPILED, FLAGS = "FER_JAX_CACHE", "JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS"
WIDTH_OF_A_FILE = 160
STAGES = ("import_s", "data_s", "trace_s", "compile_s", "total_s", "epoch_s")
AUTOTUNED = "autotuned.txt"

Name = Literal[
    "python",
    "jax",
    "help",
    "slip",
    "ours-first",
    "ours-autotuned",
    "ours",
    "ours-compiled",
    "torch-first",
    "torch",
]


class Case(NamedTuple):
    """A way to start.

    Attributes:
        title: its name in the table.
        argv: Python's arguments; None: run the probe.
        program: the program that the probe runs.
        words: the program's options besides config and data.
        has_cache: whether the data has been read before.
        status: the exit status that is wanted.
    """

    title: str
    argv: tuple[str, ...] | None
    program: str = ""
    words: tuple[str, ...] = ()
    has_cache: bool = True
    status: int = 0


TRAIN = ("-m", "fer_jax.train")
CASES: dict[str, Case] = {
    "python": Case("python, nothing else", ("-c", "pass")),
    "jax": Case("import jax, flax, optax", ("-c", "import jax, flax.linen, optax")),
    "help": Case("python -m fer_jax.train --help", (*TRAIN, "--help")),
    "slip": Case(
        "a misspelt option", (*TRAIN, "--config", "configs/run6.py", "--train.epoch", "3"), status=2
    ),
    "ours-first": Case("fer_jax, the very first time", None, "ours", has_cache=False),
    "ours-autotuned": Case("the same, the kernels chosen before", None, "ours", has_cache=False),
    "ours": Case("fer_jax, the data in its cache", None, "ours", ("--device.no-compile-cache",)),
    "ours-compiled": Case("fer_jax, compiled programs too", None, "ours"),
    "torch-first": Case("PyTorch, the very first time", None, "torch", has_cache=False),
    "torch": Case("PyTorch, the data in fer_jax's cache", None, "torch"),
}


@dataclass(frozen=True)
class Startup:
    """Time new processes from their start to the first training step."""

    config: Path = Path("configs/run6.py")
    """The config to train."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv; without it the faces are synthetic, drawn at each start."""
    examples: int = 8000
    """Number of synthetic faces."""
    cases: tuple[Name, ...] = get_args(Name)
    """Cases to start. slip: a misspelt option, which is refused; ours-first: no cache at all; ours-autotuned:
    the same, but XLA has chosen its kernels before, on a GPU; ours: the parsed data is in fer_jax's cache;
    ours-compiled: compiled programs too; torch-first, torch: a plain PyTorch script."""
    whole_epoch: bool = False
    """Go on to the end of the first epoch, with its evaluation and its checkpoint."""
    rounds: int = 5
    """Starts of each case."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/startup-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Startup, argv, prog=PROGRAM), argv))


def _measure(options: Startup, argv: list[str] | None) -> int:
    console = bench.make_console(WIDTH_OF_A_FILE)
    config = load_config(options.config)
    names = _choose(options, console)
    words = ["--config", str(options.config.resolve()), *timeline.data_words(options.data, options.examples)]
    end = "epoch" if options.whole_epoch else "step"
    with tempfile.TemporaryDirectory() as cache:
        _prepare(names, words, cache, console, end=end)
        starts: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for number in range(1, options.rounds + 1):
            for name in names:
                starts[name].append(_start(CASES[name], words, cache, end=end, flags=_flags(name, cache)))
                console.print(
                    f"round {number} of {options.rounds}: {CASES[name].title}: "
                    f"{starts[name][-1]['total_s']:.2f} s"
                )
    rows = [_figures(name, starts[name]) for name in names]
    _show(console, rows, f"{config.name}: seconds from the start of the process")
    out = options.out or bench.RESULTS / f"startup-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "config": to_json(config),
            "data": timeline.name_data(options.data),
            "examples": options.examples,
            "rounds": options.rounds,
            "whole_epoch": options.whole_epoch,
        },
        results=rows,
        extra={},
    )
    console.print(f"written to {out}")
    return 0


def _choose(options: Startup, console: Console) -> list[str]:
    needs: dict[str, list[str]] = {
        name: ["torch"] if CASES[name].program == "torch" else [] for name in options.cases
    }
    names = bench.keep_installed(needs, console)
    if not names:
        raise ConfigError("there is nothing to start; name some with --cases")
    return names


def _prepare(names: list[str], words: Sequence[str], cache: str, console: Console, *, end: str) -> None:
    """Fill the caches with starts that are not counted; leave out the case for which nothing is there."""
    for name in names:
        if CASES[name].has_cache and CASES[name].program == "ours":
            _start(CASES[name], words, cache, end=end, flags="")
    if "ours-autotuned" in names:
        if cpu.name_autotuned() is not None:
            dump = f"--xla_gpu_dump_autotune_results_to={cache}/{AUTOTUNED}"
            _start(CASES["ours-first"], words, cache, end=end, flags=dump)
        if not Path(cache, AUTOTUNED).exists():
            console.print("left out: ours-autotuned, for which XLA must have chosen kernels on a GPU")
            names.remove("ours-autotuned")


def _flags(name: str, cache: str) -> str:
    return f"{cpu.LOAD_AUTOTUNED}={cache}/{AUTOTUNED}" if name == "ours-autotuned" else ""


def _start(case: Case, words: Sequence[str], cache: str, *, end: str, flags: str) -> dict[str, float]:
    """Start a case in a new process; return the seconds of its parts, or only `total_s` if it has none."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            CACHE: cache if case.has_cache else f"{scratch}/cache",
            COMPILED: "",
            FLAGS: f"{os.environ.get(FLAGS, '')} {flags}".strip(),
        }
        if case.argv is not None:
            started = time.monotonic()
            timeline.call([sys.executable, *case.argv], environment, status=case.status)
            return {"total_s": time.monotonic() - started}
        if flags:
            timeline.call([sys.executable, *timeline.CHECK_FLAGS], environment)
        answer = Path(scratch) / "answer.json"
        program = [case.program, end, *words, *case.words, "--run-dir", f"{scratch}/run"]
        probe = timeline.python("benchmarks.latency.startup_probe", str(answer))
        timeline.call([*probe, repr(time.monotonic()), *program], environment)
        return json.loads(answer.read_bytes())


def _figures(name: str, starts: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Compute one row from its starts."""
    stages = {stage: [start[stage] for start in starts] for stage in STAGES if stage in starts[0]}
    counts = {key: starts[-1].get(key) for key in ("programs", "cache_hits")}
    facts = {"title": CASES[name].title, "stages_s": stages, **counts}
    return arena.to_row(arena.Result(name, facts, [[start["total_s"]] for start in starts]))


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    heads = (
        "imports",
        "data",
        "tracing",
        "XLA compiling",
        "to the first step, or the end",
        "to an epoch's end",
    )
    table = bench.make_table(title, heads)
    for row in rows:
        stages = row["facts"]["stages_s"]
        cells = [arena.format_range(stages[stage], 2) if stage in stages else "" for stage in STAGES]
        table.add_row(row["facts"]["title"], *cells)
    console.print(table)
    if any(row["name"] == "ours-compiled" and not row["facts"]["cache_hits"] for row in rows):
        console.print("note: the compile cache was empty, so ours-compiled compiled everything again")


if __name__ == "__main__":
    sys.exit(main())
