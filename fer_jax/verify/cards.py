"""Released weights checked again: the tensors against their card, and the card's figures on the data."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.numpy
from rich.console import Console

from fer_jax.data.examples import Examples
from fer_jax.data.targets import place_beside
from fer_jax.errors import DataError, FerJaxError
from fer_jax.inference import figures, weights
from fer_jax.inference.figures import Recount
from fer_jax.inference.labels import load_for
from fer_jax.inference.weights import Classifier
from fer_jax.metrics.scores import proportion
from fer_jax.models.summary import list_layers
from fer_jax.report import terminal
from fer_jax.runs import sources
from fer_jax.runs.sources import Released
from fer_jax.verify.checks import Check, compare, compare_hash, judge
from fer_jax.verify.options import VerifyOptions


def check(console: Console, released: Released, options: VerifyOptions) -> Iterator[Check]:
    """Check released weights: hashes, the card's own arithmetic and, on the data, its figures.

    Raises:
        DataError: the data that was given cannot be read.
    """
    name = name_subject(released)
    try:
        classifier = weights.read(released.folder, released.name)
    except FerJaxError as error:
        yield Check(name, "tensors", "DIFFERS", str(error))
        return
    yield from _check_tensors(name, classifier, released)
    yield from _check_arithmetic(name, classifier.card)
    yield from _check_commits(name, classifier.card)
    if options.data is None:
        yield Check(name, "figures", "not checked", "no data was given; give fer2013.csv with --data")
        return
    with terminal.show_steps(console, terminal.READING, None) as steps:
        examples = load_for(classifier, options.data, options.on_bad_row, listener=steps)
    terminal.show_data(console, examples)
    yield from _check_figures(console, name, classifier, examples, find_votes(options))


def name_subject(released: Released) -> str:
    """Name released weights: those of the package by their name, others by their path."""
    is_ours = released.folder.resolve() == sources.WEIGHTS.resolve()
    return released.name if is_ours else str(released.folder / released.name)


def find_votes(options: VerifyOptions) -> Path | None:
    """Find FER+'s votes: the file that the options name, else the one beside the data; None without one."""
    if options.ferplus is not None or options.data is None:
        return options.ferplus
    beside = place_beside(options.data)
    return beside if beside.is_file() else None


def _check_tensors(name: str, classifier: Classifier, released: Released) -> Iterator[Check]:
    card, path = classifier.card, released.folder / f"{released.name}.safetensors"
    # `weights.read` has compared the hash: it refuses other tensors.
    yield compare_hash(name, "tensors", card["tensors"]["sha256"], card["tensors"]["sha256"])
    layers = list_layers(classifier.network.model)
    tensors = safetensors.numpy.load_file(path)
    found = {
        "bytes": path.stat().st_size,
        "dtype": " ".join(sorted({str(each.dtype) for each in tensors.values()})),
        "file": path.name,
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "labels": list(classifier.network.names),
        "name": released.name,
    }
    recorded = {key: card[key] for key in ("parameters", "macs", "labels", "name")} | card["tensors"]
    detail = f"{found['parameters']:,} parameters, {found['bytes']:,} bytes"
    yield compare(name, "network", recorded, found, detail=detail)


def _check_arithmetic(name: str, card: Mapping[str, Any]) -> Iterator[Check]:
    """Check that the figures of a card agree with each other."""
    for entry in card["figures"]:
        by_class = list(entry["classes"].values())
        correct, total = (sum(each[k] for each in by_class) for k in (0, 1))
        found = figures.describe_share(correct, total)
        if entry.get("copy_free") is not None:
            others = total - entry["copies_of_training_images"]
            found["copy_free"] = proportion(min(entry["copy_free"]["correct"], others), others)
        yield compare(name, f"arithmetic of {_title(entry)}", entry, found, detail="sums, ratios, intervals")


def _title(entry: Mapping[str, Any]) -> str:
    return f"{entry['part']}, {entry['labels']}, {entry['views']}"


def _check_commits(name: str, card: Mapping[str, Any]) -> Iterator[Check]:
    """Say which commits are known to have trained and measured the weights."""
    for what, facts in {"training": card["training"], "measuring": card.get("measured_on", {})}.items():
        commit = facts.get("git")
        if commit is None:
            yield Check(name, f"commit of the {what}", "not checked", "the card does not say it")
        elif commit.endswith("-dirty"):
            why = f"{commit}: done with uncommitted changes, which no commit holds"
            yield Check(name, f"commit of the {what}", "not checked", why)
        else:
            is_commit = re.fullmatch("[0-9a-f]{7,40}", commit) is not None
            detail = commit if is_commit else f"{commit!r} is no commit"
            yield judge(name, f"commit of the {what}", is_same=is_commit, detail=detail)


def _check_figures(
    console: Console, name: str, classifier: Classifier, examples: Examples, votes: Path | None
) -> Iterator[Check]:
    training = classifier.card["training"]
    ground = figures.find_ground(classifier, examples, votes)
    if ground.data_sha256 is None:
        why = f"this data is {examples.contents}; the weights were trained on {training['data']}"
        yield Check(name, "training data", "not checked", why)
    else:
        yield compare_hash(name, "training data", training["data_sha256"], ground.data_sha256)
    if "copies" in ground.reasons:
        yield Check(name, "split", "not checked", ground.reasons["copies"])
    else:
        yield Check(name, "split", "ok", f"SHA-256 {training['split']['sha256'][:12]}")
    with terminal.show_steps(console, name, figures.count_passes(classifier, ground)) as advance:
        counted = list(figures.recount(classifier, ground, advance=advance))
    for each in counted:
        yield _check_entry(name, each)


def _check_entry(name: str, each: Recount) -> Check:
    title = _title(each.recorded)
    if each.found is None:
        return Check(name, title, "not checked", each.reason)
    found = each.found
    detail = f"{found['correct']:,} of {found['total']:,} correct"
    if "copies_of_training_images" in found:
        detail += f", {found['copies_of_training_images']:,} copies of training images"
    checked = compare(name, title, each.recorded, found, detail=detail)
    if checked.state == "ok" and each.reason:
        return Check(name, title, "ok", f"{detail}; copies not checked, see split")
    return checked


def find_card(path: Path) -> Released:
    """Find the weights of a card, NAME.json.

    Raises:
        DataError: it is no card.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; give a card, NAME.json") from None
    if not isinstance(fields, dict) or "tensors" not in fields:
        raise DataError(f"{path} is no card of released weights; give NAME.json beside NAME.safetensors")
    return Released(path.parent, path.stem)
