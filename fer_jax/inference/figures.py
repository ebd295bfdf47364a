"""The figures of released weights: the counts that a card holds, and the same counts made again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import OWN_PARTS
from fer_jax.config.files import from_json
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, hash_arrays
from fer_jax.data.rows import subsets
from fer_jax.data.split import split_examples
from fer_jax.errors import DataError, FerJaxError
from fer_jax.files import Json
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.predictor import Advance, Network, count_views, predict_choices
from fer_jax.inference.prepare import choose_labels
from fer_jax.inference.rows import choose_usage, find_training_hashes, list_labelled
from fer_jax.inference.weights import Classifier
from fer_jax.metrics.scores import copy_free, wilson_interval

BY_FER2013: Final = "FER2013"
BY_FERPLUS: Final = "FER+ majority"
BY_OWN: Final = "own labels"
"""Those of data that is not FER2013."""


@dataclass(frozen=True, eq=False)
class Ground:
    """What the figures of a card are counted on.

    Attributes:
        rows: int64 [N] by part: what of the card's parts the data has.
        labels: int [rows of the data] by kind, -1 for none: those of the data, and FER+ where the votes are
            at hand.
        data_sha256: of the rows that the weights were trained with: all of the data, or all but PrivateTest;
            None: the data does not have them.
        train_hashes: uint64, of the training images; None: it is not known which they are.
        reasons: why a part, a kind of labels or `copies` is missing, by its name.
    """

    examples: Examples
    rows: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    data_sha256: str | None
    train_hashes: np.ndarray | None
    reasons: dict[str, str]


@dataclass(frozen=True)
class Recount:
    """One entry of a card's `figures`, and the same counted again.

    Attributes:
        recorded: the entry.
        found: its counts now, with `copies_of_training_images` where the training images are at hand; None:
            not counted.
        reason: why something was not counted; empty: all was.
    """

    recorded: Json
    found: Json | None
    reason: str


def count(predicted: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> Json:
    """Count the correct ones of N >= 1 predictions, int [N], for JSON; `names` are those of the classes.

    Returns:
        `correct`, `total`, `accuracy` with `low` and `high` (Wilson, 95 %), and `classes`: `[correct, total]`
        by name.

    >>> count(np.array([0, 1, 1]), np.array([0, 1, 0]), ("a", "b"))["classes"]
    {'a': [1, 2], 'b': [1, 1]}
    """
    is_correct = predicted == labels
    classes = {
        name: [int(is_correct[labels == k].sum()), int((labels == k).sum())] for k, name in enumerate(names)
    }
    return describe_share(int(is_correct.sum()), len(labels)) | {"classes": classes}


def describe_share(correct: int, total: int) -> Json:
    """Describe how many of N >= 1 predictions are correct, for JSON, as `count` does."""
    low, high = wilson_interval(correct, total)
    return {"correct": correct, "total": total, "accuracy": correct / total, "low": low, "high": high}


def count_part(
    network: Network,
    images: np.ndarray,
    labels: Mapping[str, np.ndarray],
    is_copy: np.ndarray | None,
    choices: Sequence[ViewChoice],
    *,
    advance: Advance = lambda share: None,
) -> Iterator[Json]:
    """Count the correct predictions of a part, for each choice of views and each kind of labels.

    Args:
        network: the weights.
        images: uint8 [N, 48, 48, 1].
        labels: int [N] by kind; -1 is not counted.
        is_copy: bool [N], exact copies of training images; None: not known.
        choices: of the views.
        advance: see `predict_choices`.

    Yields:
        `labels`, `views`, what `count` gives and, if the copies are known, `copies_of_training_images` and
        `copy_free`, the accuracy without them, see `metrics.scores.copy_free`.
    """
    names = network.names
    for choice, logits in predict_choices(network, images, choices, advance=advance).items():
        predicted = logits.argmax(axis=1)
        for kind, each in labels.items():
            is_counted = each != fer2013.UNLABELLED
            if not is_counted.any():
                continue
            figures: Json = {"labels": kind, "views": choice}
            figures |= count(predicted[is_counted], each[is_counted], names)
            if is_copy is not None:
                is_correct, copies = predicted[is_counted] == each[is_counted], is_copy[is_counted]
                figures["copies_of_training_images"] = int(copies.sum())
                figures["copy_free"] = copy_free(is_correct, copies)
            yield figures


def find_ground(classifier: Classifier, examples: Examples, votes: Path | None) -> Ground:
    """Find what of a card's parts and labels some data has, and whether it holds the training images.

    Args:
        classifier: released weights, with their card.
        examples: the data.
        votes: FER+'s fer2013new.csv; None: not at hand.
    """
    parts = dict.fromkeys(figures["part"] for figures in classifier.card["figures"])
    kinds = dict.fromkeys(figures["labels"] for figures in classifier.card["figures"])
    known, reasons = _find_training_data(classifier.card["training"]["data_sha256"], examples), {}
    own = _find_own_parts(classifier.card, examples, known, votes)
    if isinstance(own, str):
        reasons["copies"], own = own, {}
    hashes = examples.hashes[own["train"]] if own else None
    ancestor = classifier.card["training"].get("ancestor")
    # Where the images of its ancestor were not known to the run, its copies were counted without them.
    if hashes is not None and ancestor is not None and ancestor["images"]:
        inherited = find_training_hashes(ancestor, examples, examples.labels)
        hashes = None if inherited is None else np.concatenate([hashes, inherited])
        if inherited is None:
            reasons["copies"] = (
                f"the weights started from {ancestor['run']}, whose training images are not at hand"
            )
    teachers = classifier.card["training"].get("teachers")
    if hashes is not None and teachers is not None and teachers.get("images"):
        why = "its teachers were trained on other images, too, and only its run knows which: release it again"
        reasons["copies"], hashes = why, None
    rows = {}
    for part in parts:
        try:
            rows[part] = own[part] if part in own else _choose(part, examples)
        except FerJaxError as error:
            reasons[part] = str(error)
    labels = {BY_OWN if BY_OWN in kinds else BY_FER2013: examples.labels}
    if BY_FERPLUS in kinds:
        try:
            labels[BY_FERPLUS] = _label_by_votes(classifier, examples, votes)
        except FerJaxError as error:
            reasons[BY_FERPLUS] = str(error)
    return Ground(
        examples=examples,
        rows=rows,
        labels=labels,
        data_sha256=None if known is None else classifier.card["training"]["data_sha256"],
        train_hashes=hashes,
        reasons=reasons,
    )


def _find_training_data(sha256: str, examples: Examples) -> np.ndarray | None:
    """Find the rows, int64, that have the hash of the data of a training: all, or all but PrivateTest."""
    if examples.sha256 == sha256:
        return np.arange(len(examples))
    rows = np.flatnonzero(examples.usages != fer2013.USAGES.index("PrivateTest"))
    arrays = (each[rows] for each in (examples.images, examples.labels, examples.usages))
    return rows if hash_arrays(*arrays) == sha256 else None


def _choose(part: str, examples: Examples) -> np.ndarray:
    if part in OWN_PARTS:
        raise DataError("which rows these are is not known, since the split was not made again")
    if not len(list_labelled(examples, part)):
        raise DataError(f"this data has no labelled rows of {part}: {examples.contents}")
    return choose_usage(examples, part)


def _label_by_votes(classifier: Classifier, examples: Examples, votes: Path | None) -> np.ndarray:
    if votes is None:
        raise DataError("FER+'s fer2013new.csv is not at hand; give it with --ferplus")
    labelling = inference_labels.choose([classifier], "ferplus", votes)
    return inference_labels.relabel(labelling, examples).labels


def _find_own_parts(
    card: Mapping[str, Any], examples: Examples, known: np.ndarray | None, votes: Path | None
) -> dict[str, np.ndarray] | str:
    """Split the data as the weights' run did: rows by part; the reason in words where that is not possible.

    `known` are the rows that the run had, see `_find_training_data`.
    """
    training = card["training"]
    if known is None:
        return f"the training images are in {training['data']}, and this data is {examples.contents}"
    config = from_json(Config, card["config"], where=f"the card of {card['name']}")
    if config.labels.source == "ferplus":
        if votes is None:
            return "FER+'s votes chose the rows, and fer2013new.csv is not at hand; give it with --ferplus"
        config = replace(config, labels=replace(config.labels, ferplus=str(votes)))
    if config.data.drop is not None:
        return f"the drop list {config.data.drop} chose the rows, and is not at hand"
    had = replace(
        examples,
        images=examples.images[known],
        labels=examples.labels[known],
        usages=examples.usages[known],
        groups=None if examples.groups is None else examples.groups[known],
        sha256=training["data_sha256"],
    )
    split = choose_labels(config, had, split_examples(had, config.split)).split
    split = subsets.take_sample(split, config)
    if split.sha256 != training["split"]["sha256"]:
        return "this data is split otherwise by this fer_jax than by the run, so its parts are not known"
    return {part: known[rows] for part, rows in split.parts.items()}


def recount(
    classifier: Classifier, ground: Ground, *, advance: Advance = lambda share: None
) -> Iterator[Recount]:
    """Count each entry of a card's `figures` again, in its order; see `count_passes` for `advance`."""
    entries = classifier.card["figures"]
    found: dict[tuple[str, str, str], Json] = {}
    for part, rows in ground.rows.items():
        images, hashes = ground.examples.images[rows], ground.examples.hashes[rows]
        is_copy = None if ground.train_hashes is None else np.isin(hashes, ground.train_hashes)
        labels = {kind: each[rows] for kind, each in ground.labels.items()}
        choices = list_choices(entries, part)
        for each in count_part(classifier.network, images, labels, is_copy, choices, advance=advance):
            found[part, each["labels"], each["views"]] = each
    for entry in entries:
        part, kind = entry["part"], entry["labels"]
        key = part, kind, entry["views"]
        names = (part, kind) if key not in found else ("copies",)
        reason = "; ".join(ground.reasons[name] for name in names if name in ground.reasons)
        if entry["views"] not in get_args(ViewChoice):
            reason = f"this fer_jax has no views {entry['views']!r}"
        yield Recount(entry, found.get(key), reason)


def count_passes(classifier: Classifier, ground: Ground) -> int:
    """Count the passes over the images of a part that `recount` takes."""
    entries = classifier.card["figures"]
    return sum(count_views(list_choices(entries, part)) for part in ground.rows)


def list_choices(entries: Sequence[Json], part: str) -> list[ViewChoice]:
    """List the choices of views of a part's entries in a card's `figures`; unknown ones are left out."""
    named = dict.fromkeys(entry["views"] for entry in entries if entry["part"] == part)
    return [views for views in named if views in get_args(ViewChoice)]
