"""Results as JSON: read with every field that is needed, and replaced only by one of the same inputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dacite

from fer_jax.config.files import NUMBER_HOOKS
from fer_jax.errors import RunError
from fer_jax.files import MOST_JSON_BYTES, Json, read_bytes, read_json, read_json_lines
from fer_jax.strict_json import parse_json

_SHOWN_LETTERS: Final = 80


@dataclass(frozen=True)
class _ClassFigures:
    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    count: int


@dataclass(frozen=True)
class _Figures:
    """See `metrics.scores.summarise`."""

    correct: int
    total: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    loss: float
    balanced_accuracy: float
    macro_f1: float
    per_class: list[_ClassFigures]
    confusion: list[list[int]]

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.total or not self.total:
            raise ValueError(f"correct is {self.correct} and total {self.total}")
        count = len(self.per_class)
        if len(self.confusion) != count or any(len(row) != count for row in self.confusion):
            raise ValueError("confusion and per_class are not of the same classes")


@dataclass(frozen=True)
class _Metrics:
    train: _Figures
    val: _Figures
    test: _Figures | None = None


@dataclass(frozen=True)
class _Epoch:
    epoch: int
    objective: float
    rate: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class _MeasuredEpoch(_Epoch):
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


def read_metrics(folder: Path) -> Json:
    """Read `metrics.json` of a finished run.

    Returns:
        Part -> what `metrics.scores.summarise` returns; the parts are `train`, `val` and, if there are test
        images, `test`.

    Raises:
        RunError: it is missing or damaged; the message names the field.
    """
    path = folder / "metrics.json"
    return check_fields(_Metrics, read_json(path), where=str(path))


def read_history(folder: Path) -> list[Json]:
    """Read `log.jsonl`: a record for each epoch.

    Raises:
        RunError: it is missing or damaged; the message names the field.
    """
    path = folder / "log.jsonl"
    history = read_json_lines(path)
    for number, record in enumerate(history, 1):
        kind = _MeasuredEpoch if "val_accuracy" in record else _Epoch
        check_fields(kind, record, where=f"{path}, line {number},")
    return history


def read_figures(path: Path) -> Json:
    """Read what `evaluate` has written about a part: at least what `metrics.scores.summarise` returns.

    Raises:
        RunError: it is missing or damaged; the message names the field.
    """
    return check_fields(_Figures, read_json(path), where=str(path))


def check_fields(kind: type, content: Any, *, where: str) -> Json:
    """Check that JSON has the fields of a dataclass; others are passed over.

    Returns:
        The content as it is.

    Raises:
        RunError: a field is missing or has another type.
    """
    try:
        dacite.from_dict(kind, content, dacite.Config(type_hooks=NUMBER_HOOKS))
    except (dacite.DaciteError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{where} is damaged: {error}; restore it, or make it again") from None
    fields: Json = content
    return fields


def refuse_other(path: Path, inputs: Json, *, may_replace: bool) -> None:
    """Refuse to replace a JSON result that was made from other inputs.

    Nothing is refused where there is no result or only a damaged one.

    Args:
        path: of the result.
        inputs: what the new one is made from, by the name of its field in the result; `data.sha256` is a
            field of a field, `members.run` that of each member. What the old result lacks is not compared.
        may_replace: whether the user gave `--overwrite`.

    Raises:
        RunError: the old result has another value in one of the fields.
    """
    old = read_old(path)
    for name, value in inputs.items():
        found = _look_up(old, name.split("."))
        if found is not None and found != value and not may_replace:
            name, found, value = _narrow(name, found, value)
            raise RunError(
                f"{path} was made from other inputs: its {name} is {_show(found)}, and here it is "
                f"{_show(value)}; move it away, or give --overwrite to replace it"
            )


def read_old(path: Path) -> Any:
    """Read the result that a new one would replace; None where there is none, or only a damaged one."""
    try:
        return parse_json(read_bytes(path, at_most=MOST_JSON_BYTES))
    except (OSError, ValueError):
        return None


def _look_up(content: Any, names: list[str]) -> Any:
    """Find a field of a field; of a list, the field of each entry. None where there is none."""
    if not names:
        return content
    if isinstance(content, list):
        found = [_look_up(each, names) for each in content]
        return None if None in found else found
    return _look_up(content.get(names[0]), names[1:]) if isinstance(content, dict) else None


def _narrow(name: str, found: Any, value: Any) -> tuple[str, Any, Any]:
    """Name the first entry that differs between two objects, with both values; other values stay."""
    if not (isinstance(found, dict) and isinstance(value, dict)):
        return name, found, value
    key = find_first_change(found, value)
    return _narrow(f"{name}.{key}", found.get(key), value.get(key))


def find_first_change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Find the first key whose values differ, or that only one object has; None: they are the same."""
    return next((key for key in sorted({*old, *new}) if old.get(key) != new.get(key)), None)


def _show(value: Any) -> str:
    if value is None:
        return "not set"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]} ..."
