"""The work of `release`: from a run, or weights released before, to weights that others can use."""

import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from fer_jax.config.data import OWN_PARTS
from fer_jax.data.examples import Examples
from fer_jax.errors import DataError, RunError
from fer_jax.files import Json, replacing, write_json
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference import figures, weights
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.rows import choose_rows, find_trained_on, list_labelled
from fer_jax.inference.run_weights import Trained, load_data, load_finished
from fer_jax.models.summary import list_layers
from fer_jax.release import card as release_card
from fer_jax.release.options import ReleaseOptions, choose_folder
from fer_jax.report import terminal
from fer_jax.runs import record, sources
from fer_jax.runs.sources import Released
from fer_jax.runtime import cpu, machine

MAX_BYTES: Final = 12_000_000
"""The limit for the tensors of all released weights: they are part of the package."""

_PUBLIC: Final = "PublicTest"
_PRIVATE: Final = "PrivateTest"


def release(options: ReleaseOptions) -> None:
    """Write weights and their card, measured with the weights as they are written.

    Raises:
        FerJaxError: a user error: the command line, the data, the run's folder or the weights.
    """
    out = choose_folder(options)
    console = terminal.make_console()
    cpu.tune_cpu()
    found = sources.find(options.run)
    card, tensors = (
        _measure_again(console, found, options)
        if isinstance(found, Released)
        else _release_run(console, options, out)
    )
    name = options.name
    write(out, name, tensors, card)
    console.print(f"written to {out}: {name}.safetensors, {len(tensors):,} bytes, and the card {name}.json")


def _release_run(console: Console, options: ReleaseOptions, out: Path) -> tuple[Json, bytes]:
    """Measure a run's selected weights, rounded to what the file holds; return the card and the tensors."""
    name = options.name
    trained = load_finished(options.run, options.data, options.on_bad_row)
    with terminal.show_steps(console, terminal.READING, None) as steps:
        examples = load_data(trained, is_other_file=options.data is not None, listener=steps)
    terminal.show_data(console, examples)
    parts = list_parts(
        trained,
        examples,
        measures_train=options.measure_train,
        scores_private_test=options.score_private_test,
    )
    tensors = weights.pack(trained.network.variables, dtype=options.dtype)
    if options.into_package:
        _check_size(out, name, len(tensors))
    card = describe(trained, tensors, name=name, dtype=options.dtype)
    stored = replace(trained, network=weights.build(card, tensors, where=f"the new card of {name}").network)
    card["measured_on"] = describe_measuring(examples, scores_private_test=options.score_private_test)
    with terminal.show_steps(console, "measuring the stored weights", None):
        for result in _measure(stored, examples, parts, options.views, options.ferplus):
            card["figures"].append(result)
            console.print(_line(result))
    if not options.score_private_test and len(list_labelled(examples, _PRIVATE)):
        console.print(f"{_PRIVATE:<12} held back, and not measured; --score-private-test measures it")
    return card, tensors


def _measure_again(console: Console, found: Released, options: ReleaseOptions) -> tuple[Json, bytes]:
    """Measure what the card of released weights has figures of again; return the new card and the tensors.

    Raises:
        DataError: copies of training images cannot be counted: the data does not hold them, or those of a
            teacher are not known.
    """
    classifier = weights.read(found.folder, found.name)
    with terminal.show_steps(console, terminal.READING, None) as steps:
        examples = inference_labels.load_for(classifier, options.data, options.on_bad_row, listener=steps)
    terminal.show_data(console, examples)
    ground = figures.find_ground(classifier, examples, options.ferplus)
    if "copies" in ground.reasons:
        raise DataError(f"{found.name} cannot be measured again: {ground.reasons['copies']}")
    if not options.score_private_test:
        ground.rows.pop(_PRIVATE, None)
    measured = []
    passes = figures.count_passes(classifier, ground)
    with terminal.show_steps(console, "measuring the weights", passes) as advance:
        for each in figures.recount(classifier, ground, advance=advance):
            old = each.recorded
            if each.found is None:
                words = f"{old['part']:<12} {old['labels']:<13} {old['views']:<11}"
                console.print(f"{words} left out of the new card: {each.reason or 'it is held back'}")
                continue
            measured.append({"part": old["part"], "role": old["role"], **each.found})
            console.print(_line(measured[-1]))
    card = dict(classifier.card) | {"name": options.name, "figures": measured}
    card["tensors"] = card["tensors"] | {"file": f"{options.name}.safetensors"}
    card["measured_on"] = describe_measuring(examples, scores_private_test=options.score_private_test)
    return card, (found.folder / f"{found.name}.safetensors").read_bytes()


