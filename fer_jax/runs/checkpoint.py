"""Checkpoints: Orbax arrays, a JSON that describes them, and a manifest that proves both intact.

A run keeps three: `last` (resume from here), `previous` (should `last` be damaged) and `best` (the last that
was saved when it had the highest validation accuracy so far). Each is a folder:

    arrays/         Orbax: one array a leaf, named by its path, such as `params/block1/conv/kernel`
    meta.json       step, progress, pixel statistics, shape and dtype of every leaf
    manifest.json   SHA-256 of every file above; written last
"""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from fer_jax.errors import RunError
from fer_jax.files import (
    Json,
    disk_errno,
    disk_error,
    json_text,
    read_bytes,
    read_json,
    reading,
    sync_file,
    sync_folder,
    write_json,
)
from fer_jax.strict_json import parse_json

FORMAT = 1
LAST, PREVIOUS, BEST = "last", "previous", "best"
# What a leaf takes beside its numbers (names, checksums, the last block of its file), and all files together.
_LEAF_BYTES, _OTHER_BYTES = 8192, 65536
_MOST_MANIFEST_BYTES = 2**24
_SHOWN_LETTERS, _UNREADABLE = 200, "cannot be read"
_LEADER = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
"""Process 0 of a distributed training saves for all, which have the same state: nobody waits for another."""
_REMOVE_TRIES, _REMOVE_SECONDS = 20, 0.05


def flatten(state: Any) -> dict[str, Any]:
    """Name every leaf of a pytree of arrays by its path, such as `params/block1/conv/kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def state_hash(state: Any) -> str:
    """Hash the bits of every leaf: SHA-256, hex. Equal hashes mean equal runs."""
    digest = hashlib.sha256()
    for name, leaf in sorted(flatten(state).items()):
        array = np.asarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save(state: Any, meta: Json, checkpoints: Path, *, is_best: bool) -> None:
    """Save a state as `last`, after moving the one before to `previous`; as `best` too if it is.

    Nothing that is saved is touched before the new checkpoint is on the disk, and a checkpoint that cannot be
    written leaves nothing behind.

    Args:
        state: any pytree of arrays.
        meta: what to know about it, ready for JSON.
        checkpoints: the run's folder of checkpoints, made if need be.
        is_best: no earlier state of the run was better.

    Raises:
        DiskError: the disk is full, read-only or broken.
    """
    leaves = {name: np.asarray(leaf) for name, leaf in flatten(state).items()}
    new, new_best = checkpoints / ".new", checkpoints / ".new-best"
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        _write(leaves, meta, new)
        # Best before last: killed in between, a run resumes from this `best`, and from no `last` without it.
        if is_best:
            _copy(new, new_best)
            _replace(new_best, checkpoints / BEST)
        # A damaged `last` must not push out the good `previous`.
        if find_damage(checkpoints / LAST) is None:
            _replace(checkpoints / LAST, checkpoints / PREVIOUS)
        _replace(new, checkpoints / LAST)
    except Exception as error:
        for folder in (new, new_best):
            _remove(folder)
        number, needed = disk_errno(error), checkpoint_bytes(leaves) * (2 if is_best else 1)
        if number is None:
            raise
        kept = _describe_kept(checkpoints)
        raise disk_error(checkpoints / LAST, number, needed=needed, kept=kept) from None


def _remove(folder: Path) -> None:
    """Remove a folder into which Orbax's other threads may still be writing."""
    for _ in range(_REMOVE_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        threading.Event().wait(_REMOVE_SECONDS)
        if not folder.exists():
            return


def checkpoint_bytes(state: Any) -> int:
    """Return how many bytes the checkpoint of a pytree of arrays takes at most."""
    sizes = [leaf.nbytes for leaf in flatten(state).values()]
    return sum(sizes) + len(sizes) * _LEAF_BYTES + _OTHER_BYTES


def _describe_kept(checkpoints: Path) -> str:
    """Say what is saved, for the end of a message about a checkpoint that could not be."""
    for name in (LAST, PREVIOUS, BEST):
        if find_damage(checkpoints / name) is None:
            step = json.loads((checkpoints / name / "meta.json").read_bytes())["step"]
            return f"; step {step:,} is saved in {checkpoints / name}, and --resume goes on from there"
    return "; no checkpoint is saved"


def _write(leaves: dict[str, np.ndarray], meta: Json, folder: Path) -> None:
    """Write a checkpoint into a new folder, and wait until it is on the disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _reserve(leaves, folder / "space")
    with _disk_errors(), ocp.StandardCheckpointer(multiprocessing_options=_LEADER) as checkpointer:
        checkpointer.save((folder / "arrays").resolve(), leaves)
    forms = {name: _form(leaf) for name, leaf in leaves.items()}
    write_json(folder / "meta.json", {"format": FORMAT, **meta, "leaves": forms})
    write_json(folder / "manifest.json", _hashes(folder))
    _sync(folder)


def _reserve(leaves: dict[str, np.ndarray], space: Path) -> None:
    """Take the space of a checkpoint, and give it back: a full disk is found before Orbax starts its threads.

    Raises:
        OSError: there is not so much space, or a file may not become as large.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    # One file, since Orbax puts the arrays into one.
    with space.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, checkpoint_bytes(leaves))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
    space.unlink()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Turn what Orbax raises about the disk into the OSError that it comes from, and let it print nothing.

    Raises:
        OSError: an error that names the number of the system's.
    """
    log, show = logging.getLogger("absl"), sys.unraisablehook
    was, log.disabled = log.disabled, True

    def show_others(told: "sys.UnraisableHookArgs") -> None:
        if str(told.exc_value) != "Event loop is closed":
            show(told)

    sys.unraisablehook = show_others
    try:
        yield
    except Exception as error:
        number = re.search(r"os_error_code='(\d+)'|\[Errno (\d+)\]", str(error))
        if number is None:
            raise
        code = int(number[1] or number[2])
        raise OSError(code, os.strerror(code)) from None
    else:
        # Not after an error: other threads may still be writing, and complain that nobody waits for them.
        sys.unraisablehook = show
    finally:
        log.disabled = was


def _form(leaf: Any) -> list:
    return [list(leaf.shape), str(leaf.dtype)]


def _copy(source: Path, target: Path) -> None:
    """Copy a checkpoint, and wait until it is on the disk."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    # Not shutil.copytree, which hides the number of the system's error.
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir()
        else:
            shutil.copyfile(path, copy)
    _sync(target)


