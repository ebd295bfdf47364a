"""Checkpoints: Orbax arrays, a JSON that describes them, and a manifest that proves both intact.

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

from fer_jax.errors import RunError
from fer_jax.files import Json, read_json, write_json

FORMAT = 1
LAST, PREVIOUS, BEST = "last", "previous", "best"


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

    Args:
        state: any pytree of arrays.
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


def _write(state: Any, meta: Json, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    leaves = {name: np.asarray(leaf) for name, leaf in flatten(state).items()}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "arrays").resolve(), leaves)
    forms = {name: _form(leaf) for name, leaf in leaves.items()}
    write_json(folder / "meta.json", {"format": FORMAT, **meta, "leaves": forms})
    write_json(folder / "manifest.json", _hashes(folder))


def _form(leaf: Any) -> list:
    return [list(leaf.shape), str(leaf.dtype)]


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    source.replace(target)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def find_damage(folder: Path) -> str | None:
    """Compare a checkpoint's files with its manifest; return what is wrong, or None."""
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
    meta: Json = read_json(folder / "meta.json")
    if meta["format"] != FORMAT:
        raise RunError(
            f"{folder} has checkpoint format {meta['format']}, this fer_jax reads {FORMAT}; "
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
            part, maker = (
                ("optimizer", ", and the fer_jax") if name.startswith("opt_state/") else ("network", "")
            )
            raise RunError(
                f"{folder}: leaf {name} is {_describe(came)}, the config's {part} wants {_describe(want)}; "
                f"use the config that trained it{maker}, or train again"
            )
    restoring = ocp.args.PyTreeRestore(
        item={name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in found.items()},
        restore_args={name: ocp.RestoreArgs(restore_type=np.ndarray) for name in found},
        partial_restore=parts is not None,
    )
    with ocp.PyTreeCheckpointer() as checkpointer:
        leaves = checkpointer.restore((folder / "arrays").resolve(), args=restoring)
    # Orbax gives NumPy arrays; they would go to the device again at every call.
    return jax.tree.unflatten(jax.tree.structure(template), [jnp.asarray(leaves[name]) for name in wanted])


def _describe(leaf: list | None) -> str:
    return "absent" if leaf is None else f"{leaf[1]} {leaf[0]}"
