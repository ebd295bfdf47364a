"""The seven runs side by side: train them on FER2013, collect their results, write the tables.

    python -m benchmarks.accuracy.ladder train --data train.csv     # hours; resumes where it was stopped
    python -m benchmarks.accuracy.ladder time --data train.csv      # seconds per epoch, on an idle machine
    python -m benchmarks.accuracy.ladder collect                    # -> benchmarks/results/ladder.json
    python -m benchmarks.accuracy.ladder write                      # -> docs/ and configs/run*.py

`train` writes runs/ladder/RUN-seedS, `time` runs/ladder-time/RUN, each with `python -m fer_jax.train`.
"""

import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from benchmarks.harness import bench
from benchmarks.harness.sections import swap, write_section
from fer_jax import cli, fer2013
from fer_jax.compare.notebook import NOTEBOOK
from fer_jax.config.files import load_config
from fer_jax.errors import RunError
from fer_jax.files import read_json, read_json_lines, write_json, write_text
from fer_jax.report import plots as report_plots
from fer_jax.runs import record as runs_record
from fer_jax.text import escape, mean_and_spread, to_markdown

PROGRAM = "python -m benchmarks.accuracy.ladder"
ROOT = bench.ROOT
RUNS, TIMED_RUNS = ROOT / "runs" / "ladder", ROOT / "runs" / "ladder-time"
RESULTS = bench.RESULTS / "ladder.json"
PARTS = ("train", "val", "test")
TIMED_EPOCHS = 2


@dataclass(frozen=True)
class Ladder:
    """Train, time, collect and write up the seven runs."""

    verb: Annotated[Literal["train", "time", "collect", "write"], tyro.conf.Positional]
    """train: every run and seed that is not finished. time: the seconds per epoch. collect: the results into
    benchmarks/results/ladder.json. write: its table, plots, and the configs' docstrings."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv, for train and time."""
    runs: tuple[str, ...] = tuple(NOTEBOOK)
    """Runs to train or time."""
    seeds: int = 3
    """Train seeds 0 .. seeds - 1."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(Ladder, argv, prog=PROGRAM)))


def _do(options: Ladder) -> int:
    if options.verb == "train":
        return _train(options)
    if options.verb == "time":
        return _time(options)
    if options.verb == "collect":
        write_json(RESULTS, {"command": f"{PROGRAM} collect", **collect()})
        print(f"written to {RESULTS}")
    else:
        for path in write(read_json(RESULTS)):
            print(f"written to {path}")
    return 0


def _train(options: Ladder) -> int:
    for seed in range(options.seeds):
        for name in options.runs:
            folder = RUNS / f"{name}-seed{seed}"
            is_begun = (folder / "run.json").exists()
            if is_begun and _read_run(folder, name)["finished"]:
                continue
            resume = ["--resume"] if is_begun else []
            status = _call(name, folder, options.data, ["--train.seed", str(seed), *resume])
            if status:
                return status
    return 0


def _time(options: Ladder) -> int:
    for name in options.runs:
        shutil.rmtree(TIMED_RUNS / name, ignore_errors=True)
        status = _call(name, TIMED_RUNS / name, options.data, ["--train.epochs", str(TIMED_EPOCHS)])
        if status:
            return status
    return 0


def _call(name: str, folder: Path, data: Path | None, more: list[str]) -> int:
    words = ["--config", f"configs/{name}.py", "--run-dir", str(folder.relative_to(ROOT)), *more]
    if data is not None:
        words += ["--data", str(data.resolve())]
    return subprocess.run([sys.executable, "-m", "fer_jax.train", *words], cwd=ROOT, check=False).returncode


def collect() -> dict[str, Any]:
    """Collect the results of all finished runs, as counts from which every ratio can be computed.

    Raises:
        RunError: a run is missing, used synthetic faces, or another machine, data or split than the first.
    """
    rows, facts = [], []
    for name, (change, notebook) in NOTEBOOK.items():
        folders = sorted(path.parent for path in RUNS.glob(f"{name}-seed*/run.json"))
        runs = [_read_run(folder, name) for folder in folders]
        if not runs or not all(run["finished"] for run in runs):
            raise RunError(f"{RUNS} has no finished {name}; train it with `{PROGRAM} train`")
        timed = _read_run(TIMED_RUNS / name, name)
        facts += [*runs, timed]
        epoch_seconds = _timed_seconds(name)
        rows.append(
            {
                "name": name,
                "change": change,
                "notebook": notebook,
                "parameters": runs[0]["parameters"],
                "macs": runs[0]["macs"],
                "epochs": load_config(ROOT / "configs" / f"{name}.py").train.epochs,
                "epoch_seconds": epoch_seconds,
                "seconds_per_epoch": statistics.median(epoch_seconds),
                "seeds": [_seed_figures(folder, run) for folder, run in zip(folders, runs, strict=True)],
            }
        )
    first = facts[0]
    for run in facts:
        if run["data"]["is_synthetic"]:
            raise RunError(f"{run['command']}: trained on synthetic faces; give the real file with --data")
        for key in ("machine", "device", "versions"):
            if run[key] != first[key]:
                raise RunError(f"{run['command']}: its {key} is {run[key]}, the first run's {first[key]}")
        for key in ("data", "split"):
            if run[key]["sha256"] != first[key]["sha256"]:
                raise RunError(f"{run['command']}: its {key} differs from the first run's")
    shared = {key: first[key] for key in ("machine", "device", "tuning", "versions", "split")}
    return {**shared, "data_sha256": first["data"]["sha256"], "rows": rows}


def _read_run(folder: Path, name: str) -> dict[str, Any]:
    """Read a run's facts; its config must be the present one, but for the seed and, if timed, the epochs."""
    free = ["train.seed", "data.path"] + ["train.epochs"] * (folder.parent == TIMED_RUNS)
    config = load_config(ROOT / "configs" / f"{name}.py")
    change = runs_record.find_config_change(folder, config, free=tuple(free))
    if change:
        raise RunError(f"{change}; remove {folder} and train it again")
    return asdict(runs_record.read_record(folder))


