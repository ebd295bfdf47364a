"""How accurate are our networks? Train the seeds of each tier, measure them on PublicTest, write the table.

    python -m benchmarks.accuracy.accuracy train --data fer2013.csv --minutes 10  # again, until all is done
    python -m benchmarks.accuracy.accuracy collect --data fer2013.csv             # -> benchmarks/results/accuracy.json
    python -m benchmarks.accuracy.accuracy write                                  # -> README.md

`train` ends with status 0 once all is trained and with 6 as long as something is left to do in another call,
so that nobody has to watch: `while python -m benchmarks.accuracy.accuracy train ...; [ $? = 6 ]; do :; done`. Runs are
in runs/accuracy/TIER-seedS; each can be scored on PrivateTest with `python -m fer_jax.evaluate RUN --data
fer2013.csv --split PrivateTest`.
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

from benchmarks.harness import arena, unattended
from benchmarks.harness.sections import write_section
from benchmarks.harness.unattended import Training, check_settings, is_finished
from fer_jax import cli
from fer_jax.config.data import LabelSource
from fer_jax.data.examples import Examples
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import Json, read_json, read_json_lines
from fer_jax.images.views import CHOICES, ViewChoice
from fer_jax.inference import ensemble, run_weights
from fer_jax.inference import labels as inference_labels
from fer_jax.inference import rows as inference_rows
from fer_jax.inference import weights as inference_weights
from fer_jax.inference.run_weights import Trained
from fer_jax.metrics.scores import wilson_interval
from fer_jax.release import card as release_card
from fer_jax.report.markdown import mean_and_spread
from fer_jax.runtime import cpu
from fer_jax.text import Table, to_markdown

SECTION: Final = "accuracy"
WEIGHTS_SECTION: Final = "weights"
PART: Final = "PublicTest"
VIEWS: Final[tuple[ViewChoice, ...]] = ("single", "flip", "ten-crop")
QUESTION = "How accurate are our networks on PublicTest?"


@dataclass(frozen=True)
class Tier:
    """A recipe whose seeds make a row of the table.

    Attributes:
        config: its file.
        words: what it is, for the table.
        is_taught: whether it learns from the tier of `--teachers`.
    """

    config: str
    words: str
    is_taught: bool = False


TIERS: Final[dict[str, Tier]] = {
    "speedrun": Tier("configs/speedrun.py", "mid-size network, half an hour on two cores"),
    "tiny": Tier("configs/tiny.py", "tiny network"),
    "tiny-distilled": Tier("configs/tiny.py", "tiny network, taught", is_taught=True),
    "xception": Tier("configs/xception.py", "mini-Xception"),
    "mid": Tier("configs/mid.py", "mid-size network"),
    "mid-distilled": Tier("configs/mid.py", "mid-size network, taught", is_taught=True),
    "ferplus": Tier("configs/ferplus.py", "mid-size network, FER+ votes"),
    "vgg": Tier("configs/vgg.py", "VGG"),
    "resnet18": Tier("configs/resnet18.py", "ResNet-18"),
    "best": Tier("configs/best.py", "large network, mixed images"),
}
"""Name -> tier; one whose teachers are asked for too waits for them."""
TAUGHT: Final = ("--distill.weight", "0.7", "--distill.temperature", "1", "--loss.label-smoothing", "0")
"""How taught tiers learn: the teachers' answers are soft already, from label smoothing of their own."""


