"""A run's record: `config.json`, `split.npz` and `run.json` (what was run, on what, where), and its log."""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dacite
import numpy as np

from fer_jax.config.fields import field_of, flatten
from fer_jax.config.files import from_json, to_json
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split, count_leaks, count_near_leaks, find_missing
from fer_jax.errors import RunError
from fer_jax.files import (
    Json,
    append_text,
    json_line,
    read_bytes,
    read_json,
    reading,
    write_arrays,
    write_json,
    write_text,
)
from fer_jax.runs.trackers import open_trackers
from fer_jax.runtime import machine
from fer_jax.strict_json import NUMBER_HOOKS

_SPLIT_KINDS: Final = {"train": "int64", "val": "int64", "test": "int64", "train_hashes": "uint64"}
_OTHERS: Final = {"ancestor": "another init.weights"}
_MOST_SPLIT_BYTES: Final = 512 * 2**20
# What may change the bits of a run that is resumed.
_DECIDING = ("versions", "machine", "device", "tuning", "xla_flags", "git", "batches")


@dataclass(frozen=True)
class DataRecord:
    """The data of a run: a line for people, and the SHA-256 of its arrays.

    `is_own` and `public`, see `Examples`, are None in the record of an older fer_jax.
    """

    description: str
    sha256: str
    is_synthetic: bool
    is_own: bool | None = None
    public: str | None = None

    @property
    def contents(self) -> str:
        """The description without the paths in it.

        >>> description = "/home/me/fer2013.csv: 3,589 PublicTest rows; not cached: /home/me: No space left"
        >>> DataRecord(description, "", is_synthetic=False).contents
        '3,589 PublicTest rows'
        """
        if self.public is not None:
            return self.public
        public = self.description.partition("; not cached: ")[0]
        return public if self.is_synthetic else public.partition(": ")[2]


@dataclass(frozen=True)
class SplitRecord:
    """The split of a run: hash of its rows, and by part its size and how many rows copy training images.

    `near_copies_of_training_images` are those that are not exact copies; None where these were not searched
    for. `missing_classes` are those of which a part has no row, by part; None in the record of an older
    fer_jax. `dropped` says which rows a drop list took out of train; None without one.
    """

    sha256: str
    sizes: dict[str, int]
    copies_of_training_images: dict[str, int]
    near_copies_of_training_images: dict[str, int] | None = None
    missing_classes: dict[str, list[str]] | None = None
    dropped: Json | None = None


@dataclass(frozen=True)
class RunRecord:
    """The content of `run.json`.

    Attributes:
        started, finished: ISO 8601, UTC; None for a run that is not finished.
        resumed: one record for each time that the run was resumed.
        machine: processor and cores.
        device: what JAX computed on.
        tuning: settings made before the first computation.
        git: commit of the source; None outside a checkout.
        seed: of the training; in the common folder of several seeds the first one.
        seeds, folders: of all replicas, in their common folder.
        git_missing: why the commit of a checkout is not known; None: it is, or there is no checkout.
        seeds_together: how many replicas were trained together.
        batches: where the batches were made.
        macs: multiply-accumulates of one image.
        votes: `sha256` of the targets that FER+'s votes make; None: without votes, or of an older fer_jax.
        teachers: `sha256` and `runs` of the networks that taught it, and `images`: how many images only they
            were trained on, as far as these are known (absent in the record of an older fer_jax); None
            without any.
        ancestor: the trained network that it started from, see `inference.teachers.load_ancestor`; None: it
            started from new weights.
        seconds_total, seconds_per_epoch: of all epochs, and the median.
        selection: which epoch's weights were selected, in words.
        measured_epoch: that epoch, from 1.
        stopped_early: the epoch, from 1, after which early stopping ends the run, be it the last; None: it
            does not.
        extensions: one record for each of `train.extra_epochs`, as a rule an extension that the user asked
            for later: `from_epoch`, `to_epoch`, `rule`, `at`.
        last_state_sha256: see `checkpoint.state_hash`.
        config_sha256: of `config.json`, see `hash_config`; None in the record of an older fer_jax.
    """

    command: str
    started: str
    finished: str | None
    resumed: list[Json]
    data: DataRecord
    split: SplitRecord
    machine: str
    device: str
    tuning: list[str]
    xla_flags: str
    versions: dict[str, str]
    git: str | None
    seed: int
    git_missing: str | None = None
    seeds: list[int] | None = None
    folders: list[str] | None = None
    seeds_together: int = 1
    batches: str | None = None
    parameters: int | None = None
    macs: int | None = None
    votes: Json | None = None
    teachers: Json | None = None
    ancestor: Json | None = None
    seconds_total: float | None = None
    seconds_per_epoch: float | None = None
    selection: str | None = None
    measured_epoch: int | None = None
    stopped_early: int | None = None
    extensions: list[Json] = field(default_factory=list)
    last_state_sha256: str | None = None
    config_sha256: str | None = None


