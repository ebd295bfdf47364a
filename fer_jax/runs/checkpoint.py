"""Checkpoints: Orbax arrays, a JSON of what they are, and a manifest that proves that both are whole.

A run keeps three: `last` (resume from here), `previous` (should `last` be damaged) and `best` (the last that
was saved when it had the highest validation accuracy so far). Each is a folder:

    arrays/         Orbax: one array a leaf, named by its path, such as `params/block1/conv/kernel`
    meta.json       step, progress, pixel statistics, shape and dtype of every leaf
    manifest.json   SHA-256 of every file above; written last
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from fer_jax.engine.state import TrainState
from fer_jax.errors import RunError
from fer_jax.files import Json, read_json, write_json

FORMAT = 1
LAST, PREVIOUS, BEST = "last", "previous", "best"


def flatten(state: TrainState) -> dict[str, Any]:
    """Name every leaf of a state by its path.

    Returns:
        Path such as `params/block1/conv/kernel` -> array.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def state_hash(state: TrainState) -> str:
    """Hash the bits of every leaf: SHA-256, hex. Equal hashes mean equal runs."""
    digest = hashlib.sha256()
    for name, leaf in sorted(flatten(state).items()):
        array = np.asarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save(state: TrainState, meta: Json, checkpoints: Path, *, is_best: bool) -> None:
    """Save a state as `last`, after moving the one before to `previous`; as `best` too if it is.

    Args:
        state: to save; it is not changed.
        meta: what to know about it, ready for JSON.
        checkpoints: the run's folder of checkpoints, made if need be.
        is_best: no earlier state of the run was better.
    """
    checkpoints.mkdir(parents=True, exist_ok=True)
    new = checkpoints / ".new"
    _write(state, meta, new)
    # Best before last: a run killed in between resumes from the older `last` and makes this one again.
    if is_best:
        new_best = checkpoints / ".new-best"
        shutil.rmtree(new_best, ignore_errors=True)
        shutil.copytree(new, new_best)
        _replace(new_best, checkpoints / BEST)
    # A damaged `last` must not push out the good `previous`.
    if find_damage(checkpoints / LAST) is None:
        _replace(checkpoints / LAST, checkpoints / PREVIOUS)
    _replace(new, checkpoints / LAST)


def _write(state: TrainState, meta: Json, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    leaves = {name: np.asarray(leaf) for name, leaf in flatten(state).items()}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "arrays").resolve(), leaves)
    shapes = {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in leaves.items()}
    write_json(folder / "meta.json", {"format": FORMAT, **meta, "leaves": shapes})
    write_json(folder / "manifest.json", _hashes(folder))


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    source.replace(target)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def find_damage(folder: Path) -> str | None:
    """Compare a checkpoint's files with its manifest.

    Returns:
        What is wrong, naming the file; None where all is well.
    """
    if not folder.is_dir():
        return "it is missing"
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return "manifest.json is damaged or missing"
    if not isinstance(manifest, dict):
        return "manifest.json is damaged"
    found = _hashes(folder)
    wrong = sorted(name for name in manifest.keys() | found.keys() if manifest.get(name) != found.get(name))
    return f"{wrong[0]} is damaged, missing or not of it" if wrong else None


def find_good(checkpoints: Path, names: tuple[str, ...]) -> tuple[Path, list[str]]:
    """Find the first checkpoint that is whole.

    Args:
        checkpoints: the run's folder of checkpoints.
        names: in order of preference.

    Returns:
        Its folder, and one line for each damaged one before it.

    Raises:
        RunError: none is whole.
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
    meta: Json = read_json(folder / "meta.json")
    if meta["format"] != FORMAT:
        raise RunError(
            f"{folder} has checkpoint format {meta['format']}, this fer_jax reads {FORMAT}; "
            "use the fer_jax that wrote it"
        )
    return meta


def restore(template: TrainState, folder: Path) -> TrainState:
    """Read a checkpoint into the form of a template.

    Args:
        template: a state of the same config; its numbers are not used.
        folder: a whole checkpoint, see `find_good`.

    Raises:
        RunError: a leaf is missing, left over, or of another shape or dtype.
    """
    leaves = _read(flatten(template), folder, parts=None)
    return jax.tree.unflatten(jax.tree.structure(template), list(leaves.values()))


def restore_predictor(template: TrainState, folder: Path) -> dict[str, Any]:
    """Take what predicts from a checkpoint: `TrainState.predictor`.

    Arguments and errors are those of `restore`, but leaves of the optimizer are read and not looked at:
    another fer_jax may keep others.
    """
    leaves = _read(flatten(template), folder, parts=("params", "batch_stats", "average"))
    blank = template.replace(step=None, opt_state=None)  # type: ignore[attr-defined]
    state: TrainState = jax.tree.unflatten(jax.tree.structure(blank), list(leaves.values()))
    return state.predictor


def _read(wanted: dict[str, Any], folder: Path, *, parts: tuple[str, ...] | None) -> dict[str, jax.Array]:
    """Read the leaves whose paths begin with one of some parts, or all, in the order wanted."""

    def is_asked(name: str) -> bool:
        return parts is None or name.split("/")[0] in parts

    found = read_meta(folder)["leaves"]
    names = [name for name in wanted if is_asked(name)]
    for name in sorted({*names, *filter(is_asked, found)}):
        want = [list(wanted[name].shape), str(wanted[name].dtype)] if name in wanted else None
        if want != found.get(name):
            is_network = not name.startswith("opt_state/")
            raise RunError(
                f"{folder}: leaf {name} is {_describe(found.get(name))}, the config's "
                f"{'network' if is_network else 'optimizer'} wants {_describe(want)}; use the config that "
                f"trained it{'' if is_network else ', and the fer_jax'}, or train again"
            )
    abstract = {name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in found.items()}
    with ocp.StandardCheckpointer() as checkpointer:
        leaves = checkpointer.restore((folder / "arrays").resolve(), abstract)
    # Orbax gives NumPy arrays; they would go to the device again at every call.
    return {name: jnp.asarray(leaves[name]) for name in names}


def _describe(leaf: list | None) -> str:
    return "absent" if leaf is None else f"{leaf[1]} {leaf[0]}"
