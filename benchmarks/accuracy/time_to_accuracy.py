"""How many seconds from the command to 50, 55, 60, 65 and 70 percent validation accuracy? All counted.

    python -m benchmarks.accuracy.time_to_accuracy --config configs/run7.py --data train.csv --seeds 0 1 2
    python -m benchmarks.accuracy.time_to_accuracy --config configs/run7.py --data train.csv --programs jax torch-users
    python -m benchmarks.accuracy.time_to_accuracy --redraw benchmarks/results/time_to_accuracy-run7.json --plot a.png

The real program is run to its end and its log is watched from outside, so that everything counts: start-up,
reading the data, compiling, evaluation, checkpoints. An accuracy is reached when the first epoch that has it
is in the log. Where the config keeps compiled programs, each row says whether some were there before; name an
empty folder in $FER_JAX_CACHE to see both. With `--views` the weights at the end are measured in these
test-time views too, by the real `evaluate`, whose seconds are added. Writes
benchmarks/results/time_to_accuracy-CONFIG.json.
"""

import itertools
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena, timeline
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.errors import ConfigError
from fer_jax.files import read_json
from fer_jax.images.views import ViewChoice
from fer_jax.runtime import compile_cache

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
"""Module and words of each program."""


@dataclass(frozen=True)
class TimeToAccuracy:
    """Time training until it reaches given validation accuracies, everything included."""

    config: Path = Path("configs/run7.py")
    """What to train."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv; without it the faces are synthetic."""
    examples: int = 8000
    """How many synthetic faces."""
    targets: tuple[float, ...] = (50, 55, 60, 65, 70)
    """Validation accuracies in percent."""
    seeds: tuple[int, ...] = (0,)
    """Training seeds; each is a run of its own, and each program takes its turn with it."""
    programs: tuple[Name, ...] = ("jax",)
    """jax: fer_jax.train; torch-users, torch-tuned: benchmarks.pytorch.train in that form, two workers."""
    views: ViewChoice = "single"
    """Of jax, how the weights at the end are measured too; single measures nothing more."""
    keep: Path | None = None
    """Folder for the runs, which are deleted otherwise."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/time_to_accuracy-CONFIG.json."""
    plot: Path | None = None
    """A PNG to draw from it."""
    redraw: Path | None = None
    """Measure nothing: draw --plot from this JSON."""


def main(argv: list[str] | None = None) -> int:
    """Parse, train or read, and return the exit status."""
    return cli.run(
        lambda: _measure(
            cli.parse(TimeToAccuracy, argv, prog="python -m benchmarks.accuracy.time_to_accuracy"), argv
        )
    )


def _measure(options: TimeToAccuracy, argv: list[str] | None) -> int:
    console = Console(markup=False, highlight=False)
    if options.redraw is not None:
        if options.plot is None:
            raise ConfigError("--redraw needs --plot, the PNG to draw")
        with arena.reading(options.redraw):
            return _draw(read_json(options.redraw), options.plot, console)
    config = load_config(options.config)
    rows = train(options, console)
    _show(console, rows, options.targets, f"{config.name}: seconds to a validation accuracy")
    out = options.out or arena.RESULTS / f"time_to_accuracy-{config.name}.json"
    words = sys.argv[1:] if argv is None else argv
    arena.write(
        out,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.accuracy.time_to_accuracy", *words]),
        settings={
            "config": to_json(config),
            "data": "synthetic" if options.data is None else options.data.name,
            "examples": options.examples,
            "targets_percent": options.targets,
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
        },
        results=rows,
        extra={},
    )
    console.print(f"written to {out}")
    return _draw(read_json(out), options.plot, console) if options.plot else 0


def _draw(content: dict[str, Any], path: Path, console: Console) -> int:
    # Matplotlib takes a second to come, which nobody who only measures should wait for.
    from benchmarks.accuracy.time_to_accuracy_plot import plot

    plot(content, path)
    console.print(f"drawn to {path}")
    return 0


