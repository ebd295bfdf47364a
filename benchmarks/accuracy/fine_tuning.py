"""What does fine-tuning gain where there are few images? From 100 to 3,000 rows, against new weights.

    python -m benchmarks.accuracy.fine_tuning train --data train.csv         # resumes where it stopped
    python -m benchmarks.accuracy.fine_tuning collect --data train.csv       # -> results/fine_tuning.json
    python -m benchmarks.accuracy.fine_tuning write                          # -> docs/results/fine_tuning.md

The Training rows of FER2013 alone are used, in three parts that no group of exact copies crosses: a network
of `tiny`'s kind, the ancestor, learns FER2013's labels on most of them; a pool stands for somebody's own
data; the third part is the test set. Pool and test set have the labels of FER+'s majority, eight classes, so
the own data has other labels than the ancestor's, and one more class. A fifth of the own rows chooses
between two learning rates; all ways take as many steps. `train` ends with status 6 if `--minutes` left
something to do.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import numpy as np
import tyro
from rich.console import Console

from benchmarks.harness import bench, unattended
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.harness.unattended import UNFINISHED, Training
from fer_jax import cli, fer2013
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, InitConfig, TrainConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.readers import ferplus
from fer_jax.data.split import Split, hold_out, split_examples
from fer_jax.data.targets import make_targets
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import Json, read_json, write_json
from fer_jax.metrics.scores import wilson_interval
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.report.plots import OBJECTIVE_COLOUR, QUIET_COLOUR, TRAIN_COLOUR, VAL_COLOUR, drawing, write_png
from fer_jax.runtime import machine
from fer_jax.runtime.signals import watch_signals
from fer_jax.text import Table, mean_and_spread, to_markdown

PROGRAM: Final = "python -m benchmarks.accuracy.fine_tuning"
QUESTION: Final = "What does fine-tuning gain on few images, against training from new weights?"
SECTION: Final = "fine-tuning"
RESULTS: Final = "fine_tuning"
PICTURE: Final = "fine_tuning.png"
CLASSES: Final = 8
HELD_OUT: Final = 0.37
"""Share of Training that the ancestor does not see."""
POOL_SHARE: Final = 0.43
"""Share of these rows that is the pool of own data; the others are the test set."""
VAL_SHARE: Final = 0.2
"""Share of the own rows that chooses the learning rate."""
BATCH_SIZE: Final = 32
WARMUP_SHARE: Final = 0.1
STEPS: Final = {100: 200, 300: 300, 1000: 500, 3000: 1000}
"""By the number of own rows: the steps of each training."""
SEEDS: Final = {100: 5, 300: 5, 1000: 3, 3000: 3}
AS_IT_IS: Final = "ancestor"
"""The name of the ancestor, measured without any training on own rows."""


class Way(NamedTuple):
    """A way to train on the own rows.

    Attributes:
        title: in words.
        rates: the peak learning rates to choose from.
        freeze_blocks, head_share: of `init`, the latter as a share of the epochs; None: from new weights.
        colour: of its line.
    """

    title: str
    rates: tuple[float, ...]
    freeze_blocks: int | None
    head_share: float
    colour: str


WAYS: Final = {
    "new": Way("from new weights", (0.002, 0.006), None, 0.0, QUIET_COLOUR),
    "all": Way("fine-tuned, all layers", (0.0005, 0.002), 0, 0.0, TRAIN_COLOUR),
    "frozen": Way("fine-tuned, two blocks frozen, last layer first", (0.0005, 0.002), 2, 0.2, VAL_COLOUR),
}


class Case(NamedTuple):
    """A training to measure: a way, how many own rows, and the seed of their choice and of the training."""

    way: str
    rows: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.way}-{self.rows}-seed{self.seed}"

    def __str__(self) -> str:
        """Describe it for the console."""
        return f"{WAYS[self.way].title}, {self.rows:,} rows, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Own:
    """Somebody's own data.

    Attributes:
        loaded: all rows of the file, with FER2013's labels.
        examples: the same with FER+'s labels, -1 where there is no majority.
        pool: rows to train on, int64, all with a label.
        test: rows to measure, int64, all with a label.
        ancestor_rows: rows that the ancestor is trained on.
    """

    loaded: Examples
    examples: Examples
    pool: np.ndarray
    test: np.ndarray
    ancestor_rows: np.ndarray


@dataclass(frozen=True)
class FineTuning:
    """Train on few rows from new weights and from a trained network, collect the results, or write the page.

    Exit status 6: some trainings are left; call again.
    """

    verb: Annotated[Literal["train", "collect", "write"], tyro.conf.Positional]
    """train: the ancestor, and what is not trained yet; collect: the JSON; write: the page, its picture."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv; its Training rows count."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv; by default beside the data."""
    config: Path = Path("configs/tiny.py")
    """The ancestor's config: network, augmentation, loss and optimizer are those of all trainings."""
    epochs: int = 20
    """Epochs of the ancestor."""
    sizes: tuple[int, ...] = tuple(STEPS)
    """Numbers of own rows."""
    lanes: int = 1
    """Trainings at a time, each on its own cores."""
    lane: int | None = None
    """Do the part of one lane only: 0 is the first."""
    minutes: float | None = None
    """Begin no training after so many minutes. By default there is no limit."""
    runs: Path = bench.ROOT / "runs" / "fine_tuning"
    """Folder of the ancestor and of the finished trainings."""
    results: Path = bench.RESULTS / f"{RESULTS}.json"
    """The JSON."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""
    picture: Path = bench.ROOT / "docs" / "images" / PICTURE
    """The picture."""

    @property
    def ancestor(self) -> Path:
        """The folder of the ancestor's run."""
        return self.runs / "ancestor"


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(FineTuning, argv, prog=PROGRAM), argv))


