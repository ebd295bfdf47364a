"""What does each ingredient of a recipe gain? One change at a time, several seeds each, one table.

    python -m benchmarks.accuracy.ablation train --data train.csv     # resumes where it was stopped
    python -m benchmarks.accuracy.ablation collect                    # -> benchmarks/results/ablation.json
    python -m benchmarks.accuracy.ablation write                      # -> docs/results/ablation.md

`train` runs `python -m fer_jax.train` for the base and for each ingredient with the same seeds, so that only
one thing changes while initial weights, order and augmentation stay the same. It ends with status 6 if
`--minutes` left runs unfinished. The default scale is affordable on two cores. Its short schedule favours
changes that help early over those that need long training.
"""

import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tyro
from rich.console import Console

from benchmarks.harness import bench, timeline, unattended
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.harness.unattended import Training
from fer_jax import cli
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, read_json_lines
from fer_jax.text import Table, mean_and_spread, to_markdown

BASE: Final = "base"
SECTION: Final = "ablation"
PARTS: Final = ("val", "test")
SHARED: Final = ("machine", "versions", "data_sha256", "split_sha256", "seeds")
"""Facts of the training runs that have to be equal: only one thing changes."""
PROGRAM: Final = "python -m benchmarks.accuracy.ablation"
QUESTION: Final = "What does each ingredient of a recipe gain?"

INGREDIENTS: Final[dict[str, tuple[str, str]]] = {
    BASE: ("shift and flip, Muon, cosine, dropout 0.2", ""),
    "geometry": (
        "rotation and crop, each on half of the images",
        "--augment.rotate-probability 0.5 --augment.max-rotation-deg 12 --augment.crop-probability 0.5",
    ),
    "stretch": (
        "zoom and stretch, each on half of the images",
        "--augment.zoom-probability 0.5 --augment.stretch-probability 0.5",
    ),
    "colour": (
        "brightness, contrast and gamma, each on half of the images",
        "--augment.brightness-probability 0.5 --augment.contrast-probability 0.5 "
        "--augment.gamma-probability 0.5",
    ),
    "erasing": ("random erasing on half of the images", "--augment.erase-probability 0.5"),
    "alternate-flip": ("alternating flip instead of random flip", "--augment.alternate-flip"),
    "mixup": ("mixup, alpha 0.2", "--mix.mixup-alpha 0.2"),
    "cutmix": ("cutmix on half of the images", "--mix.cutmix-alpha 1 --mix.probability 0.5"),
    "smoothing": ("label smoothing 0.1", "--loss.label-smoothing 0.1"),
    "focal": ("focal loss, gamma 2", "--loss.focal-gamma 2"),
    "class-weights": ("class weights 1 / sqrt(class frequency)", "--loss.class-weights sqrt"),
    "effective": ("class weights by effective number", "--loss.class-weights effective"),
    "sampling": ("sampling by sqrt(class frequency)", "--train.sampling sqrt"),
    "ema": ("exponential moving average of the weights, decay 0.99", "--average.ema-decay 0.99"),
    "swa": ("average of the weights over the last 3 epochs", "--average.swa-epochs 3"),
    "adamw": (
        "AdamW instead of Muon, learning rate 0.003",
        "--optimizer.name adamw --optimizer.peak-rate 0.003",
    ),
    "sgd": (
        "SGD with Nesterov momentum and L2 instead of Muon, learning rate 0.1",
        "--optimizer.name sgd --optimizer.momentum 0.9 --optimizer.nesterov --optimizer.weight-decay 0 "
        "--optimizer.l2 0.0005 --optimizer.peak-rate 0.1",
    ),
    "trapezoid": (
        "constant learning rate with a 3-epoch linear decay instead of a cosine",
        "--optimizer.schedule trapezoid --optimizer.cooldown-epochs 3",
    ),
    "sam": ("sharpness-aware, radius 0.05: two passes a step", "--optimizer.sam-radius 0.05"),
    "resizing": ("32 px for the first 4 epochs", "--train.small-epochs 4 --train.small-side-px 32"),
    "squeeze-excite": (
        "squeeze-and-excitation after each block",
        "--model.blocks.0.squeeze-excite --model.blocks.1.squeeze-excite --model.blocks.2.squeeze-excite",
    ),
    "residual": (
        "residual blocks instead of the second and third",
        "--model.blocks.1.kind residual --model.blocks.2.kind residual",
    ),
    "blur": ("blurred max pooling instead of max pooling", "--model.pooling blur"),
    "no-dropout": ("no dropout", "--model.dense-dropout-rate 0"),
    "self-distillation": (
        "self-distillation: half of the target from an ensemble of the base's seeds, temperature 1",
        "--distill.temperature 1 --distill.teachers {base}",
    ),
}
"""By name: the change in words, and as options of `python -m fer_jax.train`; {base}: the base's runs."""


