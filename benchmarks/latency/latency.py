"""How long does a trained network take for a face? One image and a batch, JAX, PyTorch and ONNX Runtime.

    python -m benchmarks.latency.latency --run runs/run6-seed0
    python -m benchmarks.latency.latency --config configs/run6.py --batch-sizes 1

From uint8 gray levels to probabilities, NumPy in and NumPy out, the same weights everywhere (of a run, or
fresh ones of a config); that all give the same probabilities is checked. Live processes that take turns.
Writes benchmarks/results/latency-CONFIG.json, raw samples included.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import logging
import shlex
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena
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

QUESTION = "How long does a trained network take for a face?"
BASELINE = "onnx"
TOLERANCE = 1e-4
"""Largest difference of two probabilities that order of summing explains; of weights of any size."""
SYNTHETIC_EXAMPLES = 256
"""Faces whose mean and deviation stand for the training images' where there is no run."""
WIDTH_OF_A_FILE = 140

Name = Literal["jax", "jax-ahead", "jax-constants", "jax-winograd", "torch-users", "torch", "onnx"]


@dataclass(frozen=True)
class Latency:
    """Measure the time from one face, or a batch of them, to probabilities."""

    run: Path | None = None
    """A run's folder, such as runs/run6-seed0: its config and its weights."""
    config: Path = Path("configs/run6.py")
    """Without a run: whose network, with fresh weights."""
    batch_sizes: tuple[int, ...] = (1, 128)
    """Images of a call."""
    candidates: tuple[Name, ...] = ()
    """Who takes part; by default everybody."""
    rounds: int = 7
    """How often each candidate has its turn."""
    iterations: int = 200
    """Measured calls of a turn."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/latency-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(
        lambda: _measure(cli.parse(Latency, argv, prog="python -m benchmarks.latency.latency"), argv)
    )


def _measure(options: Latency, argv: list[str] | None) -> int:
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    names = _choose(options, console)
    net, weights = _load(options)
    rows = []
    for size in options.batch_sizes:
        results = _compare(net, names, size, options)
        figures = [_figures(result, results, size) for result in results]
        _show(console, figures, f"{net.config.name}: {size} {'image' if size == 1 else 'images'}")
        rows += figures
    words = sys.argv[1:] if argv is None else argv
    counts = {"rounds": options.rounds, "iterations": options.iterations}
    difference = max(row["max_difference"] for row in rows)
    out = options.out or arena.RESULTS / f"latency-{net.config.name}.json"
    arena.write(
        out,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.latency.latency", *words]),
        settings={"config": to_json(net.config), "weights": weights} | counts,
        results=rows,
        extra={"baseline": BASELINE, "max_difference": difference, "tolerance": TOLERANCE},
    )
    console.print(f"largest difference of two probabilities: {difference:.1e}; written to {out}")
    if difference > TOLERANCE:
        raise RunError(f"the probabilities differ by {difference:.1e}, more than {TOLERANCE}: see {out}")
    return 0


def _choose(options: Latency, console: Console) -> list[str]:
    names = list(dict.fromkeys(options.candidates or KINDS))
    needed = {module for name in names for module in KINDS[name].needs}
    missing = sorted(module for module in needed if not arena.is_installed(module))
    if missing:
        console.print(
            f"not installed, and their rows are left out: {', '.join(missing)}; {arena.HOW_TO_INSTALL}"
        )
    there = [name for name in names if not set(KINDS[name].needs) & set(missing)]
    if not there:
        raise ConfigError("none of the --candidates can be measured here")
    return there


def _load(options: Latency) -> tuple[Net, str]:
    """Take the network of a run, or make a fresh one; and say which weights these are."""
    config = record.read_config(options.run) if options.run else load_config(options.config)
    # All compute the same function, in float32, whatever the run's own setting.
    config = dataclasses.replace(config, device=DeviceConfig())
    if options.run is None:
        model = make_model(config.model, config.device)
        state = init_state(jax_key(config.train.seed, Stream.INIT), model, make_optimizer(config.optimizer))
        stats = standardise.measure(draw_examples(seed=0, examples=SYNTHETIC_EXAMPLES).images)
        return Net(config, state.params, state.batch_stats, stats), "fresh"
    run = run_weights.load(options.run, None, None)
    words = f"{run.checkpoint['name']}, step {run.checkpoint['step']}"
    return Net(config, run.params, run.batch_stats, run.pixel_stats), words


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
            # What is not tuned is to have no flag of ours from this process either.
            candidates.append(arena.Candidate(name, argv, {} if KINDS[name].is_tuned else {"XLA_FLAGS": ""}))
        return arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)


def export_onnx(net: Net, size: int, path: Path) -> None:
    """Write PyTorch's network, with our weights, as ONNX.

    Args:
        net: ours.
        size: images of a call; the shape is fixed, as in the programs of JAX.
        path: the file to write.
    """
    import torch

    images = torch.zeros((size, 48, 48, 1), dtype=torch.uint8)
    # Channels first, as ONNX has them.
    module = make_torch_module(net, channels_last=False)
    # The exporter tells its progress, and that there is no torchvision.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        torch.onnx.export(module, (images,), path, dynamo=True, external_data=False, verbose=False)


def _figures(result: arena.Result, results: Sequence[arena.Result], size: int) -> dict[str, Any]:
    """Work out one row: p99, ratio to ONNX Runtime's time, and how far its probabilities are from others'."""
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
    table = Table("", title=title, title_justify="left")
    times = f"× {KINDS[BASELINE].title}'s time"
    for column in ("ms a call", "quartiles", "p99", times, "first call s", "peak MiB", "difference"):
        table.add_column(column, justify="right")
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
