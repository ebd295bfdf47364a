"""How long does a trained network take for a face? One image and a batch, in JAX, PyTorch and ONNX Runtime.

    python -m benchmarks.latency --run runs/run6-seed0
    python -m benchmarks.latency --config configs/run6.py --batch-sizes 1

From uint8 pixels to probabilities, NumPy in and NumPy out, with the same weights everywhere: those of a run,
or the initial ones of a config. It is checked that all candidates return the same probabilities. Live
processes that take turns. Writes benchmarks/results/latency-CONFIG.json, with all raw samples.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from benchmarks.harness import arena, bench
from benchmarks.latency.latency_worker import KINDS, Job, Net, make_torch_module, save_weights
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.model import DeviceConfig
from fer_jax.data.synthetic import draw_examples
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import init_state
from fer_jax.errors import ConfigError, RunError
from fer_jax.images import standardise
from fer_jax.inference import run_weights
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs import record

PROGRAM = "python -m benchmarks.latency"
QUESTION = "How long does a trained network take for a face?"
BASELINE = "onnx"
TOLERANCE = 1e-4
"""Largest difference of two probabilities that the order of additions can explain, for any weights."""
SYNTHETIC_EXAMPLES = 256
"""Faces whose pixel statistics are used when there is no run, and so no training images."""
WIDTH_OF_A_FILE = 140

Name = Literal["jax", "jax-ahead", "jax-constants", "jax-winograd", "torch-users", "torch", "onnx"]


@dataclass(frozen=True)
class Latency:
    """Measure the time from one face, or a batch of them, to probabilities."""

    run: Path | None = None
    """Folder of the run whose network is measured, such as runs/run6-seed0."""
    config: Path = Path("configs/run6.py")
    """Without a run: the config whose network is measured, with its initial weights."""
    batch_sizes: tuple[int, ...] = (1, 128)
    """Images per call."""
    candidates: tuple[Name, ...] = ()
    """Candidates; by default all."""
    rounds: int = 7
    """Turns of each candidate."""
    iterations: int = 200
    """Measured calls per turn."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/latency-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Latency, argv, prog=PROGRAM), argv))


def _measure(options: Latency, argv: list[str] | None) -> int:
    console = bench.make_console(WIDTH_OF_A_FILE)
    bench.use_cpu_alone()  # ONNX Runtime's and PyTorch's networks are there.
    names = _choose(options, console)
    net, weights = _load(options)
    rows = []
    for size in options.batch_sizes:
        results = _compare(net, names, size, options)
        figures = [_figures(result, results, size) for result in results]
        _show(console, figures, f"{net.config.name}: {size} {'image' if size == 1 else 'images'}")
        rows += figures
    counts = {"rounds": options.rounds, "iterations": options.iterations}
    difference = max(row["max_difference"] for row in rows)
    out = options.out or bench.RESULTS / f"latency-{net.config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"config": to_json(net.config), "weights": weights} | counts,
        results=rows,
        extra={"baseline": BASELINE, "max_difference": difference, "tolerance": TOLERANCE},
    )
    console.print(f"largest difference of two probabilities: {difference:.1e}; written to {out}")
    if difference > TOLERANCE:
        raise RunError(f"the probabilities differ by {difference:.1e}, more than {TOLERANCE}: see {out}")
    return 0


def _choose(options: Latency, console: Console) -> list[str]:
    names = bench.keep_installed({name: KINDS[name].needs for name in options.candidates or KINDS}, console)
    if not names:
        raise ConfigError("none of the --candidates can be measured here")
    return names


def _load(options: Latency) -> tuple[Net, str]:
    """Load the network of a run, or make a new one; and describe its weights in words."""
    config = record.read_config(options.run) if options.run else load_config(options.config)
    # All candidates compute in float32, whatever the run's own setting.
    config = dataclasses.replace(config, device=DeviceConfig())
    if options.run is None:
        model = make_model(config.model, config.device)
        state = init_state(jax_key(config.train.seed, Stream.INIT), model, make_optimizer(config.optimizer))
        stats = standardise.measure(draw_examples(seed=0, examples=SYNTHETIC_EXAMPLES).images)
        return Net(config, state.params, state.batch_stats, stats), "fresh"
    run = run_weights.load(options.run, None, None)
    words = f"{run.checkpoint['name']}, step {run.checkpoint['step']}"
    network, batch_stats = run.network, run.network.variables.get("batch_stats", {})
    return Net(config, network.variables["params"], batch_stats, network.pixel_stats), words


def _compare(net: Net, names: Sequence[str], size: int, options: Latency) -> list[arena.Result]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "images.npy", draw_examples(seed=1, examples=size).images)
        save_weights(folder / "weights.npz", net.params, net.batch_stats)
        if "onnx" in names:
            export_onnx(net, size, folder / "net.onnx")
        fields = to_json(net.config)
        candidates = []
        for name in names:
            job = json.dumps(Job(name, scratch, fields, net.stats))
            argv = (sys.executable, "-m", "benchmarks.latency.latency_worker", job)
            # An untuned candidate must not inherit our flags from this process either.
            candidates.append(arena.Candidate(name, argv, {} if KINDS[name].is_tuned else {"XLA_FLAGS": ""}))
        return arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)


def export_onnx(net: Net, size: int, path: Path) -> None:
    """Export PyTorch's network with our weights to ONNX.

    Args:
        net: our network.
        size: images per call; the shape is fixed, as in JAX's programs.
        path: the file to write.
    """
    import torch

    images = torch.zeros((size, 48, 48, 1), dtype=torch.uint8)
    # Channels first, as ONNX has them.
    module = make_torch_module(net, channels_last=False)
    # The exporter reports its progress, and that torchvision is missing.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        torch.onnx.export(module, (images,), path, dynamo=True, external_data=False, verbose=False)


def _figures(result: arena.Result, results: Sequence[arena.Result], size: int) -> dict[str, Any]:
    """Compute one row: p99, the time relative to ONNX Runtime's, and how far the probabilities differ."""
    row = arena.to_row(result)
    facts = dict(row["facts"])
    own = np.array(facts.pop("probabilities"))
    others = [np.array(each.facts["probabilities"]) for each in results]
    baseline = next((each for each in results if each.name == BASELINE), None)
    return row | {
        "title": KINDS[result.name].title,
        "batch_size": size,
        "facts": facts,
        "p99_s": float(np.quantile(list(itertools.chain(*result.samples)), 0.99)),
        "times_baseline": [1 / ratio for ratio in arena.ratios(result, baseline)] if baseline else None,
        "max_difference": float(max(np.abs(own - other).max() for other in others)),
    }


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    times = f"× {KINDS[BASELINE].title}'s time"
    columns = ("ms/call", "quartiles", "p99", times, "first call, s", "peak MiB", "difference")
    table = bench.make_table(title, columns)
    for row in rows:
        spread = {name: 1000 * seconds for name, seconds in row["spread_s"].items()}
        table.add_row(
            row["title"],
            f"{spread['median']:.3f}",
            f"{spread['q1']:.3f}..{spread['q3']:.3f}",
            f"{1000 * row['p99_s']:.3f}",
            arena.format_range(row["times_baseline"], 2) if row["times_baseline"] else "",
            f"{row['facts']['first_call_s']:.1f}",
            f"{row['facts']['peak_rss_mib']:.0f}",
            f"{row['max_difference']:.0e}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