@dataclass(frozen=True)
class Accuracy:
    """Train the tiers, collect their figures on PublicTest, or write README's table.

    Exit status 6: something is left to train in another call.
    """

    verb: Annotated[Literal["train", "collect", "write"], tyro.conf.Positional]
    """train: what is not finished; collect: the figures into a JSON; write: the table from it."""
    data: Path | None = None
    """Kaggle's fer2013.csv, for train and collect."""
    tiers: tuple[str, ...] = tuple(TIERS)
    """Which of them."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, for the tier that learns its votes."""
    seeds: int = 5
    """Seeds 0 .. seeds - 1 of each."""
    teachers: str = "best"
    """Tier whose seeds teach the taught ones, all together."""
    teacher_seeds: int | None = None
    """How many of its seeds; by default --seeds."""
    lanes: int = 1
    """Runs at a time, each on its own cores. On a CPU as many as there are cores is fastest."""
    minutes: float | None = None
    """Stop what runs after so many minutes, or up to two later, since each has to save; the next call goes
    on. By default there is no limit."""
    options: str = ""
    """More options for `python -m fer_jax.train`, in one word: --options="--train.epochs 2" tries all out; in
    another folder of --runs, since runs of other settings are refused, by collect too."""
    runs: Path = arena.ROOT / "runs" / "accuracy"
    """Folder of the runs."""
    results: Path = arena.RESULTS / "accuracy.json"
    """The JSON."""
    weights: Path = inference_weights.WEIGHTS
    """Folder of the released weights, whose cards are shown too."""
    readme: Path = arena.ROOT / "README.md"
    """The page to write."""
    section: str = SECTION
    """The section of the page that gets the table: another one for --results of other settings."""


def main(argv: list[str] | None = None) -> int:
    """Parse, do one verb, and return the exit status."""
    return cli.run(
        lambda: _do(cli.parse(Accuracy, argv, prog="python -m benchmarks.accuracy.accuracy"), argv)
    )


def _do(options: Accuracy, argv: list[str] | None) -> int:
    for name in (*options.tiers, options.teachers):
        if name not in TIERS:
            raise ConfigError(f"there is no tier {name}; there are {', '.join(TIERS)}")
    if options.seeds < 1 or (options.teacher_seeds is not None and options.teacher_seeds < 1):
        raise ConfigError("--seeds and --teacher-seeds: wanted 1 at least")
    if TIERS[options.teachers].is_taught and options.teachers in options.tiers:
        raise ConfigError(f"--teachers is {options.teachers}, which would wait for itself; train it before")
    if options.verb == "write":
        with arena.reading(options.results):
            text = table(read_json(options.results))
        write_section(options.readme, options.section, text)
        if options.section == SECTION:
            write_section(options.readme, WEIGHTS_SECTION, weights_table(options.weights))
        print(f"written to {options.readme}")
        return 0
    if options.data is None:
        raise ConfigError("--data names no file; give fer2013.csv, which has PublicTest")
    console = Console(markup=False, highlight=False, soft_wrap=True)
    if options.verb == "train":
        wanted = list_trainings(options, options.data)
        return unattended.train(wanted, lanes=options.lanes, minutes=options.minutes, console=console)
    words = sys.argv[1:] if argv is None else argv
    arena.write(
        options.results,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.accuracy.accuracy", *words]),
        settings={"part": PART, "views": list(VIEWS)},
        results=collect(options, options.data, console),
        extra={},
    )
    console.print(f"written to {options.results}")
    return 0


def list_trainings(options: Accuracy, data: Path) -> list[Training]:
    """List the runs that are wanted."""
    teachers = _folders(options, options.teachers, options.teacher_seeds or options.seeds)
    return [
        _training(options, data, name, seed, teachers=tuple(teachers) if TIERS[name].is_taught else ())
        for name in options.tiers
        for seed in range(options.seeds)
    ]


def _training(
    options: Accuracy, data: Path, name: str, seed: int, *, teachers: tuple[Path, ...] = ()
) -> Training:
    words = ["--config", str(arena.ROOT / TIERS[name].config), "--data", str(data.resolve())]
    words += [] if options.ferplus is None else ["--labels.ferplus", str(options.ferplus.resolve())]
    words += ["--train.seed", str(seed), *(TAUGHT if TIERS[name].is_taught else ())]
    words += ["--distill.teachers", *map(str, teachers)] if teachers else []
    words += shlex.split(options.options)
    return Training(_folders(options, name, options.seeds)[seed], tuple(words), teachers)


def _folders(options: Accuracy, tier: str, seeds: int) -> list[Path]:
    return [options.runs.resolve() / f"{tier}-seed{seed}" for seed in range(seeds)]


