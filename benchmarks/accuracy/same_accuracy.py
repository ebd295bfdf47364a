"""Did the speed-up cost accuracy? A run trained again against its results in the ladder's JSON.

    python -m fer_jax.train --config configs/run7.py --data train.csv --seeds 3
    python -m benchmarks.accuracy.same_accuracy runs/run7-seed0 runs/run7-seed1 runs/run7-seed2

Reads the folders of the new runs and benchmarks/results/ladder.json, writes the counts of both to
benchmarks/results/same_accuracy-RUN.json, and prints the difference of the means in standard errors.
"""

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.config.files import to_json
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json
from fer_jax.runs import record
from fer_jax.text import decimal

PROGRAM = "python -m benchmarks.accuracy.same_accuracy"
QUESTION = "Did the speed-up cost accuracy?"
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class SameAccuracy:
    """Compare runs of one config with those of the same config in an earlier ladder."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of the new runs, one per seed, at least two."""
    ladder: Path = bench.RESULTS / "ladder.json"
    """JSON of `benchmarks.accuracy.ladder collect`."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/same_accuracy-RUN.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, compare, and return the exit status."""
    return cli.run(lambda: _compare(cli.parse(SameAccuracy, argv, prog=PROGRAM), argv))


def _compare(options: SameAccuracy, argv: list[str] | None) -> int:
    if len(options.runs) < 2:
        raise ConfigError("give the folders of at least two runs, one for each seed")
    config = record.read_config(options.runs[0])
    ladder = read_json(options.ladder)
    rows = [row for row in ladder["rows"] if row["name"] == config.name]
    if not rows or len(rows[0]["seeds"]) < 2:
        raise RunError(f"{options.ladder} has not two seeds of {config.name}; name another one with --ladder")
    before = rows[0]["seeds"]
    after = [_read(folder, config.name, data_sha256=ladder["data_sha256"]) for folder in options.runs]
    results = [compare_part(part, before, after) for part in PARTS]
    table = Table("", "before", "now", "now − before", title=f"{config.name}: accuracy in percent")
    for row in results:
        means = [f"{row[name]['mean']:.2f} ± {row[name]['sd']:.2f}" for name in ("before", "now")]
        shift = f"{row['difference']:+.2f}, {decimal(row['in_standard_errors'], digits=1)} standard errors"
        table.add_row(row["part"], *means, shift)
    console = Console(highlight=False)
    console.print(table)
    out = options.out or bench.RESULTS / f"same_accuracy-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"config": to_json(config)},
        results=results,
        extra={"before": before, "now": after},
    )
    console.print(f"written to {out}")
    return 0


def _read(folder: Path, name: str, *, data_sha256: str) -> dict[str, Any]:
    """Read a finished run that was trained on some data: its seed, commit and counts."""
    run, config = record.read_record(folder), record.read_config(folder)
    if config.name != name or not run.finished:
        raise RunError(f"{folder} is not a finished run of {name}; finish its training first")
    if run.data.sha256 != data_sha256:
        raise RunError(f"{folder} was trained on other data than the ladder: {run.data.description}")
    metrics = read_json(folder / "metrics.json")
    counts = {part: {key: metrics[part][key] for key in ("correct", "total")} for part in PARTS}
    return {**{key: getattr(run, key) for key in ("seed", "git", "selection", "last_state_sha256")}, **counts}


def compare_part(
    part: str, before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Compare the mean accuracy of two sets of seeds.

    Args:
        part: the part of the images.
        before: `{part: {"correct", "total"}}` of each seed, at least two.
        after: likewise.

    Returns:
        `before` and `now` with `mean` and `sd` in percent, their `difference` in points, and the same
        `in_standard_errors` of the difference of two means (Welch); None if no seed differs from another.

    >>> counts = [[{"val": {"correct": n, "total": 100}} for n in ns] for ns in ((50, 52), (52, 54))]
    >>> found = compare_part("val", *counts)
    >>> found["difference"], round(found["in_standard_errors"], 3)
    (2.0, 1.414)
    """
    sides: dict[str, Any] = {}
    variance = 0.0
    for name, seeds in (("before", before), ("now", after)):
        percents = [100 * seed[part]["correct"] / seed[part]["total"] for seed in seeds]
        sides[name] = {"mean": statistics.mean(percents), "sd": statistics.stdev(percents)}
        variance += sides[name]["sd"] ** 2 / len(seeds)
    difference = sides["now"]["mean"] - sides["before"]["mean"]
    error = math.sqrt(variance)
    return {
        "part": part,
        **sides,
        "difference": difference,
        "in_standard_errors": difference / error if error else None,
    }


if __name__ == "__main__":
    sys.exit(main())