def read_record(folder: Path) -> RunRecord:
    """Read `run.json`; what another version wrote beside the fields of `RunRecord` is passed over.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / "run.json"
    try:
        return dacite.from_dict(RunRecord, read_json(path), dacite.Config(type_hooks=NUMBER_HOOKS))
    except (dacite.DaciteError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error}; restore it, or train again") from None


def kind_of_data(run: RunRecord, config: Config) -> str:
    """Tell of which kind the data of a run is: "synthetic", "own" or "fer2013"; its terms depend on that."""
    if run.data.is_synthetic:
        return "synthetic"
    is_own = config.has_own_data if run.data.is_own is None else run.data.is_own
    return "own" if is_own else "fer2013"


def describe_run(config: Config, examples: Examples, split: Split, *, command: str) -> Json:
    """Gather what `run.json` says of a run at its start, see `RunRecord`."""
    return {
        "command": command,
        "started": machine.now(),
        "finished": None,
        "resumed": [],
        "extensions": [],
        "seed": config.train.seed,
        "data": examples.facts,
        "split": {
            "sha256": split.sha256,
            "sizes": {name: len(rows) for name, rows in split.parts.items()},
            "copies_of_training_images": count_leaks(examples, split),
            "near_copies_of_training_images": count_near_leaks(examples, split),
            "missing_classes": find_missing(examples.labels, split, config.model.names),
        },
        **machine.describe(),
    }


def write(folder: Path, config: Config, split: Split, facts: Json, *, train_hashes: np.ndarray) -> None:
    """Write the three files; `run.json` last, since it marks the folder as a run.

    `facts` are from `describe_run`; `train_hashes`, uint64, are the `hash_images` of the images that the
    weights learn from: those of the training part, then those of its ancestor, then those that only its
    teachers were trained on, as far as they are known.
    """
    write_json(folder / "config.json", to_json(config))
    write_arrays(folder / "split.npz", **split.parts, train_hashes=train_hashes)
    write_json(folder / "run.json", facts)


@contextmanager
def open_log(folder: Path, config: Config, history: list[Json]) -> Iterator[Callable[[Json], None]]:
    """Open a run's `log.jsonl` and its trackers, and give the function that adds an epoch's record.

    The log is written anew from the history, so that a resumed run shows each epoch once.

    Raises:
        RunError: a tracker cannot be opened, or fails later.
    """
    log = folder / "log.jsonl"
    write_text(log, "".join(json_line(record) for record in history))
    with open_trackers(config.train.trackers, folder, config, history) as tell:

        def add(record: Json) -> None:
            append_text(log, json_line(record))
            tell(record)

        yield add


def hash_config(fields: Json) -> str:
    """Hash the content of `config.json`: SHA-256, hex."""
    return hashlib.sha256(json_line(fields).encode()).hexdigest()


def read_config(folder: Path) -> Config:
    """Read `config.json`.

    Raises:
        RunError: it is missing or damaged.
        ConfigError: it is not a config of this fer_jax.
    """
    path = folder / "config.json"
    return from_json(Config, read_json(path), where=str(path))


def read_split(folder: Path) -> dict[str, np.ndarray]:
    """Read `split.npz`: `train`, `val` and `test` rows int64, `train_hashes` uint64.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / "split.npz"
    try:
        content = io.BytesIO(read_bytes(path, at_most=_MOST_SPLIT_BYTES))
        with np.load(content, allow_pickle=False) as parts:
            split = {name: _read_rows(parts, name, kind) for name, kind in _SPLIT_KINDS.items()}
    except Exception as error:  # A damaged archive can raise anything.
        said = error.strerror if isinstance(error, OSError) else error
        raise RunError(f"{path} cannot be read: {said}; train again") from None
    return split


