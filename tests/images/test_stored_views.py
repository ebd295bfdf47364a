"""Stored views: drawn once, each shown once in as many epochs as there are views, with the answers to it."""

from dataclasses import replace

import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig
from fer_jax.images.augment import draw
from fer_jax.images.stored_views import StoredViews, redraw
from fer_jax.randomness import Stream, numpy_rng

CONFIG = AugmentConfig(
    shift_probability=1,
    crop_probability=0.5,
    flip_probability=0.5,
    gamma_probability=0.5,
    erase_probability=0.5,
)
VIEWS, IMAGES = 3, 5
PLACES = np.array([4, -1, 0, 2, 1, 3, -1])
"""Rows 1 and 6 are not trained on."""
OWN = np.random.default_rng(1).dirichlet(np.ones(7), len(PLACES)).astype(np.float32)


@pytest.fixture
def stored() -> StoredViews:
    answers = np.random.default_rng(2).dirichlet(np.ones(7), (VIEWS, IMAGES)).astype(np.float32)
    return StoredViews(CONFIG, answers, PLACES, 0.25)


def test_a_view_is_the_same_at_every_call_and_for_more_images() -> None:
    few, many = redraw(2, CONFIG, 3), redraw(2, CONFIG, 1030)
    for a, b in zip(few, many, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b[:3])
    # By hand: blocks of 1,024 images, each with a generator of its own.
    for images, number in ((slice(1024), 0), (slice(1024, None), 1)):
        wanted = draw(numpy_rng(0, Stream.VIEWS, 2, number), CONFIG, 1024)
        np.testing.assert_array_equal(many.matrix[images], wanted.matrix[: len(many.matrix[images])])
    assert (redraw(1, CONFIG, 3).matrix != few.matrix).any()
    np.testing.assert_array_equal(redraw(2, replace(CONFIG, alternate_flip=True), 3).matrix, few.matrix)


def test_each_view_of_an_image_comes_once_in_as_many_epochs(stored: StoredViews) -> None:
    rows = np.array([2, 0])
    for seed, first in ((0, 0), (1, 4)):
        epochs = [stored.of_epoch(seed, first + number, OWN) for number in range(VIEWS)]
        for place in range(2):
            shown = [epoch.find_draws(rows).matrix[place].tolist() for epoch in epochs]
            drawn = [
                redraw(view, CONFIG, IMAGES).matrix[PLACES[rows[place]]].tolist() for view in range(VIEWS)
            ]
            assert sorted(shown) == sorted(drawn)
    orders = {tuple(stored.of_epoch(seed, 0, OWN).order) for seed in range(20)}
    assert len(orders) > 2


def test_with_repeated_augmentation_each_view_comes_once_too(stored: StoredViews) -> None:
    """Three epochs of two copies an image, each in one of two epochs: the pairs of the order 0 1 2 0 1 2."""
    shown: list[int] = []
    order = stored.of_epoch(0, 0, OWN).order.tolist()
    for epoch in (1, 2, 4):
        draws = stored.of_epoch(0, epoch, OWN).find_draws(np.array([0, 2, 0, 2])).matrix
        drawn = [redraw(view, CONFIG, IMAGES).matrix for view in range(VIEWS)]
        for position, row in ((0, 0), (2, 0), (1, 2), (3, 2)):
            found = [v for v in range(VIEWS) if np.array_equal(drawn[v][PLACES[row]], draws[position])]
            shown += found if row == 0 else []
            assert len(found) == 1
    assert shown == [*order, *order]


def test_draws_and_targets_of_a_batch_are_those_of_a_plain_loop(stored: StoredViews) -> None:
    """With an image three times in it, which takes a view each."""
    seed, epoch, rows = 3, 7, np.array([3, 2, 3, 5, 3, 0])
    shown = stored.of_epoch(seed, epoch, OWN)
    draws, targets = shown.find_draws(rows), shown[rows]
    order = numpy_rng(seed, Stream.VIEWS).permutation(VIEWS)
    before: dict[int, int] = {}
    for position, row in enumerate(rows.tolist()):
        view = order[(epoch + before.get(row, 0)) % VIEWS]
        before[row] = before.get(row, 0) + 1
        place = PLACES[row]
        wanted = redraw(view, CONFIG, IMAGES)
        for found, each in zip(draws, wanted, strict=True):
            assert (found is None) == (each is None)
            if each is not None:
                np.testing.assert_array_equal(found[position], each[place])
        blended = np.float32(0.75) * OWN[row] + np.float32(0.25) * stored.answers[view, place]
        np.testing.assert_array_equal(targets[position], blended)
    assert targets.dtype == np.float32
    assert draws.sharpness is None and draws.tones is not None
