"""What a run's folder says was measured: its files of figures, read with every field that is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dacite

from fer_jax.errors import RunError
from fer_jax.files import Json, read_json, read_json_lines
from fer_jax.strict_json import NUMBER_HOOKS


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
        classes = len(self.per_class)
        if {len(self.confusion), *map(len, self.confusion)} != {classes}:
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
