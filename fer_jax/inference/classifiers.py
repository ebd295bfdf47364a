"""Any trained network as a `Classifier`: a run, released weights, or a file of them."""

import warnings
from pathlib import Path

from fer_jax.errors import RunError
from fer_jax.files import read_json
from fer_jax.inference import run_weights, weights
from fer_jax.inference.weights import Classifier
from fer_jax.runs import sources
from fer_jax.runs.sources import Released


def load(named: str | Path) -> Classifier:
    """Load a trained network: `fer_jax.load("mid").predict(images)`. Nothing is downloaded.

    Args:
        named: weights that come with fer_jax, such as "mid"; a `.safetensors` file with its card beside it;
            or the folder of a run, such as "runs/run6-seed0", of which the selected weights are loaded.

    Raises:
        RunError: there is nothing of this name, a file is missing or damaged, or the folder holds several
            runs.
    """
    found = sources.find(named)
    if isinstance(found, Released):
        return weights.read(found.folder, found.name)
    if len(found) > 1:
        names = ", ".join(str(folder) for folder in found)
        raise RunError(f"{named} holds {len(found)} runs; name one of {names}")
    return load_run(found[0])


def load_run(folder: Path) -> Classifier:
    """Load the weights that a run selects, of a run that is not finished the best or the last so far.

    Raises:
        FerJaxError: the folder or its checkpoints cannot be used.
    """
    trained = run_weights.load(folder, None, None)
    for note in trained.notes:
        warnings.warn(f"{folder}: {note.removeprefix('note: ')}", stacklevel=2)
    return Classifier(
        name=folder.name,
        labels=trained.network.names,
        card=read_json(folder / "run.json"),
        network=trained.network,
        own_labels=trained.own_labels,
    )
