"""What does more cost? Batch size, images, width, seeds trained together, devices; each grows on its own.

    python -m benchmarks.throughput.scaling --config configs/run6.py --plot docs/scaling.png
    python -m benchmarks.throughput.scaling --config configs/run6.py --what batch width
    python -m benchmarks.throughput.scaling --redraw benchmarks/results/scaling-run6.json --plot docs/scaling.png

Batch size and width are measured by the train step, in live processes that take turns; images and seeds by
the real program, in seconds an epoch (its second one), on synthetic faces. Only devices that are there are
reported: training uses one. Writes benchmarks/results/scaling-CONFIG.json, raw samples included.
"""

import dataclasses
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rich.console import Console
from rich.table import Table

from benchmarks.harness import arena, timeline
from benchmarks.harness.timeline import Timeline
from benchmarks.throughput.step_worker import Job, draw_batch
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config
from fer_jax.data.examples import class_counts
from fer_jax.errors import ConfigError
from fer_jax.files import read_json

QUESTION = "What do larger batches, more images, wider networks, more seeds and more devices cost?"
EPOCHS = 2
"""Of a run of the real program; the first one compiles and is left out."""

What = Literal["batch", "images", "width", "seeds", "devices"]


@dataclass(frozen=True)
class Scaling:
    """Measure how the cost of training grows, one thing at a time."""

    config: Path = Path("configs/run6.py")
    """Where everything starts from."""
    what: tuple[What, ...] = get_args(What)
    """What to vary."""
    batch: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    """Batch sizes."""
    images: tuple[int, ...] = (2000, 4000, 8000, 16000)
    """Numbers of synthetic faces; 56 % of them train (70 % of the Training rows, which are 80 %)."""
    width: tuple[float, ...] = (0.5, 1, 2, 4)
    """What to multiply every block's features by."""
    seeds: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of seeds to train together."""
    examples: int = 4000
    """Synthetic faces of the runs that vary the seeds."""
    rounds: int = 5
    """How often each step has its turn."""
    iterations: int = 5
    """Measured steps of a turn."""
    epoch_rounds: int = 3
    """How often each program is run."""
    plot: Path | None = None
    """PNG to draw."""
    redraw: Path | None = None
    """Measure nothing: draw --plot from this JSON."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/scaling-CONFIG.json."""


class Measured(NamedTuple):
    """One point: what was varied, its value, and what came of it."""

    what: What
    value: float
    unit: str
    result: arena.Result


def main(argv: list[str] | None = None) -> int:
    """Parse, measure or redraw, and return the exit status."""
    return cli.run(
        lambda: _measure(cli.parse(Scaling, argv, prog="python -m benchmarks.throughput.scaling"), argv)
    )


def _measure(options: Scaling, argv: list[str] | None) -> int:
    console = Console(markup=False, highlight=False)
    if options.redraw is not None:
        if options.plot is None:
            raise ConfigError("--redraw needs --plot, the PNG to draw")
        with arena.reading(options.redraw):
            return _draw(read_json(options.redraw), options.plot, console)
    config = load_config(options.config)
    points = _measure_steps(options, config) + _measure_epochs(options, console)
    rows = [_figures(point, config) for point in points]
    if "devices" in options.what:
        rows.append(_count_devices())
    _show(console, rows, f"{config.name}: what more costs")
    out = options.out or arena.RESULTS / f"scaling-{config.name}.json"
    words = sys.argv[1:] if argv is None else argv
    arena.write(
        out,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.throughput.scaling", *words]),
        settings={
            "config": to_json(config),
            "examples": options.examples,
            "rounds": options.rounds,
            "iterations": options.iterations,
            "epoch_rounds": options.epoch_rounds,
        },
        results=rows,
        extra={},
    )
    console.print(f"written to {out}")
    return _draw(read_json(out), options.plot, console) if options.plot else 0


def _draw(content: dict[str, Any], path: Path, console: Console) -> int:
    from benchmarks.throughput.scaling_plot import plot

    plot(content, path)
    console.print(f"drawn {path}")
    return 0


# Steps.


def _measure_steps(options: Scaling, config: Config) -> list[Measured]:
    """Measure the train step at each batch size and each width; all of them take turns with each other."""
    batch_size = config.train.batch_size
    wanted: list[tuple[What, float, Config, int]] = []
    if "batch" in options.what:
        wanted += [("batch", size, config, size) for size in options.batch]
    if "width" in options.what:
        wanted += [("width", factor, widen(config, factor), batch_size) for factor in options.width]
    candidates = [_make_candidate(f"{what} {value:g}", wider, size) for what, value, wider, size in wanted]
    results = arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)
    return [
        Measured(what, value, "step", result)
        for (what, value, _, _), result in zip(wanted, results, strict=True)
    ]


