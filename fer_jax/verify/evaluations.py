"""The files evaluate_*.json of a run, measured again."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, get_args

from rich.console import Console

from fer_jax.config.data import LabelSource, Part
from fer_jax.data.examples import Examples
from fer_jax.errors import FerJaxError
from fer_jax.files import Json, read_json, reading
from fer_jax.images.view_choice import ViewChoice
from fer_jax.images.views import CHOICES
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.labels import Labelling
from fer_jax.inference.predictor import predict_views
from fer_jax.inference.rows import choose_rows, find_trained_on
from fer_jax.inference.run_weights import Trained
from fer_jax.metrics import abstention
from fer_jax.metrics.predictions import Predictions, calibrate, measure
from fer_jax.metrics.scores import copy_free
from fer_jax.report import terminal
from fer_jax.text import join
from fer_jax.verify.checks import Check, compare

_NOT_MEASURED: Final = ("raters", "robustness", "mistakes", "pictures")
"""What `evaluate` writes and is not made again: it takes long, or is no figure."""
_LIST_OF_FACES: Final = "_faces"
"""End of the name of a file that says which faces a picture shows."""


def check(
    console: Console, name: str, trained: Trained, data: Mapping[str, Examples], votes: Path | None
) -> Iterator[Check]:
    """Measure each result of `evaluate` in a run's folder again, where its data is at hand.

    Args:
        console: for the progress.
        name: of the run.
        trained: its selected weights.
        data: what is at hand, by its SHA-256.
        votes: FER+'s file; None for the one that the run was trained with.
    """
    for path in sorted(trained.folder.glob("evaluate_*.json")):
        if path.stem.endswith(_LIST_OF_FACES):
            continue
        try:
            recorded = read_json(path)
            with reading(path):
                _check_fields(recorded)
        except FerJaxError as error:
            yield Check(name, path.name, "DIFFERS", str(error))
            continue
        try:
            yield from _check_one(console, name, path.name, trained, recorded, data, votes)
        except FerJaxError as error:
            yield Check(name, path.name, "not checked", str(error))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            yield Check(name, path.name, "DIFFERS", f"it is damaged: {error!r} in it")


def _check_fields(recorded: Json) -> None:
    """Check what is needed to measure a result again, and what can be told without its data.

    Raises:
        KeyError, TypeError, ValueError: a field is missing or wrong.
    """
    for field, known in (("split", get_args(Part)), ("labels", get_args(LabelSource))):
        if recorded[field] not in known:
            raise ValueError(f"{field} is {recorded[field]!r}, wanted one of {', '.join(known)}")
    if not isinstance(recorded["views"], list) or not isinstance(recorded["checkpoint"], dict):
        raise TypeError("views is no list, or checkpoint no object")
    if re.fullmatch(r"[0-9a-f]{64}", recorded["data"]["sha256"]) is None:
        raise ValueError(f"data.sha256 is {recorded['data']['sha256']!r}, which is no SHA-256")
    correct, total, accuracy = (recorded[field] for field in ("correct", "total", "accuracy"))
    if not (0 <= correct <= total and math.isclose(accuracy * total, correct)):
        raise ValueError(f"accuracy is {accuracy}, and correct / total {correct} / {total}")


def _check_one(
    console: Console,
    name: str,
    file: str,
    trained: Trained,
    recorded: Json,
    data: Mapping[str, Examples],
    votes: Path | None,
) -> Iterator[Check]:
    examples = data.get(recorded["data"]["sha256"])
    if examples is None:
        why = f"measured on {recorded['data']['description']}, which is not at hand; give it with --data"
        yield Check(name, file, "not checked", why)
        return
    if recorded["checkpoint"] != trained.checkpoint:
        detail = f"measured at {recorded['checkpoint']}, and the run's weights are {trained.checkpoint}"
        yield Check(name, file, "DIFFERS", detail)
        return
    views = next((choice for choice, names in CHOICES.items() if list(names) == recorded["views"]), None)
    if views is None:
        yield Check(name, file, "not checked", f"this fer_jax has no views {recorded['views']}")
        return
    with terminal.show_steps(console, f"measuring {file}", None):
        found = _measure(trained, recorded, data, examples, views, votes)
    detail = f"{found['correct']:,} of {found['total']:,} correct, loss {found['loss']:.4f}"
    yield compare(name, file, recorded, found, detail=detail)
    left = [each for each in _NOT_MEASURED if recorded.get(each)]
    unknown = sorted(recorded.keys() - found.keys() - set(_NOT_MEASURED) - {"checkpoint", "views"})
    if left + unknown:
        why = "measuring these again is not part of verify"
        yield Check(name, f"{file}: {join(left + unknown)}", "not checked", why)


def _measure(
    trained: Trained,
    recorded: Json,
    data: Mapping[str, Examples],
    examples: Examples,
    views: ViewChoice,
    votes: Path | None,
) -> Json:
    """Measure the part that a result names as `evaluate` does."""
    part, source = recorded["split"], recorded["labels"]
    labelling = inference_labels.choose([trained], source, votes if source == "ferplus" else None)
    rows = inference_labels.label_rows(labelling, examples, choose_rows(examples, trained, part), part=part)
    measured = predict_views(trained.network, rows.images, views), rows.labels
    held_out: Predictions | None = measured if part == "val" else None
    own = data.get(trained.record.data.sha256)
    if held_out is None and own is not None:
        held_out = _predict_held_out(trained, labelling, own, views)
    is_copy = find_trained_on([trained], rows.examples.hashes[rows.rows])
    found = measure(*measured, trained.network.names) | {
        "split": part,
        **rows.facts,
        "data": {"sha256": examples.sha256},
        "copies_of_training_images": int(is_copy.sum()),
        "copy_free": copy_free(measured[0].argmax(axis=1) == rows.labels, is_copy),
        "calibration": calibrate(measured, held_out),
        "abstention": abstention.measure(*measured, validation=held_out),
    }
    if held_out is None and recorded["calibration"]["temperature"] is not None:
        for each in ("temperature", "fitted_on", "scaled"):
            found["calibration"].pop(each)
        found["abstention"].pop("thresholds")
    return found


def _predict_held_out(
    trained: Trained, labelling: Labelling, own: Examples, views: ViewChoice
) -> Predictions:
    labelled = inference_labels.relabel(labelling, own)
    rows = choose_rows(labelled, trained, "val")
    return predict_views(trained.network, labelled.images[rows], views), labelled.labels[rows]
