"""The weights of every seed behind a published figure: NAME-seedS.safetensors in float16, and their cards.

`python -m benchmarks.accuracy keep` and `... .long_ablation keep` write them, and whoever has the data scores
them: `python -m fer_jax.evaluate benchmarks/weights/speedrun20-* --data fer2013.csv --split PublicTest`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import jax
import numpy as np
from rich.console import Console

from benchmarks.harness import bench
from fer_jax.errors import RunError
from fer_jax.inference import run_weights, weights
from fer_jax.inference.run_weights import Trained
from fer_jax.release.options import ReleaseOptions
from fer_jax.release.run import release
from fer_jax.runs import sources

FOLDER: Final = bench.ROOT / "benchmarks" / "weights"
MAX_BYTES: Final = 60_000_000
"""The limit for all tensors in the folder together: they are in the repository, and not in the package."""


def keep(
    runs: Mapping[str, Path], folder: Path, *, data: Path, ferplus: Path | None, console: Console
) -> None:
    """Release the weights of finished runs into a folder; those that are there already stay.

    The training images are not measured: they take eight times as long as PublicTest.

    Args:
        runs: the runs' folders by the name of the weights, such as best-seed0.
        folder: to write into.
        data: the file to measure on.
        ferplus: FER+'s fer2013new.csv; None: not measured by it, unless a run was trained on it.
        console: where to say what is there already.

    Raises:
        RunError: there would be more than `MAX_BYTES`, and nothing is written; or a run cannot be used.
        FerJaxError: as `release`.
    """
    tensors = {name: _pack(run_weights.load_finished(run, data, None)) for name, run in runs.items()}
    _check_size(folder, {name: len(each) for name, each in tensors.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for name, run in runs.items():
        if _find_sha256(folder, name) == hashlib.sha256(tensors[name]).hexdigest():
            console.print(f"{name}: kept already")
            continue
        options = ReleaseOptions(
            run=run,
            name=name,
            data=data,
            ferplus=ferplus,
            out=folder,
            overwrite=True,
            measure_train=False,
        )
        release(options)


def as_kept(trained: Trained) -> Trained:
    """Round the weights of a run to those that are kept: then both give the same counts."""
    rounded = jax.tree.map(
        lambda leaf: np.asarray(leaf).astype(np.float16).astype(np.float32), trained.network.variables
    )
    return replace(trained, network=replace(trained.network, variables=rounded))


def _pack(trained: Trained) -> bytes:
    return weights.pack(trained.network.variables, dtype="float16")


def _find_sha256(folder: Path, name: str) -> str | None:
    """Find the hash of the tensors of good weights in a folder; None without them."""
    try:
        found: str = weights.read(folder, name).card["tensors"]["sha256"]
    except RunError:
        return None
    return found


def _check_size(folder: Path, sizes: Mapping[str, int]) -> None:
    """Refuse to keep weights, bytes by name, that would be too large together with the others there."""
    others = [name for name in sources.list_names(folder) if name not in sizes]
    there = sum((folder / f"{name}{sources.SUFFIX}").stat().st_size for name in others)
    if there + sum(sizes.values()) > MAX_BYTES:
        raise RunError(
            f"{', '.join(sizes)} take {sum(sizes.values()):,} bytes, and the other weights in {folder} "
            f"{there:,}; wanted at most {MAX_BYTES:,} together: delete weights that no published figure "
            "needs, or keep fewer --seeds"
        )