def _do(options: FineTuning, argv: list[str] | None) -> int:
    unknown = [size for size in options.sizes if size not in STEPS]
    if unknown:
        raise ConfigError(f"--sizes {unknown[0]}: wanted some of {', '.join(map(str, STEPS))}")
    if options.verb == "write":
        with bench.reading(options.results):
            content = read_json(options.results)
            draw(content, options.picture)
            page = write_section(options.pages, SECTION, describe(content))
        print(f"written to {page} and {options.picture}")
        return 0
    if options.data is None:
        raise ConfigError(f"give Kaggle's train.csv or fer2013.csv with --data: `{options.verb}` needs it")
    if options.verb == "train":
        return _train(options, sys.argv[1:] if argv is None else argv)
    return _collect(options, argv)


def list_cases(sizes: Sequence[int]) -> list[Case]:
    """List all trainings: the ways take turns, so that a part of the list compares them."""
    return [Case(way, rows, seed) for rows in sizes for seed in range(SEEDS[rows]) for way in WAYS]


# The data.


def load_own(data: Path, votes: Path | None) -> Own:
    """Part the Training rows of FER2013.

    Args:
        data: train.csv or fer2013.csv.
        votes: FER+'s file; None: fer2013new.csv beside the data.
    """
    loaded = load_examples(DataConfig(path=str(data), source="kaggle"))
    path = ferplus.find(data.parent / "fer2013new.csv" if votes is None else votes)
    where = f"{path} and {loaded.description}"
    matched = ferplus.match(ferplus.read(path), loaded.labels, loaded.usages, where=where)
    labels = make_targets(matched, LabelsConfig(mode="majority"), classes=CLASSES).labels
    return part_rows(loaded, labels)


def part_rows(loaded: Examples, labels: np.ndarray) -> Own:
    """Part the rows in groups of copies: the ancestor's, then the pool and the test set.

    Args:
        loaded: with FER2013's labels, by which each part has the same classes.
        labels: int32 [rows of the data], those of the own data; rows without one are left out of it.
    """
    whole = split_examples(loaded, SplitConfig(protocol="holdout", holdout_fraction=HELD_OUT))
    others = Split(whole.val, whole.val[:0], whole.val[:0])
    parted = hold_out(loaded, others, share=POOL_SHARE, seed=1)
    pool, test = (rows[labels[rows] != fer2013.UNLABELLED] for rows in (parted.val, parted.train))
    return Own(loaded, replace(loaded, labels=labels), pool, test, whole.train)


def draw_own(own: Own, rows: int, seed: int) -> Split:
    """Draw own rows from the pool: four fifths are trained on, one fifth chooses, and the test is all of it.

    Raises:
        ConfigError: the pool is smaller.
    """
    if rows > len(own.pool):
        raise ConfigError(f"--sizes {rows}: the pool has {len(own.pool):,} rows; give smaller ones")
    drawn = numpy_rng(seed, Stream.SUBSET, rows).permutation(own.pool)[:rows]
    parted = hold_out(own.examples, Split(drawn, drawn[:0], drawn[:0]), share=VAL_SHARE, seed=seed)
    return Split(parted.train, parted.val, own.test)


# Training.


