"""The runs of a comparison: found in folders, put together by config, refused where they do not compare."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_jax import run_folder, run_record
from fer_jax.config import Config
from fer_jax.config_file import Json, flatten, to_json
from fer_jax.errors import RunError
from fer_jax.label_sets import WORDS
from fer_jax.place import FREE

PARTS = ("train", "val", "test")

_BLOCK_FIELD = re.compile(r"(model\.blocks)\.(\d+)\.(\w+)")


@dataclass(frozen=True)
class SeedRun:
    """One finished run.

    Attributes:
        folder: the run's.
        config: its own.
        facts: the content of `run.json`.
        metrics: part (`train`, `val` and, where there are test images, `test`) -> what `metrics.summarise`
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


def find_folders(paths: Sequence[Path]) -> list[Path]:
    """Find the runs that are meant: each path is a run's folder, or a folder that holds some.

    Args:
        paths: a folder of runs stands for all in it, by name; a folder of several seeds for these.

    Returns:
        Folders with a `run.json`, each once.

    Raises:
        RunError: no such folder, or one without a run.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise RunError(
                f"there is no folder {path}; give runs such as runs/run6-seed0, or a folder of runs"
            )
        is_run = (path / "run.json").is_file()
        inside = [path] if is_run else [each for each in path.iterdir() if (each / "run.json").is_file()]
        if not inside:
            raise RunError(f"{path} holds no run: neither it nor a folder in it has a run.json; give another")
        for folder in sorted(inside, key=_by_number):
            found |= {each.resolve(): each for each in _seeds_of(folder)}
    return list(found.values())


def _by_number(path: Path) -> list[tuple[bool, int, str]]:
    # run10 comes after run9.
    pieces = re.split(r"(\d+)", path.name)
    return [(piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in pieces]


def _seeds_of(folder: Path) -> list[Path]:
    """Give a run's own folder; of several seeds trained together, the folder of each."""
    facts = run_record.read_facts(folder)
    if "folders" not in facts:
        return [folder]
    return [_find_seed(folder, Path(named)) for named in facts["folders"]]


def _find_seed(home: Path, named: Path) -> Path:
    # The name is that of the day of the training; since then all may have moved together.
    for folder in (home / named.name, home.parent / named.name, named):
        if (folder / "run.json").is_file():
            return folder
    raise RunError(
        f"{home} is about the run {named}, which is not there; put it back, or name the runs one by one"
    )


def read_run(folder: Path) -> SeedRun:
    """Read the record of a run.

    Raises:
        RunError: it is not finished, or a file is missing or damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    facts = run_record.read_facts(folder)
    if not facts["finished"]:
        raise RunError(
            f"{folder} is not finished; go on with it (--resume), or name the runs to compare without it"
        )
    return SeedRun(
        folder=folder,
        config=run_record.read_config(folder),
        facts=facts,
        metrics=run_folder.read_json(folder / "metrics.json"),
        history=run_folder.read_json_lines(folder / "log.jsonl"),
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
    has_same_config = _settings(run.config) == _settings(group[0].config)
    return has_same_config and _seed(run) not in map(_seed, group)


def check_comparable(entries: Sequence[Entry], part: str) -> None:
    """Refuse runs whose figures are not about the same images.

    Args:
        entries: all of them.
        part: the part that is to be compared, as `trained.choose_rows` knows it.

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
    rows = run_record.read_split(first.folder)
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
        split = run_record.read_split(run.folder)
        for name in names:
            if not np.array_equal(rows[name], split[name]):
                raise RunError(
                    f"{run.folder} has another split than {first.folder}: their {name} images differ; "
                    "compare runs with the same images"
                )


def list_changes(before: Config, after: Config) -> list[list[str]]:
    """List the settings that differ between two configs; name, seed and the data's place are none.

    Returns:
        Rows of field, value before, value after, as text; a dash where there was no such field. A change that
        every block of the network shares is one row, `model.blocks.*`, and so is a block that is new or gone.
    """
    old, new = _settings(before), _settings(after)
    changed = {
        field: (old.get(field, "–"), new.get(field, "–"))
        for field in [*new, *(field for field in old if field not in new)]
        if old.get(field) != new.get(field)
    }
    blocks = {len(config.model.blocks) for config in (before, after)}
    rows: dict[str, list[str]] = {}
    for field, values in changed.items():
        match = _BLOCK_FIELD.fullmatch(field)
        if match is None:
            rows[field] = [field, *values]
            continue
        start, number, name = match.groups()
        block = f"{start}.{number}"
        everywhere = [changed.get(f"{start}.{index}.{name}") == values for index in range(max(blocks))]
        if int(number) >= min(blocks):
            rows[block] = [block, *(_join(each, block) for each in (old, new))]
        elif len(everywhere) > 1 and all(everywhere):
            rows[f"{start}.*.{name}"] = [f"{start}.*.{name}", *values]
        else:
            rows[field] = [field, *values]
    return list(rows.values())


def _settings(config: Config) -> dict[str, str]:
    """Flatten what may change a run's result but its seed; a list's elements go by their number."""
    plain = replace(config, name="run", train=replace(config.train, seed=0))
    flat = flatten(_number_elements(to_json(plain)))
    return {field: text.strip('"') for field, text in flat.items() if field not in FREE}


def _number_elements(value: Json) -> Json:
    numbered = {}
    for name, each in value.items():
        content = {str(i): element for i, element in enumerate(each)} if isinstance(each, list) else each
        numbered[name] = _number_elements(content) if isinstance(content, dict) else content
    return numbered


def _join(settings: dict[str, str], block: str) -> str:
    """Write all settings of a block as one text; a dash where there is none."""
    prefix = f"{block}."
    own = {name.removeprefix(prefix): text for name, text in settings.items() if name.startswith(prefix)}
    return ", ".join(f"{name} {text}" for name, text in own.items()) or "–"
