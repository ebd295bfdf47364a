"""A bank: a file with the answers of teachers to stored views of training images.

It is a safetensors file, float16 and hashes, and holds no code, no image and no weights. With it a run learns
from teachers that it does not have, such as large networks that answered on a GPU. Its header says who they
are and how the views were drawn.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import LabelSource
from fer_jax.config.files import from_json
from fer_jax.config.model import find_name_fault, unify_name
from fer_jax.errors import ConfigError, RunError
from fer_jax.fer2013 import names_of
from fer_jax.files import Json, read_bytes, replacing
from fer_jax.runs import inputs
from fer_jax.strict_json import parse_json

FORMAT: Final = 1

NOT_DRAWN: Final = ("alternate_flip", "repeats")
"""Fields of `augment` that do not decide how a view is drawn."""

_NAME: Final = "fer_jax_bank"
_MOST_BYTES: Final = 2 * 2**30
_MOST_HEADER_BYTES: Final = 2**20
_TENSORS: Final = {"answers": ("float16", 3), "images": ("uint64", 1), "seen": ("uint64", 1)}
_SMALLEST: Final = float(np.finfo(np.float16).min)


@dataclass(frozen=True, eq=False)
class Bank:
    """What teachers say about V views of n images.

    Attributes:
        answers: float16 [V, n, C], see `to_answers`.
        images: uint64 [n], hashes of the images, see `Examples.hashes`.
        seen: uint64, hashes of the images that a teacher was trained on.
        augment: how the views were drawn, see `images.stored_views`.
        names: of the C classes.
        labels: what the teachers were trained on; "ferplus" if one of them was trained on FER+'s votes.
        teachers: `sha256` of their weights and `runs`, who they are, as in `run.json`.
        made: where the teachers answered, and in which precision.
    """

    answers: np.ndarray
    images: np.ndarray
    seen: np.ndarray
    augment: AugmentConfig
    names: tuple[str, ...]
    labels: LabelSource
    teachers: Json
    made: Json


def to_answers(logits: np.ndarray) -> np.ndarray:
    """Turn logits float64 [N, C] into float16: less the largest of each row, which changes no probability.

    Logits leave the temperature open, which probabilities would not. Less the largest, those that matter are
    near 0, where float16 is precise.

    >>> to_answers(np.array([[3.0, 1.0, -1e6]])).tolist()
    [[0.0, -2.0, -65504.0]]
    """
    below = logits - logits.max(axis=1, keepdims=True)
    return np.maximum(below, _SMALLEST).astype(np.float16)


def describe_drawing(config: AugmentConfig) -> Json:
    """Describe how views are drawn, for JSON."""
    return {name: value for name, value in asdict(config).items() if name not in NOT_DRAWN}


def list_differences(bank: AugmentConfig, config: AugmentConfig) -> list[str]:
    """List in words what is drawn otherwise in a bank than a config says."""
    ours, its = describe_drawing(config), describe_drawing(bank)
    return [
        f"augment.{each.name} {its[each.name]} (the config says {ours[each.name]})"
        for each in fields(AugmentConfig)
        if each.name in its and its[each.name] != ours[each.name]
    ]


def write(path: Path, bank: Bank) -> None:
    """Write a bank, atomically.

    Raises:
        DiskError: the disk is full, read-only or broken.
    """
    header = {
        "format": FORMAT,
        "teachers": bank.teachers,
        "classes": list(bank.names),
        "labels": bank.labels,
        "augment": describe_drawing(bank.augment),
        "made": bank.made,
    }
    tensors = {name: np.ascontiguousarray(getattr(bank, name)) for name in _TENSORS}
    content = safetensors.numpy.save(tensors, {_NAME: json.dumps(header)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read(path: Path) -> tuple[Bank, str]:
    """Read a bank, and the SHA-256 of its file, hex.

    Raises:
        RunError: it is missing, damaged, or no bank.
    """
    inputs.check_bank(path)
    try:
        content = read_bytes(path, at_most=_MOST_BYTES)
        header = _read_header(content)
        tensors = safetensors.numpy.load(content)
        bank = _build(header, tensors, where=str(path))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, ConfigError) as error:
        # ValueError: no JSON, or another shape. KeyError: a type that NumPy lacks.
        raise RunError(
            f"distill.bank: {path} is damaged, or no bank that this fer_jax reads: {error}; "
            "copy it again, or make it again"
        ) from None
    return bank, hashlib.sha256(content).hexdigest()


def _read_header(content: bytes) -> Any:
    """Read the bank's own entry of the header of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    if not 8 < size <= _MOST_HEADER_BYTES:
        raise ValueError(f"its header has {size:,} bytes, wanted at most {_MOST_HEADER_BYTES:,}")
    header = parse_json(content[8 : 8 + size])
    about = header.get("__metadata__") if isinstance(header, dict) else None
    entry = about.get(_NAME) if isinstance(about, dict) else None
    if not isinstance(entry, str):
        raise ValueError("its header does not say that it is a bank")
    return parse_json(entry)


def _build(header: Any, tensors: dict[str, np.ndarray], *, where: str) -> Bank:
    version = header.get("format") if isinstance(header, dict) else None
    if type(version) is not int or version != FORMAT:
        raise ValueError(f"its format is {version!r}, wanted {FORMAT}")
    for name, (dtype, dimensions) in _TENSORS.items():
        array = tensors.get(name)
        if array is None or array.dtype != dtype or array.ndim != dimensions:
            came = "absent" if array is None else f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"{name} is {came}, wanted {dtype} in {dimensions} dimensions")
    answers, images = tensors["answers"], tensors["images"]
    if answers.shape[1] != len(images) or not answers.size or not np.isfinite(answers).all():
        raise ValueError(f"answers {list(answers.shape)} are not finite, or not of {len(images):,} images")
    if header["labels"] not in get_args(LabelSource):
        raise ValueError(f"its labels are {header['labels']!r}")
    teachers = header["teachers"]
    runs = [each["run"] for each in teachers["runs"]]
    # The names are shown.
    if not runs or not all(isinstance(name, str) and name.isprintable() for name in runs):
        raise ValueError("it does not say who the teachers are")
    names = header.get("classes", list(names_of(answers.shape[2])))
    if not isinstance(names, list) or find_name_fault(names) or len(names) != answers.shape[2]:
        raise ValueError(f"it does not name the {answers.shape[2]} classes of its answers")
    return Bank(
        answers=answers,
        images=images,
        seen=tensors["seen"],
        augment=from_json(AugmentConfig, header["augment"], where=where),
        names=tuple(map(unify_name, names)),
        labels=header["labels"],
        teachers=teachers,
        made=header["made"],
    )
