"""What a diagnosis looks at: the config, curves and metrics of a run, and the thresholds of the rules.

Accuracies are ratios (0..1), losses in nats.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from fer_jax.config.run import Config
from fer_jax.diagnose import advice
from fer_jax.files import Json
from fer_jax.metrics.history import keep_measured
from fer_jax.metrics.scores import list_names
from fer_jax.text import counted

HUMAN_ACCURACY: Final = 0.717
"""One FER+ annotator against the other nine: the mean of 70.2 % on PrivateTest and 73.3 % on PublicTest."""
LINE_EPOCHS: Final = 10
"""Number of last epochs in the linear fit of the objective."""
END_EPOCHS: Final = 4
"""Number of last epochs in which a run's end is seen; fewer are too few for a line."""
MIN_VAL_IMAGES: Final = 100
"""Of fewer an accuracy has a standard error of up to 5 points, the gap that is called small."""
MIN_RARE_IMAGES: Final = 10
"""Of fewer a recall has a standard error of up to 16 points."""


class Threshold(NamedTuple):
    """A threshold and the reason for its value."""

    value: float
    why: str


THRESHOLDS: Final = {
    "still_moving": Threshold(
        0.10, "range of val accuracy over the last four epochs, as much as the gap that is called large"
    ),
    "large_bias": Threshold(
        0.20, "train below one human annotator (71.7 %); the notebook calls 47 % large and 56 % acceptable"
    ),
    "large_gap": Threshold(0.10, "train − val; twice the 5 points that the notebook calls acceptable"),
    "small_gap": Threshold(0.05, "train − val; the 5 points that the notebook calls acceptable"),
    "variance_share": Threshold(1 / 3, "net variance of the 0-1 loss over the error, if it was measured"),
    "collapse": Threshold(
        0.05,
        "train above the frequency of the most frequent class, the best constant answer (or half of the "
        "remaining share, if that is less)",
    ),
    "collapse_nats": Threshold(
        0.05, "train loss below that of the class frequencies (or half of that loss, if that is less)"
    ),
    "linearity": Threshold(
        0.98, "R² of a line through the objective; it is lower for a curve that levels off"
    ),
    "fall": Threshold(0.02, "nats per epoch, one hundredth of ln 7: a fall that is worth another epoch"),
    "val_rise": Threshold(0.05, "nats of val loss above its minimum; more than the noise between epochs"),
    "val_fall": Threshold(
        0.01, "nats of val loss per epoch over the last epochs, and distance from its minimum"
    ),
    "poor_features": Threshold(0.10, "val below one human annotator (71.7 %)"),
    "rarity": Threshold(3.0, "training images of the most frequent class per image of the rarest"),
    "recall_ratio": Threshold(1 / 3, "recall of the rarest class over that of the most frequent class"),
}
"""Name -> threshold: everything in the rules that is a matter of choice."""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at.

    Attributes:
        config: of the run.
        history: one record per epoch, at least one, as in `log.jsonl`.
        train_accuracy: of the selected weights, without augmentation.
        val_accuracy: the same on the validation images.
        counts: validation images of each class.
        train_counts: the same of the training images, at least one in all.
        names: of the classes.
        recalls: validation recall of each class; None for a class without images.
        decomposition: the JSON of `bias_variance` for this config, or None.
        is_synthetic: whether the faces are drawn ones.
    """

    config: Config
    history: list[Json]
    train_accuracy: float
    val_accuracy: float
    counts: tuple[int, ...]
    train_counts: tuple[int, ...]
    names: tuple[str, ...]
    recalls: tuple[float | None, ...]
    decomposition: Json | None
    is_synthetic: bool = False

    @property
    def gap(self) -> float:
        """Train − val accuracy."""
        return self.train_accuracy - self.val_accuracy

    @property
    def below_human(self) -> float:
        """How far train is below one human annotator."""
        return HUMAN_ACCURACY - self.train_accuracy

    @property
    def is_biased(self) -> bool:
        """Whether train is far below what people reach."""
        return self.below_human >= THRESHOLDS["large_bias"].value

    @property
    def has_variance(self) -> bool:
        """Whether the gap is large, or more than small and the measured variance large."""
        share, is_some = self.share_of_error("variance"), self.gap >= THRESHOLDS["small_gap"].value
        is_measured = share is not None and share >= THRESHOLDS["variance_share"].value
        return self.gap >= THRESHOLDS["large_gap"].value or (is_some and is_measured)

    @property
    def is_acceptable(self) -> bool:
        """Whether neither bias nor variance is large."""
        return not self.is_biased and not self.has_variance

    @property
    def is_over_regularised(self) -> bool:
        """Whether train is low, the gap small, and the config has regularisation to reduce."""
        is_level = self.gap < THRESHOLDS["small_gap"].value
        return self.is_biased and is_level and bool(advice.release(self.config))

    @property
    def shares(self) -> np.ndarray:
        """Frequency of each class in the training images, float64 [C]."""
        return np.array(self.train_counts) / sum(self.train_counts)

    @property
    def rarest(self) -> int:
        """Index of the class with the fewest training images, of those that have any."""
        return min(np.flatnonzero(self.train_counts).tolist(), key=lambda k: self.train_counts[k])

    @property
    def most_frequent(self) -> int:
        """Index of the class with the most training images."""
        return int(np.argmax(self.train_counts))

    @property
    def share_loss(self) -> float:
        """Loss of the training images, in nats, if their class frequencies are always predicted."""
        present = self.shares[self.shares > 0]
        return float(-(present * np.log(present)).sum())

    @property
    def measured(self) -> list[Json]:
        """The records of the epochs that were measured on train and val, at least one."""
        return keep_measured(self.history)

    @property
    def train_loss(self) -> float:
        """Cross-entropy of the training images after the last epoch, in nats."""
        return float(self.measured[-1]["train_loss"])

    @property
    def has_collapsed(self) -> bool:
        """Whether the network knows little more than the class frequencies, and is not improving."""
        # Where nearly all images are of one class, no network could be far above it.
        least = min(THRESHOLDS["collapse"].value, (1 - self.shares.max()) / 2)
        least_nats = min(THRESHOLDS["collapse_nats"].value, self.share_loss / 2)
        is_frequent = self.train_accuracy - self.shares.max() < least
        has_no_idea = self.share_loss - self.train_loss < least_nats
        # A loss that still falls steadily is slow; a lower learning rate would make it slower.
        return bool(is_frequent or has_no_idea) and not self.falls_linearly

    @property
    def line(self) -> tuple[float, float, int]:
        """Line through the last objectives: slope (nats per epoch), R², and number of epochs."""
        objective = self.values("objective")[-LINE_EPOCHS:]
        return *fit_line(objective, np.arange(len(objective))), len(objective)

    @property
    def falls_linearly(self) -> bool:
        """Whether the objective falls linearly up to the end."""
        slope, linearity, epochs = self.line
        is_straight = linearity >= THRESHOLDS["linearity"].value and -slope >= THRESHOLDS["fall"].value
        return epochs >= END_EPOCHS and is_straight

    @property
    def end(self) -> np.ndarray:
        """Val accuracy of the last measured epochs, float64 [up to END_EPOCHS]."""
        return self.values("val_accuracy")[-END_EPOCHS:]

    @property
    def is_moving(self) -> bool:
        """Whether val accuracy still changes much from one measured epoch to the next, up or down."""
        return float(np.ptp(self.end)) >= THRESHOLDS["still_moving"].value

    def share_of_error(self, part: str) -> float | None:
        """Return the measured `bias` or (net) `variance` of the 0-1 loss over the error, or None."""
        if self.decomposition is None:
            return None
        parts = self.decomposition["losses"]["zero_one"]
        return float(parts[part] / parts["loss"]) if parts["loss"] else 0.0

    def values(self, name: str) -> np.ndarray:
        """Return one metric of all epochs, or of all that were measured, float64 [epochs]."""
        return np.array([record[name] for record in self.history if name in record], np.float64)

    def count_measured(self, number: int) -> str:
        """Write a number of measured epochs; where each epoch was measured, they are just epochs."""
        return counted(number, "epoch" if len(self.measured) == len(self.history) else "measured epoch")


def gather(
    config: Config,
    history: list[Json],
    metrics: Json,
    decomposition: Json | None,
    *,
    is_synthetic: bool,
) -> Evidence:
    """Gather the evidence from the files of a run.

    Args:
        config: of the run.
        history: the records of `log.jsonl`, at least one.
        metrics: content of `metrics.json`: what `metrics.scores.summarise` returns for `train` and `val`.
        decomposition: the JSON of `bias_variance`, or None.
        is_synthetic: whether the faces are drawn ones.
    """
    per_class = metrics["val"]["per_class"]
    return Evidence(
        config=config,
        history=history,
        train_accuracy=metrics["train"]["accuracy"],
        val_accuracy=metrics["val"]["accuracy"],
        counts=tuple(row["count"] for row in per_class),
        train_counts=tuple(row["count"] for row in metrics["train"]["per_class"]),
        names=list_names(metrics["val"]),
        recalls=tuple(row["recall"] for row in per_class),
        decomposition=decomposition,
        is_synthetic=is_synthetic,
    )


def fit_line(values: np.ndarray, places: np.ndarray) -> tuple[float, float]:
    """Fit a line to values by least squares.

    Args:
        values: float64 [N], N >= 1.
        places: float64 [N], where they are.

    Returns:
        Slope and R²; both are 0 if all values are equal.

    >>> fit_line(np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    (-0.5, 0.25)
    """
    deviations = values - values.mean()
    total = float((deviations**2).sum())
    if not total:
        return 0.0, 0.0
    places = places - places.mean()
    slope = float((places * deviations).sum() / (places**2).sum())
    return slope, slope**2 * float((places**2).sum()) / total
