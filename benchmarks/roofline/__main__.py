"""Where the train step's time goes, and how far each of its parts is from the limits of the machine.

    python -m benchmarks.roofline --config configs/run6.py --plot docs/images/roofline.png
    python -m benchmarks.roofline --config benchmarks/nets/vgg.py
    python -m benchmarks.roofline --redraw benchmarks/results/roofline-run6.json \
        --plot docs/images/roofline.png

Each part of the step is timed alone, in JAX and in PyTorch (tuned, channels last), on prepared arrays: the
forward pass of each convolution and dense layer, its gradients with respect to the input and to the kernel,
the rest of a block (batch norm, ReLU, pooling, dropout) forward and backward, and the optimizer's update.
XLA's convolution is timed too where the step uses another: in the first layer, and in layers with many
channels, which use Winograd's.

A part takes at least as long as its FLOP at the machine's peak (matrix products, `benchmarks.harness.gemm`),
and at least as long as its bytes at the memory bandwidth (`y = 2 x` on a large array, read and written): the
larger of the two is its lower bound. Bytes are counted as if each input were read once and each output
written once; batch norm needs the statistics first, and reads twice what does not fit in the caches. Arrays
that fit in the caches can be faster than the memory bound, and Winograd, which multiplies less, faster than
the peak.

All processes take turns. Writes benchmarks/results/roofline-CONFIG.json, with all raw samples.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena, bench, gemm
from benchmarks.roofline.operations import NAMES, Operation, list_operations
from benchmarks.roofline.worker import Job
from benchmarks.throughput import step_worker
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config

PROGRAM = "python -m benchmarks.roofline"
QUESTION = "Where does the train step's time go, and how far is each part from the machine's limits?"
METHODS: dict[arena.Library, str] = {"jax": "JAX", "torch": "PyTorch"}
"""The method of each library's own parts of the step."""
WIDTH_OF_A_FILE = 175


@dataclass(frozen=True)
class Roofline:
    """Time each part of a config's train step alone, and compare it with the machine's limits."""

    config: Path = Path("configs/run6.py")
    """The config whose network and optimizer are measured."""
    batch_size: int | None = None
    """Images per step; by default the config's."""
    rounds: int = 7
    """Turns of each process."""
    iterations: int = 3
    """Measured steps, and measured calls of each part, per turn."""
    gemm_size: int | None = None
    """Rows and columns of the matrices that measure the peak; by default 2048, on a GPU 8192."""
    scale_mib: float = 256
    """Size of the array that measures the bandwidth, in MiB: far larger than the caches."""
    plot: Path | None = None
    """PNG to draw."""
    redraw: Path | None = None
    """Draw --plot from this JSON, and measure nothing."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/roofline-CONFIG.json."""


@dataclass(frozen=True)
class Limits:
    """The machine's limits.

    Attributes:
        flop_per_s: in matrix products.
        byte_per_s: read from and written to memory.
    """

    flop_per_s: float
    byte_per_s: float

    def bound_s(self, operation: Operation) -> float:
        """Return the lower bound of an operation's seconds."""
        return max(operation.flop / self.flop_per_s, operation.byte / self.byte_per_s)


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or redraw, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Roofline, argv, prog=PROGRAM), argv))