def collect(options: Accuracy, data: Path, console: Console) -> list[dict[str, Any]]:
    """Measure all finished runs of the tiers, each alone and the seeds of a tier together.

    Raises:
        RunError: there is none, or one has other settings than its tier.
    """
    cpu.tune_cpu()
    rows, examples = [], None
    for name in options.tiers:
        wanted = [_training(options, data, name, seed) for seed in range(options.seeds)]
        finished = [one for one in wanted if is_finished(one.folder)]
        if not finished:
            console.print(f"{name}: no finished run; left out")
            continue
        for one in finished:
            check_settings(one)
        members = [run_weights.load_finished(one.folder, data, None) for one in finished]
        examples = examples or run_weights.load_data(members[0], is_other_file=True)
        console.print(f"{name}: {len(members)} runs")
        said = {"name": name, "words": TIERS[name].words}
        rows += [said | row for row in _measure(console, members, examples, options.ferplus)]
    if not rows:
        raise RunError(f"{options.runs} has no finished run of a tier; train some first")
    return rows


def _measure(
    console: Console, members: Sequence[Trained], examples: Examples, ferplus: Path | None
) -> list[dict[str, Any]]:
    """Measure the seeds of a tier by the labels they learned, and by FER2013's where these are others."""
    chosen = inference_rows.choose_rows(examples, members[0], PART)
    logits = {
        choice: [
            ensemble.average_views(console, member, examples.images[chosen], CHOICES[choice])
            for member in members
        ]
        for choice in VIEWS
    }
    own = members[0].config.labels.source
    sources: list[LabelSource] = [own] if own == "fer2013" else [own, "fer2013"]
    asked = [
        inference_labels.choose(members, each, ferplus if each == "ferplus" else None) for each in sources
    ]
    return [_score(each, examples, chosen, logits) for each in asked]


def _score(
    members: Sequence[Trained],
    examples: Examples,
    chosen: np.ndarray,
    logits: dict[ViewChoice, list[np.ndarray]],
) -> dict[str, Any]:
    rows = inference_labels.measure_by(members[0], examples, chosen, part=PART)
    labels, is_kept = rows.examples.labels[rows.rows], np.isin(chosen, rows.rows)
    correct: dict[str, list[int]] = {}
    together: dict[str, int] = {}
    for choice, each in logits.items():
        kept = [one[is_kept] for one in each]
        correct[choice] = [_count(one, labels) for one in kept]
        together[choice] = _count(ensemble.average(kept, [member.folder for member in members]), labels)
    first, total = members[0].facts, len(labels)
    is_own = inference_labels.is_own(members[0])
    return {
        "labels": inference_labels.WORDS[members[0].labels.source],
        "seeds": [member.facts["seed"] for member in members],
        "total": total,
        "correct": correct,
        "ensemble_correct": together,
        "oracle_correct": [_oracle(member, total) for member in members] if is_own else None,
        "select": members[0].config.train.select,
        "epochs": members[0].config.train.epochs,
        "parameters": first["parameters"],
        "macs": first["macs"],
        "seconds": [member.facts["seconds_total"] for member in members],
        "teachers": release_card.name_teachers(first),
        "are_teachers_selected": release_card.are_teachers_selected(first),
        "copies_of_training_images": int(
            inference_rows.find_copies(members, examples.images[rows.rows]).sum()
        ),
        "machines": sorted({_name_machine(member.facts) for member in members}),
        "data_sha256": examples.sha256,
    }


def _name_machine(facts: Json) -> str:
    return facts["machine"] if facts["device"] == "CPU" else f"{facts['device']} with {facts['machine']}"


def _count(logits: np.ndarray, labels: np.ndarray) -> int:
    return int((logits.argmax(axis=1) == labels).sum())


def _oracle(member: Trained, total: int) -> int:
    """Count what the best epoch on PublicTest has right there; by the official protocol it is val."""
    log = read_json_lines(member.folder / "log.jsonl")
    return round(max(record["val_accuracy"] for record in log) * total)


