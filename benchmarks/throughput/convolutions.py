"""How fast are 3 × 3 convolutions and their gradients on a CPU? By several methods, for some configs.

    python -m benchmarks.throughput.convolutions
    python -m benchmarks.throughput.convolutions --configs configs/mid.py --methods xla winograd

The methods are XLA's convolution, Winograd's, which the fast kernels use for many channels
(`fer_jax.models.winograd`), nine matrix products of shifted inputs, one product of unfolded inputs, and
PyTorch's. Each is a process with all shapes, and they take turns. The norms of all results are compared
first. Rates count the multiplications of the direct convolution, so Winograd's can exceed the machine's peak
in matrix products, which is measured in the same turns. Writes benchmarks/results/convolutions.json, with all
raw samples.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from benchmarks.harness import arena, bench, gemm
from benchmarks.throughput.convolutions_worker import Job, Method, Shape
from fer_jax import cli
from fer_jax.config.files import load_config
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, RunError

PROGRAM = "python -m benchmarks.throughput.convolutions"
QUESTION = "How fast are 3 × 3 convolutions and their gradients on a CPU, by several methods?"
BASELINE = "xla"
NORM_TOLERANCE = 1e-4
"""Relative; only rounding may differ."""
WIDTH_OF_A_FILE = 150
LAYERS = ("conv", "conv1", "conv2")
"""Names of the layers with 3 × 3 kernels over all channels."""


@dataclass(frozen=True)
class Convolutions:
    """Time the convolutions of some configs' networks, and their gradients, by several methods."""

    configs: tuple[Path, ...] = (
        Path("benchmarks/nets/vgg.py"),
        Path("configs/run6.py"),
        Path("configs/mid.py"),
    )
    """The configs of which the shapes are taken; the first layer's single channel is left out."""
    methods: tuple[Method, ...] = get_args(Method)
    """The methods to compare with XLA's convolution."""
    batch_size: int = 128
    """Images."""
    rounds: int = 7
    """Turns of each process."""
    iterations: int = 3
    """Measured calls of each convolution per turn."""
    gemm_size: int | None = None
    """Rows and columns of the matrices that measure the peak; by default 2048."""
    out: Path = bench.RESULTS / "convolutions.json"
    """The JSON to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Convolutions, argv, prog=PROGRAM), argv))


def _measure(options: Convolutions, argv: list[str] | None) -> int:
    console = bench.make_console(WIDTH_OF_A_FILE)
    bench.use_cpu_alone()
    configs = [load_config(path) for path in options.configs]
    shapes = list(dict.fromkeys(shape for config in configs for shape in list_shapes(config)))
    if not shapes:
        raise ConfigError(
            "these networks have no 3 × 3 convolution after their first layer; name other --configs"
        )
    wanted = dict.fromkeys((BASELINE, *options.methods))
    needs = {name: ["torch"] if name == "torch" else [] for name in wanted}
    methods = bench.keep_installed(needs, console)
    candidates = [_make_candidate(method, shapes, options.batch_size) for method in methods]
    libraries: tuple[arena.Library, ...] = ("jax", "torch") if "torch" in methods else ("jax",)
    size = options.gemm_size or gemm.CPU_SIZE
    peaks = gemm.make_candidates(libraries=libraries, dtypes=["float32"], size=size)
    results = arena.compare([*candidates, *peaks], rounds=options.rounds, iterations=options.iterations)
    peak = gemm.find_peaks(results)["float32"]
    rows = make_rows(results, shapes, batch_size=options.batch_size, rounds=options.rounds, peak=peak)
    table = bench.make_table(
        f"batch {options.batch_size}; matrix products: {peak / 1e9:.0f} GFLOP/s",
        ("ms", "of the peak", "× XLA's"),
        first="3 × 3 convolution",
    )
    for row in rows:
        times = arena.format_range(arena.milliseconds(row), 2)
        speed_up = arena.format_range(row["ratios"], 2)
        table.add_row(row["name"], times, f"{100 * row['share_of_peak']:.0f} %", speed_up)
    console.print(table)
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "configs": [config.name for config in configs],
            "batch_size": options.batch_size,
            "rounds": options.rounds,
            "iterations": options.iterations,
        },
        results=rows + [arena.to_row(each) for each in results if "calls" not in each.facts],
        extra={"peak_flop_per_s": peak},
    )
    console.print(f"written to {options.out}")
    return 0


def list_shapes(config: Config) -> list[Shape]:
    """List the different 3 × 3 convolutions over all channels of a network, without its first layer's."""
    # Imported here so that --help does not wait for jax.
    from fer_jax.models.cnn import make_model
    from fer_jax.models.summary import list_layers

    shapes = []
    for layer in list_layers(make_model(config.model, config.device)):
        if layer.name.split("/")[-1] in LAYERS:
            inputs = layer.macs // (9 * math.prod(layer.output_shape))
            shapes.append(Shape(layer.output_shape[0], inputs, layer.output_shape[-1]))
    return [shape for shape in dict.fromkeys(shapes) if shape.inputs > 1]


def _make_candidate(method: Any, shapes: Sequence[Shape], batch_size: int) -> arena.Candidate:
    job = json.dumps(Job(method, list(shapes), batch_size))
    command = (sys.executable, "-m", "benchmarks.throughput.convolutions_worker", job)
    return arena.Candidate(method, command, {"JAX_PLATFORMS": "cpu"})


def make_rows(
    results: Sequence[arena.Result], shapes: Sequence[Shape], *, batch_size: int, rounds: int, peak: float
) -> list[dict[str, Any]]:
    """Compute a row for each shape, part and method, and check that the methods compute the same.

    Args:
        results: of all workers; those of a method have `calls` among their facts.
        shapes: all that were measured.
        batch_size: images.
        rounds: into which the samples are divided.
        peak: of matrix products, FLOP/s.

    Raises:
        RunError: a norm differs from that of XLA's result.
    """
    flops = {str(each): 18 * batch_size * each.side**2 * each.inputs * each.outputs for each in shapes}
    calls = [call for result in results for call in result.facts.get("calls", ())]
    wanted = {(call["layer"], call["name"]): call for call in calls if call["method"] == BASELINE}
    rows = []
    for (shape, part), own in wanted.items():
        baseline = _to_result(own, rounds)
        for call in calls:
            if (call["layer"], call["name"]) != (shape, part):
                continue
            result = _to_result(call, rounds)
            if not math.isclose(call["norm"], own["norm"], rel_tol=NORM_TOLERANCE):
                raise RunError(
                    f"{result.name}: the norm of the result is {call['norm']}, and that of XLA's is "
                    f"{own['norm']}; it is not the same convolution, and nothing was written"
                )
            rows.append(
                arena.to_row(result)
                | {"shape": shape, "part": part, "method": call["method"], "flop": flops[shape]}
                | {"share_of_peak": flops[shape] / arena.median_s(result) / peak}
                | {"ratios": arena.ratios(result, baseline)}
            )
    return rows


def _to_result(call: Mapping[str, Any], rounds: int) -> arena.Result:
    samples = call["samples_s"]
    turn = len(samples) // rounds
    cut = [samples[start : start + turn] for start in range(0, len(samples), turn)]
    return arena.Result(f"{call['layer']}: {call['name']}, {call['method']}", {"norm": call["norm"]}, cut)


if __name__ == "__main__":
    sys.exit(main())