@dataclass(frozen=True)
class Ablation:
    """Train a base and single changes of it, collect their results, or write the table of the docs.

    Exit status 6: some runs are not finished; call again.
    """

    verb: Annotated[Literal["train", "collect", "write"], tyro.conf.Positional]
    """train: the runs that are not finished; collect: their results into the JSON; write: its table."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv; without it the faces are synthetic."""
    config: Path = Path("benchmarks/nets/ablation.py")
    """The config of the base."""
    ingredients: tuple[str, ...] = tuple(INGREDIENTS)
    """Ingredients; the base is needed for the comparison."""
    seeds: int = 3
    """Seeds of each, at least two."""
    lanes: int = 1
    """Ingredients at a time, each on its own cores. Give the same number in every call: only runs on the same
    machine, with the same number of cores, are compared."""
    minutes: float | None = None
    """Stop and save the runs after this many minutes, or up to two later; the next call resumes them. By
    default there is no limit."""
    runs: Path = bench.ROOT / "runs" / "ablation"
    """Folder of the runs."""
    results: Path = bench.RESULTS / "ablation.json"
    """The JSON."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(Ablation, argv, prog=PROGRAM), argv))


def check_comparison(names: Sequence[str], known: Mapping[str, object], *, seeds: int) -> None:
    """Check which ingredients are compared, and over how many seeds.

    Args:
        names: of the ingredients.
        known: all of them, by name.
        seeds: of each.

    Raises:
        ConfigError: there is no such ingredient, or one seed alone.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"--ingredients {unknown[0]}: unknown; the ingredients are {', '.join(known)}")
    if seeds < 2:
        raise ConfigError(f"--seeds is {seeds}; it must be at least 2: one seed has no spread")


def _do(options: Ablation, argv: list[str] | None) -> int:
    check_comparison(options.ingredients, INGREDIENTS, seeds=options.seeds)
    if options.verb == "train":
        return _train(options)
    if options.verb == "collect":
        return _collect(options, argv)
    with bench.reading(options.results):
        text = table(read_json(options.results))
    print(f"written to {write_section(options.pages, SECTION, text)}")
    return 0


def _train(options: Ablation) -> int:
    console = Console(markup=False, highlight=False, soft_wrap=True)
    wanted = [_training(options, name) for name in options.ingredients]
    return unattended.train(wanted, lanes=options.lanes, minutes=options.minutes, console=console)


def _training(options: Ablation, name: str) -> Training:
    runs = options.runs.resolve()
    teachers = [str(runs / BASE / f"seed{seed}") for seed in range(options.seeds)]
    words = ["--config", str(options.config.resolve()), "--seeds", str(options.seeds)]
    changes = shlex.split(INGREDIENTS[name][1])
    for word in changes:
        words += teachers if word == "{base}" else [word]
    words += [] if options.data is None else ["--data", str(options.data.resolve())]
    after = (runs / BASE,) if "{base}" in changes else ()
    return Training(runs / name, tuple(words), after)


def _collect(options: Ablation, argv: list[str] | None) -> int:
    rows, shared = collect(options)
    base_log = timeline.find_logs(options.runs / BASE)[0]
    bench.write(
        options.results,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"config": read_json(base_log.with_name("config.json"))},
        results=rows,
        # Machine and versions of the training runs.
        extra=shared,
    )
    print(f"written to {options.results}")
    return 0


