"""What do augmentation, teachers and batches gain where networks overfit? Long runs on the whole of Training.

    python -m benchmarks.accuracy.long_ablation train --data fer2013.csv --lanes 2  # resumes where it stopped
    python -m benchmarks.accuracy.long_ablation collect --data fer2013.csv  # -> results/long_ablation.json
    python -m benchmarks.accuracy.long_ablation write                       # -> docs/results/ablation.md
    python -m benchmarks.accuracy.long_ablation keep --data fer2013.csv     # -> weights/long-NAME-seedS.*

`benchmarks.accuracy.ablation` ranks what helps to learn fast: on few images, over few epochs, whatever only
regularises loses. Here the base is `tiny.py` over 60 epochs by the official protocol, which overfits, and the
runs are measured on PublicTest, in several views, and also without the images that are exact copies of
training images. A hold-out would make Training smaller, and the released network that teaches here knows its
images. What is chosen after reading these figures is no longer measured independently on PublicTest.

The ingredients need not be trained in one go: the JSON holds which images each seed gets right, so that more
can be compared with the same base later, also where its runs are gone.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import tyro
from rich.console import Console

from benchmarks.accuracy import kept_weights
from benchmarks.accuracy.ablation import BASE, check_alike, check_comparison
from benchmarks.accuracy.long_ablation.ingredients import INGREDIENTS, VIEWS
from benchmarks.accuracy.long_ablation.measure import collect
from benchmarks.accuracy.long_ablation.table import table
from benchmarks.accuracy.tiers import PART
from benchmarks.harness import bench, unattended
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.harness.unattended import Training, check_settings, is_finished
from fer_jax import cli
from fer_jax.config.changes import list_changes
from fer_jax.config.files import from_json, to_json
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import Json, read_json
from fer_jax.report import terminal
from fer_jax.train.__main__ import TrainCommand, to_config

SECTION: Final = "long-ablation"
RESULTS: Final = "long_ablation"
PROGRAM: Final = "python -m benchmarks.accuracy.long_ablation"
QUESTION: Final = "What do augmentation, teachers and batches gain where networks overfit?"

ALIKE: Final = ("data_sha256", "split_sha256", "seeds", "epochs")
"""Facts of the runs that have to be those of the base: only one thing changes."""

_SELDOM: Final = "--train.measure-epochs 10 --train.save-epochs 5"
"""Options of all runs: only the last epoch is measured for the table."""


@dataclass(frozen=True)
class LongAblation:
    """Train a base and single changes of it for long, measure them, write the table, or keep the weights.

    Exit status 6: some runs are not finished; call again.
    """

    verb: Annotated[Literal["train", "collect", "write", "keep"], tyro.conf.Positional]
    """train: the runs that are not finished; collect: measure those ingredients whose seeds are all finished
    and write the JSON, where the others' rows stay; write: its table; keep: their weights, in float16, with
    their cards."""
    data: Path | None = None
    """Kaggle's fer2013.csv, for all but write."""
    config: Path = bench.ROOT / "configs" / "tiny.py"
    """The config of the base."""
    epochs: int = 60
    """Epochs of each run."""
    ingredients: tuple[str, ...] = tuple(INGREDIENTS)
    """Ingredients beside the base."""
    base: bool = True
    """The base too. --no-base leaves it out, to compare more ingredients with the base in --results."""
    seeds: int = 2
    """Train seeds 0 .. seeds - 1 of each, at least two."""
    lanes: int = 1
    """Runs at a time, each on its own cores. Give the same number in every call: only times on the same
    machine, with as many cores, are compared."""
    minutes: float | None = None
    """Stop and save the runs after this many minutes, or up to two later; the next call resumes them. By
    default there is no limit."""
    runs: Path = bench.ROOT / "runs" / "long_ablation"
    """Folder of the runs."""
    results: Path = bench.RESULTS / f"{RESULTS}.json"
    """The JSON."""
    kept: Path = kept_weights.FOLDER
    """Folder for the weights that are kept; together they have at most 60 MB."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(LongAblation, argv, prog=PROGRAM), argv))


def _do(options: LongAblation, argv: list[str] | None) -> int:
    check_comparison(options.ingredients, INGREDIENTS, seeds=options.seeds)
    if options.verb == "write":
        with bench.reading(options.results):
            text = table(read_json(options.results))
        print(f"written to {write_section(options.pages, SECTION, text)}")
        return 0
    if options.data is None:
        raise ConfigError("--data is missing; give fer2013.csv, which has PublicTest")
    console = terminal.make_console()
    wanted = {
        name: [_training(options, options.data, name, seed) for seed in range(options.seeds)]
        for name in dict.fromkeys((*([BASE] if options.base else []), *options.ingredients))
    }
    if options.verb == "train":
        # Seed by seed: what is there when the time is up, is there for all ingredients.
        in_turn = [one for seed in zip(*wanted.values(), strict=True) for one in seed]
        return unattended.train(in_turn, lanes=options.lanes, minutes=options.minutes, console=console)
    finished = list_finished(wanted, console)
    if options.verb == "keep":
        runs = {f"long-{one.folder.name}": one.folder for each in finished.values() for one in each}
        kept_weights.keep(runs, options.kept, data=options.data, ferplus=None, console=console)
        return 0
    _collect(options, options.data, finished, argv, console)
    return 0


def _collect(
    options: LongAblation,
    data: Path,
    finished: dict[str, list[Training]],
    argv: list[str] | None,
    console: Console,
) -> None:
    """Measure what is finished, and write it into the JSON beside the rows of others."""
    before, settings = bench.read_rows(options.results), _list_settings(options, data)
    there = read_json(options.results) if before else {}
    if before:
        _check_settings(options.results, there, settings)
    measured, images = collect(finished, data, console)
    if before and there.get("images") != images:
        raise RunError(
            f"{options.results} was measured on other images than those of {data}; give the same file with "
            "--data, or name another one with --results"
        )
    rows = bench.merge_rows(before, measured, list(INGREDIENTS))
    if rows[0]["name"] != BASE:
        raise RunError(f"the base is neither finished nor in the JSON; train it first: {PROGRAM} train")
    check_alike(rows, ALIKE, cure="train it again, or write another --results")
    bench.write(
        options.results,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings=settings,
        results=rows,
        extra={"images": images},
    )
    console.print(f"written to {options.results}")


def _training(options: LongAblation, data: Path, name: str, seed: int) -> Training:
    words = ["--config", str(options.config.resolve()), "--data", str(data.resolve())]
    words += ["--train.seed", str(seed), "--train.epochs", str(options.epochs)]
    words += shlex.split(f"{_SELDOM} {INGREDIENTS[name][1]}")
    return Training(options.runs.resolve() / f"{name}-seed{seed}", tuple(words))


def _list_settings(options: LongAblation, data: Path) -> Json:
    """List what all measurements of a JSON share, the base's config among them, for JSON."""
    words = _training(options, data, BASE, 0).words
    config = to_json(to_config(cli.parse(TrainCommand, list(words), prog="python -m fer_jax.train")))
    del config["data"]  # Rows tell their data by its hash.
    return {"part": PART, "views": list(VIEWS), "weights": "float16", "base": config}


