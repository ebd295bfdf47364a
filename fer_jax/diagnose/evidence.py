"""What a diagnosis looks at, a run's config, curves and figures, and the thresholds that decide.

Accuracies are ratios (0..1), losses in nats.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from fer_jax.config.run import Config
from fer_jax.diagnose import advice
from fer_jax.files import Json

HUMAN_ACCURACY: Final = 0.717
"""One FER+ annotator against the other nine: 70.2 % on PrivateTest, 73.3 % on PublicTest; their mean."""
LINE_EPOCHS: Final = 10
"""Last epochs through whose objective a line is laid."""
END_EPOCHS: Final = 4
"""Last epochs over which the val loss must fall for a run to be unfinished; fewer make no line."""


class Threshold(NamedTuple):
    """A number that decides, and why it is this one."""

    value: float
    why: str


THRESHOLDS: Final = {
    "large_bias": Threshold(
        0.20, "train below one human annotator (71.7 %); the notebook calls 47 % large, 56 % acceptable"
    ),
    "large_gap": Threshold(0.10, "train − val; twice the 5 points that the notebook calls acceptable"),
    "small_gap": Threshold(0.05, "train − val; the 5 points that the notebook calls acceptable"),
    "variance_share": Threshold(1 / 3, "net variance of the 0-1 loss over the error, where it was measured"),
    "collapse": Threshold(0.05, "train above the share of the most frequent class, the best without an idea"),
    "collapse_nats": Threshold(0.05, "train loss below that of the class shares alone"),
    "linearity": Threshold(0.98, "R² of a line through the objective; a curve that levels off has less"),
    "fall": Threshold(0.02, "nats an epoch, one hundredth of ln 7: a fall that is worth another epoch"),
    "val_rise": Threshold(0.05, "nats of val loss above its lowest; epochs differ by less from chance"),
    "val_fall": Threshold(0.01, "nats of val loss an epoch over the last epochs, and as near to its lowest"),
    "poor_features": Threshold(0.10, "val below one human annotator (71.7 %)"),
    "rarity": Threshold(3.0, "images of the most frequent class for one of the rarest"),
    "recall_ratio": Threshold(1 / 3, "recall of the rarest class over that of the most frequent one"),
}
"""Name -> threshold: all that is a matter of choice in the rules."""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at.

    Attributes:
        config: of the run.
        history: one record an epoch, at least one, as in `log.jsonl`.
        train_accuracy: of the run's weights, on un-augmented images.
        val_accuracy: the same on the validation images.
        counts: validation images of each class.
        recalls: validation recall of each class; None without images.
        decomposition: the JSON of `bias_variance` for this config, or None.
    """

    config: Config
    history: list[Json]
    train_accuracy: float
    val_accuracy: float
    counts: tuple[int, ...]
    recalls: tuple[float | None, ...]
    decomposition: Json | None

    @property
    def gap(self) -> float:
        """Train − val accuracy."""
        return self.train_accuracy - self.val_accuracy

    @property
    def below_human(self) -> float:
        """How far train stays below one human annotator."""
        return HUMAN_ACCURACY - self.train_accuracy

    @property
    def is_biased(self) -> bool:
        """Whether train stays far below what people reach."""
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
        """Whether train is low, the gap small, and there is something in the config to loosen."""
        is_level = self.gap < THRESHOLDS["small_gap"].value
        return self.is_biased and is_level and bool(advice.release(self.config))

    @property
    def shares(self) -> np.ndarray:
        """The share of each class in the validation images, float64 [C]."""
        return np.array(self.counts) / sum(self.counts)

    @property
    def share_loss(self) -> float:
        """The loss, in nats, of always answering with the class shares."""
        present = self.shares[self.shares > 0]
        return float(-(present * np.log(present)).sum())

    @property
    def train_loss(self) -> float:
        """Cross-entropy of the training images after the last epoch, in nats."""
        return float(self.history[-1]["train_loss"])

    @property
    def has_collapsed(self) -> bool:
        """Whether the network knows hardly more than how frequent the classes are, and does not get on."""
        is_frequent = self.train_accuracy - self.shares.max() < THRESHOLDS["collapse"].value
        has_no_idea = self.share_loss - self.train_loss < THRESHOLDS["collapse_nats"].value
        # What still falls steadily is slow, and a lower rate would make it slower.
        return bool(is_frequent or has_no_idea) and not self.falls_linearly

    @property
    def line(self) -> tuple[float, float, int]:
        """The line through the last objectives: its slope (nats an epoch), its R², and of how many epochs."""
        objective = self.values("objective")[-LINE_EPOCHS:]
        return *fit_line(objective), len(objective)

    @property
    def falls_linearly(self) -> bool:
        """Whether the objective falls along a straight line to the end."""
        slope, linearity, epochs = self.line
        is_straight = linearity >= THRESHOLDS["linearity"].value and -slope >= THRESHOLDS["fall"].value
        return epochs >= END_EPOCHS and is_straight

    def share_of_error(self, part: str) -> float | None:
        """Take the measured `bias` or (net) `variance` of the 0-1 loss over the error; None: not measured."""
        if self.decomposition is None:
            return None
        parts = self.decomposition["losses"]["zero_one"]
        return float(parts[part] / parts["loss"]) if parts["loss"] else 0.0

    def values(self, name: str) -> np.ndarray:
        """Take one figure of all epochs, float64 [epochs]."""
        return np.array([record[name] for record in self.history], np.float64)


def gather(config: Config, history: list[Json], metrics: Json, decomposition: Json | None) -> Evidence:
    """Take the evidence out of a run's files.

    Args:
        config: of the run.
        history: the records of `log.jsonl`, at least one.
        metrics: the content of `metrics.json`: what `metrics.scores.summarise` gives of `train` and `val`.
        decomposition: the JSON of `bias_variance`, or None.
    """
    per_class = metrics["val"]["per_class"]
    return Evidence(
        config=config,
        history=history,
        train_accuracy=metrics["train"]["accuracy"],
        val_accuracy=metrics["val"]["accuracy"],
        counts=tuple(row["count"] for row in per_class),
        recalls=tuple(row["recall"] for row in per_class),
        decomposition=decomposition,
    )


def fit_line(values: np.ndarray) -> tuple[float, float]:
    """Lay a line through values at places one apart, by least squares.

    Args:
        values: float64 [N], N >= 1.

    Returns:
        Its slope, and R², the share of the values' variance on it; both 0 where all values are the same.

    >>> fit_line(np.array([3.0, 1.0, 2.0]))
    (-0.5, 0.25)
    """
    deviations = values - values.mean()
    total = float((deviations**2).sum())
    if not total:
        return 0.0, 0.0
    places = np.arange(len(values)) - (len(values) - 1) / 2
    slope = float((places * deviations).sum() / (places**2).sum())
    return slope, slope**2 * float((places**2).sum()) / total
