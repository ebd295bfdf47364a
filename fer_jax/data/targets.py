"""FER+'s votes as training targets and as labels to evaluate by.

The rule for a row's label is that of Barsoum, Zhang, Canton Ferrer and Zhang 2016 (*Training Deep Networks
for Facial Expression Recognition with Crowd-Sourced Label Distribution*), as its authors' code has it:
choices with a single vote are dropped, the label needs more than half of the votes that are left, and a row
that "unknown" or "not a face" wins is left out. With eight classes that keeps 25,060 of the 28,709 Training
rows and 3,199 of the 3,589 PublicTest rows. Every mode keeps these rows, so that modes compare, unless `keep`
is "voted".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import LabelsConfig
from fer_jax.data.examples import Examples, hash_arrays
from fer_jax.data.readers import ferplus
from fer_jax.data.split import Split
from fer_jax.errors import ConfigError, DataError
from fer_jax.randomness import Stream, numpy_rng

Classes = Literal[7, 8]
"""FER2013's seven expressions, or these and contempt, as in `fer2013.NAMES`."""

SoftLabels = Callable[[int, int], np.ndarray]
"""(training seed, epoch) -> the soft labels of all examples, float32 [N, C]: each row sums to 1, or is 0."""

DEFAULT_FILE: Final = Path("data/fer2013new.csv")
"""Looked for where the config names no file."""

_LEAST_VOTES: Final = 2


def limit_classes(count: int) -> Classes:
    """Choose between FER+'s classes by the number of a network's: seven, or all eight.

    >>> limit_classes(8)
    8
    """
    return 7 if count == fer2013.CLASS_COUNT else 8


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets and labels of N rows.

    Attributes:
        rows: int64 [K], sorted; the rows to train on.
        labels: int32 [N], 0..C-1: the expression with more than half of the votes, and
            `fer2013.UNLABELLED` where there is none. Evaluation counts the rows with a label.
        votes: int64 [N, C], votes for each expression, single ones dropped; in mode `majority` those for
            the label alone.
        is_drawn: each epoch draws its own labels.
    """

    rows: np.ndarray
    labels: np.ndarray
    votes: np.ndarray
    is_drawn: bool

    @property
    def sha256(self) -> str:
        """SHA-256 of rows, labels and votes, hex: files of votes with the same one train alike."""
        return hash_arrays(self.rows, self.labels, self.votes)

    def likeliest(self) -> np.ndarray:
        """Return int32 [N]: the labels, and of undecided rows the expression with the most votes."""
        is_undecided = (self.labels == fer2013.UNLABELLED) & self.votes.any(axis=1)
        return np.where(is_undecided, self.votes.argmax(axis=1), self.labels).astype(np.int32)

    def of_epoch(self, seed: int, epoch: int) -> np.ndarray:
        """Return the soft labels of one epoch of a training seed, see `SoftLabels`."""
        votes = draw_votes(seed, epoch, self.votes) if self.is_drawn else self.votes
        return (votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)).astype(np.float32)


def find_votes(config: LabelsConfig) -> Path | None:
    """Find the file of FER+'s votes that a config asks for; None where it asks for FER2013's own labels.

    Raises:
        ConfigError: no file of votes is named or found.
        DataError: the file that is named is not there.
    """
    if config.source == "fer2013":
        return None
    if config.ferplus is not None:
        return ferplus.find(Path(config.ferplus))
    if not DEFAULT_FILE.is_file():
        raise ConfigError(
            f"labels.source is ferplus, labels.ferplus names no file, and there is no {DEFAULT_FILE}; get "
            "fer2013new.csv from https://github.com/microsoft/FERPlus and name it with --labels.ferplus, "
            "for evaluate with --ferplus"
        )
    return DEFAULT_FILE


def place_beside(source: Path) -> Path:
    """Return where FER+'s file of votes is looked for beside the data: in its folder."""
    return (source if source.is_dir() else source.parent) / DEFAULT_FILE.name


def refuse_votes_on_others(examples: Examples, names: Sequence[str]) -> None:
    """Refuse the file of votes that `--ferplus` names if it has none for these images or these classes.

    Args:
        examples: the data.
        names: of the network's classes, in their order.

    Raises:
        ConfigError: the data is pictures of the user's own, or the classes are not FER2013's or FER+'s.
    """
    if examples.is_own:
        raise ConfigError("FER+ has votes on FER2013's images alone, not on these; leave out --ferplus")
    if not fer2013.are_known(names):
        raise ConfigError(
            f"FER+ has no votes for the classes {', '.join(names)}, in this order; leave out --ferplus"
        )


