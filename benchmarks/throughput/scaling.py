"""How does the cost of training grow? Batch size, images, width and seeds, one at a time.

    python -m benchmarks.throughput.scaling --config configs/run6.py --plot docs/images/scaling.png
    python -m benchmarks.throughput.scaling --config configs/run6.py --what batch width
    python -m benchmarks.throughput.scaling --redraw benchmarks/results/scaling-run6.json \
        --plot docs/images/scaling.png

Batch size and width: milliseconds per train step, in live processes that take
turns. Images and seeds (trained together as replicas): seconds per epoch of the real program, its second one,
on synthetic faces. Devices are only listed; training uses one. Writes benchmarks/results/scaling-CONFIG.json,
with all raw samples.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rich.console import Console

from benchmarks.harness import arena, bench, timeline
from benchmarks.harness.timeline import Timeline
from benchmarks.throughput.step_worker import count_macs, make_candidate
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config

PROGRAM = "python -m benchmarks.throughput.scaling"
QUESTION = "What do larger batches, more images, wider networks, more seeds and more devices cost?"
EPOCHS = 2
"""Epochs per run of the real program; the first compiles and is left out."""

What = Literal["batch", "images", "width", "seeds", "devices"]


@dataclass(frozen=True)
class Scaling:
    """Measure how the cost of training grows with one quantity at a time."""

    config: Path = Path("configs/run6.py")
    """The config to start from."""
    what: tuple[What, ...] = get_args(What)
    """The quantities to vary."""
    batch: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    """Batch sizes."""
    images: tuple[int, ...] = (2000, 4000, 8000, 16000)
    """Numbers of synthetic faces; 56 % of them are trained on (70 % of the Training rows, which are 80 %)."""
    width: tuple[float, ...] = (0.5, 1, 2, 4)
    """Factors on the features of every block."""
    seeds: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of seeds trained together."""
    examples: int = 4000
    """Synthetic faces of the runs with several seeds."""
    rounds: int = 5
    """Turns of each step."""
    iterations: int = 5
    """Measured steps per turn."""
    epoch_rounds: int = 3
    """Runs of each program."""
    plot: Path | None = None
    """PNG to draw."""
    redraw: Path | None = None
    """Draw --plot from this JSON, and measure nothing."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/scaling-CONFIG.json."""


class Measured(NamedTuple):
    """One point: the quantity that was varied, its value, and the measurements."""

    what: What
    value: float
    unit: str
    result: arena.Result


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or redraw, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Scaling, argv, prog=PROGRAM), argv))


def _measure(options: Scaling, argv: list[str] | None) -> int:
    if options.redraw is not None:
        return bench.redraw(options.redraw, options.plot, _draw)
    console = bench.make_console()
    config = load_config(options.config)
    points = _measure_steps(options, config) + _measure_epochs(options, console)
    rows = [_figures(point, config) for point in points]
    if "devices" in options.what:
        rows.append(_count_devices())
    _show(console, rows, f"{config.name}: how the cost grows")
    out = options.out or bench.RESULTS / f"scaling-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
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
    return bench.redraw(out, options.plot, _draw) if options.plot else 0


def _draw(content: dict[str, Any], path: Path) -> None:
    # Imported here: measuring does not need Matplotlib.
    from benchmarks.throughput.scaling_plot import plot

    plot(content, path)


# Steps.


def _measure_steps(options: Scaling, config: Config) -> list[Measured]:
    """Measure the train step at each batch size and each width; all take turns with each other."""
    batch_size = config.train.batch_size
    wanted: list[tuple[What, float, Config, int]] = []
    if "batch" in options.what:
        wanted += [("batch", size, config, size) for size in options.batch]
    if "width" in options.what:
        wanted += [("width", factor, widen(config, factor), batch_size) for factor in options.width]
    candidates = [
        make_candidate(f"{what} {value:g}", "jax", "train", wider, size)
        for what, value, wider, size in wanted
    ]
    results = arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)
    return [
        Measured(what, value, "step", result)
        for (what, value, _, _), result in zip(wanted, results, strict=True)
    ]


def widen(config: Config, factor: float) -> Config:
    """Multiply the features of every block by a factor; at least 1 remains."""
    blocks = tuple(
        dataclasses.replace(block, features=max(1, round(factor * block.features)))
        for block in config.model.blocks
    )
    return dataclasses.replace(config, model=dataclasses.replace(config.model, blocks=blocks))


# Epochs of the real program.


def _measure_epochs(options: Scaling, console: Console) -> list[Measured]:
    """Run the real program with each number of images and of seeds, one after another, in turns."""
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
                f"{own[-1].epoch_s[0]:.2f} s/epoch"
            )
    timeline.warn_of_pauses((run for own in runs for run in own), console)
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


# Rows and the table.


def _figures(point: Measured, config: Config) -> dict[str, Any]:
    """Compute one row; with perfect scaling the cost would be proportional to its `work`."""
    wider = widen(config, point.value) if point.what == "width" else config
    work = point.value if point.what != "width" else count_macs(wider)
    row = {"what": point.what, "value": point.value, "unit": point.unit, "work": work}
    return row | arena.to_row(point.result)


def _count_devices() -> dict[str, Any]:
    """List the devices. Virtual ones (XLA_FLAGS) share the same cores: there is nothing to measure."""
    import jax

    devices = jax.devices()
    return {"what": "devices", "value": len(devices), "unit": None, "kind": devices[0].device_kind, "used": 1}


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    table = bench.make_table(title, ("ms/step", "s/epoch", "× the work", "× the time"))
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["unit"] is None:
            console.print(f"devices: {row['value']} of kind {row['kind']}; training uses {row['used']}")
            continue
        start = first.setdefault(row["what"], row)
        milliseconds = arena.milliseconds(row)
        is_step = row["unit"] == "step"
        table.add_row(
            row["name"],
            arena.format_range(milliseconds, 2) if is_step else "",
            "" if is_step else arena.format_range([each / 1000 for each in milliseconds], 2),
            f"{row['work'] / start['work']:.2f}",
            f"{row['spread_s']['median'] / start['spread_s']['median']:.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
