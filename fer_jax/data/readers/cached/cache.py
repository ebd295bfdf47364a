"""The cache: a file is parsed once, and many synthetic faces are drawn once; `store` keeps them as .npy.

The key is the content: a copy of a file, or the same file under another name, is not parsed again. Reading
240 MB to hash them would take longer than all the rest, so a file's hash is stored with its size, inode and
times, and trusted while these stay the same. A folder of images is identified by its path and the sizes and
times of its files. The cache is optional: what is missing or damaged is made again from the file, by one
process for all that want it.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fer_jax import fer2013
from fer_jax.config.data import BadRow, DataConfig
from fer_jax.data import synthetic
from fer_jax.data.examples import Examples
from fer_jax.data.readers import file_kinds, image_folder, kaggle
from fer_jax.data.readers.cached import store
from fer_jax.data.readers.own import reading
from fer_jax.errors import DataError, DiskError
from fer_jax.files import cache_folder, write_json
from fer_jax.runtime.disk import lock
from fer_jax.runtime.disk.space import check_space
from fer_jax.runtime.progress import NOBODY, Listener
from fer_jax.strict_json import parse_json

# Part of every key: raise it when the same file would give other Examples.
_FORMAT: Final = 2

# An image, its label, its usage and its hash.
_BYTES_OF_ONE: Final = fer2013.PIXEL_COUNT + 4 + 4 + 8


def read_cached(
    path: Path,
    *,
    on_bad_row: BadRow,
    own: DataConfig | None = None,
    listener: Listener = NOBODY,
) -> Examples:
    """Read a file as `kaggle.read` does, from the cache where it holds this content.

    With `own` it is read as `own.reading.read` does, by these settings, and `listener` hears how far it is.

    Of several processes one reads the file, and the others wait for it; where the cache has no locks, each
    reads it: files are replaced atomically, and all write the same. The notes say so where a damaged cache
    was rebuilt, or where the cache could not be written. A wait of more than a few seconds is told.
    """

    def read() -> Examples:
        if own is None:
            return kaggle.read(path, on_bad_row=on_bad_row)
        return reading.read(path, own, on_step=listener.move)

    how = [on_bad_row] if own is None else reading.describe_how(own)
    try:
        cache = cache_folder()
    except OSError as error:
        return dataclasses.replace(read(), notes=(f"not cached: {error.strerror}",))
    try:
        if own is None:
            file_kinds.check_source(path)  # Before all of it is hashed.
        key = _key(path, cache, how, is_own=own is not None)
    except OSError:  # The reader raises the error with its cause.
        return read()
    stem = cache / "examples" / key

    def read_and_keep() -> Examples:
        notes = ("the damaged cache was rebuilt",) if stem.with_suffix(".json").exists() else ()
        examples = read()
        try:
            # A file that changed meanwhile would be stored under its old key.
            if _key(path, cache, how, is_own=own is not None) == key:
                examples = store.save(stem, examples)
        except OSError as error:
            notes = (f"not cached: {stem.parent}: {error.strerror or error}",)
        return dataclasses.replace(examples, notes=notes)

    return _load_or(read_and_keep, stem, path, listener)


def draw_cached(*, seed: int, examples: int, listener: Listener = NOBODY) -> Examples:
    """Draw synthetic faces as `synthetic.draw_examples` does; too many for memory into the cache, once.

    A wait for another process is told as by `read_cached`.

    Raises:
        DataError: there is no cache folder.
        DiskError: they have no room there.
    """
    if examples * fer2013.PIXEL_COUNT <= store.MOST_LOADED_BYTES:
        return synthetic.draw_examples(seed=seed, examples=examples)
    try:
        cache = cache_folder() / "examples"
        # The first faces stand for the program that draws them, and for NumPy.
        first = synthetic.draw_examples(seed=seed, examples=synthetic.CHUNK_EXAMPLES).sha256
        stem = cache / _hash(["synthetic", first, seed, examples])[:32]

        def draw() -> Examples:
            check_space(cache, examples * _BYTES_OF_ONE, what=f"{examples:,} synthetic faces")
            return store.save_drawn(stem, *synthetic.draw_in_blocks(seed=seed, examples=examples))

        return _load_or(draw, stem, None, listener)
    except DiskError:
        raise
    except OSError as error:
        raise DataError(
            f"{examples:,} synthetic faces are drawn into the cache, and it cannot be written: "
            f"{error.strerror or error}; name another folder in $FER_JAX_CACHE, or draw fewer"
        ) from None


def _load_or(make: Callable[[], Examples], stem: Path, source: Path | None, listener: Listener) -> Examples:
    """Load Examples from the cache, or make them there; one process at a time does so."""
    known = store.load(stem, source, is_checked=False)
    if known is not None:
        return known

    def tell_owner(owner: lock.Owner | None) -> None:
        listener.tell(f"waiting for {owner or 'another process'}: it is putting these images into the cache")

    with lock.hold_in_turn(stem.with_suffix(".making"), tell_owner):
        # Another process may have made them meanwhile.
        known = store.load(stem, source, is_checked=False)
        return make() if known is None else known


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


def _list_files(path: Path) -> list[Any]:
    names = sorted(image_folder.list_folder(path).names)
    return [str(path.resolve()), [[name, store.stamp(path / name)] for name in names]]


def _stamp_all(path: Path) -> list[Any]:
    """Stamp the pictures that a folder or a manifest names; a missing one is no error here."""

    def stamp(each: Path) -> list[int] | None:
        with contextlib.suppress(OSError, ValueError):
            return store.stamp(each)
        return None

    return [str(path.resolve()), [[str(each), stamp(each)] for each in reading.list_content(path)]]


def _file_hash(path: Path, cache: Path) -> str:
    """SHA-256 of a file; the stored one where the file has not changed since."""
    memory = cache / "files" / f"{_hash(str(path.resolve()))[:32]}.json"
    stamp = store.stamp(path)
    try:
        known = parse_json(memory.read_bytes())
        if known["stamp"] == stamp and store.is_settled(memory, [stamp]):
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # No hash is stored, or not in this form: hash the file.
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # Then it is hashed again next time.
        write_json(memory, {"stamp": stamp, "sha256": sha256})
    return sha256
