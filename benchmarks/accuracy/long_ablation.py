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
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import tyro
from rich.console import Console

from benchmarks.accuracy.ablation import BASE, part_shared
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
from fer_jax.text import Table, mean_and_spread, to_markdown

SECTION: Final = "long-ablation"
RESULTS: Final = "long_ablation"
PROGRAM: Final = "python -m benchmarks.accuracy.long_ablation"
QUESTION: Final = "What do augmentation, teachers and batches gain where networks overfit?"
VIEWS: Final[tuple[ViewChoice, ...]] = ("single", "flip", "flip-zooms")
COMPARED: Final[ViewChoice] = "flip"
"""The views whose accuracies are compared with the base's."""
MATCHED: Final[ViewChoice] = "flip-zooms"
"""The views that match the training images, compared with `COMPARED` on the same weights."""

_SELDOM: Final = "--train.measure-epochs 10 --train.save-epochs 5"
"""Options of all runs: only the last epoch is measured for the table."""
_TAUGHT: Final = (
    "--distill.teachers best --distill.weight 0.8 --distill.temperature 1.5 --loss.label-smoothing 0"
)

INGREDIENTS: Final[dict[str, tuple[str, str]]] = {
    BASE: ("`tiny.py` over 60 epochs", ""),
    "augmentation": (
        "crops of at least 0.85 of the side on half of the images, erasing and mixup on 30 % each",
        "--augment.crop-probability 0.5 --augment.min-crop-scale 0.85 --augment.erase-probability 0.3 "
        "--mix.mixup-alpha 0.2 --mix.probability 0.3",
    ),
    "bank": (
        "0.8 of the target from `best`, asked about the 8 stored views that an image then has",
        f"{_TAUGHT} --distill.views 8",
    ),
    "batch": (
        "batches of 256 instead of 64; learning rate and weight decay doubled, averaged over as many epochs",
        "--train.batch-size 256 --optimizer.peak-rate 0.01 --optimizer.weight-decay 0.04 "
        "--average.ema-decay 0.992",
    ),
    "repeats": ("each image of a batch in two augmentations", "--augment.repeats 2"),
    "clean-teacher": (
        "0.8 of the target from `best`, asked once, about the image and its mirror image",
        _TAUGHT,
    ),
    "strong-augmentation": (
        "the augmentation of `best100.py`, without mixing",
        "--augment.max-shift-px 6 --augment.max-rotation-deg 12 --augment.crop-probability 0.7 "
        "--augment.min-crop-scale 0.75 --augment.zoom-probability 0.5 --augment.max-zoom 1.15 "
        "--augment.stretch-probability 0.5 --augment.max-stretch 1.15 --augment.contrast-probability 0.5 "
        "--augment.max-contrast 1.4 --augment.brightness-probability 0.5 --augment.max-brightness 0.15 "
        "--augment.erase-probability 0.5 --augment.max-erase-fraction 0.3",
    ),
}
"""By name, most wanted first: the change in words, and as options of `python -m fer_jax.train`."""


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
    unknown = [name for name in options.ingredients if name not in INGREDIENTS]
    if unknown:
        raise ConfigError(
            f"--ingredients {unknown[0]}: unknown; the ingredients are {', '.join(INGREDIENTS)}"
        )
    if options.seeds < 2:
        raise ConfigError(f"--seeds is {options.seeds}; it must be at least 2: one seed has no spread")
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


def count_moved(before: np.ndarray, after: np.ndarray) -> list[int]:
    """Count the images by how many of K seeds get them right that did not, less those that no longer do.

    Args:
        before: bool [K, N], the images that each seed gets right.
        after: bool [K, N], the same after a change.

    Returns:
        Counts of the images with -K, ..., 0, ..., K seeds; they add up to N.

    >>> count_moved(np.array([[True, False, False]]), np.array([[False, True, False]]))
    [1, 1, 1]
    """
    seeds = len(before)
    moved = after.sum(axis=0) - before.sum(axis=0)
    counts: list[int] = np.bincount(moved + seeds, minlength=2 * seeds + 1).tolist()
    return counts


def measure_gain(moved: Sequence[int]) -> tuple[float, float]:
    """Compute the gain in accuracy, the mean over seeds, and its standard error over the images, in points.

    The error is that of paired differences: images that a change does not move add nothing to it. It holds
    for these seeds.

    Args:
        moved: see `count_moved`.

    >>> measure_gain([0, 50, 0, 50, 0])  # half of the images lose one of two seeds, half gain one
    (0.0, 5.0)
    """
    seeds, total = len(moved) // 2, sum(moved)
    gains = [(place - seeds) / seeds for place in range(len(moved))]
    mean = sum(gain * count for gain, count in zip(gains, moved, strict=True)) / total
    variance = sum((gain - mean) ** 2 * count for gain, count in zip(gains, moved, strict=True)) / total
    return 100 * mean, 100 * (variance / total) ** 0.5


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


def table(results: dict[str, Any]) -> str:
    """Return the table: a row for each ingredient, in the order of their gains without copies."""
    first, *others = results["results"]
    others.sort(key=lambda row: -measure_gain(row["copy_free"]["moved"])[0])
    rows: Table = [
        [
            "change",
            "train",
            *VIEWS,
            "gain",
            f"{COMPARED}, without copies",
            "gain, without copies",
            f"gain of {MATCHED}, without copies",
            "time per epoch",
        ]
    ]
    for row in (first, *others):
        every, new = row["all"], row["copy_free"]
        seconds = statistics.mean(row["seconds_per_epoch"]) / statistics.mean(first["seconds_per_epoch"])
        rows.append(
            [
                INGREDIENTS.get(row["name"], (row["change"],))[0],
                _in_percent(row["train"]["correct"], row["train"]["total"]),
                *(_in_percent(every["correct"][choice], every["total"]) for choice in VIEWS),
                "" if row is first else _write_gain(every["moved"]),
                _in_percent(new["correct"][COMPARED], new["total"]),
                "" if row is first else _write_gain(new["moved"]),
                _write_gain(new["moved_by_views"]),
                f"{seconds:.2f} ×",
            ]
        )
    every, new = first["all"], first["copy_free"]
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy in percent on {results['settings']['part']}, mean ± standard deviation over "
        f"{len(results['seeds'])} seeds, after the last of {first['epochs']} epochs on all Training images. "
        f"Without copies: on the {new['total']:,} of the {every['total']:,} images that are no exact copies "
        f"of training images. Gain: points over the base with the same seeds, with {COMPARED} TTA, ± its "
        f"standard error over the images; gain of {MATCHED}: over {COMPARED}, with the same weights. Time "
        "per epoch: relative to the base; approximate, because several trainings ran at once. "
        f"{results['machine']}."
    )


def _in_percent(correct: Sequence[int], total: int) -> str:
    return mean_and_spread([100 * each / total for each in correct])


def _write_gain(moved: Sequence[int]) -> str:
    mean, error = measure_gain(moved)
    return f"{mean:+.2f} ± {error:.2f}"


if __name__ == "__main__":
    sys.exit(main())
