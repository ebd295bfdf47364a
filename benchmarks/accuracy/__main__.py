"""How accurate are our networks? Train the seeds of each tier, measure them on PublicTest, write the tables.

    python -m benchmarks.accuracy train --data fer2013.csv --minutes 10  # repeat until all runs are finished
    python -m benchmarks.accuracy collect --data fer2013.csv  # -> results/accuracy.json
    python -m benchmarks.accuracy write  # -> docs/ and README.md
    python -m benchmarks.accuracy keep --data fer2013.csv  # -> weights/TIER-seedS.safetensors

`train` ends with status 0 when all runs are finished and with 6 while some are left for another call, so it
can run unattended: `while python -m benchmarks.accuracy train ...; [ $? = 6 ]; do :; done`.
The runs are in runs/accuracy/TIER-seedS; evaluate each on PrivateTest with `python -m fer_jax.evaluate RUN
--data fer2013.csv --split PrivateTest`.
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

from benchmarks.accuracy import kept_weights
from benchmarks.accuracy.accuracy_tables import MEASURED, list_measured, short_table, table, weights_table
from benchmarks.accuracy.kept_weights import as_kept
from benchmarks.accuracy.tiers import PART, TIERS, VIEWS
from benchmarks.harness import bench, unattended
from benchmarks.harness.sections import PAGES, swap, write_section
from benchmarks.harness.unattended import Training, check_settings, is_finished
from fer_jax import cli
from fer_jax.config.data import LabelSource
from fer_jax.data.examples import Examples
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, read_json_lines, write_text
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference import labels as inference_labels
from fer_jax.inference import rows as inference_rows
from fer_jax.inference import run_weights
from fer_jax.inference.labels import Labelling
from fer_jax.inference.predictor import average, count_views, predict_choices
from fer_jax.inference.run_weights import Trained
from fer_jax.metrics.history import keep_measured
from fer_jax.release import card as release_card
from fer_jax.report import terminal
from fer_jax.runs import sources
from fer_jax.runs.record import RunRecord
from fer_jax.runtime import cpu

SECTION: Final = "accuracy"
SHORT_SECTION: Final = "results"
WEIGHTS_SECTION: Final = "weights"
PROGRAM: Final = "python -m benchmarks.accuracy"
QUESTION = "How accurate are our networks on PublicTest?"
TAUGHT: Final = ("--distill.weight", "0.7", "--distill.temperature", "1", "--loss.label-smoothing", "0")
"""Options of distillation; no label smoothing, since the teachers' outputs are soft already."""


