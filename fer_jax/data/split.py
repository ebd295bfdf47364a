"""Which rows train, select and test: 70/15/15 by a seed, or FER2013's official usages."""

import hashlib
from dataclasses import dataclass

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import SplitConfig
from fer_jax.data.examples import Examples
from fer_jax.errors import DataError
from fer_jax.randomness import Stream, numpy_rng

TRAIN_SHARE, VAL_SHARE = 0.70, 0.15


@dataclass(frozen=True)
class Split:
    """Rows of each part.

    Attributes:
        train: int64 [Ntrain], sorted rows of the Examples.
        val: int64 [Nval].
        test: int64 [Ntest]; empty where the official protocol finds no PrivateTest rows.
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
        """Hash of the rows, hex: two runs with the same hash saw the same parts."""
        digest = hashlib.sha256()
        for rows in self.parts.values():
            digest.update(len(rows).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(rows, "<i8").tobytes())
        return digest.hexdigest()


def split_examples(examples: Examples, config: SplitConfig) -> Split:
    """Split as the config says.

    Raises:
        DataError: unlabelled rows, or a protocol that this data cannot serve.
    """
    if (examples.labels == fer2013.UNLABELLED).any():
        raise DataError(
            f"{examples.description}: it has no labels, so it cannot train or test a model; "
            "use train.csv or fer2013.csv"
        )
    split = _official(examples) if config.protocol == "official" else _seeded(examples, config)
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


def _seeded(examples: Examples, config: SplitConfig) -> Split:
    """Split the Training rows (rows of no stated usage count as such), class by class, group by group."""
    training = fer2013.USAGES.index("Training")
    rows = np.flatnonzero((examples.usages == training) | (examples.usages == fer2013.UNLABELLED))
    groups = image_hashes(examples.images[rows]) if config.group_duplicates else np.arange(len(rows))
    # A group goes where its first row's class sends it, so copies with other labels come along.
    _, first_row, group_of_row = np.unique(groups, return_index=True, return_inverse=True)
    group_label = examples.labels[rows][first_row]
    group_size = np.bincount(group_of_row)
    part_of_group = np.empty(len(first_row), np.int64)
    for label in range(fer2013.CLASS_COUNT):
        members = numpy_rng(config.seed, Stream.SPLIT, label).permutation(
            np.flatnonzero(group_label == label)
        )
        # The middle of a group decides, so that a large one at a border is not always pulled to one side.
        middle = np.cumsum(group_size[members]) - group_size[members] / 2
        share = middle / max(1, group_size[members].sum())
        part_of_group[members] = np.searchsorted([TRAIN_SHARE, TRAIN_SHARE + VAL_SHARE], share, side="right")
    part = part_of_group[group_of_row]
    return Split(rows[part == 0], rows[part == 1], rows[part == 2])


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Hash each image, to know it again without keeping it.

    Args:
        images: uint8 [N, 48, 48, 1].

    Returns:
        uint64 [N]; exact copies share a hash, other images have another one but for a chance of 1e-10.
    """
    digests = b"".join(hashlib.blake2b(image, digest_size=8).digest() for image in images)
    return np.frombuffer(digests, "<u8")


def count_leaks(images: np.ndarray, split: Split) -> dict[str, int]:
    """Count the rows of val and test of which an exact copy stands in train.

    Args:
        images: uint8 [N, 48, 48, 1], all examples.
        split: of these examples.
    """
    hashes = {name: image_hashes(images[rows]) for name, rows in split.parts.items()}
    return {name: int(np.isin(hashes[name], hashes["train"]).sum()) for name in ("val", "test")}
