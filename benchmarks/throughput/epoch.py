"""How long does an epoch take in fer_jax and in PyTorch? The real programs, end to end.

    python -m benchmarks.throughput.epoch --config configs/run6.py --data train.csv
    python -m benchmarks.throughput.epoch --config configs/run6.py \
        --candidates jax torch-users --workers 2 --rounds 1

Compares `python -m fer_jax.train` with `python -m benchmarks.pytorch.train`, a plain script with a
DataLoader: the same network, loss, optimizer, batch and ranges of augmentation, evaluated on the same rows
after each epoch. Whole programs run one after another, in turns, and their logs are watched from outside: an
epoch lasts from one line of the log to the next, with evaluation and checkpoint. The first epoch of a run,
which compiles, is reported separately. Two more results: what augmentation costs, and the epoch relative to
its device steps alone. Without --data the faces are synthetic. Writes benchmarks/results/epoch-CONFIG.json,
with every epoch.
"""

import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rich.console import Console

from benchmarks.harness import arena, bench, timeline
from benchmarks.harness.timeline import Timeline
from fer_jax import cli
from fer_jax.config.augment import AugmentConfig
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError

PROGRAM = "python -m benchmarks.throughput.epoch"
QUESTION = "How long does an epoch take in fer_jax and in PyTorch?"
OURS, BARE, STEPS = "jax", "jax-bare", "jax-steps"
CHANGES = tuple(each.name for each in fields(AugmentConfig) if each.name.endswith("_probability"))
WIDTH_OF_A_FILE = 160

Name = Literal[
    "jax", "jax-bare", "jax-steps", "torch-users", "torch-users-cv2", "torch-tuned", "torch-tuned-bf16"
]


class Kind(NamedTuple):
    """A program to run.

    Attributes:
        title: its name in the table.
        module: of this repository.
        words: its options besides config, data and epochs.
    """

    title: str
    module: str
    words: tuple[str, ...]


_TRAIN, _THEIRS = "fer_jax.train", "benchmarks.pytorch.train"
KINDS: dict[str, Kind] = {
    "jax": Kind("fer_jax", _TRAIN, ()),
    "jax-bare": Kind(
        "fer_jax, no augmentation",
        _TRAIN,
        tuple(f"--augment.{each.replace('_', '-')}=0" for each in CHANGES),
    ),
    "jax-steps": Kind("fer_jax, device steps alone", "benchmarks.throughput.steps_alone", ()),
    "torch-users": Kind("PyTorch as users run it, PIL", _THEIRS, ()),
    "torch-users-cv2": Kind("PyTorch as users run it, OpenCV", _THEIRS, ("--transform", "cv2")),
    "torch-tuned": Kind("PyTorch tuned, OpenCV", _THEIRS, ("--form", "tuned", "--transform", "cv2")),
    "torch-tuned-bf16": Kind(
        "PyTorch tuned, bfloat16, OpenCV", _THEIRS, ("--form", "tuned-bf16", "--transform", "cv2")
    ),
}


@dataclass(frozen=True)
class Epoch:
    """Time whole epochs of fer_jax and of a plain PyTorch script."""

    config: Path = Path("configs/run6.py")
    """The config to train."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv; without it the faces are synthetic."""
    examples: int = 8000
    """Number of synthetic faces."""
    candidates: tuple[Name, ...] = ()
    """Programs to compare; by default all, without bfloat16 where the processor lacks it. jax-bare does not
    augment; jax-steps takes only an epoch's device steps; users, tuned: see
    `python -m benchmarks.pytorch.train --help`."""
    workers: tuple[int, ...] = (0, 2)
    """Worker processes of PyTorch's DataLoader; each number is a candidate of its own."""
    rounds: int = 3
    """Runs of each program."""
    epochs: int = 3
    """Epochs per run; the first, which compiles, is reported separately."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/epoch-CONFIG.json."""


class Entry(NamedTuple):
    """One row of the table: its name, title and command line without the folder."""

    name: str
    title: str
    argv: list[str]


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Epoch, argv, prog=PROGRAM), argv))


def _measure(options: Epoch, argv: list[str] | None) -> int:
    console = bench.make_console(WIDTH_OF_A_FILE)
    if options.epochs < 2:
        raise ConfigError(
            f"--epochs is {options.epochs}; it must be at least 2: the first is reported separately"
        )
    config = load_config(options.config)
    entries = list_entries(options, console)
    runs = _run_in_turns(entries, options.rounds, console)
    rows = make_rows(entries, runs)
    summary = summarise(rows)
    _show(console, rows, f"{config.name}: a whole epoch, evaluation and checkpoint included")
    for name, values in summary.items():
        console.print(f"{name.replace('_', ' ')}: {arena.format_range(values, 3)}")
    timeline.warn_of_pauses((run for each in runs.values() for run in each), console)
    out = options.out or bench.RESULTS / f"epoch-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings=_settings(options, config),
        results=rows,
        extra=summary,
    )
    console.print(f"written to {out}")
    return 0