def widen(config: Config, factor: float) -> Config:
    """Multiply the features of every block, to 1 at least."""
    blocks = tuple(
        dataclasses.replace(block, features=max(1, round(factor * block.features)))
        for block in config.model.blocks
    )
    return dataclasses.replace(config, model=dataclasses.replace(config.model, blocks=blocks))


def _make_candidate(name: str, config: Config, batch_size: int) -> arena.Candidate:
    # Imported here so that --help need not wait for jax.
    from fer_jax.engine.losses import class_weights

    weights = class_weights(config.loss, class_counts(draw_batch(batch_size).labels)).tolist()
    job = json.dumps(Job("jax", "train", to_json(config), batch_size, weights))
    return arena.Candidate(name, (sys.executable, "-m", "benchmarks.throughput.step_worker", job), {})


# Epochs of the real program.


def _measure_epochs(options: Scaling, console: Console) -> list[Measured]:
    """Run the real program with each number of images and of seeds; one after another, in turns."""
    wanted: list[tuple[What, int, list[str]]] = []
    if "images" in options.what:
        wanted += [("images", count, timeline.data_words(None, count)) for count in options.images]
    if "seeds" in options.what:
        data = timeline.data_words(None, options.examples)
        wanted += [("seeds", count, [*data, "--seeds", str(count)]) for count in options.seeds]
    runs: list[list[Timeline]] = [[] for _ in wanted]
    for number in range(1, options.epoch_rounds + 1):
        for (what, value, words), own in zip(wanted, runs, strict=True):
            own.append(_run_epochs(options.config, words))
            console.print(
                f"round {number} of {options.epoch_rounds}: {what} {value:,}: "
                f"{own[-1].epoch_s[0]:.2f} s an epoch"
            )
    warning = timeline.tell_pauses(run for own in runs for run in own)
    if warning:
        console.print(warning)
    return [
        Measured(
            what,
            value,
            "epoch",
            arena.Result(
                f"{what} {value}",
                {"pauses_s": [run.pauses_s for run in own]},
                [run.epoch_s for run in own],
            ),
        )
        for (what, value, _), own in zip(wanted, runs, strict=True)
    ]


def _run_epochs(config: Path, words: Sequence[str]) -> Timeline:
    argv = timeline.python("fer_jax.train", "--config", str(config.resolve()), *words)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        return timeline.watch([*argv, "--train.epochs", str(EPOCHS), "--run-dir", str(folder)], folder)


# Figures.


def _figures(point: Measured, config: Config) -> dict[str, Any]:
    """Work out one row; `work` is what the cost would be in proportion to if nothing were lost."""
    wider = widen(config, point.value) if point.what == "width" else config
    work = point.value if point.what != "width" else count_macs(wider)
    row = {"what": point.what, "value": point.value, "unit": point.unit, "work": work}
    return row | arena.to_row(point.result)


def count_macs(config: Config) -> int:
    """Count the multiply-accumulates of one image's forward pass."""
    from fer_jax.models.cnn import make_model
    from fer_jax.models.summary import list_layers

    return sum(layer.macs for layer in list_layers(make_model(config.model, config.device)))


def _count_devices() -> dict[str, Any]:
    """Say which devices are there. Virtual ones (XLA_FLAGS) would share the same cores and show nothing."""
    import jax

    devices = jax.devices()
    return {"what": "devices", "value": len(devices), "unit": None, "kind": devices[0].device_kind, "used": 1}


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    table = Table("", title=title, title_justify="left")
    for column in ("ms a step", "s an epoch", "× the work", "× the time"):
        table.add_column(column, justify="right")
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["unit"] is None:
            console.print(f"devices: {row['value']} of kind {row['kind']}; training uses {row['used']}")
            continue
        start = first.setdefault(row["what"], row)
        seconds = [each for samples in row["samples_s"] for each in samples]
        is_step = row["unit"] == "step"
        table.add_row(
            row["name"],
            arena.format_range([1000 * each for each in seconds], 2) if is_step else "",
            "" if is_step else arena.format_range(seconds, 2),
            f"{row['work'] / start['work']:.2f}",
            f"{row['spread_s']['median'] / start['spread_s']['median']:.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