@dataclass(frozen=True)
class Accuracy:
    """Train the tiers, measure them on PublicTest, or write the tables of the docs and the README.

    Exit status 6: some runs are not finished; call again.
    """

    verb: Annotated[Literal["train", "collect", "write", "keep"], tyro.conf.Positional]
    """train: the runs that are not finished; collect: measure the finished ones and write the JSON, where
    the rows of other tiers stay; write: its tables; keep: the weights of the finished runs, in float16, with
    their cards."""
    data: Path | None = None
    """Kaggle's fer2013.csv, for all but write."""
    tiers: tuple[str, ...] = tuple(TIERS)
    """Tiers to train or measure."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, for the tier trained on its votes."""
    seeds: int = 5
    """Train seeds 0 .. seeds - 1 of each tier."""
    teachers: str = "best"
    """Tier whose seeds, as an ensemble, teach the distilled tiers."""
    teacher_seeds: int | None = None
    """Number of its seeds; by default --seeds."""
    lanes: int = 1
    """Runs at a time, each on its own cores; on a CPU one per core is fastest."""
    minutes: float | None = None
    """Stop and save the runs after this many minutes, or up to two later; the next call resumes them. By
    default there is no limit."""
    options: str = ""
    """Further options of `python -m fer_jax.train`, in quotes, such as --options="--train.epochs 2" for a
    trial. Give another folder with --runs: runs with other settings are refused, also by collect."""
    runs: Path = bench.ROOT / "runs" / "accuracy"
    """Folder of the runs."""
    results: Path = bench.RESULTS / "accuracy.json"
    """The JSON."""
    weights: Path = sources.WEIGHTS
    """Folder of the released weights; their cards are shown too."""
    kept: Path = kept_weights.FOLDER
    """Folder for the weights that are kept; together they have at most 60 MB."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the sections to write."""
    configs: Path = bench.ROOT / "configs"
    """Folder of the configs, whose docstrings get the results."""
    section: str = SECTION
    """The section for the table; give another one for --results of other settings."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(Accuracy, argv, prog=PROGRAM), argv))


def _do(options: Accuracy, argv: list[str] | None) -> int:
    for name in (*options.tiers, options.teachers):
        if name not in TIERS:
            raise ConfigError(f"there is no tier {name}; the tiers are {', '.join(TIERS)}")
    if options.seeds < 1 or (options.teacher_seeds is not None and options.teacher_seeds < 1):
        raise ConfigError("--seeds and --teacher-seeds must be at least 1")
    if TIERS[options.teachers].is_taught and options.teachers in options.tiers:
        raise ConfigError(f"--teachers is {options.teachers}, which would wait for itself; train it first")
    if options.verb == "write":
        return _write(options)
    if options.data is None:
        raise ConfigError("--data is missing; give fer2013.csv, which has PublicTest")
    console = terminal.make_console()
    if options.verb == "train":
        wanted = list_trainings(options, options.data)
        return unattended.train(wanted, lanes=options.lanes, minutes=options.minutes, console=console)
    if options.verb == "keep":
        runs = [one for name in options.tiers for one in _list_finished(options, options.data, name, console)]
        kept_weights.keep(
            # The names of weights have no _.
            {one.folder.name.replace("_", "-"): one.folder for one in runs},
            options.kept,
            data=options.data,
            ferplus=options.ferplus,
            console=console,
        )
        return 0
    before = bench.read_rows(options.results)
    measured = collect(options, options.data, console)
    bench.write(
        options.results,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"part": PART, "views": list(VIEWS), "weights": "float16"},
        results=bench.merge_rows(before, measured, list(TIERS)),
        extra={},
    )
    console.print(f"written to {options.results}")
    return 0


def _write(options: Accuracy) -> int:
    with bench.reading(options.results):
        results = read_json(options.results)
        sections = {options.section: table(results)}
        if options.section == SECTION:
            sections[SHORT_SECTION] = short_table(results)
    if options.section == SECTION:
        sections[WEIGHTS_SECTION] = weights_table(options.weights)
    for name, text in sections.items():
        print(f"written to {write_section(options.pages, name, text)}")
    if options.section == SECTION:
        for path, text in list_measured(results, options.configs).items():
            write_text(path, swap(path, MEASURED, text))
            print(f"written to {path}")
    return 0


def list_trainings(options: Accuracy, data: Path) -> list[Training]:
    """List the runs to train."""
    teachers = _folders(options, options.teachers, options.teacher_seeds or options.seeds)
    return [
        _training(options, data, name, seed, teachers=tuple(teachers) if TIERS[name].is_taught else ())
        for name in options.tiers
        for seed in range(options.seeds)
    ]


def _training(
    options: Accuracy, data: Path, name: str, seed: int, *, teachers: tuple[Path, ...] = ()
) -> Training:
    words = ["--config", str(bench.ROOT / TIERS[name].config), "--data", str(data.resolve())]
    words += [] if options.ferplus is None else ["--labels.ferplus", str(options.ferplus.resolve())]
    words += ["--train.seed", str(seed), *(TAUGHT if TIERS[name].is_taught else ())]
    words += ["--distill.teachers", *map(str, teachers)] if teachers else []
    words += shlex.split(options.options)
    return Training(_folders(options, name, options.seeds)[seed], tuple(words), teachers)


def _folders(options: Accuracy, tier: str, seeds: int) -> list[Path]:
    return [options.runs.resolve() / f"{tier}-seed{seed}" for seed in range(seeds)]


def collect(options: Accuracy, data: Path, console: Console) -> list[dict[str, Any]]:
    """Measure all finished runs of the tiers, each alone and the seeds of a tier as an ensemble.

    Their weights are rounded to those that `keep` writes, so that everybody finds the same counts again.

    Raises:
        RunError: there are none, or one has other settings than its tier.
    """
    cpu.tune_cpu()
    rows, examples = [], None
    for name in options.tiers:
        finished = _list_finished(options, data, name, console)
        if not finished:
            continue
        members = [as_kept(run_weights.load_finished(one.folder, data, None)) for one in finished]
        examples = examples or run_weights.load_data(members[0], is_other_file=True)
        console.print(f"{name}: {len(members)} runs")
        said = {"name": name, "words": TIERS[name].words}
        rows += [said | row for row in _measure(console, members, examples, options.ferplus)]
    if not rows:
        raise RunError(f"{options.runs} has no finished run of a tier; train some first")
    return rows


def _list_finished(options: Accuracy, data: Path, name: str, console: Console) -> list[Training]:
    """List the finished runs of a tier.

    Raises:
        RunError: one has other settings than its tier.
    """
    wanted = [_training(options, data, name, seed) for seed in range(options.seeds)]
    finished = [one for one in wanted if is_finished(one.folder)]
    if not finished:
        console.print(f"{name}: no finished run; left out")
    for one in finished:
        check_settings(one)
    return finished


def _measure(
    console: Console, members: Sequence[Trained], examples: Examples, ferplus: Path | None
) -> list[dict[str, Any]]:
    """Measure a tier's seeds on the labels they were trained on, and on FER2013's if these differ."""
    chosen = inference_rows.choose_common_rows(examples, members, PART)
    with terminal.show_steps(console, "views", len(members) * count_views(VIEWS)) as advance:
        logits = [
            predict_choices(member.network, examples.images[chosen], VIEWS, advance=advance)
            for member in members
        ]
    own = members[0].own_labels.source
    sources: list[LabelSource] = [own] if own == "fer2013" else [own, "fer2013"]
    asked = [
        inference_labels.choose(members, each, ferplus if each == "ferplus" else None) for each in sources
    ]
    return [_score(members, each, examples, chosen, logits) for each in asked]


def _score(
    members: Sequence[Trained],
    labelling: Labelling,
    examples: Examples,
    chosen: np.ndarray,
    logits: Sequence[dict[ViewChoice, np.ndarray]],
) -> dict[str, Any]:
    rows = inference_labels.label_rows(labelling, examples, chosen, part=PART)
    labels, is_kept = rows.labels, np.isin(chosen, rows.rows)
    is_copy = inference_rows.find_trained_on(members, rows.examples.hashes[rows.rows])
    each_right: dict[str, list[np.ndarray]] = {}
    ensemble_right: dict[str, np.ndarray] = {}
    for choice in VIEWS:
        kept = [each[choice][is_kept] for each in logits]
        each_right[choice] = [each.argmax(axis=1) == labels for each in kept]
        mean = average(kept, [member.folder for member in members])
        ensemble_right[choice] = mean.argmax(axis=1) == labels
    first, total = members[0].record, len(labels)
    return {
        "labels": labelling.words,
        "seeds": [member.record.seed for member in members],
        "total": total,
        "correct": {choice: [int(each.sum()) for each in right] for choice, right in each_right.items()},
        "correct_copies": {
            choice: [int(each[is_copy].sum()) for each in right] for choice, right in each_right.items()
        },
        "ensemble_correct": {choice: int(right.sum()) for choice, right in ensemble_right.items()},
        "ensemble_correct_copies": {
            choice: int(right[is_copy].sum()) for choice, right in ensemble_right.items()
        },
        "oracle_correct": [_oracle(member, total) for member in members] if labelling.is_own else None,
        "select": members[0].config.train.select,
        "epochs": members[0].config.train.epochs,
        "parameters": first.parameters,
        "macs": first.macs,
        "seconds": [member.record.seconds_total for member in members],
        "teachers": release_card.name_teachers(first.teachers),
        "are_teachers_selected": release_card.are_teachers_selected(first.teachers),
        "copies_of_training_images": int(is_copy.sum()),
        "machines": sorted({_name_machine(member.record) for member in members}),
        "data_sha256": examples.sha256,
    }


def _name_machine(run: RunRecord) -> str:
    return run.machine if run.device == "CPU" else f"{run.device} with {run.machine}"


def _oracle(member: Trained, total: int) -> int:
    """Count the correct predictions of the best epoch chosen on PublicTest (val in the official protocol)."""
    log = read_json_lines(member.folder / "log.jsonl")
    return round(max(record["val_accuracy"] for record in keep_measured(log)) * total)


if __name__ == "__main__":
    sys.exit(main())
