"""The runs of a comparison: found in folders, put together by config, refused where they do not compare."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_jax.config.changes import model_settings
from fer_jax.config.run import Config
from fer_jax.errors import RunError
from fer_jax.files import Json, read_json, read_json_lines
from fer_jax.inference.labels import WORDS
from fer_jax.runs import record

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class SeedRun:
    """One finished run.

    Attributes:
        folder: the run's.
        config: its own.
        facts: the content of `run.json`.
        metrics: part (`train`, `val` and, where there are test images, `test`) -> what `metrics.scores.summarise`
            gives.
        history: one record an epoch, at least one.
    """

    folder: Path
    config: Config
    facts: Json
    metrics: Json
    history: list[Json]


@dataclass(frozen=True)
class Entry:
    """A config and its seeds: a line of the table.

    Attributes:
        label: its name, no other entry's.
        seeds: at least one, in the order of their seeds.
    """

    label: str
    seeds: list[SeedRun]

    @property
    def config(self) -> Config:
        """The first seed's config."""
        return self.seeds[0].config


def read_run(folder: Path) -> SeedRun:
    """Read the record of a run.

    Raises:
        RunError: it is not finished, or a file is missing or damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    facts = record.read_facts(folder)
    if not facts["finished"]:
        raise RunError(
            f"{folder} is not finished; go on with it (--resume), or name the runs to compare without it"
        )
    return SeedRun(
        folder=folder,
        config=record.read_config(folder),
        facts=facts,
        metrics=read_json(folder / "metrics.json"),
        history=read_json_lines(folder / "log.jsonl"),
    )


def put_together(runs: Sequence[SeedRun]) -> list[Entry]:
    """Put runs together that differ in their seed alone.

    The same config and seed twice, trained by two versions of the program perhaps, are two entries.

    Args:
        runs: in the order in which they are to be shown.

    Returns:
        Entries in the order of their first run. The label is the config's name, or where two have the same,
        the name of the first seed's folder.
    """
    groups: list[list[SeedRun]] = []
    for run in runs:
        fitting = (group for group in groups if _belongs(run, group))
        group = next(fitting, None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    firsts = [sorted(group, key=_seed)[0] for group in groups]
    names = [first.config.name for first in firsts]
    folders = [first.folder.resolve() for first in firsts]
    for longer in ([each.name for each in folders], [f"{each.parent.name}/{each.name}" for each in folders]):
        counted = Counter(names)
        names = [new if counted[old] > 1 else old for old, new in zip(names, longer, strict=True)]
    return [Entry(label, sorted(group, key=_seed)) for label, group in zip(names, groups, strict=True)]


def _seed(run: SeedRun) -> int:
    return run.config.train.seed


def _belongs(run: SeedRun, group: list[SeedRun]) -> bool:
    has_same_config = model_settings(run.config) == model_settings(group[0].config)
    return has_same_config and _seed(run) not in map(_seed, group)


def check_comparable(entries: Sequence[Entry], part: str) -> None:
    """Refuse runs whose figures are not about the same images.

    Args:
        entries: all of them.
        part: the part that is to be compared, as `inference.rows.choose_rows` knows it.

    Raises:
        RunError: a single config, or a run of other labels, other data or another split than the first.
    """
    first = entries[0].seeds[0]
    if len(entries) < 2:
        seeds = ", ".join(str(_seed(run)) for run in entries[0].seeds)
        raise RunError(
            f"all that was named is {entries[0].label} (seed {seeds}): a comparison needs two runs at least, "
            "of different configs; name another one"
        )
    # Training rows may differ, since a run can leave some out; the others are what is compared.
    names = tuple(dict.fromkeys(("val", "test", *(["train"] if part == "train" else []))))
    rows = record.read_split(first.folder)
    for run in (run for entry in entries for run in entry.seeds):
        mine, other = ((each.config.labels.source, each.config.model.classes) for each in (first, run))
        if mine != other:
            raise RunError(
                f"{run.folder} tells {other[1]} classes of {WORDS[other[0]]}'s labels apart, and "
                f"{first.folder} {mine[1]} of {WORDS[mine[0]]}'s; compare runs of the same labels, and "
                "measure each by either with `python -m fer_jax.evaluate RUN --labels`"
            )
        ours, theirs = first.facts["data"]["sha256"], run.facts["data"]["sha256"]
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