def _measure(options: Roofline, argv: list[str] | None) -> int:
    if options.redraw is not None:
        return bench.redraw(options.redraw, options.plot, _draw)
    console = bench.make_console(WIDTH_OF_A_FILE)
    config = load_config(options.config)
    batch_size = options.batch_size or config.train.batch_size
    scale_numbers = round(options.scale_mib * 2**20 / 4)
    libraries = _choose_libraries(console)
    candidates = [
        candidate for each in libraries for candidate in _candidates(each, config, batch_size, scale_numbers)
    ]
    candidates += gemm.make_candidates(libraries=libraries, dtypes=["float32"], size=options.gemm_size)
    results = arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)
    operations = list_operations(config, batch_size=batch_size, scale_numbers=scale_numbers)
    limits, parts = work_out(results, operations, options.rounds)
    totals = add_up(parts, results)
    title = f"{config.name}: the train step's parts, batch {batch_size}"
    _show_parts(console, parts, limits, title)
    _show_totals(console, totals)
    out = options.out or bench.RESULTS / f"roofline-{config.name}.json"
    settings = {"config": to_json(config), "batch_size": batch_size, "scale_mib": options.scale_mib}
    counts = {"rounds": options.rounds, "iterations": options.iterations}
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings=settings | counts,
        results=[arena.to_row(each) for each in results if "calls" not in each.facts],
        extra={
            "peak_flop_per_s": limits.flop_per_s,
            "bandwidth_byte_per_s": limits.byte_per_s,
            "parts": parts,
            "totals": totals,
        },
    )
    console.print(f"written to {out}")
    return bench.redraw(out, options.plot, _draw) if options.plot else 0


def _choose_libraries(console: Console) -> list[arena.Library]:
    if bench.is_installed("torch"):
        return ["jax", "torch"]
    console.print(f"left out: PyTorch, which is not installed; {bench.HOW_TO_INSTALL}")
    return ["jax"]


def _candidates(
    library: arena.Library, config: Config, batch_size: int, scale_numbers: int
) -> list[arena.Candidate]:
    """Make a library's two workers: one takes whole steps, the other the parts."""
    parts = json.dumps(Job(library, to_json(config), batch_size, scale_numbers))
    return [
        step_worker.make_candidate(f"step {library}", library, "train", config, batch_size),
        arena.Candidate(f"parts {library}", (sys.executable, "-m", "benchmarks.roofline.worker", parts), {}),
    ]


def _draw(content: dict[str, Any], path: Path) -> None:
    # Imported here: measuring does not need Matplotlib.
    from benchmarks.roofline.plot import plot

    plot(content, path)


# Rows and totals.


def work_out(
    results: Sequence[arena.Result], operations: Sequence[Operation], rounds: int
) -> tuple[Limits, list[dict[str, Any]]]:
    """Compute the machine's limits, and a row for each method of each operation, in the step's order.

    Args:
        results: of all workers; those that time parts have `calls` among their facts.
        operations: see `list_operations`.
        rounds: into which the samples of the calls are divided.
    """
    calls = [call for result in results for call in result.facts.get("calls", [])]
    known = {(each.layer, each.name): each for each in operations}
    pairs = []
    for call in calls:
        samples, operation = call["samples_s"], known[call["layer"], call["name"]]
        turn = len(samples) // rounds
        cut = [samples[start : start + turn] for start in range(0, len(samples), turn)]
        name = f"{call['layer']} {call['name']}, {call['method']}"
        pairs.append((operation, arena.Result(name, {"norm": call["norm"]}, cut), call["method"]))
    bandwidths = [each.byte / arena.median_s(result) for each, result, _ in pairs if each.layer == "memory"]
    limits = Limits(gemm.find_peaks(results)["float32"], max(bandwidths))
    rows = [
        _figures(operation, result, method, limits)
        for wanted in operations
        for operation, result, method in pairs
        if operation is wanted
    ]
    return limits, rows


def _figures(operation: Operation, result: arena.Result, method: str, limits: Limits) -> dict[str, Any]:
    median = arena.median_s(result)
    flop_per_s, byte_per_s = operation.flop / median, operation.byte / median
    return {
        **arena.to_row(result),
        **operation._asdict(),
        "what": result.name,
        "method": method,
        "flop_per_s": flop_per_s,
        "byte_per_s": byte_per_s,
        "share_of_peak": flop_per_s / limits.flop_per_s,
        "share_of_bandwidth": byte_per_s / limits.byte_per_s,
        "bound_s": limits.bound_s(operation),
    }


