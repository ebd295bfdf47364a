"""The runs of a comparison: read from folders, grouped by config, and rejected if they are not comparable."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_jax.config.changes import method
from fer_jax.config.data import LABEL_WORDS
from fer_jax.config.run import Config
from fer_jax.errors import RunError
from fer_jax.files import Json
from fer_jax.metrics import saved
from fer_jax.metrics.history import keep_measured
from fer_jax.runs import record
from fer_jax.runs.record import RunRecord, kind_of_data


@dataclass(frozen=True)
class SeedRun:
    """One finished run.

    Attributes:
        folder: of the run.
        config: of the run.
        record: content of `run.json`.
        metrics: part (`train`, `val` and, if there are test images, `test`) -> what
            `metrics.scores.summarise` returns.
        history: one record per epoch, at least one.
    """

    folder: Path
    config: Config
    record: RunRecord
    metrics: Json
    history: list[Json]


@dataclass(frozen=True)
class Entry:
    """A config and its seeds: a row of the table.

    Attributes:
        label: its name, unique among the entries.
        seeds: at least one, in order.
    """

    label: str
    seeds: list[SeedRun]

    @property
    def config(self) -> Config:
        """The config of the first seed."""
        return self.seeds[0].config


def read_run(folder: Path) -> SeedRun:
    """Read the record of a run.

    Raises:
        RunError: it has not finished, or a file is missing or damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    content = record.read_record(folder)
    if not content.finished:
        raise RunError(
            f"{folder} is not finished; resume it (--resume), or name the runs to compare without it"
        )
    # Now, before all runs predict.
    metrics, history = saved.read_metrics(folder), saved.read_history(folder)
    if not keep_measured(history):
        raise RunError(f"{folder / 'log.jsonl'} is damaged: it has no measured epoch; restore it")
    return SeedRun(folder, record.read_config(folder), content, metrics, history)


def describe_labels(run: SeedRun) -> str:
    """Name the labels of a run, for people."""
    is_own = kind_of_data(run.record, run.config) == "own"
    return "the data" if is_own else LABEL_WORDS[run.config.labels.source]


def group(runs: Sequence[SeedRun]) -> list[Entry]:
    """Group runs that differ only in their seed.

    The same config and seed twice (trained by two versions of fer_jax, perhaps) are two entries.

    Args:
        runs: in the order of the table.

    Returns:
        Entries in the order of their first runs. The label is the name of the config or, if two have the same
        name, of the first seed's folder.
    """
    groups: list[list[SeedRun]] = []
    for run in runs:
        fitting = next((seeds for seeds in groups if _belongs(run, seeds)), None)
        if fitting is None:
            groups.append([run])
        else:
            fitting.append(run)
    firsts = [min(seeds, key=_seed) for seeds in groups]
    names = [first.config.name for first in firsts]
    folders = [first.folder.resolve() for first in firsts]
    for longer in ([each.name for each in folders], [f"{each.parent.name}/{each.name}" for each in folders]):
        counted = Counter(names)
        names = [new if counted[old] > 1 else old for old, new in zip(names, longer, strict=True)]
    return [Entry(label, sorted(seeds, key=_seed)) for label, seeds in zip(names, groups, strict=True)]


def _seed(run: SeedRun) -> int:
    return run.config.train.seed


def _belongs(run: SeedRun, seeds: list[SeedRun]) -> bool:
    has_same_config = method(run.config) == method(seeds[0].config)
    return has_same_config and _seed(run) not in map(_seed, seeds)


def check_comparable(entries: Sequence[Entry], part: str) -> None:
    """Reject runs that were not measured on the same images.

    Args:
        entries: all of them.
        part: the part to compare, see `inference.rows.choose_rows`.

    Raises:
        RunError: there is only one config, or a run has other labels, data or split than the first.
    """
    first = entries[0].seeds[0]
    if len(entries) < 2:
        seeds = ", ".join(str(_seed(run)) for run in entries[0].seeds)
        raise RunError(
            f"only {entries[0].label} (seed {seeds}) was named: a comparison needs at least two runs of "
            "different configs; name another one"
        )
    # Training rows may differ, since a run can leave some out; the other parts must be the same.
    names = tuple(dict.fromkeys(("val", "test", *(["train"] if part == "train" else []))))
    rows = record.read_split(first.folder)
    for run in (run for entry in entries for run in entry.seeds):
        mine, other = first.config, run.config
        if mine.model.names != other.model.names and (mine.has_own_data or other.has_own_data):
            raise RunError(
                f"{run.folder} has the classes {', '.join(other.model.names)}, {first.folder} "
                f"{', '.join(mine.model.names)}; compare runs with the same classes in the same order"
            )
        if (mine.labels.source, mine.model.names) != (other.labels.source, other.model.names):
            raise RunError(
                f"{run.folder} has {other.model.classes} classes of {LABEL_WORDS[other.labels.source]}'s "
                f"labels, {first.folder} has {mine.model.classes} of {LABEL_WORDS[mine.labels.source]}'s; "
                "compare runs with the same labels, or measure each run with either labels by `python -m "
                "fer_jax.evaluate RUN --labels`"
            )
        ours, theirs = first.record.data.sha256, run.record.data.sha256
        if ours != theirs:
            raise RunError(
                f"{run.folder} was trained on other data than {first.folder} (SHA-256 {theirs[:12]}, not "
                f"{ours[:12]}); compare runs on the same data"
            )
        split = record.read_split(run.folder)
        for name in names:
            if not np.array_equal(rows[name], split[name]):
                raise RunError(
                    f"{run.folder} has another split than {first.folder}: their {name} images differ; "
                    "compare runs with the same images"
                )
