"""Epoch order, alternating flips and fixed-shape batches: a batch is a pure function of (seed, step)."""

import contextlib
import math
import mmap
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.training import Sampling
from fer_jax.randomness import Stream, numpy_rng

AHEAD_IMAGES: Final = 2048
"""How many images a `ReadAhead` is ahead of the batch in use."""

Expect = Callable[[np.ndarray, int, int, int], None]
"""(order int [N], first, count, repeats): a hint that the next batch has the rows
`order[first : first + count]`, one after the other, `repeats` times over. All batches of an order have as
many rows."""
Cut = Callable[[np.ndarray], np.ndarray]
"""int [B], one number for each image of a batch -> those of the images that this process makes."""


def epoch_order(seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Shuffle the training rows, int [N], for one epoch, from 0, of a training seed.

    With `augment.repeats` R an order serves R epochs, and `epoch` is its number.
    """
    return numpy_rng(seed, Stream.EPOCH_ORDER, epoch).permutation(indices)


def sampled_order(
    seed: int, epoch: int, indices: np.ndarray, labels: np.ndarray, *, sampling: Sampling
) -> np.ndarray:
    """Choose and shuffle the training rows of one epoch, with the class frequencies that are asked for.

    Within a class all rows are used equally often, give or take one.

    Args:
        seed: the training seed.
        epoch: from 0.
        indices: int [N], rows of the training part.
        labels: int [N], their classes, >= 0.
        sampling: "all": each row once, in `epoch_order`; "balanced": each class that occurs equally often;
            "sqrt": each class in proportion to the square root of its number of rows.

    Returns:
        int [N], rows in the epoch's order; unless all are asked for, some repeat and some are missing.

    >>> rows, labels = np.array([10, 11, 12, 13, 14, 15]), np.array([0, 1, 1, 1, 1, 1])
    >>> np.sort(sampled_order(0, 0, rows, labels, sampling="balanced"))[:4].tolist()
    [10, 10, 10, 11]
    """
    if sampling == "all":
        return epoch_order(seed, epoch, indices)
    rng = numpy_rng(seed, Stream.EPOCH_ORDER, epoch)
    power = {"sqrt": 0.5, "balanced": 0.0}[sampling]
    counts = np.bincount(labels)
    shares = np.where(counts > 0, counts**power, 0.0)
    places = _apportion(shares / shares.sum(), len(indices))
    # All rows of a class some number of times, then a part of them, which each epoch draws anew.
    chosen = [
        np.resize(rng.permutation(indices[labels == label]), wanted) for label, wanted in enumerate(places)
    ]
    return rng.permutation(np.concatenate(chosen))


def _apportion(shares: np.ndarray, total: int) -> np.ndarray:
    """Divide an integer in given shares, by the largest remainders; int [parts]."""
    exact = shares * total
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    return parts


def alternate_flips(seed: int, showing: int | np.ndarray, rows: np.ndarray, *, share: float) -> np.ndarray:
    """Choose the images that `augment.alternate_flip` mirrors: each in turn, with a random start.

    With share 1/2 an image is seen both ways in any two consecutive showings (Jordan 2024, "94% on CIFAR-10
    in 3.29 Seconds on a Single GPU").

    Args:
        seed: the training seed.
        showing: how often the images have been shown before, int or int [B]; an epoch shows each image once,
            so this is its number, from 0.
        rows: int [B], of the Examples.
        share: of the showings in which an image is mirrored, in [0, 1].

    Returns:
        bool [B]. In any n consecutive showings a row is mirrored n × share times, rounded up or down.
    """
    starts = _draw_starts(seed, int(rows.max()).bit_length())[rows] / 256
    return np.floor(starts + (showing + 1) * share) > np.floor(starts + showing * share)


@lru_cache(maxsize=16)
def _draw_starts(seed: int, bits: int) -> np.ndarray:
    """Draw a byte for each row below 2**bits; a row's byte does not depend on the rows after it.

    They are kept, for all of them are drawn whichever a batch needs.
    """
    return np.frombuffer(numpy_rng(seed, Stream.AUGMENT).bytes(2**bits), np.uint8)


def cut(order: np.ndarray, batch_size: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the batch of a position, from 0, out of the rows of an order, int [N].

    Returns:
        Rows int [B] and weights float32 [B]: 1, or 0 for padding (which repeats the first row).

    >>> rows, weights = cut(np.array([5, 3, 8]), 2, 1)
    >>> rows.tolist(), weights.tolist()
    ([8, 5], [1.0, 0.0])
    """
    rows = order[position * batch_size : (position + 1) * batch_size]
    missing = batch_size - len(rows)
    weights = np.ones(batch_size, np.float32)
    if missing:
        weights[len(rows) :] = 0.0
        rows = np.concatenate([rows, np.repeat(order[:1], missing)])
    return rows, weights


def in_order(order: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut all batches of one pass over an order, the padded last one included."""
    for position in range(math.ceil(len(order) / batch_size)):
        yield cut(order, batch_size, position)


class ReadAhead:
    """Has the system read mapped images before they are used, see `Expect`.

    It changes no result: what is not there in time is read when it is used.
    """

    def __init__(self, file: mmap.mmap, offset: int, cut: Cut) -> None:
        """Take the mapped file, the place of its first image in bytes, and which images to read."""
        self._file, self._offset, self._cut = file, offset, cut
        # Left to itself, the system reads megabytes around each image, most of which are dropped unused.
        file.madvise(mmap.MADV_RANDOM)

    def __call__(self, order: np.ndarray, first: int, count: int, repeats: int) -> None:
        """Read what is `AHEAD_IMAGES` after these rows; at the start of an order, all until there."""
        start = first + AHEAD_IMAGES if first else 0
        ahead = np.arange(start, min(first + AHEAD_IMAGES + count, len(order)))
        own = self._cut(np.tile(np.arange(count), repeats))
        rows = np.sort(order[ahead[np.isin(ahead % count, own)]])
        if len(rows):
            for begin, end in self._list_pages(rows):
                with contextlib.suppress(OSError):
                    self._file.madvise(mmap.MADV_WILLNEED, begin, end - begin)

    def _list_pages(self, rows: np.ndarray) -> list[tuple[int, int]]:
        """List the parts of the file, from the start of a page on, with rows that are sorted."""
        begin = rows.astype(np.int64) * fer2013.PIXEL_COUNT + self._offset
        end = begin + fer2013.PIXEL_COUNT
        begin -= begin % mmap.PAGESIZE
        is_apart = np.append(True, begin[1:] > end[:-1])
        return list(zip(begin[is_apart].tolist(), end[np.roll(is_apart, -1)].tolist(), strict=True))


def make_expect(images: np.ndarray, cut: Cut = lambda batch: batch) -> Expect | None:
    """Make what reads ahead; None where the images are in memory, or the system, Windows, takes no advice.

    By default all images of a batch are read.
    """
    if not isinstance(images, np.memmap) or not isinstance(images.base, mmap.mmap):
        return None
    if not hasattr(images.base, "madvise"):
        return None
    return ReadAhead(images.base, images.offset % mmap.ALLOCATIONGRANULARITY, cut)
