"""The records of a run's epochs; `train.measure_epochs` says how many were measured on train and val."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Record = TypeVar("Record", bound=Mapping[str, Any])


def keep_measured(history: Iterable[Record]) -> list[Record]:
    """Keep the records of the epochs after which train and val were measured.

    Args:
        history: one record per epoch, as in `log.jsonl`.

    >>> keep_measured([{"epoch": 1, "objective": 1.9}, {"epoch": 2, "objective": 1.8, "val_accuracy": 0.3}])
    [{'epoch': 2, 'objective': 1.8, 'val_accuracy': 0.3}]
    """
    return [record for record in history if "val_accuracy" in record]
