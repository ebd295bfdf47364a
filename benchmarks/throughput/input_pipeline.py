"""How many images a second does the input path give? Ours, and transforms one image at a time.

    python -m benchmarks.throughput.input_pipeline --config configs/run6.py
    python -m benchmarks.throughput.input_pipeline --config configs/run6.py --candidates batch cv2 pil-loader-2

Ours in its parts (rows of a batch, draws, augmentation on NumPy and on JAX) and as a whole, against the same
ranges of rotation, shift, crop, flip and erasing as users write them, in OpenCV and PIL, in a plain loop and
in PyTorch's DataLoader. Synthetic faces: the pixels' values cost nothing. Live processes that take turns.
Writes benchmarks/results/host-CONFIG.json, raw samples included.
"""

import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena
from benchmarks.throughput.input_pipeline_worker import KINDS, Job
from fer_jax import cli
from fer_jax.config.files import load_config
from fer_jax.errors import ConfigError

QUESTION = "How many images a second does the input path give?"
BASELINE = "batch-float"
"""Gives what the transforms give: standardised float32."""
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
    """Measure the input path of a config, and transforms of the same ranges one image at a time."""

    config: Path = Path("configs/run6.py")
    """Whose augmentation and batch size."""
    candidates: tuple[Name, ...] = ()
    """Who takes part; by default everybody."""
    batch_size: int | None = None
    """Images a batch; by default the config's."""
    examples: int = 4096
    """How many synthetic faces the batches are taken from."""
    rounds: int = 7
    """How often each candidate has its turn."""
    iterations: int = 20
    """Measured batches of a turn."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/host-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(
        lambda: _measure(cli.parse(Host, argv, prog="python -m benchmarks.throughput.input_pipeline"), argv)
    )


def _measure(options: Host, argv: list[str] | None) -> int:
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    config = load_config(options.config)
    batch_size = options.batch_size or config.train.batch_size
    if options.examples < batch_size:
        raise ConfigError(f"--examples is {options.examples}; wanted a batch at least, which is {batch_size}")
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
    _show(console, rows, f"{config.name}: the input path, batches of {batch_size}")
    out = options.out or arena.RESULTS / f"host-{config.name}.json"
    words = sys.argv[1:] if argv is None else argv
    counts = {name: getattr(options, name) for name in ("examples", "rounds", "iterations")}
    arena.write(
        out,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.throughput.input_pipeline", *words]),
        settings={"config": config.name, "augment": fields, "batch_size": batch_size} | counts,
        results=rows,
        extra={"baseline": BASELINE},
    )
    console.print(f"written to {out}")
    return 0


def _choose(options: Host, console: Console) -> list[str]:
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


def _figures(result: arena.Result, results: Sequence[arena.Result], batch_size: int) -> dict[str, Any]:
    """Work out one row: its rate, and how many times as fast as it ours is, round by round."""
    ours = next((each for each in results if each.name == BASELINE), None)
    return arena.to_row(result) | {
        "title": KINDS[result.name].title,
        "images_per_s": batch_size / arena.median_s(result),
        "baseline_is_faster": arena.ratios(ours, result) if ours else None,
    }


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    table = Table("", title=title, title_justify="left")
    for column in ("ms a batch", "img/s", "ours to float32 is faster"):
        table.add_column(column, justify="right")
    for row in rows:
        milliseconds = [1000 * seconds for samples in row["samples_s"] for seconds in samples]
        ratio = row["baseline_is_faster"]
        table.add_row(
            row["title"],
            arena.format_range(milliseconds, 2),
            f"{row['images_per_s']:,.0f}",
            f"{arena.format_range(ratio, 1)} ×" if ratio and KINDS[row["name"]].title[:4] != "ours" else "",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