def divide_hashes(saved: Mapping[str, np.ndarray], ancestor: Json | None) -> list[np.ndarray]:
    """Divide `train_hashes` as `write` was given them: a run's own, its ancestor's, those of teachers alone.

    Args:
        saved: from `read_split`.
        ancestor: of the run's record.
    """
    own = len(saved["train"])
    return np.split(saved["train_hashes"], [own, own + (ancestor["images"] if ancestor else 0)])


def _read_rows(parts: Any, name: str, kind: str) -> np.ndarray:
    """Read an array of one axis, whose header may promise more than there is memory."""
    if parts.zip.getinfo(f"{name}.npy").file_size > _MOST_SPLIT_BYTES:
        raise ValueError(f"{name} is too large")
    rows: np.ndarray = parts[name]
    if rows.dtype != kind or rows.ndim != 1:
        raise ValueError(f"{name} is {rows.dtype} {list(rows.shape)}")
    return rows


def find_config_change(folder: Path, config: Config, *, free: tuple[str, ...]) -> str | None:
    """Find the first field of a config that differs from a run's `config.json`, with both values in words.

    `free` are dotted names that may differ; a list counts as one field.
    """
    old, new = flatten(to_json(read_config(folder))), flatten(to_json(config))
    names = [name for name in sorted(old.keys() | new.keys()) if field_of(name) not in free]
    name = next((name for name in names if old.get(name) != new.get(name)), None)
    if name is None:
        return None
    return f"{folder} was trained with {name} {old.get(name)}, the config now says {new.get(name)}"


def resume(folder: Path, facts: Json) -> tuple[Json, list[str]]:
    """Add a resumption to the facts of a run's start.

    Args:
        folder: the run's.
        facts: what `describe_run` says now, with `batches`: how they are made.

    Returns:
        The facts of the start with this resumption added, and a line for each thing that differs now and
        may change the bits.

    Raises:
        RunError: the data, the split, the votes, the teachers or the ancestor differ.
    """
    read_record(folder)  # Raises the error where it is damaged.
    before: Json = read_json(folder / "run.json")
    with reading(folder / "run.json"):
        return _resume(folder, before, facts)


def _resume(folder: Path, before: Json, facts: Json) -> tuple[Json, list[str]]:
    for name in ("data", "split", "votes", "teachers", "ancestor"):
        # Only a distilled run has teachers, and only a fine-tuned one an ancestor.
        old, new = (each[name]["sha256"][:12] if name in each else "none" for each in (before, facts))
        is_older = name == "votes" and old == "none"  # The record of an older fer_jax has no hash of these.
        if old != new and not is_older:
            raise RunError(
                f"{folder} was trained with {_OTHERS.get(name, f'other {name}')} (SHA-256 {old}, now {new}); "
                "resume with the same"
            )
    here: dict[str, Any] = {name: facts[name] for name in ("command", *_DECIDING)}
    notes = [
        f"note: {name} was {before[name]!r} and is {facts[name]!r}: the bits may differ"
        for name in _DECIDING
        if name in before and before[name] != facts[name]
    ]
    # The common folder of several seeds has no config.
    own: Json = {name: facts[name] for name in ("config_sha256", "votes") if name in facts}
    # How many images they are known to have seen may have changed, or an older fer_jax has not counted them.
    for name in ("teachers", "ancestor"):
        if "images" in facts.get(name, {}):
            own[name] = before[name] | {"images": facts[name]["images"]}
    known = before.get("extensions", [])
    added = own | {
        "resumed": [*before["resumed"], {"at": facts["started"], **here}],
        # Those of before keep their time.
        "extensions": [*known, *facts["extensions"][len(known) :]],
        "finished": None,
    }
    return before | added, notes
