"""Runs as pandas tables: their logs, their final metrics and their evaluations, one row a record.

Every table begins with the columns `run` (the folder's name), `name` (the config's) and `seed`. Accuracies
are ratios, 0 to 1; losses are in nats. pandas is imported inside the functions, so that `import fer_jax`
stays quick.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fer_jax.files import Json, read_json, read_json_lines, reading
from fer_jax.runs import location, record

if TYPE_CHECKING:
    import pandas as pd

Runs = str | Path | Sequence[str | Path]
"""A run's folder, a list of them, or a folder that holds runs."""

_SCORES: Final = (
    "correct",
    "total",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "loss",
    "balanced_accuracy",
    "macro_f1",
)


def read_log(runs: Runs) -> "pd.DataFrame":
    """Read the logs: one row an epoch.

    Returns:
        `run`, `name`, `seed`, then what `log.jsonl` holds: `epoch` (from 1), `step`, `rate` (the learning
        rate), `objective`, `train_loss`, `train_accuracy`, `val_loss`, `val_accuracy`, `is_best`, `seconds`
        (of the epoch), `images_per_second`. Losses and accuracies are NaN where they were not measured.

    Raises:
        RunError: there is no such run, or its log is missing or damaged.
    """
    return _make_table(runs, lambda folder: read_json_lines(folder / "log.jsonl"))


def read_metrics(runs: Runs) -> "pd.DataFrame":
    """Read the final metrics of the selected weights: one row a run and part.

    Returns:
        `run`, `name`, `seed`, `part` ("train", "val", "test"), `correct`, `total`, `accuracy` with the ends
        `accuracy_low` and `accuracy_high` of its 95 % interval (Wilson), `loss`, `balanced_accuracy`,
        `macro_f1`, and for each class `recall_CLASS`.

    Raises:
        RunError: there is no such run, or it is not finished.
    """
    return _make_table(runs, _list_parts)


def read_evaluations(runs: Runs) -> "pd.DataFrame":
    """Read what `python -m fer_jax.evaluate` has written into the runs' folders: one row a file.

    Returns:
        `run`, `name`, `seed`, `part`, `labels` ("fer2013" or "ferplus"), `views` (how many), the columns of
        `read_metrics` from `correct` on, `copy_free_correct` and `copy_free_total` (the same without exact
        copies of training images; NaN where these are not known, or no other image is left),
        `top2_accuracy`, `ece` (expected calibration error, a ratio) and `temperature` (NaN where none was
        fitted). Without any evaluation the table is empty.

    Raises:
        RunError: there is no such run, or a file is damaged.
    """
    return _make_table(runs, _list_evaluations)


def _make_table(runs: Runs, list_rows: Callable[[Path], Sequence[Json] | Iterator[Json]]) -> "pd.DataFrame":
    import pandas as pd

    paths = [runs] if isinstance(runs, str | Path) else runs
    rows: list[Json] = []
    for folder in location.find_folders([Path(path) for path in paths]):
        name, seed = record.read_config(folder).name, record.read_record(folder).seed
        rows += [{"run": folder.name, "name": name, "seed": seed, **row} for row in list_rows(folder)]
    return pd.DataFrame(rows)


def _list_parts(folder: Path) -> Iterator[Json]:
    path = folder / "metrics.json"
    content = read_json(path)
    with reading(path):
        yield from [{"part": part, **_list_scores(metrics)} for part, metrics in content.items()]


def _list_evaluations(folder: Path) -> Iterator[Json]:
    for path in sorted(folder.glob("evaluate_*.json")):
        evaluation = read_json(path)
        with reading(path):
            if "per_class" in evaluation:  # Not the record of the drawn images, `evaluate_PART_faces.json`.
                yield _list_evaluation(evaluation)


def _list_evaluation(evaluation: Json) -> Json:
    calibration = evaluation["calibration"]
    temperature = calibration["temperature"]
    without = evaluation.get("copy_free") or {}
    return {
        "part": evaluation["split"],
        "labels": evaluation.get("labels", "fer2013"),
        "views": len(evaluation.get("views", ["identity"])),
        **_list_scores(evaluation),
        **{f"copy_free_{name}": without.get(name, math.nan) for name in ("correct", "total")},
        "top2_accuracy": evaluation["top2_accuracy"],
        "ece": calibration["ece"],
        "temperature": math.nan if temperature is None else temperature,
    }


def _list_scores(metrics: Json) -> Json:
    """List the scores of a part, and the recall of each class."""
    recalls = {f"recall_{each['label']}": each["recall"] for each in metrics["per_class"]}
    return {name: metrics[name] for name in _SCORES if name in metrics} | recalls
