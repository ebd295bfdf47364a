"""The student's notebook that the seven runs rebuild: what each run changed, and its accuracies."""

from typing import Final

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
