"""Sections of a run's config: the data, its labels, and how it is split."""

from dataclasses import dataclass
from typing import Final, Literal

from fer_jax.config.checks import Checks

BadRow = Literal["stop", "skip"]
"""What to do with a malformed row: stop loading, or skip and list it."""

Fit = Literal["refuse", "resize", "detect"]
"""How pictures become 48 × 48 gray."""

LabelSource = Literal["fer2013", "ferplus"]
"""Whose labels: FER2013's own, or FER+'s, the votes of ten annotators on the same images."""

OWN_PARTS: Final = ("train", "val", "test")
"""The parts of a run's own split."""

Part = Literal["train", "val", "test", "PublicTest", "PrivateTest", "all"]
"""What can be measured: a part of a run's own split, the rows with one usage of FER2013, or all rows."""

CLASS_MAPS: Final = (
    *("fer2013", "ferplus", "affectnet7", "affectnet8", "raf-db", "ck+", "kdef", "jaffe", "expw"),
    "folders",
)
"""Values of `data.class_map` beside mapping files; all but `folders` are in `data.readers.own.presets`."""

LABEL_WORDS: Final[dict[LabelSource, str]] = {"fer2013": "FER2013", "ferplus": "FER+"}
"""The sources, for people."""

HOLDOUT_NOTE: Final = (
    "val is a hold-out of Training: compare accuracies on it with those on the same hold-out, not with "
    "PublicTest's"
)
"""What a reader must know of a run with `split.protocol` holdout."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the faces come from."""

    path: str | None = None
    """Kaggle CSV, zip or tar archive, folder of images, or a manifest of pictures. Without it: $FER_JAX_DATA,
    then data/, then synthetic faces."""
    source: Literal["auto", "kaggle", "tfds", "synthetic"] = "auto"
    """auto: a file if one is found, otherwise synthetic faces; kaggle: a file, or an error; tfds: a file,
    read through TensorFlow Datasets; synthetic: faces drawn by a program, from a seed."""
    on_bad_row: BadRow = "stop"
    """stop: the first malformed row or picture is an error; skip: those are left out, counted and listed."""
    fit: Fit = "refuse"
    """How pictures of your own become 48 × 48 gray. refuse: they must be so already; resize: each picture is
    a face, cut to a square and resized; detect: the face is found in it, as `predict` finds it."""
    class_map: str = "fer2013"
    """Which label is which class: the usual names of a data set (fer2013, ferplus, affectnet7, affectnet8,
    raf-db, ck+, kdef, jaffe, expw), `folders` for classes named as your labels are, or a mapping file (.json)
    that renames, merges or drops labels."""
    drop: str | None = None
    """An audit.csv of this data: training leaves out the rows marked `drop` in it."""
    max_drop_fraction: float = 0.4
    """Fraction of the training part that the list may drop. Beyond it, or if a class vanishes, training
    stops."""
    synthetic_examples: int = 16000
    """Number of synthetic faces. With fewer, few epochs have too few steps to learn from."""
    synthetic_seed: int = 0
    """Seed of the synthetic faces."""

    def __post_init__(self) -> None:
        checks = Checks(self, "data.")
        # A finished run has the content of its mapping file in its place.
        is_mapping = self.class_map.endswith(".json") or self.class_map.startswith("{")
        wanted = f"one of {', '.join(CLASS_MAPS)}, or a mapping file whose name ends in .json"
        checks.check("class_map", self.class_map in CLASS_MAPS or is_mapping, wanted)
        checks.within("max_drop_fraction", 0, 1, "a fraction")
        checks.at_least(70, "synthetic_examples")
        checks.seed("synthetic_seed")

    @property
    def is_own(self) -> bool:
        """Whether these settings are for pictures of one's own; a manifest is for them whatever they are."""
        return self.fit != "refuse" or self.class_map != "fer2013"


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """The labels to train on."""

    source: LabelSource = "fer2013"
    """fer2013: the labels in the file; ferplus: the votes of ten annotators on the same images."""
    mode: Literal["majority", "votes", "drawn"] = "majority"
    """How FER+'s votes become targets. majority: the expression with more than half of the votes; votes: soft
    labels, each expression's fraction of the votes; drawn: one vote, drawn again each epoch."""
    keep: Literal["decided", "voted"] = "decided"
    """Which FER+ rows to train on. decided: some expression has more than half of the votes; voted: some
    expression has at least two votes. val, test and everything that `evaluate` measures by FER+'s labels use
    only the decided rows."""
    ferplus: str | None = None
    """FER+'s fer2013new.csv; by default data/fer2013new.csv."""

    def __post_init__(self) -> None:
        is_decidable = self.keep != "voted" or self.mode != "majority"
        wanted = "decided for labels.mode majority (an undecided row has no majority), or another labels.mode"
        Checks(self, "labels.").check("keep", is_decidable, wanted)


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which rows are for training, which for validation and which for testing."""

    protocol: Literal["seed", "official", "holdout", "given"] = "seed"
    """seed: the Training rows, split 70/15/15 (stratified); official: Training, PublicTest, PrivateTest;
    holdout: the Training rows, with a share held out as val (stratified), to decide between recipes; given:
    the parts that pictures of your own name, in a manifest's column or in folders. Where these have no val,
    15 % of train become val (stratified). A group that a manifest names, such as a person, is not divided."""
    seed: int = 0
    """Seed of the 70/15/15 split and of the hold-out, not of training. Keep it fixed when comparing runs."""
    group_duplicates: bool = True
    """Keep exact copies of an image in the same part. False gives the notebook's plain split, which leaks."""
    group_near_copies: bool = False
    """Keep near copies of an image in the same part too, such as frames of one video. A given split that
    divides them is refused."""
    holdout_fraction: float = 0.25
    """Share of Training that protocol holdout holds out."""

    def __post_init__(self) -> None:
        checks = Checks(self, "split.")
        checks.seed("seed")
        checks.check("holdout_fraction", 0 < self.holdout_fraction < 1, "a share in (0, 1)")
        is_grouped = self.group_duplicates or self.protocol != "holdout"
        checks.check("group_duplicates", is_grouped, "True for split.protocol holdout, or another protocol")
        is_grouped = self.group_duplicates or not self.group_near_copies
        checks.check("group_duplicates", is_grouped, "True with split.group_near_copies, or both False")
        is_free = not self.group_near_copies or self.protocol != "official"
        wanted = "False for split.protocol official, whose parts are as FER2013 was released"
        checks.check("group_near_copies", is_free, wanted)
