"""What the card of released weights says beside their accuracy: origin, input, limits."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

from fer_jax.config.fields import FILES
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.faces.crop import CONTRACT
from fer_jax.faces.detectors import TERMS as DETECTORS
from fer_jax.files import Json
from fer_jax.images.standardise import PixelStats
from fer_jax.runs.record import RunRecord, kind_of_data

TERMS: Final = (
    "FER2013 (Goodfellow et al. 2013, Challenges in Representation Learning) was collected from the web for "
    "a Kaggle competition, whose rules say what it may be used for: https://www.kaggle.com/c/challenges-in-"
    "representation-learning-facial-expression-recognition-challenge/rules. The pictures belong to their "
    "owners, and none is in these files. Read the rules before you use the weights."
)
TERMS_FERPLUS: Final = (
    "The votes of FER+ (Barsoum et al. 2016) are from https://github.com/microsoft/FERPlus."
)
TERMS_OWN: Final = (
    "The pictures belong to the data of whoever trained the weights, and none is in these files. Ask them "
    "for its terms, and whether the people on the pictures agreed, before you use the weights."
)
TERMS_SYNTHETIC: Final = "Faces drawn by fer_jax from a seed, no person among them; Apache-2.0."

_CROP_LIMIT: Final = (
    "It sees one centred, cut-out, upright gray face of 48 × 48 pixels; another network finds the faces, and "
    "this one gives probabilities for whatever it is shown, face or not."
)
_TEMPERATURE_LIMIT: Final = "The probabilities are as the network gives them: no temperature was fitted."
LIMITS: Final = (
    _CROP_LIMIT,
    "The labels are noisy: one human rater agrees with the others on about 70 % of these faces. A few points "
    "between two networks can be chance: see the intervals.",
    "Classes are unequal, and disgust is rare; see the counts of each class.",
    "FER2013 does not say who is on its pictures. How accuracy differs by age, sex or skin was not measured "
    "and must be taken to differ.",
    _TEMPERATURE_LIMIT,
)
LIMITS_OWN: Final = (
    _CROP_LIMIT,
    "The labels are those of the data it was trained on, and how often people agree on them is not known. "
    "Classes may be unequal; see the counts of each. A few points between two networks can be chance: see "
    "the intervals.",
    "How accuracy differs by age, sex or skin was not measured and must be taken to differ.",
    _TEMPERATURE_LIMIT,
)
MISUSE: Final = (
    "An expression is not an emotion, and a guess from one picture is not a measurement of a person.",
    "Not for decisions about people, such as in hiring, school, policing, borders, credit, insurance or "
    "health, nor for watching them. At work and in education the EU's AI Act (Article 5) forbids systems "
    "that infer emotions, but for medical or safety reasons.",
    "Not for recognising who somebody is: it was not trained for that.",
)

_TERMS: Final = {"fer2013": TERMS, "own": TERMS_OWN, "synthetic": TERMS_SYNTHETIC}

_RULES: Final = {
    "official": "FER2013's usages: Training is train, PublicTest is val, PrivateTest is test",
    "seed": "the Training rows, 70/15/15, stratified by class, by the split seed",
    "holdout": "the Training rows, a share held out as val, stratified by class, by the split seed",
    "given": "the parts that the data names",
}
_OWN_RULES: Final = {
    "seed": "70/15/15, stratified by class, by the split seed",
    "holdout": "a share held out as val, stratified by class, by the split seed",
}
_VAL_ROLES: Final = {
    "best": "the epoch was selected on it",
    "last": "measured after each epoch; no epoch was selected on it",
}


def describe_preprocessing(stats: PixelStats) -> Json:
    """Describe the network's input, for JSON."""
    return {
        "shape": [48, 48, 1],
        "dtype": "uint8",
        "range": "whole gray levels, 0 black to 255 white",
        "mean": stats.mean,
        "std": stats.std,
        "rule": "(gray level - mean) / std; predict does it: give it the gray levels",
        "crop": (
            "as in FER2013: an upright face in the middle that fills the square from the forehead to the "
            "chin, with little around it; turn colours to gray (luma, as PIL's convert('L')), then shrink to "
            "48 × 48 with smoothing. A face box that is off by a few pixels costs accuracy. `contract` makes "
            "the crop from the box of a face, as `fer_jax.analyze` does."
        ),
        "contract": asdict(CONTRACT) | {"gray": list(CONTRACT.gray)},
        "detector": dict(DETECTORS["yunet"]),
    }


def public_config(config: Config) -> Json:
    """Turn a config into JSON for publication: paths are reduced to file names."""
    fields = to_json(config)
    for section, name in (field.split(".") for field in FILES):
        named = fields[section][name]
        if isinstance(named, list):
            fields[section][name] = [Path(each).name for each in named]
        elif named is not None:
            fields[section][name] = Path(named).name
    return fields


