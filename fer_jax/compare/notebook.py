"""The student's notebook that the seven runs rebuild: what each run changed, and its accuracies."""

from typing import Final

from fer_jax import fer2013
from fer_jax.compare.entries import Entry, SeedRun
from fer_jax.config.changes import method
from fer_jax.config.files import load_config

NOTEBOOK: Final[dict[str, tuple[str, dict[str, str | None]]]] = {
    "run1": ("one convolution, no batch norm", {"train": "47", "val": None, "test": "40"}),
    "run2": ("three convolutions, batch norm", {"train": "99", "val": "47", "test": None}),
    "run3": (
        "higher learning rate, dropout 0.5 after every ReLU",
        {"train": "30", "val": "30", "test": None},
    ),
    "run4": ("less dropout, pooling", {"train": "≈ 56", "val": "≤ 51", "test": None}),
    "run5": ("still less dropout, L2", {"train": "≈ 56", "val": "≤ 51", "test": None}),
    "run6": ("augmentation on top", {"train": "46", "val": None, "test": "46"}),
    "run7": ("less dropout, label smoothing, class weights", {"train": None, "val": None, "test": None}),
}
"""Name of the config -> what the run changed, and the accuracies in the notebook, in percent."""


def name_of(entry: Entry) -> str | None:
    """Find the notebook's run that an entry rebuilds; None if it is another experiment.

    The notebook's figures are shown beside a run only if nothing but the seed differs from the run that
    rebuilds it: the config is the one of the ladder, unchanged, so that it has the same number of epochs and
    the same 70/15/15 split, and the data are Kaggle's 28,709 Training rows, by their number in each class.
    """
    name = entry.config.name
    if name not in NOTEBOOK or method(load_config(name)) != method(entry.config):
        return None
    return name if all(map(_has_kaggles_data, entry.seeds)) else None


def _has_kaggles_data(run: SeedRun) -> bool:
    if run.record.data.is_synthetic:
        return False
    by_part = [[each["count"] for each in figures["per_class"]] for figures in run.metrics.values()]
    return tuple(map(sum, zip(*by_part, strict=True))) == fer2013.CLASS_COUNTS["Training"]