def _check_settings(results: Path, content: Json, settings: Json) -> None:
    """Check that the content of a JSON was measured with some settings.

    Raises:
        RunError: with others, or it has another format.
    """
    with bench.reading(results):
        there = content["settings"]
        # Read and compared as configs: fields that are newer than the file have their defaults.
        before, now = (from_json(Config, each["base"], where=str(results)) for each in (there, settings))
        changes = [
            f"{field} is {old}, not {new}" for field, old, new in list_changes(before, now, ignored=())
        ]
        changes += [
            f"{name} is {there[name]}, not {settings[name]}"
            for name in ("part", "views", "weights")
            if there[name] != settings[name]
        ]
    if changes:
        raise RunError(
            f"{results} has other settings: {'; '.join(changes)}; name another file with --results"
        )


def list_finished(wanted: dict[str, list[Training]], console: Console) -> dict[str, list[Training]]:
    """List the ingredients whose seeds are all finished, and say which are left out.

    Raises:
        RunError: none is finished; a run has other settings than required.
    """
    finished = {}
    for name, trainings in wanted.items():
        missing = [one.folder.name for one in trainings if not is_finished(one.folder)]
        if missing:
            console.print(f"{name}: left out; not finished: {', '.join(missing)}")
            continue
        for one in trainings:
            check_settings(one)
        finished[name] = trainings
    if not finished:
        raise RunError(f"no ingredient has all seeds finished; train them first: {PROGRAM} train")
    return finished


if __name__ == "__main__":
    sys.exit(main())