def describe_training(run: RunRecord, config: Config, checkpoint: Json) -> Json:
    """Describe how a finished run trained the weights, for JSON: no path of this machine is in it.

    `checkpoint` is their `name` and `step`.
    """
    kind = kind_of_data(run, config)
    terms = _list_terms(kind, config.labels.source)
    if run.ancestor is not None:
        terms += [each for each in _list_inherited(run.ancestor) if each not in " ".join(terms)]
    protocol = config.split.protocol
    rules = _RULES | (_OWN_RULES if kind == "own" else {})
    split = asdict(run.split)
    if run.split.dropped is not None:
        split["dropped"] = run.split.dropped | {"list": Path(run.split.dropped["list"]).name}
    return {
        "data": run.data.contents,
        "data_sha256": run.data.sha256,
        "labels": _describe_labels(kind, config),
        "terms": " ".join(terms),
        "split": {"protocol": protocol, "rule": rules[protocol], **split},
        "selection": {"rule": run.selection, "epoch": run.measured_epoch, "checkpoint": checkpoint},
        "teachers": run.teachers,
        "ancestor": run.ancestor,
        "epochs": config.train.total_epochs,
        "seeds": {"train": config.train.seed, "split": config.split.seed},
        "seconds": run.seconds_total,
        "finished": run.finished,
        "machine": run.machine,
        "device": run.device,
        "versions": run.versions,
        "git": run.git,
    }


def _describe_labels(of_data: str, config: Config) -> str:
    if config.labels.source == "ferplus":
        return f"FER+, {config.labels.mode}"
    return "own labels" if of_data == "own" else "FER2013"


def list_limits(run: RunRecord, config: Config) -> tuple[str, ...]:
    """List what the weights of a run cannot do, for a card."""
    return LIMITS_OWN if kind_of_data(run, config) == "own" else LIMITS


def _list_terms(of_data: str, labels: str) -> list[str]:
    """List the terms of the data of a run, "fer2013", "own" or "synthetic", and of its labels."""
    return [_TERMS[of_data], *([TERMS_FERPLUS] if labels == "ferplus" else [])]


def _list_inherited(ancestor: Json) -> list[str]:
    """List the terms of the data of an ancestor, and of its own ancestors, see `RunRecord.ancestor`."""
    training = ancestor["training"]
    if training["terms"] is not None:  # A card's, which has those of its ancestors.
        return [training["terms"]]
    own, older = _list_terms(training["kind"], training["labels"]), training["ancestor"]
    return own if older is None else [*own, *_list_inherited(older)]


def name_teachers(teachers: Json | None) -> list[str]:
    """List the runs that taught a run; `teachers` is from its record, or from a card's `training`."""
    return [run["run"] for run in teachers["runs"]] if teachers else []


def are_teachers_selected(teachers: Json | None) -> bool:
    """Whether one of the teachers had its epoch selected on the validation part; see `name_teachers`."""
    return teachers is not None and any(run.get("select") == "best" for run in teachers["runs"])


def is_ancestor_selected(ancestor: Json | None, data_sha256: str, protocol: str) -> bool:
    """Whether the epoch of an ancestor, or of one of its own, was selected on a validation part.

    Args:
        ancestor: from a run's record, see `RunRecord.ancestor`.
        data_sha256: of the data that it is a part of.
        protocol: by which that was split.
    """
    if ancestor is None:
        return False
    training = ancestor["training"]
    # By the official protocol it is PublicTest, whatever else the data has.
    is_same_data = protocol == "official" or training.get("data_sha256") == data_sha256
    is_same = is_same_data and training["split"]["protocol"] == protocol
    is_selected = ancestor.get("select") == "best" and is_same
    return is_selected or is_ancestor_selected(training.get("ancestor"), data_sha256, protocol)


def role_of(part: str, config: Config, record: RunRecord) -> str:
    """Describe what a run used a part, or a usage, for: how much its accuracy is worth depends on it."""
    if part == "train":
        return "trained on"
    is_val = part == "val" or (part == "PublicTest" and config.split.protocol == "official")
    if not is_val:
        return "held back from training and selection"
    of_teachers = "; its teachers' epochs were" if are_teachers_selected(record.teachers) else ""
    is_selected = is_ancestor_selected(record.ancestor, record.data.sha256, config.split.protocol)
    is_own = config.train.select == "best" and not of_teachers
    of_ancestor = (", and so was its ancestor's" if is_own else "; its ancestor's epoch was") * is_selected
    return _VAL_ROLES[config.train.select] + of_teachers + of_ancestor