def describe_measuring(examples: Examples, *, scores_private_test: bool) -> Json:
    """Describe on what, where and with which commit a card is measured."""
    place = {name: value for name, value in machine.describe().items() if name not in ("tuning", "xla_flags")}
    return {
        "data": examples.contents,
        "sha256": examples.sha256,
        "scores_private_test": scores_private_test,
        "date": machine.now(),
        **place,
    }


def write(out: Path, name: str, tensors: bytes, card: Json) -> None:
    """Write the weights and their card: where one does not fit on the disk, the old ones both stay.

    Raises:
        DiskError: the disk is full, read-only or broken.
    """
    with replacing(out / f"{name}.safetensors") as new:
        new.write_bytes(tensors)
        write_json(out / f"{name}.json", card)


def _check_size(out: Path, name: str, size: int) -> None:
    others = sum(path.stat().st_size for path in out.glob("*.safetensors") if path.stem != name)
    if others + size > MAX_BYTES:
        raise RunError(
            f"{name} takes {size:,} bytes and the other weights of the package {others:,}; wanted at most "
            f"{MAX_BYTES:,} together; give --dtype float16, a smaller network, or another --out"
        )


def describe(trained: Trained, tensors: bytes, *, name: str, dtype: str) -> Json:
    """Write the card, but for what is measured."""
    layers = list_layers(trained.network.model)
    # The config as it was trained: that of `trained` names the data to measure on.
    config = record.read_config(trained.folder)
    fields = release_card.public_config(config)
    return {
        "format": weights.FORMAT,
        "name": name,
        "version": importlib.metadata.version("fer-jax"),
        "labels": list(trained.network.names),
        "preprocessing": release_card.describe_preprocessing(trained.network.pixel_stats),
        "model": fields["model"],
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "tensors": {
            "file": f"{name}.safetensors",
            "bytes": len(tensors),
            "dtype": dtype,
            "sha256": hashlib.sha256(tensors).hexdigest(),
        },
        "training": release_card.describe_training(trained.record, config, trained.checkpoint),
        "config": fields,
        "figures": [],
        "limits": list(release_card.list_limits(trained.record, config)),
        "misuse": list(release_card.MISUSE),
    }


def list_parts(
    trained: Trained, examples: Examples, *, measures_train: bool, scores_private_test: bool
) -> list[str]:
    """List the parts to measure: those of the run's own split, PublicTest and, if asked for, PrivateTest.

    Raises:
        DataError: there are none, or PrivateTest is asked for and the data has none.
    """
    left_out = () if measures_train else ("train",)
    own: list[str] = []
    if examples.sha256 == trained.record.data.sha256:
        # With the official protocol val and test are PublicTest and PrivateTest.
        names = ("train",) if trained.config.split.protocol == "official" else OWN_PARTS
        own = [name for name in names if name not in left_out and len(trained.saved[name])]
    there = [_PUBLIC] if len(list_labelled(examples, _PUBLIC)) else []
    if scores_private_test:
        if not len(list_labelled(examples, _PRIVATE)):
            raise DataError(
                f"{examples.description}: it has no labelled rows of {_PRIVATE}; give fer2013.csv with "
                "--data, or leave out --score-private-test"
            )
        there.append(_PRIVATE)
    if not own + there:
        raise DataError(
            f"{examples.description}: it is not what the run was trained on, and has no labelled rows of "
            f"{_PUBLIC}, so there is nothing to measure; give fer2013.csv with --data"
        )
    return own + there


def _measure(
    trained: Trained, examples: Examples, parts: list[str], views: ViewChoice, votes: Path | None
) -> Iterator[Json]:
    """Measure each part, in a single view and in `views`, by each set of labels."""
    is_own = record.kind_of_data(trained.record, trained.config) == "own"
    own = figures.BY_OWN if is_own else figures.BY_FER2013
    labels_of = {own: examples.labels}
    if votes is not None or trained.own_labels.source == "ferplus":
        by_votes = inference_labels.choose([trained], "ferplus", votes)
        labels_of[figures.BY_FERPLUS] = inference_labels.relabel(by_votes, examples).labels
    choices: list[ViewChoice] = list(dict.fromkeys(("single", views)))
    for part in parts:
        rows = choose_rows(examples, trained, part)
        is_copy = find_trained_on([trained], examples.hashes[rows])
        labels = {kind: each[rows] for kind, each in labels_of.items()}
        role = release_card.role_of(part, trained.config, trained.record)
        for counts in figures.count_part(trained.network, examples.images[rows], labels, is_copy, choices):
            yield {"part": part, "role": role, **counts}


def _line(result: Json) -> str:
    """Lay out one measured part for the terminal."""
    accuracy, low, high = (f"{100 * result[name]:.2f}" for name in ("accuracy", "low", "high"))
    return (
        f"{result['part']:<12} {result['labels']:<13} {result['views']:<11} {accuracy} %   "
        f"{result['correct']:,} of {result['total']:,}, 95 % interval {low} to {high}; {result['role']}"
    )
