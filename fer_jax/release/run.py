"""The program `release` behind its command line: from a run's folder to weights that others can use."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

import fer_jax
from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.examples import Examples
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.fer2013 import names_of
from fer_jax.files import Json, replacing, write_json
from fer_jax.images.views import ViewChoice
from fer_jax.inference import labels as inference_labels
from fer_jax.inference import weights
from fer_jax.inference.rows import choose_rows, find_copies
from fer_jax.inference.run_weights import Trained, load_data, load_finished
from fer_jax.inference.weights import Classifier
from fer_jax.metrics.scores import wilson_interval
from fer_jax.models.cnn import LAST_LAYER
from fer_jax.models.summary import list_layers
from fer_jax.release import card as release_card
from fer_jax.report import terminal
from fer_jax.runs import record
from fer_jax.runtime import cpu

MAX_BYTES: Final = 12_000_000
"""What the tensors of all released weights may take together: they are part of the package."""


def release_run(
    folder: Path,
    data: Path | None,
    *,
    name: str,
    on_bad_row: BadRow | None,
    views: ViewChoice,
    dtype: str,
    ferplus: Path | None,
    out: Path | None,
) -> None:
    """Write a run's selected weights and their card, measured from the weights as they are written.

    Args:
        folder: of a finished run.
        data: another file to measure on; None for the data that the run was trained on.
        name: of the weights.
        on_bad_row: what a malformed row does; None for what the config says.
        views: measured beside the single view.
        dtype: "float16" or "float32", of the numbers in the file.
        ferplus: FER+'s votes, to measure by their labels too; None for those that the run learned, if any.
        out: folder to write into; None for the package's own.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name):
        raise ConfigError(f"--name is {name!r}; wanted 1 to 40 small letters, digits and '-', such as mid")
    console = Console(markup=False, highlight=False, soft_wrap=True)
    cpu.tune_cpu()
    trained = load_finished(folder, data, on_bad_row)
    examples = load_data(trained, is_other_file=data is not None)
    terminal.show_data(console, examples)
    out = weights.WEIGHTS if out is None else out
    tensors = weights.pack({"params": trained.params, "batch_stats": trained.batch_stats}, dtype=dtype)
    if out.resolve() == weights.WEIGHTS.resolve():
        _check_size(out, name, len(tensors))
    card = _describe(trained, tensors, name=name, dtype=dtype)
    classifier = weights.build(card, tensors, where=f"the new card of {name}")
    card["measured_on"] = {
        "data": release_card.public_description(
            examples.description, is_synthetic=trained.facts["data"]["is_synthetic"] and data is None
        ),
        "sha256": examples.sha256,
    }
    for figures in _measure(trained, examples, classifier, views, ferplus):
        card["figures"].append(figures)
        console.print(_line(figures))
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{name}.safetensors") as new:
        new.write_bytes(tensors)
    write_json(out / f"{name}.json", card)
    console.print(f"written to {out}: {name}.safetensors, {len(tensors):,} bytes, and the card {name}.json")


def _check_size(out: Path, name: str, size: int) -> None:
    others = sum(path.stat().st_size for path in out.glob("*.safetensors") if path.stem != name)
    if others + size > MAX_BYTES:
        raise RunError(
            f"{name} takes {size:,} bytes and the other weights of the package {others:,}; wanted at most "
            f"{MAX_BYTES:,} together; give --dtype float16, a smaller network, or another --out"
        )


def _describe(trained: Trained, tensors: bytes, *, name: str, dtype: str) -> Json:
    """Gather the card without its figures."""
    layers = list_layers(trained.model)
    classes = next(layer.output_shape[-1] for layer in layers if layer.name == LAST_LAYER)
    # As it was trained: in `trained` the data is what is measured on.
    config = record.read_config(trained.folder)
    fields = release_card.public_config(config)
    return {
        "format": weights.FORMAT,
        "name": name,
        "version": fer_jax.__version__,
        "labels": list(names_of(classes)),
        "preprocessing": release_card.describe_preprocessing(trained.pixel_stats),
        "model": fields["model"],
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "tensors": {
            "file": f"{name}.safetensors",
            "bytes": len(tensors),
            "dtype": dtype,
            "sha256": hashlib.sha256(tensors).hexdigest(),
        },
        "training": release_card.describe_training(trained.facts, config, trained.checkpoint),
        "config": fields,
        "figures": [],
        "limits": list(release_card.LIMITS),
        "misuse": list(release_card.MISUSE),
    }


