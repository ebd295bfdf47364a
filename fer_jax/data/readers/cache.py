"""Examples on disk as .npy, so that a file is parsed once.

The key is the content: a copy of a file, or the same file under another name, is not parsed again. Reading
240 MB to hash them would take longer than all the rest, so a file's hash is stored with its size, inode and
times, and trusted while these stay the same. A folder of images is identified by its path and the sizes and
times of its files. The cache is optional: what is missing or damaged is made again from the file.
"""

import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import BadRow, DataConfig
from fer_jax.data.examples import Examples, hash_arrays
from fer_jax.data.readers import file_kinds, image_folder, kaggle
from fer_jax.data.readers.own import reading
from fer_jax.files import cache_folder, write_array, write_json
from fer_jax.strict_json import parse_json

# Part of every key: raise it when the same file would give other Examples.
_FORMAT: Final = 2

_ARRAYS: Final = ("images", "labels", "usages")

# Two writes within one tick of a coarse clock leave the same time; FAT ticks every two seconds.
_TICK_NS: Final = 2_000_000_000


def read_cached(path: Path, *, on_bad_row: BadRow, own: DataConfig | None = None) -> Examples:
    """Read a file as `kaggle.read` does, from the cache where it holds this content.

    With `own` it is read as `own.reading.read` does, by these settings.

    Two processes may do so at once: each file is replaced atomically, and both write the same. The notes say
    so where a damaged cache was rebuilt, or where the cache could not be written.
    """

    def read() -> Examples:
        return kaggle.read(path, on_bad_row=on_bad_row) if own is None else reading.read(path, own)

    how = [on_bad_row] if own is None else reading.describe_how(own)
    try:
        cache = cache_folder()
    except OSError as error:
        return dataclasses.replace(read(), notes=(f"not cached: {error.strerror}",))
    try:
        if own is None:
            file_kinds.check_source(path)  # Before all of it is hashed.
        key = _key(path, cache, how, is_own=own is not None)
        stem = cache / "examples" / key
        examples = _load(stem, path)
    except OSError:  # The reader raises the error with its cause.
        return read()
    if examples is not None:
        return examples
    notes = ("the damaged cache was rebuilt",) if stem.with_suffix(".json").exists() else ()
    examples = read()
    try:
        # A file that changed meanwhile would be stored under its old key.
        if _key(path, cache, how, is_own=own is not None) == key:
            _save(stem, examples)
    except OSError as error:
        notes = (f"not cached: {stem.parent}: {error.strerror or error}",)
    return dataclasses.replace(examples, notes=notes)


def _key(path: Path, cache: Path, how: list[Any], *, is_own: bool) -> str:
    """Hash the content of a file or folder and how it is read: 32 hex digits."""
    content: Any
    if is_own:
        content = [_stamp_all(path), None if path.is_dir() else _file_hash(path, cache)]
    else:
        content = _list_files(path) if path.is_dir() else _file_hash(path, cache)
    return _hash([_FORMAT, *how, content])[:32]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _stamp(path: Path) -> list[int]:
    """Stamp a file: a change of it changes one of these; ctime does even where mtime was set back."""
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _list_files(path: Path) -> list[Any]:
    names = sorted(image_folder.list_folder(path).names)
    return [str(path.resolve()), [[name, _stamp(path / name)] for name in names]]


def _stamp_all(path: Path) -> list[Any]:
    """Stamp the pictures that a folder or a manifest names; a missing one is no error here."""

    def stamp(each: Path) -> list[int] | None:
        with contextlib.suppress(OSError, ValueError):
            return _stamp(each)
        return None

    return [str(path.resolve()), [[str(each), stamp(each)] for each in reading.list_content(path)]]


def _file_hash(path: Path, cache: Path) -> str:
    """SHA-256 of a file; the stored one where the file has not changed since."""
    memory = cache / "files" / f"{_hash(str(path.resolve()))[:32]}.json"
    stamp = _stamp(path)
    try:
        known = parse_json(memory.read_bytes())
        is_settled = memory.stat().st_mtime_ns - max(stamp[2:]) > _TICK_NS
        if known["stamp"] == stamp and is_settled:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # No hash is stored, or not in this form: hash the file.
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # Then it is hashed again next time.
        write_json(memory, {"stamp": stamp, "sha256": sha256})
    return sha256


def _load(stem: Path, source: Path) -> Examples | None:
    """Load what `_save` wrote; None where it is missing or damaged."""
    try:
        facts = parse_json(stem.with_suffix(".json").read_bytes())
        images, labels, usages = (
            np.load(stem.with_suffix(f".{name}.npy"), allow_pickle=False) for name in _ARRAYS
        )
        is_good = (
            [images.dtype, labels.dtype, usages.dtype] == [np.uint8, np.int32, np.int32]
            and images.shape == (len(labels), *fer2013.IMAGE_SHAPE)
            and labels.shape == usages.shape
            and hash_arrays(images, labels, usages) == facts["sha256"]
        )
        texts = (facts["description"], facts["sha256"], source)
        told = (tuple(facts["cautions"]), tuple(facts["skipped_rows"]))
        groups = facts.get("groups")
        own: dict[str, Any] = {
            "class_names": tuple(facts.get("class_names", ())),
            "groups": None if groups is None else np.array(groups, np.int64),
        }
        return Examples(images, labels, usages, *texts, *told, **own) if is_good else None
    except Exception:  # Damage may raise anything; the cure is the same.
        return None


def _save(stem: Path, examples: Examples) -> None:
    for name in _ARRAYS:
        write_array(stem.with_suffix(f".{name}.npy"), getattr(examples, name))
    facts = {
        "description": examples.contents,
        "sha256": examples.sha256,
        "cautions": examples.cautions,
        "skipped_rows": examples.skipped_rows,
        "class_names": examples.class_names,
        "groups": None if examples.groups is None else examples.groups.tolist(),
    }
    write_json(stem.with_suffix(".json"), facts)
