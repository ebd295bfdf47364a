"""How long does a step take in JAX and in PyTorch? The train step and the eval step of any config.

    python -m benchmarks.throughput.step --config configs/run6.py
    python -m benchmarks.throughput.step --config benchmarks/nets/vgg.py --what train \
        --candidates jax torch gemm
    python -m benchmarks.throughput.step --what train --candidates jax \
        --pythons ../other-environment/bin/python

The same network, loss, optimizer and batch on both sides, in live processes that take turns. The first step,
which compiles, is reported separately. The machine's peak in multiplying matrices is measured in the same
turns, and each step is compared with it. With `--pythons`, JAX's candidates run in other environments too, so
that versions of JAX can be compared. Writes benchmarks/results/step-CONFIG.json, with all raw samples.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena, bench, gemm
from benchmarks.throughput.step_worker import KINDS, RATE, Kind, What, count_macs, make_candidate
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError

PROGRAM = "python -m benchmarks.throughput.step"
QUESTION = "How long does a step take in JAX and in PyTorch?"
BASELINE = "torch"
FLOPS_PER_MAC = {"train": 6, "eval": 2}
"""A multiply-accumulate is two FLOP; training does it forward, for the inputs and for the weights."""
WIDTH_OF_A_FILE = 160

Name = Literal[
    "jax",
    "jax-plain",
    "jax-bf16",
    "jax-plain-bf16",
    "jax-untuned",
    "torch-users",
    "torch",
    "torch-bf16",
    "torch-compile",
    "torch-compile-bf16",
    "torch-replayed-bf16",
    "torch-graphs",
    "torch-graphs-bf16",
    "gemm",
]
ON_CPU: tuple[Name, ...] = ("jax", "jax-plain", "jax-bf16", "torch-users", "torch", "torch-bf16", "gemm")
COMPILED: tuple[Name, ...] = (
    "torch-compile",
    "torch-compile-bf16",
    "torch-replayed-bf16",
    "torch-graphs",
    "torch-graphs-bf16",
)


@dataclass(frozen=True)
class Step:
    """Measure the train step and the eval step of a config, JAX against PyTorch."""

    config: Path = Path("configs/run6.py")
    """The config whose network, loss and optimizer are measured."""
    what: tuple[What, ...] = ("train", "eval")
    """The steps to measure."""
    candidates: tuple[Name, ...] = ()
    """Candidates; `gemm` is the machine's peak. By default all except jax-untuned and
    jax-plain-bf16; on a CPU also without compiled PyTorch, which compiles for minutes, and without bfloat16
    where the processor lacks it."""
    pythons: tuple[Path, ...] = ()
    """Python interpreters of other environments with the dependencies of fer_jax. JAX's candidates are
    measured there too; their rows end with the version of jax."""
    batch_size: int | None = None
    """Images per step; by default the config's."""
    rounds: int = 7
    """Turns of each candidate."""
    iterations: int = 5
    """Measured steps per turn."""
    gemm_size: int | None = None
    """Rows and columns of the matrices of `gemm`; by default 2048, on a GPU 8192."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/step-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Step, argv, prog=PROGRAM), argv))


def _measure(options: Step, argv: list[str] | None) -> int:
    console = bench.make_console(WIDTH_OF_A_FILE)
    config = load_config(options.config)
    batch_size = options.batch_size or config.train.batch_size
    names = _choose(options, console)
    others = {_find_jax(python): python for python in options.pythons}
    if len(others) < len(options.pythons):
        raise ConfigError(
            "--pythons: two of these environments have the same version of jax; name one of them"
        )
    runs = {what: _run(what, names, others, config, batch_size, options) for what in options.what}
    # Not before: it starts JAX in this process, which on a GPU would take memory from the workers.
    macs = count_macs(config)
    rows = []
    for what, results in runs.items():
        figures = [_figures(result, results, FLOPS_PER_MAC[what] * macs, batch_size) for result in results]
        _show(console, figures, f"{config.name}: {what} step, batch {batch_size}")
        rows += [{"what": what, **each} for each in figures]
    settings = {"config": to_json(config), "batch_size": batch_size, "rate": RATE, "macs": macs}
    counts = {"rounds": options.rounds, "iterations": options.iterations}
    out = options.out or bench.RESULTS / f"step-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings=settings | counts,
        results=rows,
        extra={},
    )
    console.print(f"written to {out}")
    return 0


def _choose(options: Step, console: Console) -> list[str]:
    names: list[str] = list(dict.fromkeys(options.candidates or ON_CPU + COMPILED * bench.has_gpu()))
    if not options.candidates and not bench.multiplies_bfloat16():
        console.print("left out: bfloat16, for which the processor has no instructions")
        names = [name for name in names if not name.endswith("-bf16")]
    needs = {name: ["torch"] if name.startswith("torch") else [] for name in names}
    names = bench.keep_installed(needs, console)
    if set(names) <= {"gemm"}:
        raise ConfigError("there is no candidate to measure except gemm; name some with --candidates")
    return names


def _find_jax(python: Path) -> str:
    """Find the version of jax in the environment of an interpreter.

    Raises:
        ConfigError: it does not start, or there is no jax.
    """
    code = "import importlib.metadata; print(importlib.metadata.version('jax'))"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"--pythons {python}: it is not a Python interpreter with jax ({error}); name the bin/python of "
            "an environment with the dependencies of fer_jax"
        ) from error


def _run(
    what: What,
    names: Sequence[str],
    others: Mapping[str, Path],
    config: Config,
    batch_size: int,
    options: Step,
) -> list[arena.Result]:
    candidates = [make_candidate(name, name, what, config, batch_size) for name in names if name != "gemm"]
    for version, python in others.items():
        for own in [each for each in candidates if _kind_of(each.name).library == "jax"]:
            command = (str(python.absolute()), *own.command[1:])
            candidates.append(arena.Candidate(f"{own.name} {version}", command, own.environment))
    if "gemm" in names:
        libraries: tuple[arena.Library, ...] = ("jax", "torch") if bench.is_installed("torch") else ("jax",)
        dtypes = dict.fromkeys(_kind_of(each.name).dtype for each in candidates)
        candidates += gemm.make_candidates(libraries=libraries, dtypes=tuple(dtypes), size=options.gemm_size)
    return arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)


def _figures(
    result: arena.Result, results: Sequence[arena.Result], flop_per_image: int, batch_size: int
) -> dict[str, Any]:
    """Compute one row: rates, the fraction of its dtype's peak, and speed-ups over the others."""
    median = arena.median_s(result)
    row = arena.to_row(result)
    if not _is_step(result.name):
        return row | {"title": result.name, "flop_per_s": 2 * result.facts["size"] ** 3 / median}
    kind = _kind_of(result.name)
    peak = gemm.find_peaks(results).get(kind.dtype)
    flop_per_s = flop_per_image * batch_size / median
    others = [each for each in results if _is_step(each.name) and each is not result]
    return row | {
        "title": f"{kind.title}{result.name.removeprefix(result.name.split()[0])}",
        "images_per_s": batch_size / median,
        "flop_per_s": flop_per_s,
        "share_of_peak": flop_per_s / peak if peak else None,
        "ratios": {each.name: arena.ratios(result, each) for each in others},
    }


