"""Examples on disk, as .npy files with their facts beside them; a large data set stays in its file.

Images of at most `MOST_LOADED_BYTES` are read into memory, and all of them are hashed at each start. More are
mapped: the system reads what is touched, keeps it while there is memory, and drops it when there is not. To
hash them would be to read all of them at each start, so the files are trusted while their sizes, inodes and
times stay those of the moment when they were hashed, as `cache` trusts a file that it has hashed.
"""

import contextlib
import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from fer_jax import fer2013
from fer_jax.data.examples import Examples, hash_arrays, hash_images
from fer_jax.files import Json, cache_folder, naming, replacing, write_array, write_json
from fer_jax.runtime.disk.space import check_space
from fer_jax.strict_json import parse_json

MOST_LOADED_BYTES = 2**29
"""Images of more bytes are mapped: about 230,000 of them."""
_CHUNK_IMAGES: Final = 8192
_ARRAYS: Final = {"images": np.uint8, "labels": np.int32, "usages": np.int32}
_MORE: Final = {"groups": np.int64, "hashes": np.uint64}
"""Arrays that only some data has; the facts have their hashes."""

# Two writes within one tick of a coarse clock leave the same time; FAT ticks every two seconds.
_TICK_NS: Final = 2_000_000_000


def stamp(path: Path) -> list[int]:
    """Stamp a file: a change of it changes one of these; ctime does even where mtime was set back."""
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def is_settled(record: Path, stamps: Iterable[list[int]]) -> bool:
    """Whether a record of stamps is clearly younger than its files: else they may have changed unseen."""
    newest = max(time for each in stamps for time in each[2:])
    return record.stat().st_mtime_ns - newest > _TICK_NS


def load(stem: Path, source: Path | None, *, is_checked: bool) -> Examples | None:
    """Load what `save` or `save_drawn` wrote; None where it is missing or damaged.

    Args:
        stem: path of the files without their ends.
        source: of the Examples.
        is_checked: whether images are hashed even if they are mapped and their files have not changed.
    """
    try:
        return _load(stem, source, is_checked=is_checked)
    except Exception:  # Damage may raise anything; the cure is the same.
        return None


def _load(stem: Path, source: Path | None, *, is_checked: bool) -> Examples | None:
    record = stem.with_suffix(".json")
    facts = parse_json(record.read_bytes())
    is_mapped = _path(stem, "images").stat().st_size > MOST_LOADED_BYTES
    stamps = {name: stamp(_path(stem, name)) for name in _ARRAYS}
    images, labels, usages = (
        _read(stem, name, kind, is_mapped=is_mapped and name == "images") for name, kind in _ARRAYS.items()
    )
    more = {name: _read_checked(stem, name, sha256) for name, sha256 in facts.get("more_sha256", {}).items()}
    if images.shape != (len(labels), *fer2013.IMAGE_SHAPE) or any(
        array.shape != labels.shape for array in (usages, *more.values())
    ):
        return None
    is_unchanged = facts.get("stamps") == stamps and is_settled(record, stamps.values())
    if is_checked or not (is_mapped and is_unchanged):
        if hash_arrays(images, labels, usages) != facts["sha256"]:
            return None
        if is_mapped:
            with contextlib.suppress(OSError):  # Then all is hashed again next time.
                write_json(record, facts | {"stamps": stamps})
    return Examples(
        images,
        labels,
        usages,
        contents=facts["description"],
        sha256=facts["sha256"],
        source=source,
        cautions=tuple(facts["cautions"]),
        skipped_rows=tuple(facts["skipped_rows"]),
        class_names=tuple(facts.get("class_names", ())),
        groups=more.get("groups"),
        stored_hashes=more.get("hashes"),
    )


def save(stem: Path, examples: Examples) -> Examples:
    """Write Examples, the facts last; return them with their images mapped where they are large.

    Raises:
        OSError: they cannot be written.
    """
    write_array(_path(stem, "images"), examples.images)
    kept = examples
    if examples.images.nbytes > MOST_LOADED_BYTES:
        kept = dataclasses.replace(examples, images=_open(stem), stored_hashes=examples.hashes)
    _save_rest(stem, kept)
    return kept