def list_parts(trained: Trained, examples: Examples) -> list[str]:
    """Name the parts that can be measured: of the run's own split, and the official ones.

    Raises:
        DataError: there are none.
    """
    own: list[str] = []
    if examples.sha256 == trained.facts["data"]["sha256"]:
        # With the official protocol val and test are PublicTest and PrivateTest.
        names = ("train",) if trained.config.split.protocol == "official" else ("train", "val", "test")
        own = [name for name in names if len(trained.saved[name])]
    is_labelled = examples.labels != fer2013.UNLABELLED
    official = ("PublicTest", "PrivateTest")
    there = [u for u in official if (is_labelled & (examples.usages == fer2013.USAGES.index(u))).any()]
    if not own + there:
        raise DataError(
            f"{examples.description}: it is not what the run was trained on, and has no labelled rows of "
            "PublicTest or PrivateTest, so there is nothing to measure; give fer2013.csv with --data"
        )
    return own + there


def _measure(
    trained: Trained, examples: Examples, classifier: Classifier, views: ViewChoice, votes: Path | None
) -> Iterator[Json]:
    """Measure each part, in each choice of views, by each set of labels."""
    labels_of = {"FER2013": examples.labels}
    if votes is not None or trained.config.labels.source == "ferplus":
        (by_votes,) = inference_labels.choose([trained], "ferplus", votes)
        labels_of["FER+ majority"] = inference_labels.relabel(by_votes, examples).labels
    for part in list_parts(trained, examples):
        rows = choose_rows(examples, trained, part)
        is_copy = find_copies([trained], examples.images[rows])
        for choice in dict.fromkeys(("single", views)):
            predicted = classifier.predict(examples.images[rows], views=choice).argmax(axis=1)
            for kind, labels in labels_of.items():
                is_counted = labels[rows] != fer2013.UNLABELLED
                if not is_counted.any():
                    continue
                yield {
                    "part": part,
                    "role": release_card.role_of(part, trained.config, trained.facts),
                    "labels": kind,
                    "views": choice,
                    **count(predicted[is_counted], labels[rows][is_counted], classifier.labels),
                    "copies_of_training_images": int(is_copy[is_counted].sum()),
                }


def count(predicted: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> Json:
    """Count what is right, for JSON.

    Args:
        predicted: int [N], N >= 1.
        labels: int [N].
        names: of the classes.

    Returns:
        `correct`, `total`, `accuracy` with `low` and `high` (Wilson, 95 %), and `classes`: `[correct, total]`
        by name.

    >>> count(np.array([0, 1, 1]), np.array([0, 1, 0]), ("a", "b"))["classes"]
    {'a': [1, 2], 'b': [1, 1]}
    """
    is_right = predicted == labels
    correct, total = int(is_right.sum()), len(labels)
    low, high = wilson_interval(correct, total)
    classes = {
        name: [int(is_right[labels == k].sum()), int((labels == k).sum())] for k, name in enumerate(names)
    }
    return {
        "correct": correct,
        "total": total,
        "accuracy": correct / total,
        "low": low,
        "high": high,
        "classes": classes,
    }


def _line(figures: Json) -> str:
    """Lay out one measured part for the terminal."""
    shares = [f"{100 * figures[name]:.2f}" for name in ("accuracy", "low", "high")]
    return (
        f"{figures['part']:<12} {figures['labels']:<13} {figures['views']:<11} {shares[0]} %   "
        f"{figures['correct']:,} of {figures['total']:,}, 95 % interval {shares[1]} to {shares[2]}; "
        f"{figures['role']}"
    )
