"""How many seconds from the command to 50, 55, 60, 65 and 70 percent validation accuracy? All included.

    python -m benchmarks.accuracy.time_to_accuracy --config configs/run7.py --data train.csv --seeds 0 1 2
    python -m benchmarks.accuracy.time_to_accuracy --config configs/run7.py --data train.csv \
        --programs jax torch-users
    python -m benchmarks.accuracy.time_to_accuracy --redraw benchmarks/results/time_to_accuracy-run7.json \
        --plot a.png

The real program runs to its end and its log is watched from outside, so the times include start-up, reading
the data, compiling, evaluation and checkpoints. An accuracy is reached when the first epoch with it is in the
log. If the config caches compiled programs, each row says whether the cache had any before; set
$FER_JAX_CACHE to an empty folder to see both cases. With `--views` the final weights are also measured with
test-time augmentation, by the real `evaluate`, whose seconds are added. Writes
benchmarks/results/time_to_accuracy-CONFIG.json.
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from benchmarks.harness import bench, timeline
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.errors import ConfigError
from fer_jax.files import read_json
from fer_jax.images.view_choice import ViewChoice
from fer_jax.images.views import suffix_of
from fer_jax.runtime import compile_cache

PROGRAM = "python -m benchmarks.accuracy.time_to_accuracy"
QUESTION = "How many seconds from the command to a validation accuracy?"

Name = Literal["jax", "torch-users", "torch-tuned"]
PROGRAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "jax": ("fer_jax.train", ()),
    "torch-users": ("benchmarks.pytorch.train", ("--workers", "2")),
    "torch-tuned": (
        "benchmarks.pytorch.train",
        ("--workers", "2", "--form", "tuned", "--transform", "cv2"),
    ),
}
"""Module and options of each program."""


@dataclass(frozen=True)
class TimeToAccuracy:
    """Time training until it reaches given validation accuracies, with everything included."""

    config: Path = Path("configs/run7.py")
    """The config to train."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv; without it the faces are synthetic."""
    examples: int = 8000
    """Number of synthetic faces."""
    targets: tuple[float, ...] = (50, 55, 60, 65, 70)
    """Validation accuracies in percent."""
    seeds: tuple[int, ...] = (0,)
    """Training seeds; each program runs once with each."""
    programs: tuple[Name, ...] = ("jax",)
    """jax: fer_jax.train; torch-users and torch-tuned: benchmarks.pytorch.train, with two workers."""
    views: ViewChoice = "single"
    """Test-time augmentation with which jax's final weights are also measured; single: none."""
    keep: Path | None = None
    """Folder for the runs; without it they are deleted."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/time_to_accuracy-CONFIG.json."""
    plot: Path | None = None
    """PNG to draw."""
    redraw: Path | None = None
    """Draw --plot from this JSON, and measure nothing."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or redraw, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(TimeToAccuracy, argv, prog=PROGRAM), argv))


def _measure(options: TimeToAccuracy, argv: list[str] | None) -> int:
    if options.redraw is not None:
        return bench.redraw(options.redraw, options.plot, _draw)
    console = bench.make_console()
    config = load_config(options.config)
    rows = train(options, console)
    _show(console, rows, options.targets, f"{config.name}: seconds to a validation accuracy")
    out = options.out or bench.RESULTS / f"time_to_accuracy-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "config": to_json(config),
            "data": timeline.name_data(options.data),
            "examples": options.examples,
            "targets_percent": options.targets,
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
        },
        results=rows,
        extra={},
    )
    console.print(f"written to {out}")
    return bench.redraw(out, options.plot, _draw) if options.plot else 0


def _draw(content: dict[str, Any], path: Path) -> None:
    # Imported here: measuring does not need Matplotlib.
    from benchmarks.accuracy.time_to_accuracy_plot import plot

    plot(content, path)


def train(
    options: TimeToAccuracy, console: Console, environment: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Run each program with each seed to its end.

    Args:
        options: what to run.
        console: for people.
        environment: variables of the trainings alone, in addition to those of this process.
    """
    needs: dict[str, tuple[str, ...]] = {
        name: () if name == "jax" else ("torch", *{"cv2"}.intersection(PROGRAMS[name][1]))
        for name in options.programs
    }
    names = bench.keep_installed(needs, console)
    if not names:
        raise ConfigError("there is no program to run; name some with --programs")
    is_cached = load_config(options.config).device.compile_cache
    shared = ["--config", str(options.config.resolve()), *timeline.data_words(options.data, options.examples)]
    rows = []
    for seed, name in itertools.product(options.seeds, names):
        module, more = PROGRAMS[name]
        argv = timeline.python(module, *shared, *more, "--train.seed", str(seed))
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch) if options.keep is None else options.keep.resolve()
            folder = home / f"{options.config.stem}-{name}-seed{seed}"
            is_compiled = name == "jax" and is_cached and any(compile_cache.compiled_folder().glob("*-cache"))
            run = timeline.watch([*argv, "--run-dir", str(folder)], folder, environment)
            has_views = name == "jax" and options.views != "single"
            viewed = _measure_views(folder, options.views, run.total_s) if has_views else None
        rows.append(
            {
                "name": name,
                "seed": seed,
                "found_compiled_programs": is_compiled,
                "reached": find_targets(run.records, run.ends_s, options.targets),
                "total_s": run.total_s,
                "peak_rss_mib": run.peak_rss_mib,
                "pauses_s": run.pauses_s,
                "ends_s": run.ends_s,
                "val_accuracy": [record.get("val_accuracy") for record in run.records],
                "viewed": viewed,
            }
        )
        console.print(f"{name}, seed {seed}: {run.total_s:.1f} s in all")
        timeline.warn_of_pauses([run], console)
    return rows


