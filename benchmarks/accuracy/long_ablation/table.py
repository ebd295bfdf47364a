"""The table of the long ablation."""

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.accuracy.long_ablation.ingredients import COMPARED, INGREDIENTS, MATCHED, VIEWS
from benchmarks.accuracy.long_ablation.paired import measure_gain
from fer_jax.text import Table, mean_and_spread, to_markdown


def table(results: dict[str, Any]) -> str:
    """Return the table: a row for each ingredient, in the order of their gains without copies."""
    first, *others = results["results"]
    others.sort(key=lambda row: -measure_gain(row["copy_free"]["moved"])[0])
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
    for row in (first, *others):
        every, new = row["all"], row["copy_free"]
        seconds = statistics.mean(row["seconds_per_epoch"]) / statistics.mean(first["seconds_per_epoch"])
        rows.append(
            [
                INGREDIENTS.get(row["name"], (row["change"],))[0],
                _in_percent(row["train"]["correct"], row["train"]["total"]),
                *(_in_percent(every["correct"][choice], every["total"]) for choice in VIEWS),
                "" if row is first else _write_gain(every["moved"]),
                _in_percent(new["correct"][COMPARED], new["total"]),
                "" if row is first else _write_gain(new["moved"]),
                _write_gain(new["moved_by_views"]),
                f"{seconds:.2f} ×",
            ]
        )
    every, new = first["all"], first["copy_free"]
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy in percent on {results['settings']['part']}, mean ± standard deviation over "
        f"{len(results['seeds'])} seeds, after the last of {first['epochs']} epochs on all Training images. "
        f"Without copies: on the {new['total']:,} of the {every['total']:,} images that are no exact copies "
        f"of training images. Gain: points over the base with the same seeds, with {COMPARED} TTA, ± its "
        f"standard error over the images; gain of {MATCHED}: over {COMPARED}, with the same weights. Time "
        "per epoch: relative to the base; approximate, because several trainings ran at once. "
        f"{results['machine']}."
    )


def _in_percent(correct: Sequence[int], total: int) -> str:
    return mean_and_spread([100 * each / total for each in correct])


def _write_gain(moved: Sequence[int]) -> str:
    mean, error = measure_gain(moved)
    return f"{mean:+.2f} ± {error:.2f}"