def _settings(options: Epoch, config: Config) -> dict[str, Any]:
    counts = {name: getattr(options, name) for name in ("examples", "rounds", "epochs")}
    return {"config": to_json(config), "data": timeline.name_data(options.data), **counts}


def list_entries(options: Epoch, console: Console) -> list[Entry]:
    """List the programs to run, without those whose libraries are not installed."""
    names = list(dict.fromkeys(options.candidates or get_args(Name)))
    if not options.candidates and not bench.multiplies_bfloat16():
        console.print("left out: bfloat16, for which the processor has no instructions")
        names = [name for name in names if not name.endswith("-bf16")]
    names = bench.keep_installed({name: _needs(name) for name in names}, console)
    if not names:
        raise ConfigError("there is no candidate to run; name some with --candidates")
    shared = ["--config", str(options.config.resolve()), *timeline.data_words(options.data, options.examples)]
    shared += ["--train.epochs", str(options.epochs)]
    entries = []
    for name in names:
        kind = KINDS[name]
        argv = timeline.python(kind.module, *shared, *kind.words)
        if kind.module != _THEIRS:
            entries.append(Entry(name, kind.title, argv))
            continue
        for count in options.workers:
            title = f"{kind.title}, {count} workers"
            entries.append(Entry(f"{name}-{count}", title, [*argv, "--workers", str(count)]))
    return entries


def _needs(name: str) -> tuple[str, ...]:
    if KINDS[name].module != _THEIRS:
        return ()
    return ("torch", "cv2") if "cv2" in KINDS[name].words else ("torch",)


def _run_in_turns(entries: Sequence[Entry], rounds: int, console: Console) -> dict[str, list[Timeline]]:
    """Run the programs in turns, A B C A B C, one at a time."""
    runs: dict[str, list[Timeline]] = {entry.name: [] for entry in entries}
    for number in range(1, rounds + 1):
        for entry in entries:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "run"
                run = timeline.watch([*entry.argv, "--run-dir", str(folder)], folder)
            runs[entry.name].append(run)
            seconds = ", ".join(f"{each:.2f}" for each in run.epoch_s)
            console.print(f"round {number} of {rounds}: {entry.title}: {seconds} s/epoch")
    return runs


def make_rows(entries: Sequence[Entry], runs: dict[str, list[Timeline]]) -> list[dict[str, Any]]:
    """Compute the rows: spread, first epochs, logs, and the speed-up of fer_jax."""
    results = {name: arena.Result(name, {}, [run.epoch_s for run in each]) for name, each in runs.items()}
    rows = []
    for entry in entries:
        each, result = runs[entry.name], results[entry.name]
        facts = {
            "title": entry.title,
            "command": shlex.join(["python", *entry.argv[1:]]),
            "first_epoch_end_s": [run.ends_s[0] for run in each],
            "total_s": [run.total_s for run in each],
            "peak_rss_mib": [run.peak_rss_mib for run in each],
            "pauses_s": [run.pauses_s for run in each],
            "logs": [run.records for run in each],
        }
        row = arena.to_row(arena.Result(entry.name, facts, result.samples))
        is_other = OURS in results and entry.name != OURS
        rows.append(row | {"ours_is_faster": arena.ratios(results[OURS], result) if is_other else None})
    return rows


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Compute for each round what augmentation costs, and the epoch relative to its device steps."""
    faster = {row["name"]: row["ours_is_faster"] for row in rows}
    summary = {}
    if faster.get(BARE):
        # The fraction of the epoch with augmentation that is saved without it.
        summary["share_of_the_epoch_that_is_augmentation"] = [1 - ratio for ratio in faster[BARE]]
    if faster.get(STEPS):
        summary["epoch_over_its_device_steps"] = [1 / ratio for ratio in faster[STEPS]]
    return summary


def _show(console: Console, rows: Sequence[dict[str, Any]], title: str) -> None:
    columns = (
        "s/epoch",
        "speed-up of fer_jax",
        "start to end of epoch 1, s",
        "peak MiB",
        "val %, last epoch",
    )
    table = bench.make_table(title, columns)
    for row in rows:
        facts, ratio = row["facts"], row["ours_is_faster"]
        last = facts["logs"][-1][-1].get("val_accuracy")
        peaks = [peak for peak in facts["peak_rss_mib"] if peak is not None]
        seconds = [each / 1000 for each in arena.milliseconds(row)]
        table.add_row(
            facts["title"],
            arena.format_range(seconds, 2),
            f"{arena.format_range(ratio, 2)} ×" if ratio else "",
            arena.format_range(facts["first_epoch_end_s"], 1),
            f"{max(peaks):,.0f}" if peaks else "",
            "" if last is None else f"{100 * last:.1f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
