"""The records of a run's epochs, not all of which are measured, and what is said of the best."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from fer_jax.files import Json
from fer_jax.text import percent

Record = TypeVar("Record", bound=Mapping[str, Any])


def keep_measured(history: Iterable[Record]) -> list[Record]:
    """Keep the records of the epochs after which train and val were measured.

    Args:
        history: one record per epoch, as in `log.jsonl`.

    >>> keep_measured([{"epoch": 1, "objective": 1.9}, {"epoch": 2, "objective": 1.8, "val_accuracy": 0.3}])
    [{'epoch': 2, 'objective': 1.8, 'val_accuracy': 0.3}]
    """
    return [record for record in history if "val_accuracy" in record]


def best_epoch_note(history: Sequence[Json], *, measured_epoch: int, is_selected: bool) -> str:
    """Compare the reported epoch with the best one on val.

    An accuracy on val is optimistic only if the epoch was chosen for it.

    Args:
        history: one record per epoch, of which the last and the reported one are measured.
        measured_epoch: the epoch whose weights are the result.
        is_selected: whether it was chosen for its val accuracy.
    """
    accuracies = {record["epoch"]: record["val_accuracy"] for record in keep_measured(history)}
    last, best = history[-1]["epoch"], max(accuracies, key=lambda epoch: accuracies[epoch])
    if is_selected:
        note = "It was chosen for its val accuracy, which is therefore optimistic"
        others = (
            f"; the last epoch has {percent(accuracies[last], digits=2)}" if measured_epoch != last else ""
        )
        return f"{note}{others}."
    # Several epochs may be as good as the best.
    if accuracies[measured_epoch] == accuracies[best]:
        return no_better_note(history)
    those = "" if len(accuracies) == len(history) else " of the measured epochs"
    return (
        f"Epoch {best} has the highest val accuracy{those}, {percent(accuracies[best], digits=2)}. It is not "
        "reported: chosen on the images that it is measured on, it would be optimistic."
    )


def no_better_note(history: Sequence[Json]) -> str:
    """Say that the reported epoch is the best one on val, of those that were measured."""
    epoch = "epoch" if len(keep_measured(history)) == len(history) else "measured epoch"
    return f"No other {epoch} has a higher val accuracy."