def _kind_of(name: str) -> Kind:
    """Return the kind of a candidate; in another environment, its name ends with the version of jax."""
    return KINDS[name.split()[0]]


def _is_step(name: str) -> bool:
    """Whether a candidate takes steps; the others multiply matrices."""
    return name.split()[0] in KINDS


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    """Print one step's results, and how much faster than each of PyTorch's rows JAX's are."""
    baseline = f"× {KINDS[BASELINE].title}"
    columns = ("ms/step", "img/s", "GFLOP/s", "of the peak", baseline, "peak MiB", "first step, s", "loss")
    table = bench.make_table(title, columns)
    for row in rows:
        facts, share = row["facts"], row.get("share_of_peak")
        cells = [arena.format_range(arena.milliseconds(row), 2), "", f"{row['flop_per_s'] / 1e9:.1f}", ""]
        if "ratios" in row:
            cells[1] = f"{row['images_per_s']:.0f}"
            cells[3] = f"{100 * share:.0f} %" if share else ""
            cells.append(_format_ratio(row, BASELINE))
            cells += [f"{facts['peak_rss_mib']:.0f}", f"{facts['first_step_s']:.1f}"]
            cells.append(f"{facts['last_loss']:.4f}")
        table.add_row(row["title"], *cells)
    console.print(table)
    others = [row["name"] for row in rows if row["name"].startswith("torch")]
    if others:
        ratios = Table("speed-up over", *(KINDS[name].title for name in others))
        for row in rows:
            if row["name"].startswith("jax"):
                ratios.add_row(row["title"], *(_format_ratio(row, name) for name in others))
        console.print(ratios)


def _format_ratio(row: dict[str, Any], name: str) -> str:
    if row["name"] == name:
        return "1"
    return arena.format_range(row["ratios"][name], 2) if name in row["ratios"] else ""


if __name__ == "__main__":
    sys.exit(main())
