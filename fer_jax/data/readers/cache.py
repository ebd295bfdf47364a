"""Examples on disk as .npy, so that a file is parsed once.

The key is the content: a second copy of a file, or one under another name, is not parsed again. As reading
240 MB to hash them takes longer than all the rest, a file's hash is remembered beside its size, inode and
times, and is trusted while these stay. A folder of images is known by its path and the sizes and times of
its files. Nothing here is needed: what is missing, damaged or cannot be written is made again from the file.
"""

import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.examples import Examples, hash_arrays
from fer_jax.data.readers import image_folder, kaggle
from fer_jax.files import cache_folder, write_array

# Part of every key: raise it when the same file would give other Examples.
_FORMAT: Final = 1

NOT_CACHED: Final = "; not cached: "
"""Begins what a description says of the cache's folder, where nothing can be written."""

_ARRAYS: Final = ("images", "labels", "usages")

# Two writes within one tick of a coarse clock leave the same time; FAT ticks every two seconds.
_TICK_NS: Final = 2_000_000_000


def read_cached(path: Path, *, on_bad_row: BadRow) -> Examples:
    """Do what `kaggle.read` does, from the cache where it holds this content.

    Two processes may do it at once: each file is replaced as a whole, and both write the same.

    Args:
        path: the file or folder.
        on_bad_row: as in `kaggle.read`.

    Returns:
        The Examples of `kaggle.read`. The description says so where a damaged cache was rebuilt, or where
        the cache could not be written.

    Raises:
        DataError: as in `kaggle.read`.
    """
    cache = cache_folder()
    try:
        key = _key(path, cache, on_bad_row)
        stem = cache / "examples" / key
        examples = _load(stem)
    except OSError:  # `kaggle.read` says what is wrong with the file.
        return kaggle.read(path, on_bad_row=on_bad_row)
    if examples is not None:
        return examples
    note = "; the damaged cache was rebuilt" if stem.with_suffix(".json").exists() else ""
    examples = kaggle.read(path, on_bad_row=on_bad_row)
    try:
        # A file that changed meanwhile would be kept under the key of what it was.
        if _key(path, cache, on_bad_row) == key:
            _save(stem, examples)
    except OSError as error:
        note = f"{NOT_CACHED}{stem.parent}: {error.strerror or error}"
    return dataclasses.replace(examples, description=examples.description + note)


def _key(path: Path, cache: Path, on_bad_row: str) -> str:
    """Name the content of a file or folder, and how it is read: 32 hex digits."""
    content = _list_files(path) if path.is_dir() else _file_hash(path, cache)
    return _hash([_FORMAT, on_bad_row, content])[:32]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _stamp(path: Path) -> list[int]:
    """Take what changes when a file does; the change time does even where the other is put back."""
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _list_files(path: Path) -> list[Any]:
    names = sorted(image_folder.list_folder(path).names)
    return [str(path.resolve()), [[name, _stamp(path / name)] for name in names]]


def _file_hash(path: Path, cache: Path) -> str:
    """SHA-256 of a file: the remembered one, where the file has not changed since."""
    memory = cache / "files" / f"{_hash(str(path.resolve()))[:32]}.json"
    stamp = _stamp(path)
    try:
        known = json.loads(memory.read_bytes())
        is_settled = memory.stat().st_mtime_ns - max(stamp[2:]) > _TICK_NS
        if known["stamp"] == stamp and is_settled:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # Nothing is remembered, or not in this form: hash the file.
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # It is hashed again next time.
        write_array(memory, json.dumps({"stamp": stamp, "sha256": sha256}).encode())
    return sha256


def _load(stem: Path) -> Examples | None:
    """Load what `_save` wrote; None where it is missing or damaged."""
    try:
        facts = json.loads(stem.with_suffix(".json").read_bytes())
        images, labels, usages = (
            np.load(stem.with_suffix(f".{name}.npy"), allow_pickle=False) for name in _ARRAYS
        )
        is_good = (
            [images.dtype, labels.dtype, usages.dtype] == [np.uint8, np.int32, np.int32]
            and images.shape == (len(labels), *fer2013.IMAGE_SHAPE)
            and labels.shape == usages.shape
            and hash_arrays(images, labels, usages) == facts["sha256"]
        )
        if is_good:
            skipped = tuple(facts["skipped_rows"])
            return Examples(images, labels, usages, facts["description"], facts["sha256"], skipped)
    except Exception:  # Damage shows as whatever the reader trips over; the cure is the same.
        return None
    return None


def _save(stem: Path, examples: Examples) -> None:
    for name in _ARRAYS:
        write_array(stem.with_suffix(f".{name}.npy"), getattr(examples, name))
    facts = {name: getattr(examples, name) for name in ("description", "sha256", "skipped_rows")}
    write_array(stem.with_suffix(".json"), json.dumps(facts).encode())
