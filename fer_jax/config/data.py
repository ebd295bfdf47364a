"""Sections of a run's config: where the data comes from, by whose labels, and how it is split."""

from dataclasses import dataclass
from typing import Literal

from fer_jax.config.checks import check, check_seed, check_types

BadRow = Literal["stop", "skip"]
"""What a malformed row does: end the load, or be left out and listed."""

LabelSource = Literal["fer2013", "ferplus"]
"""Whose labels: those in FER2013's file, or ten annotators' votes for the same faces."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the faces come from."""

    path: str | None = None
    """Kaggle CSV, .zip or folder of images. Else $FER_JAX_DATA, else data/, else synthetic faces."""
    source: Literal["auto", "kaggle", "tfds", "synthetic"] = "auto"
    """auto: a file if one is found, else synthetic; kaggle: a file or nothing; tfds: a file, through
    TensorFlow Datasets; synthetic: drawn from a seed."""
    on_bad_row: BadRow = "stop"
    """stop: the first malformed row ends the load; skip: leave such rows out, count and list them."""
    drop: str | None = None
    """An audit.csv of this data: training leaves out the rows that it marks `drop`."""
    synthetic_examples: int = 8000
    """How many synthetic faces to draw."""
    synthetic_seed: int = 0
    """Seed of the synthetic faces."""

    def __post_init__(self) -> None:
        check_types(self, "data.")
        check(self.synthetic_examples >= 70, "data.synthetic_examples", self.synthetic_examples, ">= 70")
        check_seed("data.synthetic_seed", self.synthetic_seed)


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """Whose labels training aims at."""

    source: LabelSource = "fer2013"
    """fer2013: the label in the file; ferplus: what ten annotators voted for the same faces."""
    mode: Literal["majority", "votes", "drawn"] = "majority"
    """What FER+'s votes become. majority: the expression of more than half of them; votes: their shares, as
    probabilities; drawn: one of them, drawn anew each epoch."""
    keep: Literal["decided", "voted"] = "decided"
    """Rows of FER+ to train on. decided: an expression has more than half of the votes; voted: it has two
    votes at least. Only decided rows are ever measured."""
    ferplus: str | None = None
    """FER+'s fer2013new.csv; else data/fer2013new.csv."""

    def __post_init__(self) -> None:
        check(
            not (self.keep == "voted" and self.mode == "majority"),
            "labels.keep",
            self.keep,
            "decided with labels.mode majority, since an undecided row has none; or another labels.mode",
        )


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which rows train, which select and which test."""

    protocol: Literal["seed", "official"] = "seed"
    """seed: the Training rows, stratified 70/15/15; official: Training, PublicTest, PrivateTest."""
    seed: int = 0
    """Seed of the 70/15/15 split. Keep it while comparing runs: it is not the training seed."""
    group_duplicates: bool = True
    """Keep exact copies of an image in one part. False gives the notebook's plain split, which leaks."""

    def __post_init__(self) -> None:
        check_types(self, "split.")
        check_seed("split.seed", self.seed)