def collect(options: Ablation) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Collect the counts of each seed and the cost of all ingredients, and the facts that all share.

    Raises:
        RunError: an ingredient is not finished, has other settings or seeds than required, or was trained
            on other data than the base.
    """
    names = dict.fromkeys((BASE, *options.ingredients))
    for name in names:
        if unattended.is_finished(options.runs / name):
            unattended.check_settings(_training(options, name))
    rows = [_figures(options.runs / name, name) for name in names]
    return part_shared(rows)


def check_alike(rows: Sequence[dict[str, Any]], keys: Sequence[str], *, cure: str) -> None:
    """Check that all ingredients have some facts of the base, the first of the rows.

    Raises:
        RunError: one has others; the message ends with `cure`.
    """
    base, *others = rows
    for row in others:
        for key in keys:
            if row[key] != base[key]:
                raise RunError(f"{row['name']}: its {key} is {row[key]}, the base's is {base[key]}; {cure}")


def part_shared(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Part the rows of all ingredients from the `SHARED` facts, which have to be those of the base.

    Args:
        rows: the base's first.

    Raises:
        RunError: an ingredient's differ.
    """
    check_alike(rows, SHARED, cure="train it again")
    shared = {key: rows[0][key] for key in SHARED}
    return [{key: value for key, value in row.items() if key not in shared} for row in rows], shared


def _figures(folder: Path, name: str) -> dict[str, Any]:
    if not (folder / "metrics.json").exists():
        raise RunError(f"{folder} has no finished {name}; train it with `{PROGRAM} train`")
    run, metrics = (read_json(folder / f"{stem}.json") for stem in ("run", "metrics"))
    change, words = INGREDIENTS[name]
    return {
        "name": name,
        "change": change,
        "options": words,
        "machine": run["machine"],
        "versions": run["versions"],
        "data_sha256": run["data"]["sha256"],
        "split_sha256": run["split"]["sha256"],
        "seeds": run["seeds"],
        "parameters": run["parameters"],
        "macs": run["macs"],
        "seconds_per_epoch": run["seconds_per_epoch"],
        "epochs": len(read_json_lines(timeline.find_logs(folder)[0])),
        "images": run["split"]["sizes"]["train"],
        "correct": [sum(seed[part]["correct"] for part in PARTS) for seed in metrics["seeds"]],
        "total": sum(metrics["seeds"][0][part]["total"] for part in PARTS),
        "train_accuracy": [seed["train"]["accuracy"] for seed in metrics["seeds"]],
    }


def table(results: dict[str, Any]) -> str:
    """Return the table: the accuracy of each ingredient, and its gain over the base with the same seeds."""
    first = results["results"][0]
    rows: Table = [
        ["change", "train", "val + test", "gain", "in standard errors", "time per epoch", "parameters"]
    ]
    gained = {row["name"]: _gains(row, first) for row in results["results"]}
    order = sorted(results["results"][1:], key=lambda row: -statistics.mean(gained[row["name"]]))
    for row in (first, *order):
        gains = gained[row["name"]]
        rows.append(
            [
                _describe(row),
                mean_and_spread([100 * ratio for ratio in row["train_accuracy"]]),
                mean_and_spread([100 * correct / row["total"] for correct in row["correct"]]),
                "" if row is first else f"{statistics.mean(gains):+.2f}",
                "" if row is first else _in_errors(gains),
                f"{row['seconds_per_epoch'] / first['seconds_per_epoch']:.2f} ×",
                f"{row['parameters']:,}",
            ]
        )
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy in percent, mean ± standard deviation over {len(results['seeds'])} seeds, on the "
        f"{first['total']:,} images of val and test combined, after the last of {first['epochs']} epochs on "
        f"{first['images']:,} images. Gain: points over the base with the same seeds, and the same in "
        "standard errors over the seeds. Time per epoch: relative to the base; approximate, because several "
        "trainings ran at once. "
        f"{results['machine']}."
    )


def _describe(row: dict[str, Any]) -> str:
    """Return the description of a row's ingredient; the JSON's if the ingredient no longer exists."""
    words: str = INGREDIENTS[row["name"]][0] if row["name"] in INGREDIENTS else row["change"]
    return words


def _gains(row: dict[str, Any], base: dict[str, Any]) -> list[float]:
    return [
        100 * (correct - other) / row["total"]
        for correct, other in zip(row["correct"], base["correct"], strict=True)
    ]


def _in_errors(gains: Sequence[float]) -> str:
    error = statistics.stdev(gains) / len(gains) ** 0.5
    return f"{statistics.mean(gains) / error:+.1f}" if error else ""


if __name__ == "__main__":
    sys.exit(main())
