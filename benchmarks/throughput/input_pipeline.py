"""How many images per second does the input pipeline produce? Ours, and transforms of one image at a time.

    python -m benchmarks.throughput.input_pipeline --config configs/run6.py
    python -m benchmarks.throughput.input_pipeline --config configs/run6.py \
        --candidates batch cv2 pil-loader-2

Measures ours as a whole and in its parts (the rows of a batch, the random draws, augmentation in NumPy and in
JAX). Compares it with the same ranges of rotation, shift, crop, flip and erasing as users write them: in
OpenCV and PIL, in a plain loop and in PyTorch's DataLoader. The faces are synthetic, since the values of the
pixels do not matter. Live processes that take turns. Writes benchmarks/results/host-CONFIG.json, with all raw
samples.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from benchmarks.harness import arena, bench
from benchmarks.throughput.input_pipeline_worker import KINDS, Job
from fer_jax import cli
from fer_jax.config.files import load_config
from fer_jax.errors import ConfigError

PROGRAM = "python -m benchmarks.throughput.input_pipeline"
QUESTION = "How many images per second does the input pipeline produce?"
BASELINE = "batch-float"
"""Returns the same as the transforms: standardised float32."""
WIDTH_OF_A_FILE = 120

Name = Literal[
    "cut",
    "draw",
    "apply",
    "apply-untuned",
    "apply-jax",
    "apply-resident",
    "batch",
    "batch-float",
    "cv2",
    "pil",
    "cv2-loader-0",
    "cv2-loader-2",
    "pil-loader-0",
    "pil-loader-2",
]


@dataclass(frozen=True)
class Host:
    """Measure the input pipeline of a config, and the same augmentation done one image at a time."""

    config: Path = Path("configs/run6.py")
    """The config with the augmentation and the batch size."""
    candidates: tuple[Name, ...] = ()
    """Candidates; by default all."""
    batch_size: int | None = None
    """Images per batch; by default the config's."""
    examples: int = 4096
    """Number of synthetic faces from which the batches are taken."""
    rounds: int = 7
    """Turns of each candidate."""
    iterations: int = 20
    """Measured batches per turn."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/host-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Host, argv, prog=PROGRAM), argv))


def _measure(options: Host, argv: list[str] | None) -> int:
    console = bench.make_console(WIDTH_OF_A_FILE)
    config = load_config(options.config)
    batch_size = options.batch_size or config.train.batch_size
    if options.examples < batch_size:
        raise ConfigError(
            f"--examples is {options.examples}; it must be at least the batch size, {batch_size}"
        )
    fields = dataclasses.asdict(config.augment)
    candidates = [
        arena.Candidate(
            name,
            (
                sys.executable,
                "-m",
                "benchmarks.throughput.input_pipeline_worker",
                json.dumps(Job(name, fields, batch_size, options.examples)),
            ),
            {},
        )
        for name in _choose(options, console)
    ]
    results = arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)
    rows = [_figures(result, results, batch_size) for result in results]
    _show(console, rows, f"{config.name}: the input pipeline, batches of {batch_size}")
    out = options.out or bench.RESULTS / f"host-{config.name}.json"
    counts = {name: getattr(options, name) for name in ("examples", "rounds", "iterations")}
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"config": config.name, "augment": fields, "batch_size": batch_size} | counts,
        results=rows,
        extra={"baseline": BASELINE},
    )
    console.print(f"written to {out}")
    return 0


def _choose(options: Host, console: Console) -> list[str]:
    names = bench.keep_installed({name: KINDS[name].needs for name in options.candidates or KINDS}, console)
    if not names:
        raise ConfigError("none of the --candidates can be measured here")
    return names


def _figures(result: arena.Result, results: Sequence[arena.Result], batch_size: int) -> dict[str, Any]:
    """Compute one row: its rate, and the speed-up of ours over it in each round."""
    ours = next((each for each in results if each.name == BASELINE), None)
    return arena.to_row(result) | {
        "title": KINDS[result.name].title,
        "images_per_s": batch_size / arena.median_s(result),
        "baseline_is_faster": arena.ratios(ours, result) if ours else None,
    }


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    table = bench.make_table(title, ("ms/batch", "img/s", "speed-up of ours, to float32"))
    for row in rows:
        ratio = row["baseline_is_faster"]
        table.add_row(
            row["title"],
            arena.format_range(arena.milliseconds(row), 2),
            f"{row['images_per_s']:,.0f}",
            f"{arena.format_range(ratio, 1)} ×" if ratio and KINDS[row["name"]].title[:4] != "ours" else "",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
