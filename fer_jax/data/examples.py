"""Examples: labelled images of faces as arrays; every reader returns its data in this form."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import OWN_PARTS
from fer_jax.errors import DataError
from fer_jax.files import Json

_CHUNK_IMAGES: Final = 8192
"""Images that are hashed at a time."""


@dataclass(frozen=True, eq=False)
class Examples:
    """N images of faces with their labels.

    Attributes:
        images: uint8 [N, 48, 48, 1], 0 black to 255 white.
        labels: int32 [N], 0..6 as in `fer2013.LABELS`, or -1 where the file gives none; with FER+'s labels
            also 7, contempt, see `fer2013.NAMES`; with classes of their own 0..C-1 as in `class_names`.
        usages: int32 [N], index into `fer2013.USAGES`, or -1 where the file gives none. For pictures with
            classes of their own or a manifest, the part that they are given for: 0 train, 1 val, 2 test.
        contents: one line for people: what the data is, without its place.
        sha256: of the arrays above, hex; the same data has the same hash whatever file it came from.
        source: the file or folder that was read; None: the images are synthetic.
        cautions: what was assumed or left out, and the user should know, for people.
        skipped_rows: messages of the rows that `--on-bad-row skip` left out.
        notes: what happened to the cache while the file was read, for people.
        class_names: of classes of their own; empty: FER2013's.
        groups: int64 [N], equal for rows that must stay in one part, such as those of one person; None: the
            data names no groups.
        is_own: whether these are pictures of the user's own: no row is FER2013's, and `usages` are the parts
            that they are given for.
        stored_hashes: uint64 [N], the hash of each image where it is on disk already; None: it is computed.
    """

    images: np.ndarray
    labels: np.ndarray
    usages: np.ndarray
    contents: str
    sha256: str
    source: Path | None = None
    cautions: tuple[str, ...] = ()
    skipped_rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    is_own: bool = False
    stored_hashes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.class_names or fer2013.LABELS

    @property
    def usage_names(self) -> tuple[str, ...]:
        """Names of the usages: Kaggle's, and of pictures of one's own those of the parts."""
        return OWN_PARTS if self.is_own else fer2013.USAGES

    @property
    def is_synthetic(self) -> bool:
        """Whether the images were drawn rather than read from a file."""
        return self.source is None

    @property
    def description(self) -> str:
        """One line for people: where the data came from, what it is, the cautions and the notes."""
        place = "" if self.source is None else f"{self.source}: "
        return place + "; ".join([self.contents, *self.cautions, *self.notes])

    @property
    def facts(self) -> Json:
        """What records say of the data; `public` is the description without places."""
        return {
            "description": self.description,
            "sha256": self.sha256,
            "is_synthetic": self.is_synthetic,
            "is_own": self.is_own,
            "public": "; ".join([self.contents, *self.cautions]),
        }

    @cached_property
    def hashes(self) -> np.ndarray:
        """The hash of each image, uint64 [N], see `hash_images`; computed at the first use, or stored."""
        return hash_images(self.images) if self.stored_hashes is None else self.stored_hashes


def number_labels(examples: Examples, names: tuple[str, ...]) -> Examples:
    """Give the labels of some data the numbers of a network's classes; they are matched by name.

    Args:
        examples: the data.
        names: of the network's classes, in the order of its logits; they may be more than those of the data.

    Raises:
        DataError: the data has rows of a class that the network lacks.
    """
    own = examples.names
    if names[: len(own)] == own:
        return examples
    lacking = [name for k, name in enumerate(own) if name not in names and (examples.labels == k).any()]
    if lacking:
        raise DataError(
            f"{examples.description}: it has the classes {', '.join(own)}, and the network has the classes "
            f"{', '.join(names)}; give data without {', '.join(lacking)}, or data of the network's classes"
        )
    # The last one is for label -1: a row without a label.
    numbers = [names.index(name) if name in names else fer2013.UNLABELLED for name in own]
    labels = np.array([*numbers, fer2013.UNLABELLED], np.int32)[examples.labels]
    return replace(examples, labels=labels, class_names=names)


def class_counts(labels: np.ndarray, *, classes: int = fer2013.CLASS_COUNT) -> tuple[int, ...]:
    """Count the rows of each of C classes, in the order of their labels; label -1 is not counted.

    >>> class_counts(np.array([3, 3, 0, -1]))
    (1, 0, 0, 2, 0, 0, 0)
    """
    labelled = labels[labels != fer2013.UNLABELLED]
    return tuple(int(n) for n in np.bincount(labelled, minlength=classes))


def hash_arrays(*arrays: np.ndarray) -> str:
    """SHA-256 of the bytes of arrays, hex; of Examples, of `images`, `labels` and `usages`.

    >>> hash_arrays(np.zeros((1, 48, 48, 1), np.uint8), np.zeros(1, np.int32), np.zeros(1, np.int32))[:8]
    '35956830'
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def hash_images(images: np.ndarray) -> np.ndarray:
    """Hash each of images uint8 [N, 48, 48, 1], so that copies can be recognised without keeping them.

    Returns:
        uint64 [N]; exact copies share a hash; any other two images differ but for a chance of 1e-10.
    """
    hashes = np.empty(len(images), "<u8")
    for first in range(0, len(images), _CHUNK_IMAGES):
        # As a plain array: each image of a mapped one would be an object of its own kind, which is slow.
        some = np.asarray(images[first : first + _CHUNK_IMAGES])
        digests = b"".join(hashlib.blake2b(image, digest_size=8).digest() for image in some)
        hashes[first : first + len(some)] = np.frombuffer(digests, "<u8")
    return hashes


def hash_content(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256, hex, of images uint8 [N, 48, 48, 1] and their labels int [N], whatever their order.

    >>> images = np.repeat(np.arange(2, dtype=np.uint8), 2304).reshape(2, 48, 48, 1)
    >>> hash_content(images, np.array([0, 3])) == hash_content(images[::-1], np.array([3, 0]))
    True
    """
    hashes = hash_images(images)
    order = np.lexsort((labels, hashes))
    return hashlib.sha256(
        hashes[order].astype("<u8").tobytes() + labels[order].astype("<i4").tobytes()
    ).hexdigest()
