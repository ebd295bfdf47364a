"""The table of the long ablation."""

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.accuracy.long_ablation.ingredients import COMPARED, MATCHED, VIEWS
from benchmarks.accuracy.long_ablation.paired import from_text, measure_gain
from fer_jax.images.view_choice import ViewChoice
from fer_jax.text import Table, mean_and_spread, to_markdown


@dataclass(frozen=True, eq=False)
class _Measured:
    """A row of the JSON, and which of N images its K seeds get right in each choice of views, bool [K, N]."""

    row: dict[str, Any]
    right: dict[ViewChoice, np.ndarray]


def table(results: dict[str, Any]) -> str:
    """Return the table: a row for each ingredient, in the order of their gains without copies."""
    total = results["images"]["total"]
    is_new = ~from_text([results["images"]["copies"]], total)[0]
    base, *others = [
        _Measured(row, {choice: from_text(row["right"][choice], total) for choice in VIEWS})
        for row in results["results"]
    ]

    def measure(one: _Measured) -> tuple[float, float]:
        return measure_gain(base.right[COMPARED][:, is_new], one.right[COMPARED][:, is_new])

    others.sort(key=lambda one: -measure(one)[0])
    rows: Table = [
        [
            "change",
            "train",
            *VIEWS,
            "gain",
            f"{COMPARED}, without copies",
            "gain, without copies",
            f"gain of {MATCHED}, without copies",
            "time per epoch",
        ]
    ]
    for one in (base, *others):
        train = one.row["train"]
        rows.append(
            [
                one.row["change"],
                mean_and_spread([100 * each / train["total"] for each in train["correct"]]),
                *(_in_percent(one.right[choice]) for choice in VIEWS),
                "" if one is base else _write(measure_gain(base.right[COMPARED], one.right[COMPARED])),
                _in_percent(one.right[COMPARED][:, is_new]),
                "" if one is base else _write(measure(one)),
                _write(measure_gain(one.right[COMPARED][:, is_new], one.right[MATCHED][:, is_new])),
                _compare_time(base.row, one.row),
            ]
        )
    machines = sorted({one.row["machine"] for one in (base, *others)})
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy in percent on {results['settings']['part']}, mean ± standard deviation over "
        f"{len(base.row['seeds'])} seeds, after the last of {base.row['epochs']} epochs on all Training "
        f"images. Without copies: on the {is_new.sum():,} of the {total:,} images that are no exact copies "
        f"of training images. Gain: points over the base with the same seeds, with {COMPARED} TTA, ± its "
        f"standard error over the images; gain of {MATCHED}: over {COMPARED}, with the same weights. Time "
        "per epoch: relative to the base on the same machine with the same versions; approximate, because "
        f"several trainings ran at once. {'; '.join(machines)}."
    )


def _in_percent(right: np.ndarray) -> str:
    """Write the accuracy of K seeds, bool [K, N]."""
    return mean_and_spread((100 * right.mean(axis=1)).tolist())


def _write(gain: tuple[float, float]) -> str:
    mean, error = gain
    return f"{mean:+.2f} ± {error:.2f}"


def _compare_time(base: dict[str, Any], row: dict[str, Any]) -> str:
    """Write the time of an epoch relative to the base's; times of two machines are not compared."""
    if any(row[place] != base[place] for place in ("machine", "versions")):
        return "–"
    return f"{statistics.mean(row['seconds_per_epoch']) / statistics.mean(base['seconds_per_epoch']):.2f} ×"
