"""Bias and variance of the seven runs: every run at the same reduced scale, in one table.

    python -m benchmarks.accuracy.bias_variance measure --data train.csv     # resumes where it was stopped
    python -m benchmarks.accuracy.bias_variance write                        # -> docs/results/ladder.md

`measure` runs `python -m fer_jax.bias_variance` for each run and writes its JSON to benchmarks/results. The
default scale is affordable on two cores: a quarter of the features, 2,000 training images, and batches of 32,
because an epoch with fewer images has fewer steps.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli
from fer_jax.compare.notebook import NOTEBOOK
from fer_jax.errors import RunError
from fer_jax.files import read_json, write_json
from fer_jax.text import MISSING, Table, to_markdown

PROGRAM = "python -m benchmarks.accuracy.bias_variance"
SECTION = "bias-variance"


@dataclass(frozen=True)
class BiasVariance:
    """Measure the bias and variance of the seven runs, or write the docs' table from the results."""

    verb: Annotated[Literal["measure", "write"], tyro.conf.Positional]
    """measure: train and decompose the missing runs; write: the table."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, to bound the label noise."""
    runs: tuple[str, ...] = tuple(NOTEBOOK)
    """Runs to measure, by the names of their configs."""
    seeds: int = 5
    """Training seeds."""
    resamples: int = 3
    """Bootstrap resamples of the training images."""
    width: float = 0.25
    """Factor on the features of every block."""
    examples: int = 2000
    """Training images."""
    batch_size: int = 32
    """Images per step."""
    work: Path = bench.ROOT / "runs" / "bias_variance"
    """Folder of the finished networks' predictions, from which a stopped study resumes."""
    results: Path = bench.RESULTS
    """Folder of the JSON files."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or write, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(BiasVariance, argv, prog=PROGRAM)))


def _run(options: BiasVariance) -> int:
    if options.verb == "write":
        print(f"written to {write_section(options.pages, SECTION, table(read(options.results)))}")
        return 0
    for name in options.runs:
        status = _measure(options, name)
        if status:
            return status
    return 0


def _measure(options: BiasVariance, name: str) -> int:
    out = options.results / f"bias_variance-{name}.json"
    if out.exists():
        print(f"{out} exists; delete it to measure {name} again")
        return 0
    config = bench.ROOT / "configs" / f"{name}.py"
    words: list[object] = ["--config", config.relative_to(bench.ROOT), "--width", options.width]
    words += ["--train.max-examples", options.examples]
    words += ["--train.batch-size", options.batch_size]
    words += ["--seeds", options.seeds, "--resamples", options.resamples]
    for option, path in (("--data", options.data), ("--ferplus", options.ferplus)):
        words += [option, path.resolve()] if path else []
    words += ["--work-dir", (options.work / name).resolve(), "--out", out.resolve()]
    argv = [sys.executable, "-m", "fer_jax.bias_variance", *map(str, words)]
    status = subprocess.run(argv, cwd=bench.ROOT, check=False).returncode
    if not status:
        write_json(out, bench.without_folders(read_json(out)))
    return status


def read(folder: Path) -> list[dict[str, Any]]:
    """Read the results of all runs.

    Raises:
        RunError: one is missing, or they differ in scale or data.
    """
    paths = [folder / f"bias_variance-{name}.json" for name in NOTEBOOK]
    for path in paths:
        if not path.exists():
            raise RunError(f"{path} is missing; measure it with `{PROGRAM} measure`")
    results: list[dict[str, Any]] = [read_json(path) for path in paths]
    for path, each in zip(paths, results, strict=True):
        for field in ("part", "width", "train_images", "seeds", "resamples", "split_sha256", "machine"):
            if each[field] != results[0][field]:
                raise RunError(f"{path}: {field} differs from {paths[0].name}'s; measure all at one scale")
    return results


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the table in Markdown, with a line below it that explains it.

    Args:
        results: the JSON that `fer_jax.bias_variance` wrote for each run.
    """
    rows: Table = [
        [
            "run",
            "train",
            "0-1 loss",
            "bias",
            "variance",
            "variance / loss",
            "Brier score",
            "bias",
            "variance",
            "share of variance due to the seed",
        ]
    ]
    for each in results:
        error, brier = each["losses"]["zero_one"], each["losses"]["brier"]
        train = sum(lane["train_accuracy"] for lane in each["lanes"]) / len(each["lanes"])
        sources = each["brier_variance"]
        rows.append(
            [
                each["name"],
                f"{100 * train:.1f}",
                *(_with_spread(error, name, scale=100, digits=1) for name in ("loss", "bias", "variance")),
                f"{error['variance'] / error['loss']:.2f}",
                *(_with_spread(brier, name, scale=1, digits=3) for name in ("loss", "bias", "variance")),
                f"{sources['seed'] / (sources['seed'] + sources['data']):.2f}" if sources else MISSING,
            ]
        )
    first = results[0]
    noise = first["noise"]
    bound = (
        " How much of the bias is label noise is not known: FER+'s annotators disagree with the majority of "
        f"the others in {100 * noise['zero_one']:.1f} % of their votes, and FER2013's label is not their "
        f"majority on {100 * noise['label_is_not_majority']:.1f} % of the images."
        if noise
        else ""
    )
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"0-1 loss in percent (Domingos 2000: loss = bias + variance) and Brier score, ± jackknife over the "
        f"resamples, on the {first['images']:,} images of {first['part']}; {len(first['seeds'])} seeds × "
        f"{len(first['resamples'])} bootstrap resamples of {first['train_images']:,} training images, "
        f"{first['width']:g} × the features of the configs, batches of "
        f"{first['config']['train']['batch_size']}. Train: accuracy in percent on the resample."
        f"{bound}"
    )


def _with_spread(parts: dict[str, Any], name: str, *, scale: int, digits: int) -> str:
    text = f"{scale * parts[name]:.{digits}f}"
    return text if parts["spread"] is None else f"{text} ± {scale * parts['spread'][name]:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
