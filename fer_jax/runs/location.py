"""Where a run is written: a folder for each seed, and one for what several seeds have in common.

One seed: `runs/NAME-seedS`. Several: an ordinary folder for each, and `runs/NAME-seedsA-B` for their report.
With `--run-dir` this is the one that is named, and the seeds' folders are in it.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fer_jax.config.fields import FREE_TO_RESUME
from fer_jax.config.run import Config
from fer_jax.data.readers.own import classes
from fer_jax.errors import RunError
from fer_jax.files import read_json, suggest_path
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import record


@dataclass(frozen=True)
class Place:
    """Where a run is written: config and folder of each seed; `home` holds what they have in common."""

    configs: list[Config]
    folders: list[Path]
    home: Path

    @property
    def seeds(self) -> list[int]:
        """The seeds."""
        return [config.train.seed for config in self.configs]

    @property
    def title(self) -> str:
        """The name of the config and its seeds, for people."""
        first, last = self.seeds[0], self.seeds[-1]
        return f"{self.configs[0].name}, " + (
            f"seed {first}" if first == last else f"seeds {first} to {last}"
        )


def choose_place(
    config: Config, count: int, run_dir: Path | None, *, is_resumed: bool, extra_epochs: int = 0
) -> Place:
    """Choose the folders of a new run, or find those of the run to resume.

    Args:
        config: of the first seed.
        count: how many seeds, from the config's on.
        run_dir: the home; None chooses a new one, or finds the newest.
        is_resumed: resume a run, with the extensions that it has had so far.
        extra_epochs: how many epochs longer than planned the resumed run becomes; 0: no longer.

    Raises:
        ConfigError: the last seed is too large.
        RunError: a new run's home holds one already; the run to resume is missing, differs in its config, or
            cannot be extended, since it is not finished or has stopped early.
    """
    seeds = [config.train.seed + number for number in range(count)]
    configs = [replace(config, train=replace(config.train, seed=seed)) for seed in seeds]
    names = [f"{config.name}-seed{seed}" for seed in seeds]
    home_name = names[0] if count == 1 else f"{config.name}-seeds{seeds[0]}-{seeds[-1]}"
    if run_dir:
        home, folders = run_dir, [run_dir if count == 1 else run_dir / f"seed{seed}" for seed in seeds]
    else:
        find = runs_folder.newest_folders if is_resumed else runs_folder.new_folders
        home, *folders = find([home_name, *names])
    if is_resumed and run_dir and not (home / "run.json").is_file():
        there = "there is no run in it" if home.is_dir() else "there is no such folder"
        near = suggest_run(home) or "; give the folder of the run to resume"
        raise RunError(f"--run-dir is {home}, and {there}{near}")
    if not is_resumed:
        refuse_old(home, folders)
        return Place(configs, folders, home)
    trained = record.read_record(home).seeds or seeds
    if trained != seeds:
        raise RunError(f"{home} has the seeds {trained}, and {seeds} were asked for; ask for the same")
    configs = [_adopt_classes(one, folder) for one, folder in zip(configs, folders, strict=True)]
    for one, folder in zip(configs, folders, strict=True):
        change = record.find_config_change(folder, one, free=FREE_TO_RESUME)
        if change:
            longer = "; to train longer, add --extend-epochs N" if " train.epochs " in change else ""
            raise RunError(f"{change}; resume with the same config, or train into another --run-dir{longer}")
    extensions = _find_extensions(config, folders)
    if extra_epochs:
        _check_extensible(home, folders)
        extensions = (*extensions, extra_epochs)
    longer_train = [replace(each.train, extra_epochs=extensions) for each in configs]
    longer_configs = [replace(one, train=train) for one, train in zip(configs, longer_train, strict=True)]
    return Place(longer_configs, folders, home)


def refuse_old(home: Path, folders: Sequence[Path]) -> None:
    """Refuse to train a new run into a folder that holds one, be it that of one of the seeds.

    A seed's folder without a log may have been left by a run that was killed while it began: its home has no
    record then, and nothing is lost.

    Raises:
        RunError: one of them holds a run.
    """
    if (home / "run.json").exists():
        raise RunError(f"{home} holds a run already; add --resume to continue it, or give another --run-dir")
    for folder in folders:
        if (folder / "log.jsonl").exists():
            raise RunError(f"{folder} holds a run of its own; move it away, or give another --run-dir")


def _adopt_classes(config: Config, folder: Path) -> Config:
    """Take the classes that a run has from its data, where the config to resume it with names none.

    Whether the data still has these is checked when it is loaded.
    """
    trained = record.read_config(folder)
    data = replace(config.data, class_map=classes.settle(config.data.class_map))
    if data.class_map != trained.data.class_map or config.model.class_names:
        return replace(config, data=data)
    names = trained.model.class_names
    count = trained.model.classes if names else config.model.classes
    return replace(config, data=data, model=replace(config.model, classes=count, class_names=names))


def _find_extensions(config: Config, folders: Sequence[Path]) -> tuple[int, ...]:
    """Find how the run to resume has been extended; a killed program may have told some of its seeds only.

    Raises:
        RunError: the config says otherwise.
    """
    found = max((record.read_config(folder).train.extra_epochs for folder in folders), key=len)
    if config.train.extra_epochs not in ((), found):
        raise RunError(
            f"{folders[0]} has train.extra_epochs {found}, the config now says {config.train.extra_epochs}; "
            "leave it out, and add --extend-epochs N to extend the run"
        )
    return found


def _check_extensible(home: Path, folders: Sequence[Path]) -> None:
    if not all(map(_is_finished, [home, *folders])):
        raise RunError(
            f"{home} is not finished; go on with it first (--resume without --extend-epochs). An extension "
            "that was stopped goes on in the same way"
        )
    stopped = record.read_record(home).stopped_early
    if stopped is not None:
        raise RunError(
            f"early stopping ends {home} after epoch {stopped}, and more epochs would stop as early; train "
            "again with a larger train.patience_epochs, into another --run-dir"
        )


def _is_finished(folder: Path) -> bool:
    """Whether a run has all epochs of its config; a program may have lengthened it before it was killed."""
    found = record.read_record(folder)
    if found.finished is None or found.config_sha256 is None:
        return found.finished is not None
    return found.config_sha256 == record.hash_config(read_json(folder / "config.json"))


def find_folders(paths: Sequence[Path]) -> list[Path]:
    """Find runs: a path is a run's folder, the folder of several seeds, or one that holds runs.

    Returns:
        Folders with a `run.json`, each once; those within a folder by name.

    Raises:
        RunError: no such folder, or one without a run.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            near = suggest_run(path) or "; give runs such as runs/run6-seed0, or a folder of runs"
            raise RunError(f"there is no folder {path}{near}")
        is_run = (path / "run.json").is_file()
        inside = [path] if is_run else [each for each in path.iterdir() if (each / "run.json").is_file()]
        if not inside:
            raise RunError(f"{path} holds no run: neither it nor a folder in it has a run.json; give another")
        for folder in sorted(inside, key=_by_number):
            found |= {each.resolve(): each for each in _seeds_of(folder)}
    return list(found.values())


