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

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import tyro
from rich.console import Console

from benchmarks.accuracy.fine_tuning_cases import (
    BATCH_SIZE,
    CLASSES,
    HELD_OUT,
    STEPS,
    WARMUP_SHARE,
    WAYS,
    list_cases,
    load_own,
    measure_ancestor,
    train_case,
)
from benchmarks.accuracy.fine_tuning_tables import PICTURE, describe, draw
from benchmarks.harness import bench, unattended
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.harness.unattended import UNFINISHED, Training
from fer_jax import cli, fer2013
from fer_jax.config.files import load_config
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, write_json
from fer_jax.runtime.signals import watch_signals

PROGRAM: Final = "python -m benchmarks.accuracy.fine_tuning"
QUESTION: Final = "What does fine-tuning gain on few images, against training from new weights?"
SECTION: Final = "fine-tuning"
RESULTS: Final = "fine_tuning"
AS_IT_IS: Final = "ancestor"
"""The name of the ancestor, measured without any training on own rows."""


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


def ancestor_training(options: FineTuning) -> Training:
    """Say how the ancestor is trained: the hold-out of `part_rows` is what it does not see."""
    words = ["--config", str(options.config), "--data", str(Path(options.data or "").resolve())]
    words += ["--split.protocol", "holdout", "--split.holdout-fraction", str(HELD_OUT)]
    words += ["--train.epochs", str(options.epochs), "--train.measure-epochs", str(options.epochs)]
    return Training(options.ancestor.resolve(), tuple(words))


def _train(options: FineTuning, argv: Sequence[str]) -> int:
    started, console = time.monotonic(), bench.make_console()
    if options.lane is None:
        trained = unattended.train(
            [ancestor_training(options)], lanes=1, minutes=options.minutes, console=console
        )
        if trained:
            return trained
        if options.lanes > 1:
            left = None if options.minutes is None else options.minutes - (time.monotonic() - started) / 60
            return _spread(options.lanes, argv, minutes=left)
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


def _spread(lanes: int, argv: Sequence[str], *, minutes: float | None) -> int:
    """Train in several processes, each on its own cores, and return the first exit status that is not 0."""
    processes = []
    program = [sys.executable, "-m", "benchmarks.accuracy.fine_tuning", *argv]
    if minutes is not None:
        program += ["--minutes", str(max(minutes, 0.0))]  # In place of the one before.
    with watch_signals() as signals:
        try:
            for lane, cores in enumerate(unattended.share_cores(lanes)):
                processes.append(subprocess.Popen([*program, "--lane", str(lane)], cwd=bench.ROOT))
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


if __name__ == "__main__":
    sys.exit(main())
