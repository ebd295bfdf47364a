"""Did speed cost learning? A run trained anew against its figures in the ladder's JSON, seed by seed.

    python -m fer_jax.train --config configs/run7.py --data train.csv --seeds 3
    python -m benchmarks.accuracy.same_accuracy runs/run7-seed0 runs/run7-seed1 runs/run7-seed2

Reads the folders of the new runs and benchmarks/results/ladder.json, writes
benchmarks/results/same_accuracy-RUN.json with the integers of both, and prints the difference of the means
in standard errors.
"""

import math
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena
from fer_jax import cli
from fer_jax.config.files import to_json
from fer_jax.errors import RunError
from fer_jax.files import read_json
from fer_jax.runs import record

QUESTION = "Did speed cost learning?"
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class SameAccuracy:
    """Hold runs of one config against those of the same config in an earlier ladder."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of the new runs, one a seed, two at least."""
    ladder: Path = arena.RESULTS / "ladder.json"
    """JSON of `benchmarks.accuracy.ladder collect`."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/same_accuracy-RUN.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse, compare, and return the exit status."""
    return cli.run(
        lambda: _compare(
            cli.parse(SameAccuracy, argv, prog="python -m benchmarks.accuracy.same_accuracy"), argv
        )
    )


def _compare(options: SameAccuracy, argv: list[str] | None) -> int:
    config = record.read_config(options.runs[0])
    rows = [row for row in read_json(options.ladder)["rows"] if row["name"] == config.name]
    if not rows or min(len(rows[0]["seeds"]), len(options.runs)) < 2:
        raise RunError(f"{options.ladder} and the runs must both have two seeds or more of {config.name}")
    before, after = rows[0]["seeds"], [_read(folder, config.name) for folder in options.runs]
    results = [compare_part(part, before, after) for part in PARTS]
    table = Table("", "before", "now", "now − before", title=f"{config.name}: accuracy in percent")
    for row in results:
        means = [f"{row[name]['mean']:.2f} ± {row[name]['sd']:.2f}" for name in ("before", "now")]
        shift = f"{row['difference']:+.2f}, {abs(row['in_standard_errors']):.1f} standard errors"
        table.add_row(row["part"], *means, shift)
    console = Console(highlight=False)
    console.print(table)
    out = options.out or arena.RESULTS / f"same_accuracy-{config.name}.json"
    words = sys.argv[1:] if argv is None else argv
    arena.write(
        out,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.accuracy.same_accuracy", *words]),
        settings={"config": to_json(config)},
        results=results,
        extra={"before": before, "now": after},
    )
    console.print(f"written to {out}")
    return 0


def _read(folder: Path, name: str) -> dict[str, Any]:
    """Read a finished run: its seed, commit and integers."""
    facts, config = record.read_facts(folder), record.read_config(folder)
    if config.name != name or not facts["finished"]:
        raise RunError(f"{folder} is not a finished run of {name}; train it to its end")
    metrics = read_json(folder / "metrics.json")
    counts = {part: {key: metrics[part][key] for key in ("correct", "total")} for part in PARTS}
    return {**{key: facts[key] for key in ("seed", "git", "selection", "last_state_sha256")}, **counts}


def compare_part(
    part: str, before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Compare the mean accuracy of two sets of seeds.

    Args:
        part: which images.
        before: of each seed `{part: {"correct", "total"}}`, two at least.
        after: likewise.

    Returns:
        `before` and `now` with `mean` and `sd` in percent, their `difference` in points, and that
        `in_standard_errors`: of a difference of two means over seeds (Welch).

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
        "in_standard_errors": difference / error if error else 0.0,
    }


if __name__ == "__main__":
    sys.exit(main())