def _measure_views(folder: Path, views: ViewChoice, before_s: float) -> dict[str, Any]:
    """Measure a finished run's validation part with test-time augmentation, and add its seconds."""
    started = time.perf_counter()
    timeline.call(timeline.python("fer_jax.evaluate", str(folder), "--views", views, "--no-robustness"))
    seconds = before_s + time.perf_counter() - started
    figures = read_json(folder / f"evaluate_val{suffix_of(views)}.json")
    return {"views": views, "seconds": seconds} | {name: figures[name] for name in ("correct", "total")}


def find_targets(
    records: Sequence[dict[str, Any]], ends_s: Sequence[float], targets: Sequence[float]
) -> list[dict[str, Any]]:
    """Find the first epoch that reaches each accuracy.

    Args:
        records: one per epoch, those that were measured with `val_accuracy` in 0..1.
        ends_s: seconds until each epoch was done.
        targets: in percent.

    Returns:
        `percent`, `epoch` (from 1) and `seconds` of each target; the last two None if it was not reached.

    >>> find_targets([{"val_accuracy": 0.4}, {"val_accuracy": 0.55}], [9.0, 12.0], [50])
    [{'percent': 50, 'epoch': 2, 'seconds': 12.0}]
    """
    found = []
    for percent in targets:
        hits = (
            (epoch, seconds)
            for epoch, (record, seconds) in enumerate(zip(records, ends_s, strict=True), 1)
            if 100 * record.get("val_accuracy", 0.0) >= percent
        )
        epoch, seconds = next(hits, (None, None))
        found.append({"percent": percent, "epoch": epoch, "seconds": seconds})
    return found


def _show(console: Console, rows: Sequence[dict[str, Any]], targets: Sequence[float], title: str) -> None:
    table = bench.make_table(title, [*(f"{percent:g} %" for percent in targets), "best %", "all epochs"])
    for row in rows:
        cells = [
            "–" if found["seconds"] is None else f"{found['seconds']:.1f} (epoch {found['epoch']})"
            for found in row["reached"]
        ]
        best = f"{100 * max(filter(None, row['val_accuracy']), default=0.0):.1f}"
        table.add_row(f"{row['name']}, seed {row['seed']}", *cells, best, f"{row['ends_s'][-1]:.1f}")
    console.print(table)
    for row in rows:
        if row["viewed"] is not None:
            console.print(f"{row['name']}, seed {row['seed']}, {describe_viewed(row['viewed'])}")
    console.print("Counted from the start of the process. –: not reached.")


def describe_viewed(viewed: Mapping[str, Any]) -> str:
    """Describe the accuracy with test-time augmentation, and after how many seconds it was known.

    >>> describe_viewed({"views": "flip", "seconds": 60.4, "correct": 3, "total": 4})
    'flip TTA: 75.0 % (3 of 4) after 60 s'
    """
    correct, total = viewed["correct"], viewed["total"]
    found = f"{100 * correct / total:.1f} % ({correct:,} of {total:,})"
    return f"{viewed['views']} TTA: {found} after {viewed['seconds']:,.0f} s"


if __name__ == "__main__":
    sys.exit(main())