def ancestor_training(options: FineTuning) -> Training:
    """Say how the ancestor is trained: the hold-out of `part_rows` is what it does not see."""
    words = ["--config", str(options.config), "--data", str(Path(options.data or "").resolve())]
    words += ["--split.protocol", "holdout", "--split.holdout-fraction", str(HELD_OUT)]
    words += ["--train.epochs", str(options.epochs), "--train.measure-epochs", str(options.epochs)]
    return Training(options.ancestor.resolve(), tuple(words))


def make_config(base: Config, case: Case, *, rate: float, rows: int, steps: int, ancestor: Path) -> Config:
    """Make the config of a training.

    Args:
        base: the ancestor's.
        case: which training.
        rate: its peak learning rate.
        rows: that it is trained on.
        steps: about so many; they are whole epochs.
        ancestor: the folder of the ancestor's run.
    """
    way, epochs = WAYS[case.way], max(1, round(steps / (rows // BATCH_SIZE)))
    init = InitConfig()
    if way.freeze_blocks is not None:
        head_epochs = way.head_share * epochs
        init = InitConfig(weights=str(ancestor), freeze_blocks=way.freeze_blocks, head_epochs=head_epochs)
    return replace(
        base,
        name=case.way,
        labels=LabelsConfig(source="ferplus", mode="majority"),
        model=replace(base.model, classes=CLASSES),
        optimizer=replace(base.optimizer, peak_rate=rate, warmup_epochs=WARMUP_SHARE * epochs),
        average=AverageConfig(),
        init=init,
        train=TrainConfig(
            epochs=epochs,
            batch_size=BATCH_SIZE,
            select="last",
            measure_epochs=epochs,
            train_eval_examples=0,
            seed=case.seed,
        ),
    )


def _train(options: FineTuning, argv: Sequence[str]) -> int:
    started, console = time.monotonic(), bench.make_console()
    if options.lane is None:
        trained = unattended.train(
            [ancestor_training(options)], lanes=1, minutes=options.minutes, console=console
        )
        if trained:
            return trained
        if options.lanes > 1:
            return _spread(options.lanes, argv)
    own, base = load_own(Path(options.data or ""), options.ferplus), load_config(options.config)
    # The cases of a lane do not depend on what the others have finished.
    cases = list_cases(options.sizes)[options.lane or 0 :: 1 if options.lane is None else options.lanes]
    missing = [case for case in cases if not _file_of(options, case.name).exists()]
    _tune(console)
    if not _file_of(options, AS_IT_IS).exists() and not options.lane:
        write_json(_file_of(options, AS_IT_IS), measure_ancestor(options.ancestor, own))
    for number, case in enumerate(missing, 1):
        if options.minutes is not None and time.monotonic() - started > 60 * options.minutes:
            console.print(f"{len(missing) - number + 1} trainings are left; call again")
            return UNFINISHED
        begun = time.monotonic()
        found = train_case(base, case, own, steps=STEPS[case.rows], ancestor=options.ancestor)
        found["seconds"] = time.monotonic() - begun
        write_json(_file_of(options, case.name), found)
        share = f"{found['correct']:,} of {found['total']:,}, {100 * found['correct'] / found['total']:.1f} %"
        done = f"{number}/{len(missing)} {case}: {share}; {found['seconds']:.0f} s"
        console.print(done, soft_wrap=True)
    return 0


def _spread(lanes: int, argv: Sequence[str]) -> int:
    """Train in several processes, each on its own cores, and return the first exit status that is not 0."""
    processes = []
    with watch_signals() as signals:
        try:
            for lane, cores in enumerate(unattended.share_cores(lanes)):
                words = [sys.executable, "-m", "benchmarks.accuracy.fine_tuning", *argv, "--lane", str(lane)]
                processes.append(subprocess.Popen(words, cwd=bench.ROOT))
                if cores:
                    unattended.pin(processes[-1], cores)
            while not signals and any(process.poll() is None for process in processes):
                time.sleep(unattended.POLL_SECONDS)
        finally:
            for process in processes:
                process.terminate()
    statuses = [process.wait() for process in processes]
    return 128 + signals[0] if signals else next(filter(None, statuses), 0)


def _tune(console: Console) -> None:
    """Set the process up as `train` does, before anything is computed."""
    from fer_jax.report import terminal  # It is slow to import, and `write` does not need it.
    from fer_jax.runtime import cpu

    cpu.tune_cpu()
    terminal.keep_compiled(console)


def _file_of(options: FineTuning, name: str) -> Path:
    return options.runs / "trained" / f"{name}.json"


def train_case(base: Config, case: Case, own: Own, *, steps: int, ancestor: Path) -> Json:
    """Train at each rate, choose by the validation rows, and count what is right on the test rows.

    A better accuracy is chosen, of equal ones the lower loss.

    Returns:
        The counts, in all and by class, each rate's result on the validation rows, and what decided them.
    """
    from fer_jax.engine.loop import Replica, run_unsaved
    from fer_jax.engine.setup import make_job, make_programs
    from fer_jax.inference.teachers import Student, load_ancestor
    from fer_jax.randomness import jax_key

    split, tried = draw_own(own, case.rows, case.seed), []
    configs = [
        make_config(base, case, rate=rate, rows=len(split.train), steps=steps, ancestor=ancestor)
        for rate in WAYS[case.way].rates
    ]
    found = load_ancestor(Student(configs[0], own.loaded, own.examples, split, split.train, None))
    # The learning rate is no part of the programs.
    programs = make_programs(configs[0], own.examples, split, start=None if found is None else found.start)
    for config in configs:
        job = make_job(config, [case.seed], own.examples, split, programs)
        replica = Replica(case.seed, Path(), programs.init(jax_key(case.seed, Stream.INIT)))
        (record,) = run_unsaved(
            job, [replica], on_step=lambda *progress: None, on_selected=lambda replica: None
        )
        tried.append((record, job, replica))
    _, job, replica = max(tried, key=lambda each: (each[0]["val_accuracy"], -each[0]["val_loss"]))
    confusion = job.stepper.evaluate([replica.state], [[split.test]])[0][0].confusion
    right, totals = np.diagonal(confusion), confusion.sum(axis=1)
    return {
        "way": case.way,
        "rows": case.rows,
        "seed": case.seed,
        "steps": int(replica.state.step),
        "epochs": job.config.train.epochs,
        "rate": job.config.optimizer.peak_rate,
        "tried": [
            {
                "rate": job.config.optimizer.peak_rate,
                "val_correct": round(record["val_accuracy"] * len(split.val)),
                "val_loss": record["val_loss"],
                "train_accuracy": record["train_accuracy"],
            }
            for record, job, _ in tried
        ],
        "trained_on": len(split.train),
        "chosen_on": len(split.val),
        "correct": int(right.sum()),
        "total": int(totals.sum()),
        "classes": {
            name: [int(one), int(all_)]
            for name, one, all_ in zip(job.config.model.names, right, totals, strict=True)
        },
        "ancestor_sha256": None if found is None else found.facts["sha256"],
        **_describe_place(own, job.config),
    }


def measure_ancestor(folder: Path, own: Own) -> Json:
    """Count what the ancestor gets right on the test rows, without any own row; contempt it does not know."""
    from fer_jax.inference.predictor import predict
    from fer_jax.inference.run_weights import load_finished

    trained = load_finished(folder, None, None)
    logits, _ = predict(trained.network, own.examples.images[own.test])
    labels = own.examples.labels[own.test]
    return {
        "correct": int((logits.argmax(axis=1) == labels).sum()),
        "total": len(labels),
        "config": to_json(trained.config),
        "seconds": trained.record.seconds_total,
        "train_images": trained.record.split.sizes["train"],
        **_describe_place(own, trained.config),
    }


def _describe_place(own: Own, config: Config) -> Json:
    """Describe what has to be equal for all trainings."""
    return {
        "data_sha256": own.loaded.sha256,
        "trained_git": machine.git_commit(),
        "machine": machine.describe_cpu(),
        "versions": machine.list_versions(),
        "optimizer": asdict(config.optimizer),
    }


# Results.


def _collect(options: FineTuning, argv: list[str] | None) -> int:
    cases = [_file_of(options, case.name) for case in list_cases(options.sizes)]
    for path in (_file_of(options, AS_IT_IS), *cases):
        if not path.exists():
            raise RunError(f"{path} is missing; train it with `{PROGRAM} train`")
    ancestor, trained = read_json(_file_of(options, AS_IT_IS)), [read_json(path) for path in cases]
    shared = {name: ancestor.pop(name) for name in ("data_sha256", "trained_git", "machine", "versions")}
    ancestor.pop("optimizer")
    for path, each in zip(cases, trained, strict=True):
        each.pop("optimizer")
        for name, of_ancestor in shared.items():
            if (found := each.pop(name)) != of_ancestor:
                raise RunError(
                    f"{path}: its {name} is {found}, the ancestor's is {of_ancestor}; delete it, and train "
                    "again"
                )
    own = load_own(Path(options.data or ""), options.ferplus)
    counts = np.bincount(own.examples.labels[own.test], minlength=CLASSES)
    bench.write(
        options.results,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "config": ancestor.pop("config"),
            "ways": {name: way._asdict() for name, way in WAYS.items()},
            "batch_size": BATCH_SIZE,
            "warmup_share": WARMUP_SHARE,
            "held_out": HELD_OUT,
            "pool": len(own.pool),
            "test": {name: int(count) for name, count in zip(fer2013.NAMES, counts, strict=True)},
        },
        results=trained,
        # Of the trainings, which may be older than this moment.
        extra=shared | {"ancestor": ancestor},
    )
    print(f"written to {options.results}")
    return 0


def _accuracies(content: Json, way: str, rows: int) -> list[float]:
    """List the accuracies of a way with so many rows, in percent, by seed."""
    found = sorted(
        (each["seed"], 100 * each["correct"] / each["total"])
        for each in content["results"]
        if each["way"] == way and each["rows"] == rows
    )
    return [accuracy for _, accuracy in found]


def _list_sizes(content: Json) -> list[int]:
    return sorted({each["rows"] for each in content["results"]})


def table(content: Json) -> str:
    """Return the table: accuracy of each way by the number of own rows, and the gains over new weights."""
    ways = content["settings"]["ways"]
    titles = {name: ways[name]["title"] for name in ways}
    tuned = [name for name in ways if name != "new"]
    rows: Table = [["own rows", "seeds", "steps", *titles.values(), *(f"gain, {titles[n]}" for n in tuned)]]
    for size in _list_sizes(content):
        base = _accuracies(content, "new", size)
        steps = next(each["steps"] for each in content["results"] if each["rows"] == size)
        row = [f"{size:,}", str(len(base)), f"{steps:,}"]
        row += [mean_and_spread(_accuracies(content, name, size)) for name in ways]
        for name in tuned:
            gains = [a - b for a, b in zip(_accuracies(content, name, size), base, strict=True)]
            row.append(f"{statistics.mean(gains):+.1f}")
        rows.append(row)
    return to_markdown(rows, left_columns=0)


def describe(content: Json) -> str:
    """Return the section: the picture, the table, and what they are about."""
    ancestor, settings = content["ancestor"], content["settings"]
    low, high = (100 * end for end in wilson_interval(ancestor["correct"], ancestor["total"]))
    share = 100 * ancestor["correct"] / ancestor["total"]
    rates = "; ".join(
        f"{way['title']}: {' or '.join(f'{rate:g}' for rate in way['rates'])}"
        for way in settings["ways"].values()
    )
    note = f" {bench.UNCOMMITTED.capitalize()}." if bench.has_uncommitted(content) else ""
    return "\n\n".join(
        [
            f"![Accuracy by the number of own rows](../images/{PICTURE})",
            table(content),
            f"Accuracy in percent on {ancestor['total']:,} test rows, mean ± standard deviation over the "
            "seeds, each with its own rows; the gain is the mean over the same rows and seeds. Of the own "
            f"rows four fifths are trained on, in batches of {settings['batch_size']}, and one fifth chooses "
            f"the learning rate ({rates}). The ancestor, {settings['config']['train']['epochs']} epochs on "
            f"{ancestor['train_images']:,} other rows with FER2013's labels, has {share:.1f} % "
            f"({low:.1f} to {high:.1f}) without any own row. {content['machine']}.{note}",
        ]
    )


def draw(content: Json, path: Path) -> None:
    """Draw the accuracy by the number of own rows, a line for each way, with standard deviations."""
    ancestor, sizes = content["ancestor"], _list_sizes(content)
    with drawing(title="Fine-tuning on few rows", size=(7.2, 4.2), dpi=160) as figure:
        axes = figure.add_subplot()
        for name, way in content["settings"]["ways"].items():
            found = [_accuracies(content, name, size) for size in sizes]
            axes.errorbar(
                sizes,
                [statistics.mean(each) for each in found],
                [statistics.stdev(each) if len(each) > 1 else 0.0 for each in found],
                color=way["colour"],
                marker="o",
                markersize=4,
                capsize=3,
                label=way["title"],
            )
        as_it_is = 100 * ancestor["correct"] / ancestor["total"]
        axes.axhline(as_it_is, color=OBJECTIVE_COLOUR, linestyle="--", label="the ancestor as it is")
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("own rows, a fifth of them to choose the learning rate")
        axes.set_ylabel("accuracy on the test rows, %")
        axes.legend(loc="lower right", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(figure, path)


if __name__ == "__main__":
    sys.exit(main())