def _sync(folder: Path) -> None:
    """Wait until all files of a checkpoint and their names are on the disk."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        if path.is_file():
            sync_file(path)
    for path in reversed(paths):
        if path.is_dir():
            sync_folder(path)
    sync_folder(folder.parent)


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    source.replace(target)
    sync_folder(target.parent)


def _hashes(folder: Path) -> dict[str, str]:
    """Hash every file of a checkpoint, see `_hash`."""
    paths = sorted(path for path in folder.rglob("*") if path.name != "manifest.json" and not path.is_dir())
    return {path.relative_to(folder).as_posix(): _hash(path) for path in paths}


def _hash(path: Path) -> str:
    """SHA-256 of a file, hex; for what is no file or cannot be read, why."""
    if not path.is_file():
        return "not a file"
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"{_UNREADABLE}: {error.strerror}"


def find_damage(folder: Path) -> str | None:
    """Compare a checkpoint's files with its manifest; return what is wrong, or None."""
    proof = folder / "manifest.json"
    try:
        if not folder.exists():
            return "it is missing"
        if not proof.is_file():  # Reading a FIFO would block.
            return "manifest.json is damaged or missing"
        text = read_bytes(proof, at_most=_MOST_MANIFEST_BYTES).decode()
        manifest = parse_json(text)
        found = _hashes(folder)
    except OSError as error:
        return f"manifest.json {_UNREADABLE}: {error.strerror}"
    except (ValueError, RecursionError):
        return "manifest.json is damaged"
    if not isinstance(manifest, dict):
        return "manifest.json is damaged"
    for name in sorted(manifest.keys() | found.keys()):
        if manifest.get(name) != found.get(name):
            is_read = not found.get(name, "").startswith(_UNREADABLE)
            return f"{name} is damaged, missing or not of it" if is_read else f"{name} {found[name]}"
    # A manifest that says the same in other words is not the one that was written.
    return None if text == json_text(manifest) else "manifest.json is damaged"


