"""How long does a step take, in JAX and in PyTorch? The train step and the eval step of any config.

    python -m benchmarks.throughput.step --config configs/run6.py
    python -m benchmarks.throughput.step --config benchmarks/nets/vgg.py --what train --candidates jax torch gemm

The same network, loss, optimizer and batch on both sides; live processes that take turns; the first step,
which compiles, is reported apart. In the same turns the machine's own peak in multiplying matrices is
measured, and each step is held against it. Writes benchmarks/results/step-CONFIG.json, raw samples included.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena, gemm
from benchmarks.throughput.step_worker import KINDS, RATE, Job, What, draw_batch
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config
from fer_jax.data.examples import class_counts
from fer_jax.errors import ConfigError

QUESTION = "How long does a step take, in JAX and in PyTorch?"
BASELINE = "torch"
FLOPS_PER_MAC = {"train": 6, "eval": 2}
"""A multiplication and an addition; training does them forward, for the inputs and for the weights."""
WIDTH_OF_A_FILE = 160

Name = Literal[
    "jax",
    "jax-plain",
    "jax-bf16",
    "jax-untuned",
    "torch-users",
    "torch",
    "torch-bf16",
    "torch-compile",
    "torch-compile-bf16",
    "torch-graphs",
    "torch-graphs-bf16",
    "gemm",
]
ON_CPU: tuple[Name, ...] = ("jax", "jax-plain", "jax-bf16", "torch-users", "torch", "torch-bf16", "gemm")
COMPILED: tuple[Name, ...] = ("torch-compile", "torch-compile-bf16", "torch-graphs", "torch-graphs-bf16")


@dataclass(frozen=True)
class Step:
    """Measure the train step and the eval step of a config, JAX against PyTorch."""

    config: Path = Path("configs/run6.py")
    """Whose network, loss and optimizer."""
    what: tuple[What, ...] = ("train", "eval")
    """Which steps."""
    candidates: tuple[Name, ...] = ()
    """Who takes part; `gemm` is the machine's peak. By default all but jax-untuned, on CPU also without
    PyTorch's compiled ones, which compile for minutes, and without bfloat16 where the processor lacks it."""
    batch_size: int | None = None
    """Images a step; by default the config's."""
    rounds: int = 7
    """How often each candidate has its turn."""
    iterations: int = 5
    """Measured steps of a turn."""
    gemm_size: int | None = None
    """Rows and columns of the matrices of `gemm`; by default 2048, on GPU 8192."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/step-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Step, argv, prog="python -m benchmarks.throughput.step"), argv))


def _measure(options: Step, argv: list[str] | None) -> int:
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    config = load_config(options.config)
    batch_size = options.batch_size or config.train.batch_size
    names = _choose(options, console)
    runs = {what: _run(what, names, config, batch_size, options) for what in options.what}
    # Only now: it starts JAX in this process, which on a GPU would take memory from the workers.
    macs = _count_macs(config)
    rows = []
    for what, results in runs.items():
        figures = [_figures(result, results, FLOPS_PER_MAC[what] * macs, batch_size) for result in results]
        _show(console, figures, f"{config.name}: {what} step, batch {batch_size}")
        rows += [{"what": what, **each} for each in figures]
    words = sys.argv[1:] if argv is None else argv
    settings = {"config": to_json(config), "batch_size": batch_size, "rate": RATE, "macs": macs}
    counts = {"rounds": options.rounds, "iterations": options.iterations}
    out = options.out or arena.RESULTS / f"step-{config.name}.json"
    arena.write(
        out,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.throughput.step", *words]),
        settings=settings | counts,
        results=rows,
        extra={},
    )
    console.print(f"written to {out}")
    return 0


def _choose(options: Step, console: Console) -> list[str]:
    names: list[str] = list(dict.fromkeys(options.candidates or ON_CPU + COMPILED * arena.has_gpu()))
    if not options.candidates and not arena.multiplies_bfloat16():
        console.print("the processor has no instructions for bfloat16, its rows are left out")
        names = [name for name in names if not name.endswith("-bf16")]
    if not arena.is_installed("torch") and any(name.startswith("torch") for name in names):
        console.print(f"PyTorch is not installed, its rows are left out: {arena.HOW_TO_INSTALL}")
        names = [name for name in names if not name.startswith("torch")]
    if set(names) <= {"gemm"}:
        raise ConfigError("there is no candidate besides gemm to measure; name some with --candidates")
    return names


def _run(
    what: What, names: Sequence[str], config: Config, batch_size: int, options: Step
) -> list[arena.Result]:
    # Imported here so that --help need not wait for jax.
    from fer_jax.engine.losses import class_weights

    weights = class_weights(config.loss, class_counts(draw_batch(batch_size).labels)).tolist()
    candidates = []
    for name in names:
        if name != "gemm":
            job = json.dumps(Job(name, what, to_json(config), batch_size, weights))
            argv = (sys.executable, "-m", "benchmarks.throughput.step_worker", job)
            # What is not tuned is to have no flag of ours from this process either.
            environment = {} if KINDS[name].is_tuned else {"XLA_FLAGS": ""}
            candidates.append(arena.Candidate(name, argv, environment))
    if "gemm" in names:
        libraries: tuple[arena.Library, ...] = ("jax", "torch") if arena.is_installed("torch") else ("jax",)
        dtypes = dict.fromkeys(KINDS[each.name].dtype for each in candidates)
        candidates += gemm.make_candidates(libraries=libraries, dtypes=tuple(dtypes), size=options.gemm_size)
    return arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)


def _count_macs(config: Config) -> int:
    """Count the multiply-accumulates of one image's forward pass."""
    from fer_jax.models.cnn import make_model
    from fer_jax.models.summary import list_layers

    return sum(layer.macs for layer in list_layers(make_model(config.model, config.device)))


def _figures(
    result: arena.Result, results: Sequence[arena.Result], flop_per_image: int, batch_size: int
) -> dict[str, Any]:
    """Work out one row: rates, share of the peak of its dtype, ratios to the others round by round."""
    median = arena.median_s(result)
    row = arena.to_row(result)
    if result.name not in KINDS:
        return row | {"title": result.name, "flop_per_s": 2 * result.facts["size"] ** 3 / median}
    kind = KINDS[result.name]
    peak = gemm.find_peaks(results).get(kind.dtype)
    flop_per_s = flop_per_image * batch_size / median
    others = [each for each in results if each.name in KINDS and each is not result]
    return row | {
        "title": kind.title,
        "images_per_s": batch_size / median,
        "flop_per_s": flop_per_s,
        "share_of_peak": flop_per_s / peak if peak else None,
        "ratios": {each.name: arena.ratios(result, each) for each in others},
    }


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    """Print the figures of one step, and how JAX's rows stand to each of PyTorch's."""
    table = Table("", title=title, title_justify="left")
    baseline = f"× {KINDS[BASELINE].title}"
    columns = ("ms a step", "img/s", "GFLOP/s", "of the peak", baseline, "peak MiB", "first step s", "loss")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        facts, share = row["facts"], row.get("share_of_peak")
        milliseconds = [1000 * seconds for samples in row["samples_s"] for seconds in samples]
        cells = [arena.format_range(milliseconds, 2), "", f"{row['flop_per_s'] / 1e9:.1f}", ""]
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
        ratios = Table("times as fast as", *(KINDS[name].title for name in others))
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