def _seed_figures(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    metrics = read_json(folder / "metrics.json")
    figures = {part: {key: metrics[part][key] for key in ("correct", "total")} for part in PARTS}
    keys = ("seed", "git", "measured_epoch", "selection", "last_state_sha256")
    return {
        **{key: run[key] for key in keys},
        **figures,
        "val_confusion": metrics["val"]["confusion"],
        "history": read_json_lines(folder / "log.jsonl"),
    }


def _timed_seconds(name: str) -> list[float]:
    # The first epoch compiles; the others are what a user waits for.
    log = TIMED_RUNS / name / "log.jsonl"
    if not log.exists():
        raise RunError(f"{log} is missing; measure it with `{PROGRAM} time`")
    seconds = [record["seconds"] for record in read_json_lines(log)][1:]
    if not seconds:
        raise RunError(f"{log} has no second epoch; measure it again with `{PROGRAM} time`")
    return seconds


def write(results: dict[str, Any]) -> list[Path]:
    """Write the docs' table and plots, and each config's measured result, from the collected results.

    Returns:
        The files written.
    """
    written = [write_section((ROOT / "README.md", ROOT / "docs"), "ladder", ladder_table(results))]
    for row in results["rows"]:
        path = ROOT / "configs" / f"{row['name']}.py"
        write_text(path, swap(path, r'^Measured: [^\n]*(\n(?!""")[^\n]+)*', measured(results, row)))
        written.append(path)
    return written + _draw(results["rows"][-1])


def _draw(row: dict[str, Any]) -> list[Path]:
    """Draw the curves and the confusion matrix of the last run's first seed."""
    seed = row["seeds"][0]
    name = f"{row['name']}, seed {seed['seed']}"
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        folder / "curves.png": report_plots.plot_curves(
            seed["history"], title=name, measured_epoch=seed["measured_epoch"]
        ),
        folder / "confusion_val.png": report_plots.plot_confusion(
            np.array(seed["val_confusion"]), fer2013.LABELS, title=f"{name}: validation"
        ),
    }
    for path, figure in figures.items():
        report_plots.write_png(figure, path)
    return list(figures)


def measured(results: dict[str, Any], row: dict[str, Any]) -> str:
    """Return a run's results as a paragraph for its config's docstring."""
    percents = {part: [100 * s[part]["correct"] / s[part]["total"] for s in row["seeds"]] for part in PARTS}
    figures = ", ".join(f"{part} {mean_and_spread(percents[part])}" for part in PARTS)
    count = len(row["seeds"])
    seeds = "one seed" if count == 1 else f"mean ± sd of {count} seeds"
    return (
        f"Measured: {figures} percent\n"
        f"({seeds}; {row['seeds'][0]['selection']}).\n"
        f"Cost: {row['epochs']} epochs of {row['seconds_per_epoch']:.1f} s on {results['machine']}."
    )


def ladder_table(results: dict[str, Any]) -> str:
    """Return the table of all runs beside the notebook's accuracies.

    Args:
        results: `machine`, and `rows` of `name`, `change`, `notebook` (`train`, `val`, `test`: percent,
            a word such as `"≤ 51"`, or None), `parameters`, `seconds_per_epoch` and `seeds`, at least
            one: each with `correct` and `total` of `train`, `val` and `test`.

    Returns:
        Markdown: the table and the line that explains it.
    """
    parts = ("train", "val", "test")
    measured = [*parts, "gap", "seeds", "parameters", "s an epoch"]
    table = [["run", "what changed", "notebook train / val / test", *measured]]
    for row in results["rows"]:
        percents = {
            part: [100 * seed[part]["correct"] / seed[part]["total"] for seed in row["seeds"]]
            for part in parts
        }
        gaps = [train - val for train, val in zip(percents["train"], percents["val"], strict=True)]
        notebook = [row["notebook"][part] for part in parts]
        table.append(
            [
                row["name"],
                escape(row["change"]),
                " / ".join("–" if figure is None else str(figure) for figure in notebook),
                *(mean_and_spread(percents[part]) for part in parts),
                mean_and_spread(gaps),
                str(len(row["seeds"])),
                f"{row['parameters']:,}",
                f"{row['seconds_per_epoch']:.1f}",
            ]
        )
    return (
        f"{to_markdown(table, left_columns=2)}\n\n"
        "Accuracies in percent, ours as mean ± standard deviation over the training seeds (one seed has "
        "no spread). Gap: train − val, in points. A dash: the notebook does not say. "
        f"Machine: {results['machine']}."
    )


if __name__ == "__main__":
    sys.exit(main())
