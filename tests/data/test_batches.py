"""Batches: every training row at most once an epoch, a fixed shape, and a pure function of (seed, step)."""

import itertools
import math

import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.run import Config
from fer_jax.config.training import Sampling, TrainConfig
from fer_jax.data.batches import alternate_flips, cut, epoch_order, in_order, sampled_order
from fer_jax.data.examples import Examples
from fer_jax.engine.input_pipeline import draw_recipe, eval_batches, follow, make_recipe_at

ROWS = np.array([3, 5, 8, 13, 21, 34, 55])


def test_an_epoch_is_another_order_of_the_same_rows() -> None:
    orders = [epoch_order(seed, epoch, ROWS) for seed in (0, 1) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 6
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), ROWS)
    np.testing.assert_array_equal(epoch_order(1, 2, ROWS), orders[-1])
    np.testing.assert_array_equal(ROWS, [3, 5, 8, 13, 21, 34, 55])


LABELS = np.repeat([0, 1, 3], [4, 36, 60])
MANY_ROWS = 10 + np.random.default_rng(1).permutation(100)


def test_all_rows_are_sampled_in_the_order_that_there_always_was() -> None:
    order = sampled_order(1, 2, MANY_ROWS, LABELS, sampling="all")
    np.testing.assert_array_equal(order, epoch_order(1, 2, MANY_ROWS))


@pytest.mark.parametrize(
    ("sampling", "counts"),
    # A third of 100 each; 100 / (2 + 6 + 7.746) times 2, 6 and 7.746, which is 12.70, 38.11 and 49.19.
    [("balanced", [34, 33, 33]), ("sqrt", [13, 38, 49])],
)
def test_classes_come_as_often_as_asked_and_their_rows_take_turns(
    sampling: Sampling, counts: list[int]
) -> None:
    label_of = dict(zip(MANY_ROWS.tolist(), LABELS.tolist(), strict=True))
    orders = [
        sampled_order(seed, epoch, MANY_ROWS, LABELS, sampling=sampling)
        for seed in (0, 1)
        for epoch in range(3)
    ]
    assert len({tuple(order) for order in orders}) == 6
    for order in orders:
        assert len(order) == len(MANY_ROWS)
        labels = np.array([label_of[row] for row in order.tolist()])
        assert [int((labels == label).sum()) for label in (0, 1, 3)] == counts
        for label in (0, 1, 3):
            times = [int((order == row).sum()) for row, of in label_of.items() if of == label]
            assert max(times) - min(times) <= 1
        # Shuffled: no class stands at the front.
        assert len(set(labels[:20].tolist())) == 3
    # A frequent class shows other rows in the next epoch.
    assert set(orders[0].tolist()) != set(orders[1].tolist())
    again = sampled_order(1, 2, MANY_ROWS, LABELS, sampling=sampling)
    np.testing.assert_array_equal(again, orders[-1])


def test_equal_classes_are_balanced_as_they_are() -> None:
    order = sampled_order(0, 0, ROWS, np.arange(7), sampling="balanced")
    np.testing.assert_array_equal(np.sort(order), ROWS)


def test_mirrors_alternate_from_a_random_half_on() -> None:
    rows = np.arange(4000)
    epochs = [alternate_flips(0, epoch, rows, share=0.5) for epoch in range(4)]
    assert 1850 < epochs[0].sum() < 2150
    for now, then in itertools.pairwise(epochs):
        assert (now != then).all()
    assert (alternate_flips(1, 0, rows, share=0.5) != epochs[0]).any()
    # A row's turn is its own, whatever rows stand beside it.
    np.testing.assert_array_equal(alternate_flips(0, 1, rows[[7, 3, 900]], share=0.5), epochs[1][[7, 3, 900]])


@pytest.mark.parametrize(("share", "times"), [(0.0, {0}), (0.25, {2}), (0.3, {2, 3}), (1.0, {8})])
def test_mirrors_come_in_their_share_of_the_epochs(share: float, times: set[int]) -> None:
    rows = np.arange(1000)
    found = np.sum([alternate_flips(0, epoch, rows, share=share) for epoch in range(5, 13)], axis=0)
    assert set(found.tolist()) == times