def load_targets(config: LabelsConfig, examples: Examples, *, classes: Classes) -> Targets | None:
    """Read the votes that the config asks for, and turn them into targets for each row of the data.

    Args:
        config: which labels.
        examples: all rows of a FER2013 file.
        classes: C.

    Returns:
        None where the config asks for FER2013's own labels.

    Raises:
        ConfigError: no file of votes is named or found.
        DataError: the file is not FER+'s, or not of this data.
    """
    path = find_votes(config)
    if path is None:
        return None
    where = f"{path} and {examples.description}"
    votes = ferplus.match(ferplus.read(path), examples.labels, examples.usages, where=where)
    return make_targets(votes, config, classes=classes)


def make_targets(votes: ferplus.Votes, config: LabelsConfig, *, classes: Classes) -> Targets:
    """Turn the votes of N rows into targets.

    Args:
        votes: of the rows.
        config: `mode` and `keep` count.
        classes: C; with seven a row that contempt wins has no label, and votes for contempt do not count.
    """
    counts = np.where(votes.counts >= _LEAST_VOTES, votes.counts, 0)
    of_class = replace(votes, counts=counts).of_classes(classes)
    labels = _decide(of_class, counts.sum(axis=1))
    is_kept = of_class.any(axis=1) if config.keep == "voted" else labels != fer2013.UNLABELLED
    if config.mode == "majority":
        of_class = np.where(np.arange(classes) == labels[:, None], of_class, 0)
    return Targets(np.flatnonzero(is_kept), labels, of_class, config.mode == "drawn")


def _decide(of_class: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Choose the class with more than half of all votes, "unknown" and "not a face" included."""
    is_decided = 2 * of_class.max(axis=1) > total
    return np.where(is_decided, of_class.argmax(axis=1), fer2013.UNLABELLED).astype(np.int32)


def draw_votes(seed: int, epoch: int, votes: np.ndarray) -> np.ndarray:
    """Draw one of each row's votes.

    A row's vote depends on the seed, the epoch and its place in the file alone, not on other rows. From
    int64 [N, C] to int64 [N, C] with one vote a row; none where the row has none.

    >>> draw_votes(0, 0, np.array([[0, 3, 0], [0, 0, 0]])).tolist()
    [[0, 1, 0], [0, 0, 0]]
    """
    uniform = numpy_rng(seed, Stream.LABELS, epoch).random(len(votes))
    drawn = (uniform * votes.sum(axis=1)).astype(np.int64)
    chosen = (votes.cumsum(axis=1) <= drawn[:, None]).sum(axis=1)
    return (np.arange(votes.shape[1]) == chosen[:, None]).astype(np.int64)


def keep_rows(split: Split, targets: Targets) -> Split:
    """Leave out the rows of a split that have no votes to train on, or no label to be measured by.

    Raises:
        DataError: no row of the training or of the validation part is left.
    """
    is_labelled = targets.labels != fer2013.UNLABELLED
    kept = Split(
        np.intersect1d(split.train, targets.rows),
        split.val[is_labelled[split.val]],
        split.test[is_labelled[split.test]],
        split.groups,
    )
    for name in ("train", "val"):
        if not len(kept.parts[name]):
            raise DataError(
                f"FER+ leaves none of the {len(split.parts[name]):,} rows of the {name} part: its votes "
                "decide none of them; give more rows, or labels.source fer2013"
            )
    return kept


def describe_kept(before: Split, after: Split) -> str:
    """Describe how many rows of each part FER+ leaves.

    >>> rows = np.arange(4)
    >>> describe_kept(Split(rows, rows, rows[:0]), Split(rows[:3], rows[:2], rows[:0]))
    'FER+ leaves 3 of 4 rows of train, 2 of 4 of val'
    """
    left = [
        (f"{len(after.parts[name]):,} of {len(rows):,}", name)
        for name, rows in before.parts.items()
        if len(rows)
    ]
    (first, part), *others = left
    return f"FER+ leaves {first} rows of {part}" + "".join(f", {share} of {name}" for share, name in others)