def suggest_run(path: Path) -> str:
    """Suggest the run that a missing path may mean, in its folder or in runs/; empty if none is close."""
    return suggest_path(path) or (suggest_path(runs_folder.RUNS / path) if not path.is_absolute() else "")


def _by_number(path: Path) -> list[tuple[bool, int, str]]:
    # run10 comes after run9.
    pieces = re.split(r"(\d+)", path.name)
    return [(piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece) for piece in pieces]


def _seeds_of(folder: Path) -> list[Path]:
    """Give a run's own folder; of several seeds trained together, the folder of each."""
    named = record.read_record(folder).folders
    return [folder] if named is None else [_find_seed(folder, Path(each)) for each in named]


def _find_seed(home: Path, named: Path) -> Path:
    # The path is from the day of the training; all folders may have been moved since.
    for folder in (home / named.name, home.parent / named.name, named):
        if (folder / "run.json").is_file():
            return folder
    raise RunError(
        f"{home} refers to the run {named}, which is missing; put it back, or name the runs one by one"
    )


def find_common_folder(folders: Sequence[Path]) -> Path:
    """Find the folder that holds all runs.

    Raises:
        RunError: only the root of the disk does, where no results belong.
    """
    parents = {folder.parent for folder in folders}
    if len(parents) == 1:
        common = parents.pop()
    else:
        try:
            common = Path(os.path.commonpath([each.resolve() for each in parents]))
        except ValueError:  # Windows: they are on several drives.
            common = Path(Path.cwd().anchor)
    if common.resolve() == Path(common.resolve().anchor):
        raise RunError("the runs have no folder of their own in common; name one to write into with --out")
    return common
