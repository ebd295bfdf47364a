"""Which rows train, select and test: 70/15/15 by a seed, official usages, or a hold-out of Training."""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import SplitConfig
from fer_jax.data.examples import Examples
from fer_jax.errors import DataError
from fer_jax.randomness import Stream, numpy_rng

OWN_PARTS: Final = ("train", "val", "test")
"""The parts of a run's own split."""

Part = Literal["train", "val", "test", "PublicTest", "PrivateTest", "all"]
"""What can be measured: a part of a run's own split, the rows with one usage of FER2013, or all rows."""

TRAIN_SHARE, VAL_SHARE = 0.70, 0.15


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of each part.

    Attributes:
        train: int64 [Ntrain], sorted rows of the Examples.
        val: int64 [Nval].
        test: int64 [Ntest]; empty where the official protocol finds no PrivateTest rows, and for a hold-out.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The rows by name of the part."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def sha256(self) -> str:
        """Hash of the rows, hex: two runs with the same hash have the same parts."""
        digest = hashlib.sha256()
        for rows in self.parts.values():
            digest.update(len(rows).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(rows, "<i8").tobytes())
        return digest.hexdigest()


def split_examples(examples: Examples, config: SplitConfig) -> Split:
    """Split examples by the protocol of a config.

    Raises:
        DataError: some rows have no label, or the data has no rows for the protocol.
    """
    if (examples.labels == fer2013.UNLABELLED).any():
        raise DataError(
            f"{examples.description}: it has no labels, so it cannot train or test a model; "
            "use train.csv or fer2013.csv"
        )
    if config.protocol == "official":
        split = _official(examples)
    elif config.protocol == "holdout":
        rows = _list_training(examples)
        whole = Split(rows, rows[:0], rows[:0])
        split = hold_out(examples, whole, share=config.holdout_fraction, seed=config.seed)
    else:
        split = _seeded(examples, config)
    for name in ("train", "val"):
        if not len(split.parts[name]):
            raise DataError(
                f"{examples.description}: the {name} part of the {config.protocol} split is empty; "
                "give more rows, or change split.protocol"
            )
    return split


def _official(examples: Examples) -> Split:
    train, val, test = (np.flatnonzero(examples.usages == usage) for usage in range(len(fer2013.USAGES)))
    if not len(train) or not len(val):
        raise DataError(
            f"{examples.description}: the official protocol needs Training and PublicTest rows, and there "
            f"are {len(train)} and {len(val)}; use fer2013.csv or icml_face_data.csv, or split.protocol seed"
        )
    return Split(train, val, test)


def _list_training(examples: Examples) -> np.ndarray:
    """List the Training rows, and those without a usage: int64 [N], sorted."""
    training = fer2013.USAGES.index("Training")
    return np.flatnonzero((examples.usages == training) | (examples.usages == fer2013.UNLABELLED))


def _seeded(examples: Examples, config: SplitConfig) -> Split:
    """Split the rows of `_list_training`: class by class, group by group."""
    rows = _list_training(examples)
    groups = examples.hashes[rows] if config.group_duplicates else np.arange(len(rows))
    middle, total = shuffle_groups(groups, examples.labels[rows], seed=config.seed, stream=Stream.SPLIT)
    part = np.searchsorted([TRAIN_SHARE, TRAIN_SHARE + VAL_SHARE], middle / total, side="right")
    return Split(rows[part == 0], rows[part == 1], rows[part == 2])


def hold_out(examples: Examples, split: Split, *, share: float, seed: int) -> Split:
    """Hold out a share of each class of the training part; exact copies of an image stay together.

    Args:
        examples: all of them, labelled.
        split: of these examples.
        share: of the training rows, in (0, 1).
        seed: in [0, 2**32).

    Returns:
        A split whose `train` and `val` together are the given training part, both sorted; its `test` is
        empty. The given validation and test parts are not used.

    Raises:
        DataError: a part would be empty.
    """
    rows = np.sort(split.train)
    middle, total = shuffle_groups(
        examples.hashes[rows], examples.labels[rows], seed=seed, stream=Stream.HOLDOUT
    )
    is_val = middle < share * total
    if is_val.all() or not is_val.any():
        raise DataError(
            f"{examples.description}: a hold-out of {share:g} leaves {int((~is_val).sum())} training rows "
            f"and holds {int(is_val.sum())} out; wanted some of each: give more rows, or another share"
        )
    return Split(rows[~is_val], rows[is_val], rows[:0])


def shuffle_groups(
    groups: np.ndarray, labels: np.ndarray, *, seed: int, stream: Stream, indices: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Put the groups of each class in a random order, and measure where each stands in it, counted in rows.

    Cutting these orders at given shares gives parts with the same class balance in which no group is divided.
    A group has the class of its first row, so copies with other labels stay with it.

    Args:
        groups: int [N], equal for rows that stay together.
        labels: int [N], >= 0.
        seed: in [0, 2**32).
        stream: of the random orders.
        indices: what an order depends on beside its label.

    Returns:
        For each row float64 [N], the middle of its group in its class's order, and int64 [N], the rows in
        that order. The middle decides, so that a large group at a border is not always pulled to one side.
    """
    _, first_row, group_of_row = np.unique(groups, return_index=True, return_inverse=True)
    group_label, group_size = labels[first_row], np.bincount(group_of_row)
    middle, total = np.empty(len(first_row)), np.empty(len(first_row), np.int64)
    for label in np.unique(group_label).tolist():
        members = numpy_rng(seed, stream, label, *indices).permutation(np.flatnonzero(group_label == label))
        ends = np.cumsum(group_size[members])
        middle[members], total[members] = ends - group_size[members] / 2, ends[-1]
    return middle[group_of_row], total[group_of_row]


def count_leaks(examples: Examples, split: Split) -> dict[str, int]:
    """Count the rows of val and test that are exact copies of rows of train."""
    hashes = {name: examples.hashes[rows] for name, rows in split.parts.items()}
    return {name: int(np.isin(hashes[name], hashes["train"]).sum()) for name in ("val", "test")}
