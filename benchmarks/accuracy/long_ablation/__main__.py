"""What do augmentation, teachers and batches gain where networks overfit? Long runs on the whole of Training.

    python -m benchmarks.accuracy.long_ablation train --data fer2013.csv --lanes 2  # resumes where it stopped
    python -m benchmarks.accuracy.long_ablation collect --data fer2013.csv  # -> results/long_ablation.json
    python -m benchmarks.accuracy.long_ablation write                       # -> docs/results/ablation.md

`benchmarks.accuracy.ablation` ranks what helps to learn fast: on few images, over few epochs, whatever only
regularises loses. Here the base is `tiny.py` over 60 epochs by the official protocol, which overfits, and the
runs are measured on PublicTest, in several views, and also without the images that are exact copies of
training images. A hold-out would make Training smaller, and the released network that teaches here knows its
images. These figures only report: recipes are chosen on a hold-out.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import tyro
from rich.console import Console

from benchmarks.accuracy.ablation import BASE, check_comparison, part_shared
from benchmarks.accuracy.long_ablation.ingredients import COMPARED, INGREDIENTS, MATCHED, VIEWS
from benchmarks.accuracy.long_ablation.paired import count_moved
from benchmarks.accuracy.long_ablation.table import table
from benchmarks.accuracy.tiers import PART
from benchmarks.harness import bench, unattended
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.harness.unattended import Training
from fer_jax import cli
from fer_jax.data.examples import Examples
from fer_jax.errors import ConfigError
from fer_jax.files import read_json
from fer_jax.images.views import ViewChoice
from fer_jax.inference import run_weights
from fer_jax.inference.predictor import count_views, predict_choices
from fer_jax.inference.rows import choose_common_rows, find_trained_on
from fer_jax.inference.run_weights import Trained
from fer_jax.release import card as release_card
from fer_jax.report import terminal
from fer_jax.runtime import cpu

SECTION: Final = "long-ablation"
RESULTS: Final = "long_ablation"
PROGRAM: Final = "python -m benchmarks.accuracy.long_ablation"
QUESTION: Final = "What do augmentation, teachers and batches gain where networks overfit?"

_SELDOM: Final = "--train.measure-epochs 10 --train.save-epochs 5"
"""Options of all runs: only the last epoch is measured for the table."""


@dataclass(frozen=True)
class LongAblation:
    """Train a base and single changes of it for long, measure them, or write the table of the docs.

    Exit status 6: some runs are not finished; call again.
    """

    verb: Annotated[Literal["train", "collect", "write"], tyro.conf.Positional]
    """train: the runs that are not finished; collect: measure and write the JSON; write: its table."""
    data: Path | None = None
    """Kaggle's fer2013.csv, for train and collect."""
    config: Path = bench.ROOT / "configs" / "tiny.py"
    """The config of the base."""
    epochs: int = 60
    """Epochs of each run."""
    ingredients: tuple[str, ...] = tuple(INGREDIENTS)
    """Ingredients beside the base."""
    seeds: int = 2
    """Train seeds 0 .. seeds - 1 of each, at least two."""
    lanes: int = 1
    """Runs at a time, each on its own cores. Give the same number in every call: only runs on the same
    machine, with the same number of cores, are compared."""
    minutes: float | None = None
    """Stop and save the runs after this many minutes, or up to two later; the next call resumes them. By
    default there is no limit."""
    runs: Path = bench.ROOT / "runs" / "long_ablation"
    """Folder of the runs."""
    results: Path = bench.RESULTS / f"{RESULTS}.json"
    """The JSON."""
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
        for name in dict.fromkeys((BASE, *options.ingredients))
    }
    if options.verb == "train":
        # Seed by seed: what is there when the time is up, is there for all ingredients.
        in_turn = [one for seed in zip(*wanted.values(), strict=True) for one in seed]
        return unattended.train(in_turn, lanes=options.lanes, minutes=options.minutes, console=console)
    rows, shared = part_shared(collect(wanted, options.data, console))
    bench.write(
        options.results,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "part": PART,
            "views": list(VIEWS),
            "config": read_json(wanted[BASE][0].folder / "config.json"),
        },
        results=rows,
        # Machine and versions of the training runs.
        extra=shared,
    )
    console.print(f"written to {options.results}")
    return 0