def table(results: dict[str, Any]) -> str:
    """Write the table, a row for each tier."""
    rows: Table = [
        [
            "network",
            "labels",
            "images",
            "parameters",
            "M MACs",
            "epochs",
            "minutes",
            "seeds",
            "one view",
            "mirrored too",
            "ten crops",
            "seeds together, mirrored too",
            "seeds together, ten crops",
            "oracle epoch, one view",
        ]
    ]
    for row in results["results"]:
        total = row["total"]
        minutes = statistics.median(row["seconds"]) / 60
        rows.append(
            [
                row["words"] + _by_teachers(row),
                row["labels"],
                f"{total:,}",
                f"{row['parameters']:,}",
                f"{row['macs'] / 1e6:.0f}",
                f"{row['epochs']}, {row['select']}",
                f"{minutes:.0f}",
                str(len(row["seeds"])),
                *(_in_percent(row["correct"][choice], total) for choice in VIEWS),
                *(
                    _in_percent([row["ensemble_correct"][choice]], total) if len(row["seeds"]) > 1 else "–"
                    for choice in ("flip", "ten-crop")
                ),
                "–" if row["oracle_correct"] is None else _in_percent(row["oracle_correct"], total),
            ]
        )
    machines = sorted({machine for row in results["results"] for machine in row["machines"]})
    copies = " or ".join(sorted({f"{row['copies_of_training_images']:,}" for row in results["results"]}))
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy in percent on the images of {PART} that have such a label, mean ± standard "
        "deviation over seeds; of a single figure in brackets a 95 % interval (Wilson), about as wide for "
        f"every figure here. Of these images {copies} are exact copies of training images: FER2013 came so. "
        "Trained on Training alone. Epochs: how many, and whose weights are measured; with the last one's no "
        "epoch was chosen on these images, but recipes were changed after earlier tries had been measured on "
        "them. The oracle epoch is the one that was best on them, which is what papers report that choose "
        "there. Minutes: of one seed, the median; rough where "
        f"several runs shared a machine. Trained on {'; '.join(machines)}."
    )


def _in_percent(correct: Sequence[int], total: int) -> str:
    """Write the mean and spread of several counts; of a single one its interval."""
    if len(correct) > 1:
        return mean_and_spread([100 * each / total for each in correct])
    low, high = wilson_interval(correct[0], total)
    return f"{100 * correct[0] / total:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _by_teachers(row: dict[str, Any]) -> str:
    if not row["teachers"]:
        return ""
    said = ", whose epochs were chosen on these images" if row["are_teachers_selected"] else ""
    return f" by {', '.join(row['teachers'])}{said}"


def weights_table(folder: Path) -> str:
    """Write what the cards of released weights say about PublicTest, a row for each choice of views."""
    kinds = ("FER2013", "FER+ majority")
    rows: Table = [["weights", "parameters", "KB", "trained as", "views", *(f"by {kind}" for kind in kinds)]]
    for name in inference_weights.list_names(folder):
        card = read_json(folder / f"{name}.json")
        teachers = release_card.name_teachers(card["training"])
        trained_as = f"`{card['config']['name']}`, seed {card['training']['seeds']['train']}"
        trained_as += f", taught by {', '.join(teachers)}" if teachers else ""
        measured = [figures for figures in card["figures"] if figures["part"] == PART]
        for views in dict.fromkeys(figures["views"] for figures in measured):
            by = {figures["labels"]: figures for figures in measured if figures["views"] == views}
            said = [_say(by[kind]) if kind in by else "–" for kind in kinds]
            size = f"{card['tensors']['bytes'] / 1000:,.0f}"
            rows.append([f"`{name}`", f"{card['parameters']:,}", size, trained_as, views, *said])
    return (
        f"{to_markdown(rows, left_columns=1)}\n\nMeasured on {PART}, from the weights as they are stored; in "
        "brackets the counts and a 95 % interval. By FER+ only the images count whose votes have a majority, "
        "of the classes that the network knows."
    )


def _say(figures: dict[str, Any]) -> str:
    share, low, high = (f"{100 * figures[key]:.1f}" for key in ("accuracy", "low", "high"))
    return f"{share} % ({figures['correct']:,} of {figures['total']:,}; {low} to {high})"


if __name__ == "__main__":
    sys.exit(main())