def add_up(parts: Sequence[dict[str, Any]], results: Sequence[arena.Result]) -> dict[str, dict[str, Any]]:
    """Add up the parts of each library, and compare the sum with its whole step.

    Returns:
        For `JAX` and, if measured, `PyTorch`: seconds and lower bounds of each kind of part over all layers
        (`parts_s`, `bounds_s`), their sums (`sum_s`, `bound_s`), and the step's median (`step_s`).
    """
    totals = {}
    steps = {each.name: arena.median_s(each) for each in results}
    for library, method in METHODS.items():
        own = [row for row in parts if row["method"] == method and row["layer"] != "memory"]
        if own:
            by_name = {name: [row for row in own if row["name"] == name] for name in NAMES}
            by_name = {name: rows for name, rows in by_name.items() if rows}
            seconds = {n: sum(row["spread_s"]["median"] for row in rows) for n, rows in by_name.items()}
            bounds = {name: sum(row["bound_s"] for row in rows) for name, rows in by_name.items()}
            totals[method] = {
                "parts_s": seconds,
                "bounds_s": bounds,
                "sum_s": sum(seconds.values()),
                "bound_s": sum(bounds.values()),
                "step_s": steps[f"step {library}"],
            }
    return totals


# Tables.


def _show_parts(console: Console, rows: Sequence[dict[str, Any]], limits: Limits, title: str) -> None:
    table = Table("layer", title=title, title_justify="left")
    table.add_column("part", no_wrap=True)
    table.add_column("by", no_wrap=True)
    columns = (
        "ms",
        "lower bound, ms",
        "GFLOP",
        "MB",
        "FLOP/byte",
        "GFLOP/s",
        "of the peak",
        "GB/s",
        "of the bandwidth",
    )
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    before: tuple[str, str] = ("", "")
    for row in rows:
        place = (row["layer"], row["name"])
        if row["layer"] != before[0]:
            table.add_section()
        sizes = [
            f"{1000 * row['bound_s']:.3f}",
            f"{row['flop'] / 1e9:.3f}",
            f"{row['byte'] / 1e6:.2f}",
            f"{row['flop'] / row['byte']:.2f}",
        ]
        table.add_row(
            "" if row["layer"] == before[0] else row["layer"],
            "" if place == before else row["name"],
            row["method"],
            arena.format_range(arena.milliseconds(row), 3),
            *(["", "", "", ""] if place == before else sizes),
            f"{row['flop_per_s'] / 1e9:.1f}",
            f"{100 * row['share_of_peak']:.0f} %",
            f"{row['byte_per_s'] / 1e9:.1f}",
            f"{100 * row['share_of_bandwidth']:.0f} %",
        )
        before = place
    console.print(table)
    peak, bandwidth = limits.flop_per_s / 1e9, limits.byte_per_s / 1e9
    console.print(
        f"the machine: {peak:.1f} GFLOP/s in matrix products, {bandwidth:.1f} GB/s to and from memory"
    )


def _show_totals(console: Console, totals: dict[str, dict[str, Any]]) -> None:
    table = Table("over all layers", title="Where the time goes", title_justify="left")
    for method in totals:
        for column in (f"{method}, ms", "of the step", "× the bound"):
            table.add_column(column, justify="right")
    table.add_column("lower bound, ms", justify="right")
    first = next(iter(totals.values()))

    def add(title: str, seconds: Sequence[float], bound: float | None) -> None:
        cells = []
        for each, total in zip(seconds, totals.values(), strict=True):
            cells += [f"{1000 * each:.2f}", f"{100 * each / total['step_s']:.0f} %"]
            cells.append(f"{each / bound:.1f}" if bound else "")
        table.add_row(title, *cells, f"{1000 * bound:.2f}" if bound else "")

    for name, bound in first["bounds_s"].items():
        add(name, [total["parts_s"][name] for total in totals.values()], bound)
    table.add_section()
    add("all parts", [total["sum_s"] for total in totals.values()], first["bound_s"])
    add("the whole step", [total["step_s"] for total in totals.values()], first["bound_s"])
    add("the step − its parts", [total["step_s"] - total["sum_s"] for total in totals.values()], None)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