def _training(options: LongAblation, data: Path, name: str, seed: int) -> Training:
    words = ["--config", str(options.config.resolve()), "--data", str(data.resolve())]
    words += ["--train.seed", str(seed), "--train.epochs", str(options.epochs)]
    words += shlex.split(f"{_SELDOM} {INGREDIENTS[name][1]}")
    return Training(options.runs.resolve() / f"{name}-seed{seed}", tuple(words))


def collect(wanted: dict[str, list[Training]], data: Path, console: Console) -> list[dict[str, Any]]:
    """Measure the seeds of all ingredients, and count on which images they differ from the base's.

    Args:
        wanted: the runs of each ingredient, the base's first.
        data: fer2013.csv.
        console: where progress is shown.

    Returns:
        A row for each ingredient.

    Raises:
        RunError: a run is not finished, or has other settings than required.
    """
    cpu.tune_cpu()
    rows: list[dict[str, Any]] = []
    examples: Examples | None = None
    of_base: dict[ViewChoice, np.ndarray] = {}
    for name, trainings in wanted.items():
        members = [run_weights.load_finished(one.folder, data, None) for one in trainings]
        for one in trainings:
            unattended.check_settings(one)
        examples = examples or run_weights.load_data(members[0], is_other_file=True)
        chosen = choose_common_rows(examples, members, PART)
        console.print(f"{name}: {len(members)} runs")
        is_right = _find_right(members, examples, chosen, console)
        of_base = of_base or is_right
        counted = _count(is_right, of_base, ~find_trained_on(members, examples.hashes[chosen]))
        rows.append(_describe_runs(name, members) | counted)
    return rows


def _find_right(
    members: Sequence[Trained], examples: Examples, chosen: np.ndarray, console: Console
) -> dict[ViewChoice, np.ndarray]:
    """Find the images that each of K seeds gets right, for each choice of views: bool [K, N]."""
    with terminal.show_steps(console, "views", len(members) * count_views(VIEWS)) as advance:
        logits = [
            predict_choices(member.network, examples.images[chosen], VIEWS, advance=advance)
            for member in members
        ]
    return {
        choice: np.array([each[choice].argmax(axis=1) == examples.labels[chosen] for each in logits])
        for choice in VIEWS
    }


def _count(
    is_right: dict[ViewChoice, np.ndarray], of_base: dict[ViewChoice, np.ndarray], is_new: np.ndarray
) -> dict[str, Any]:
    """Count the correct predictions of an ingredient's seeds, and where they differ from others.

    Args:
        is_right: bool [K, N] for each choice of views.
        of_base: the same of the base.
        is_new: bool [N], the images that are no exact copies of training images.

    Returns:
        For `all` images and the `copy_free` ones: `total`; `correct`, for each choice a count a seed;
        `moved`, see `count_moved`, from the base's answers to these, and `moved_by_views`, from `COMPARED` to
        `MATCHED`.
    """
    counted = {}
    for kind, kept in {"all": np.ones_like(is_new), "copy_free": is_new}.items():
        mine, others = (
            {choice: each[:, kept] for choice, each in one.items()} for one in (is_right, of_base)
        )
        counted[kind] = {
            "total": int(kept.sum()),
            "correct": {choice: each.sum(axis=1).tolist() for choice, each in mine.items()},
            "moved": count_moved(others[COMPARED], mine[COMPARED]),
            "moved_by_views": count_moved(mine[COMPARED], mine[MATCHED]),
        }
    return counted


def _describe_runs(name: str, members: Sequence[Trained]) -> dict[str, Any]:
    first = members[0].record
    change, words = INGREDIENTS[name]
    trained = [read_json(member.folder / "metrics.json")["train"] for member in members]
    return {
        "name": name,
        "change": change,
        "options": words,
        "machine": first.machine,
        "versions": first.versions,
        "data_sha256": first.data.sha256,
        "split_sha256": first.split.sha256,
        "seeds": [member.record.seed for member in members],
        "teachers": release_card.name_teachers(first.teachers),
        "parameters": first.parameters,
        "epochs": members[0].config.train.epochs,
        "seconds_per_epoch": [member.record.seconds_per_epoch for member in members],
        "train": {"correct": [each["correct"] for each in trained], "total": trained[0]["total"]},
    }


if __name__ == "__main__":
    sys.exit(main())