def find_good(checkpoints: Path, names: tuple[str, ...]) -> tuple[Path, list[str]]:
    """Find the first intact checkpoint of these names, in order of preference.

    Returns:
        Its folder, and one line for each damaged one before it.

    Raises:
        RunError: none is intact.
    """
    damaged: list[str] = []
    for name in names:
        damage = find_damage(checkpoints / name)
        if damage is None:
            return checkpoints / name, damaged
        damaged.append(f"checkpoint {checkpoints / name} cannot be used: {damage}")
    raise RunError("; ".join(damaged) + "; there is no other: train again, into a new --run-dir")


def read_meta(folder: Path) -> Json:
    """Read what a checkpoint says about itself.

    Raises:
        RunError: it is missing, or of another format.
    """
    path = folder / "meta.json"
    with reading(path):
        meta: Json = read_json(path)
        version, leaves = meta["format"], meta["leaves"].items()
        is_read = all(isinstance(shape, list) and isinstance(dtype, str) for _, (shape, dtype) in leaves)
    if version != FORMAT or not is_read:
        raise RunError(
            f"{folder} has checkpoint format {version}, this fer_jax reads {FORMAT}; "
            "use the fer_jax that wrote it"
        )
    return meta


def restore(template: Any, folder: Path, *, parts: tuple[str, ...] | None = None) -> Any:
    """Read a checkpoint, or part of it, into the form of a template.

    Args:
        template: a pytree whose leaves have the paths, shapes and dtypes wanted; its numbers are not used.
        folder: an intact checkpoint, see `find_good`.
        parts: what to read at the top level, such as `("params", "batch_stats")`; None: everything.

    Raises:
        RunError: a leaf of these parts is missing, left over, or of another shape or dtype.
    """
    wanted, found = flatten(template), read_meta(folder)["leaves"]
    if parts is not None:
        found = {name: each for name, each in found.items() if name.split("/")[0] in parts}
    forms = {name: _form(leaf) for name, leaf in wanted.items()}
    for name in sorted(forms.keys() | found.keys()):
        want, came = forms.get(name), found.get(name)
        if want != came:
            part, advice = "network", "use the config that trained it, or train again"
            if name.startswith("opt_state/"):
                part = "optimizer"
                advice = (
                    "resume with the config and the fer_jax that trained it, or train again; "
                    "evaluating and predicting need no optimizer"
                )
            raise RunError(
                f"{folder}: leaf {name} is {_describe(came)}, the config's {part} wants {_describe(want)}; "
                f"{advice}"
            )
    leaves = _read_arrays(folder / "arrays", found, is_partial=parts is not None)
    # Orbax gives NumPy arrays; they would go to the device again at every call.
    return jax.tree.unflatten(jax.tree.structure(template), [jnp.asarray(leaves[name]) for name in wanted])


def _read_arrays(folder: Path, forms: dict[str, list], *, is_partial: bool) -> dict[str, np.ndarray]:
    """Read the leaves of these forms, after a look at what is stored, which may be larger than it should."""
    restoring = ocp.args.PyTreeRestore(
        item={name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in forms.items()},
        restore_args={name: ocp.RestoreArgs(restore_type=np.ndarray) for name in forms},
        partial_restore=is_partial,
    )
    try:
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=_LEADER)
        with _disk_errors(), ocp.Checkpointer(handler, multiprocessing_options=_LEADER) as checkpointer:
            stored = checkpointer.metadata(folder.resolve()).item_metadata.tree
            for name, form in forms.items():
                if _form(stored[name]) != form:
                    raise ValueError(f"leaf {name} is stored as {_describe(_form(stored[name]))}")
            leaves: dict[str, np.ndarray] = checkpointer.restore(folder.resolve(), args=restoring)
            return leaves
    except OSError as error:
        raise RunError(
            f"{folder} cannot be read: {error.strerror}; check the disk, and resume again"
        ) from None
    except Exception as error:  # Orbax and what it stores with can raise anything about damaged files.
        said = str(error).partition("\n")[0][:_SHOWN_LETTERS] or type(error).__name__
        raise RunError(f"{folder} cannot be read: {said}; use another checkpoint, or train again") from None


def _describe(leaf: list | None) -> str:
    return "absent" if leaf is None else f"{leaf[1]} {leaf[0]}"
