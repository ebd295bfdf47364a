"""Stored views: augmentations of the training images that are drawn once, with teachers' answers to each.

An epoch shows one stored view of each image instead of a new augmentation, so the teachers need not be asked
during training, and what they say is about the very pixels that the student sees (Shen and Xing 2022, "A
fast knowledge distillation framework for visual recognition"). Beyer et al. 2022, "Knowledge distillation: a
good teacher is patient and consistent", show why: answers to the clean image beside an augmented one overfit.

The views do not depend on the seed of a training, so all seeds share them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fer_jax.config.augment import AugmentConfig
from fer_jax.images import augment
from fer_jax.images.augment import Draws
from fer_jax.randomness import Stream, numpy_rng

_SEED: Final = 0
_BLOCK: Final = 1024
"""Images that are drawn at a time: a part of every result."""


def redraw(view: int, config: AugmentConfig, images: int) -> Draws:
    """Draw the stored view of a number, >= 0, of n = `images` images: the same at every call.

    `augment.alternate_flip` is about epochs, and does not count: a view is mirrored with
    `augment.flip_probability`. The draws of the first images do not depend on how many there are.
    """
    blocks = [
        augment.draw(numpy_rng(_SEED, Stream.VIEWS, view, number), config, _BLOCK)
        for number in range(-(-images // _BLOCK))
    ]
    return Draws(
        *(None if parts[0] is None else np.concatenate(parts)[:images] for parts in zip(*blocks, strict=True))
    )


@dataclass(frozen=True, eq=False)
class StoredViews:
    """The stored views of n images, and what teachers say about each.

    Drawn views are kept: about 40 bytes an image and view, and 256 more where gray levels change.

    Attributes:
        augment: how the views are drawn.
        answers: float32 [V, n, C], probabilities.
        places: int64 [N], which of the n images a row of the Examples is; -1: none.
        weight: of the answers in a target, 0..1.
    """

    augment: AugmentConfig
    answers: np.ndarray
    places: np.ndarray
    weight: float
    _drawn: dict[int, Draws] = field(default_factory=dict, init=False, repr=False)

    def of_epoch(self, seed: int, epoch: int, own: np.ndarray) -> "EpochViews":
        """Choose the views of an epoch, from 0, of a training seed.

        In V epochs each view of an image comes once, in an order that depends on the seed.

        Args:
            seed: of the training.
            epoch: from 0.
            own: float32 [N, C], the soft labels of the epoch without the teachers.
        """
        order = numpy_rng(seed, Stream.VIEWS).permutation(len(self.answers))
        return EpochViews(self, order, epoch, own)

    def find_draws(self, views: np.ndarray, rows: np.ndarray) -> Draws:
        """Find the draws of B pairs of a view and a row of the Examples, int64 [B] each."""
        for view in np.setdiff1d(views, list(self._drawn)).tolist():
            self._drawn[view] = redraw(view, self.augment, self.answers.shape[1])
        places = self.places[rows]
        first = self._drawn[int(views[0])]
        found = Draws(*(None if each is None else each[places] for each in first))
        for view in np.unique(views[views != views[0]]).tolist():
            is_shown = views == view
            for to, each in zip(found, self._drawn[view], strict=True):
                if to is not None:
                    to[is_shown] = each[places[is_shown]]
        return found


@dataclass(frozen=True, eq=False)
class EpochViews:
    """The views that an epoch shows, and the targets for them.

    An image that is several times in a batch takes a view each. With repeated augmentation each image is
    there R times, and comes again after R epochs (`augment.repeats`): it then takes the next R views.

    Attributes:
        stored: the views.
        order: int64 [V], the order in which an image takes the views.
        epoch: from 0.
        own: float32 [N, C], the soft labels without the teachers.
    """

    stored: StoredViews
    order: np.ndarray
    epoch: int
    own: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the targets of the rows of a batch, int [B], float32 [B, C]: for the views that it shows."""
        weight, stored = np.float32(self.stored.weight), self.stored
        answers = stored.answers[self._choose(rows), stored.places[rows]]
        targets: np.ndarray = (1 - weight) * self.own[rows] + weight * answers
        return targets

    def find_draws(self, rows: np.ndarray) -> Draws:
        """Find the augmentation of the rows of a batch, int [B]."""
        return self.stored.find_draws(self._choose(rows), rows)

    def _choose(self, rows: np.ndarray) -> np.ndarray:
        """Choose the view of each row of a batch, int64 [B]."""
        repeats = int(np.unique(rows, return_counts=True)[1].min())
        first = self.epoch // repeats * repeats
        return self.order[(first + count_before(rows)) % len(self.order)]


TrainTargets = Callable[[int, int], np.ndarray | EpochViews]
"""(training seed, epoch) -> soft labels float32 [N, C] of all examples, or the stored views of the epoch."""


def count_before(rows: np.ndarray) -> np.ndarray:
    """Count how often each of B numbers stands before its place: int64 [B].

    >>> count_before(np.array([7, 5, 7, 7, 5])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    is_first = np.r_[True, ordered[1:] != ordered[:-1]]
    starts = np.flatnonzero(is_first)
    counts = np.empty(len(rows), np.int64)
    counts[order] = np.arange(len(rows)) - starts[np.cumsum(is_first) - 1]
    return counts