def save_drawn(
    stem: Path, blocks: Iterable[np.ndarray], labels: np.ndarray, usages: np.ndarray, contents: str
) -> Examples:
    """Write synthetic faces block by block and map them: their images are never in memory together.

    Args:
        stem: path of the files without their ends.
        blocks: images, uint8 [n, 48, 48, 1] each, N in all.
        labels: int32 [N], complete once the last block has come.
        usages: int32 [N].
        contents: of the Examples.

    Raises:
        OSError: they cannot be written.
    """
    hashes, sha256 = _write_images(stem, blocks, labels, usages)
    drawn = Examples(_open(stem), labels, usages, contents, sha256, stored_hashes=hashes)
    _save_rest(stem, drawn)
    return drawn


def make_scratch(images: int) -> np.ndarray:
    """Make room for the images of a reader, uint8 [N, 48, 48, 1]; where they are large, in a nameless file.

    Raises:
        DiskError: the cache folder, where that file is, has no room for it and a copy.
    """
    shape = (images, *fer2013.IMAGE_SHAPE)
    size = images * fer2013.PIXEL_COUNT
    if size <= MOST_LOADED_BYTES:
        return np.zeros(shape, np.uint8)
    folder = cache_folder()
    check_space(folder, 2 * size, what=f"{images:,} images")
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                # Else a full disk would be found by a write into the map, which kills the process.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.uint8, "w+", shape=shape)


def keep_good(images: np.ndarray, is_good: np.ndarray) -> np.ndarray:
    """Leave out the images of `make_scratch` that are not good, bool [N]; they are moved in place."""
    good = np.flatnonzero(is_good)
    for first in range(0, len(good), _CHUNK_IMAGES):
        some = good[first : first + _CHUNK_IMAGES]
        # A row never moves up, so what is still to be read is not overwritten.
        images[first : first + len(some)] = images[some]
    return images[: len(good)]


def _write_images(
    stem: Path, blocks: Iterable[np.ndarray], labels: np.ndarray, usages: np.ndarray
) -> tuple[np.ndarray, str]:
    """Write images block by block as .npy; return their hashes uint64 [N] and the SHA-256 of the Examples."""
    digest, hashes = hashlib.sha256(), []
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(labels), *fer2013.IMAGE_SHAPE)}
    with replacing(_path(stem, "images")) as new, new.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            digest.update(block.data)
            hashes.append(hash_images(block))
            file.write(block.data)
    for array in (labels, usages):
        digest.update(array.data)
    return np.concatenate(hashes), digest.hexdigest()


def _open(stem: Path) -> np.ndarray:
    images: np.ndarray = np.load(_path(stem, "images"), mmap_mode="r", allow_pickle=False)
    return images


def _save_rest(stem: Path, examples: Examples) -> None:
    """Write everything but the images."""
    for name in ("labels", "usages"):
        write_array(_path(stem, name), getattr(examples, name))
    more = {"groups": examples.groups, "hashes": examples.stored_hashes}
    kept = {name: array for name, array in more.items() if array is not None}
    for name, array in kept.items():
        write_array(_path(stem, name), array)
    facts: Json = {
        "description": examples.contents,
        "sha256": examples.sha256,
        "cautions": examples.cautions,
        "skipped_rows": examples.skipped_rows,
        "class_names": examples.class_names,
        "more_sha256": {name: _hash(array) for name, array in kept.items()},
    }
    if isinstance(examples.images, np.memmap):
        facts["stamps"] = {name: stamp(_path(stem, name)) for name in _ARRAYS}
    write_json(stem.with_suffix(".json"), facts)


def _path(stem: Path, name: str) -> Path:
    return stem.with_suffix(f".{name}.npy")


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _read(stem: Path, name: str, kind: Any, *, is_mapped: bool) -> np.ndarray:
    path = _path(stem, name)
    array: np.ndarray = np.load(path, mmap_mode="r" if is_mapped else None, allow_pickle=False)
    if array.dtype != kind:
        raise ValueError(f"{path} is {array.dtype}")
    return array


def _read_checked(stem: Path, name: str, sha256: str) -> np.ndarray:
    array = _read(stem, name, _MORE[name], is_mapped=False)
    if _hash(array) != sha256:
        raise ValueError(f"{name} is damaged")
    return array