def test_a_batch_is_mirrored_in_turn_with_the_epoch_of_its_step() -> None:
    examples, config = some_examples(), AugmentConfig(flip_probability=0.5, alternate_flip=True)
    for step in range(6):  # Two batches an epoch; the order stays, so that the same rows come again.
        recipe = draw_recipe(ROWS, config, batch_size=3, position=step % 2, seed=4, step=step)
        batch = follow(recipe, examples.images, examples.labels)
        rows = ROWS[3 * (step % 2) : 3 * (step % 2) + 3]
        is_mirrored = alternate_flips(4, step // 2, rows, share=0.5)[:, None, None, None]
        faces = examples.images[rows]
        np.testing.assert_array_equal(batch.images, np.where(is_mirrored, faces[:, :, ::-1], faces))


def test_repeats_show_each_image_so_often_in_a_batch_and_all_of_them_in_so_many_epochs() -> None:
    rows, labels = np.arange(20, 46), np.arange(60) % 7
    augment = AugmentConfig(rotate_probability=1.0, repeats=2)
    config = Config(name="a", augment=augment, train=TrainConfig(batch_size=8))
    recipe_at = make_recipe_at(config, labels, rows, targets=None, seeds=1)
    recipes = [recipe_at(5, step) for step in range(12)]
    for recipe in recipes:
        np.testing.assert_array_equal(recipe.rows[:4], recipe.rows[4:])
        np.testing.assert_array_equal(recipe.weights, np.ones(8, np.float32))
        assert (np.roll(recipe.rows, 1) != recipe.rows).all(), "an image would be mixed with itself"
        assert (recipe.draws.matrix[:4] != recipe.draws.matrix[4:]).any(axis=(1, 2)).all()
    # Three steps an epoch, so 24 of the 26 rows in two epochs, which share an order.
    for cycle in (0, 1):
        shown = np.concatenate([recipe.rows[:4] for recipe in recipes[6 * cycle : 6 * cycle + 6]])
        np.testing.assert_array_equal(shown, epoch_order(5, cycle, rows)[:24])


@pytest.mark.parametrize(("share", "mirrored"), [(0.5, {1}), (0.25, {0, 1})])
def test_of_two_copies_of_an_image_in_a_batch_every_second_one_is_mirrored(
    share: float, mirrored: set[int]
) -> None:
    examples, rows = some_examples(), np.arange(60)
    columns = np.broadcast_to(np.arange(48, dtype=np.uint8)[None, None, :, None], examples.images.shape)
    augment = AugmentConfig(flip_probability=share, alternate_flip=True, repeats=2)
    config = Config(name="a", augment=augment, train=TrainConfig(batch_size=20))
    recipe_at = make_recipe_at(config, examples.labels, rows, targets=None, seeds=1)
    times = np.zeros(60, int)
    for step in range(12):  # Two cycles of two epochs of three steps: each image is shown four times.
        recipe = recipe_at(3, step)
        is_mirrored = follow(recipe, columns, examples.labels).images[:, 0, 0, 0] == 47
        assert set((is_mirrored[:10].astype(int) + is_mirrored[10:]).tolist()) == mirrored
        np.add.at(times, recipe.rows, is_mirrored)
    assert set(times.tolist()) == {round(4 * share)}


def test_a_pass_in_order_sees_every_row_once_and_pads_with_weight_0() -> None:
    for batch_size in (1, 2, 3, 7, 10):
        batches = list(in_order(ROWS, batch_size))
        assert len(batches) == math.ceil(len(ROWS) / batch_size)
        for rows, weights in batches:
            assert rows.shape == weights.shape == (batch_size,)
            assert weights.dtype == np.float32
        rows = np.concatenate([rows for rows, _ in batches])
        weights = np.concatenate([weights for _, weights in batches])
        np.testing.assert_array_equal(rows[weights == 1], ROWS)
        assert np.isin(weights, (0, 1)).all()
        assert np.isin(rows, ROWS).all()


def test_a_training_set_smaller_than_a_batch_gives_one_padded_batch() -> None:
    rows, weights = cut(ROWS[:2], 5, 0)
    assert rows.tolist() == [3, 5, 3, 3, 3]
    assert weights.tolist() == [1, 1, 0, 0, 0]


def some_examples() -> Examples:
    images = np.random.default_rng(0).integers(0, 256, (60, 48, 48, 1), dtype=np.uint8)
    labels = np.arange(60, dtype=np.int32) % 7
    return Examples(images, labels, np.full(60, -1, np.int32), "faces", "0" * 64)


def test_a_training_batch_is_a_pure_function_of_seed_and_step() -> None:
    examples = some_examples()
    config = AugmentConfig(rotate_probability=1.0)

    def make(seed: int, step: int) -> np.ndarray:
        recipe = draw_recipe(ROWS, config, batch_size=3, position=1, seed=seed, step=step)
        batch = follow(recipe, examples.images, examples.labels)
        np.testing.assert_array_equal(batch.labels, ROWS[3:6] % 7)
        return np.asarray(batch.images)

    np.testing.assert_array_equal(make(1, 2), make(1, 2))
    assert (make(1, 2) != make(1, 3)).any()
    assert (make(1, 2) != make(2, 2)).any()
    assert (make(1, 2) != examples.images[ROWS[3:6]]).any()


def test_an_evaluation_batch_is_not_augmented() -> None:
    examples = some_examples()
    batches = list(eval_batches(examples, ROWS, batch_size=4))
    np.testing.assert_array_equal(batches[0].images, examples.images[ROWS[:4]])
    np.testing.assert_array_equal(batches[1].labels[:3], ROWS[4:] % 7)
    assert batches[1].weights.tolist() == [1, 1, 1, 0]
