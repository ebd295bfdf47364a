"""A run's record: `config.json`, `split.npz` and `run.json` say what it is, on what, and where; its log."""

import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.config.fields import flatten
from fer_jax.config.files import from_json, to_json
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split, count_leaks
from fer_jax.errors import RunError
from fer_jax.files import Json, json_line, read_json, replacing, write_json, write_text
from fer_jax.runtime import machine

# Facts that may change the bits of a run that goes on.
_MACHINE = ("versions", "machine", "device", "tuning", "xla_flags", "git")
_DECIDING = (*_MACHINE, "batches")

_SCALARS = ("rate", "objective", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def describe_run(
    config: Config, examples: Examples, split: Split, *, command: str, is_synthetic: bool
) -> Json:
    """Gather what `run.json` says of a run at its start; the machine's part comes from `runtime`."""
    return {
        "command": command,
        "started": machine.now(),
        "finished": None,
        "resumed": [],
        "seed": config.train.seed,
        "data": {
            "description": examples.description,
            "sha256": examples.sha256,
            "is_synthetic": is_synthetic,
        },
        "split": {
            "sha256": split.sha256,
            "sizes": {name: len(rows) for name, rows in split.parts.items()},
            "copies_of_training_images": count_leaks(examples.images, split),
        },
        **machine.describe(),
    }


def write(folder: Path, config: Config, split: Split, facts: Json, *, train_hashes: np.ndarray) -> None:
    """Write the three files; `run.json` last, since it marks the folder as a run.

    Args:
        folder: the run's.
        config: of the run.
        split: rows of each part.
        facts: see `describe_run`.
        train_hashes: uint64 [Ntrain], of the training images, see `image_hashes`.
    """
    write_json(folder / "config.json", to_json(config))
    with replacing(folder / "split.npz") as new, new.open("wb") as file:
        np.savez(file, train=split.train, val=split.val, test=split.test, train_hashes=train_hashes)
    write_json(folder / "run.json", facts)


@contextmanager
def open_log(folder: Path, history: list[Json]) -> Iterator[Callable[[Json], None]]:
    """Open a run's `log.jsonl` and TensorBoard events, and give the function that adds an epoch's record.

    Both are written anew from the history, so that a resumed run shows each epoch once.
    """
    from tensorboardX import SummaryWriter  # It takes a moment, and only training needs it.

    log = folder / "log.jsonl"
    write_text(log, "".join(json_line(record) for record in history))
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    with SummaryWriter(str(folder / "tensorboard")) as board, log.open("a", encoding="utf-8") as lines:

        def show(record: Json) -> None:
            for name in _SCALARS:
                board.add_scalar(name, record[name], record["step"])

        def add(record: Json) -> None:
            lines.write(json_line(record))
            lines.flush()
            show(record)

        for record in history:
            show(record)
        yield add


def read_facts(folder: Path) -> Json:
    """Read `run.json`.

    Raises:
        RunError: it is missing or damaged.
    """
    facts = read_json(folder / "run.json")
    if not isinstance(facts, dict) or not {"data", "split", "started", "resumed", *_MACHINE} <= facts.keys():
        raise RunError(f"{folder / 'run.json'} is damaged: it does not say what was run; train again")
    return facts


def read_config(folder: Path) -> Config:
    """Read `config.json`.

    Raises:
        RunError: it is missing or damaged.
        ConfigError: it is not a config of this fer_jax.
    """
    path = folder / "config.json"
    return from_json(read_json(path), where=str(path))


def read_split(folder: Path) -> dict[str, np.ndarray]:
    """Read `split.npz`: `train`, `val` and `test` rows int64, `train_hashes` uint64.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / "split.npz"
    try:
        with np.load(path) as parts:
            return {name: parts[name] for name in ("train", "val", "test", "train_hashes")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read: {error}; train again") from None


def find_config_change(folder: Path, config: Config, *, free: tuple[str, ...]) -> str | None:
    """Say which field of a config is another one than in a run's `config.json`.

    Args:
        folder: the run's.
        config: to compare.
        free: dotted names that may differ, lists as a whole.

    Returns:
        The first such field with both values; None where there is none.
    """
    old, new = flatten(to_json(read_config(folder))), flatten(to_json(config))
    names = [name for name in sorted(old.keys() | new.keys()) if name.split("[")[0] not in free]
    name = next((name for name in names if old.get(name) != new.get(name)), None)
    if name is None:
        return None
    return f"{folder} was trained with {name} {old.get(name)}, the config now says {new.get(name)}"


def resume(folder: Path, facts: Json) -> tuple[Json, list[str]]:
    """Join the facts of a run that goes on to those of its start.

    Args:
        folder: the run's.
        facts: what `describe_run` says now, with `batches`: how they are made.

    Returns:
        The facts of the start with this resumption added, and a line for each thing that is another one
        now and may change the bits.

    Raises:
        RunError: the data, the split or the teachers are other ones.
    """
    before = read_facts(folder)
    for name in ("data", "split", "teachers"):
        # Only a taught run has teachers.
        old, new = (each[name]["sha256"][:12] if name in each else "none" for each in (before, facts))
        if old != new:
            raise RunError(
                f"{folder} was trained with other {name} (SHA-256 {old}, now {new}); resume with the same"
            )
    here: dict[str, Any] = {name: facts[name] for name in ("command", *_DECIDING)}
    notes = [
        f"note: {name} was {before[name]!r} and is {facts[name]!r}: the bits may differ"
        for name in _DECIDING
        if name in before and before[name] != facts[name]
    ]
    added = {"resumed": [*before["resumed"], {"at": facts["started"], **here}], "finished": None}
    return before | added, notes