def train(options: TimeToAccuracy, console: Console) -> list[dict[str, Any]]:
    """Run each program with each seed to its end."""
    names: list[str] = list(dict.fromkeys(options.programs))
    needs = {name: ("torch", *{"cv2"}.intersection(PROGRAMS[name][1])) for name in names if name != "jax"}
    missing = [name for name, modules in needs.items() if not all(map(arena.is_installed, modules))]
    if missing:
        console.print(
            f"PyTorch or OpenCV is not installed; left out: {', '.join(missing)}; {arena.HOW_TO_INSTALL}"
        )
        names = [name for name in names if name not in missing]
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
            is_compiled = name == "jax" and is_cached and any(compile_cache.compiled_folder().glob("*"))
            run = timeline.watch([*argv, "--run-dir", str(folder)], folder)
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
                "val_accuracy": [record["val_accuracy"] for record in run.records],
                "viewed": viewed,
            }
        )
        console.print(f"{name}, seed {seed}: {run.total_s:.1f} s in all")
        warning = timeline.tell_pauses([run])
        if warning:
            console.print(warning)
    return rows


def _measure_views(folder: Path, views: ViewChoice, before_s: float) -> dict[str, Any]:
    """Measure a finished run's validation part in test-time views, and add the seconds that it takes."""
    started = time.perf_counter()
    timeline.call(timeline.python("fer_jax.evaluate", str(folder), "--views", views, "--no-robustness"))
    seconds = before_s + time.perf_counter() - started
    figures = read_json(folder / "evaluate_val.json")
    return {"views": views, "seconds": seconds} | {name: figures[name] for name in ("correct", "total")}


def find_targets(
    records: Sequence[dict[str, Any]], ends_s: Sequence[float], targets: Sequence[float]
) -> list[dict[str, Any]]:
    """Find the first epoch of each accuracy.

    Args:
        records: one an epoch, with `val_accuracy`, 0..1.
        ends_s: seconds until each epoch was done.
        targets: in percent.

    Returns:
        For each target `percent`, `epoch` (from 1) and `seconds`; None and None where it was not reached.

    >>> find_targets([{"val_accuracy": 0.4}, {"val_accuracy": 0.55}], [9.0, 12.0], [50])
    [{'percent': 50, 'epoch': 2, 'seconds': 12.0}]
    """
    found = []
    for percent in targets:
        hits = (
            (epoch, seconds)
            for epoch, (record, seconds) in enumerate(zip(records, ends_s, strict=True), 1)
            if 100 * record["val_accuracy"] >= percent
        )
        epoch, seconds = next(hits, (None, None))
        found.append({"percent": percent, "epoch": epoch, "seconds": seconds})
    return found


def _show(console: Console, rows: Sequence[dict[str, Any]], targets: Sequence[float], title: str) -> None:
    table = Table("", title=title, title_justify="left")
    for percent in targets:
        table.add_column(f"{percent:g} %", justify="right")
    table.add_column("best %", justify="right")
    table.add_column("all epochs", justify="right")
    for row in rows:
        cells = [
            "–" if found["seconds"] is None else f"{found['seconds']:.1f} (epoch {found['epoch']})"
            for found in row["reached"]
        ]
        best = f"{100 * max(row['val_accuracy']):.1f}"
        table.add_row(f"{row['name']}, seed {row['seed']}", *cells, best, f"{row['ends_s'][-1]:.1f}")
    console.print(table)
    for row in rows:
        if row["viewed"] is not None:
            console.print(f"{row['name']}, seed {row['seed']}, {describe_viewed(row['viewed'])}")
    console.print("Counted from the start of the process. –: not reached.")


def describe_viewed(viewed: Mapping[str, Any]) -> str:
    """Say what the views came to, and after how long.

    >>> describe_viewed({"views": "flip", "seconds": 60.4, "correct": 3, "total": 4})
    'views flip: 75.0 % (3 of 4) after 60 s'
    """
    correct, total = viewed["correct"], viewed["total"]
    found = f"{100 * correct / total:.1f} % ({correct:,} of {total:,})"
    return f"views {viewed['views']}: {found} after {viewed['seconds']:,.0f} s"


if __name__ == "__main__":
    sys.exit(main())
