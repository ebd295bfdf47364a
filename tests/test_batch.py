"""Batches: every training row at most once an epoch, a fixed shape, and a pure function of (seed, step)."""

import math

import numpy as np

from fer_jax.config import AugmentConfig
from fer_jax.data.batch import cut, epoch_order, in_order
from fer_jax.data.examples import Examples
from fer_jax.feed import eval_batches, train_batch

ROWS = np.array([3, 5, 8, 13, 21, 34, 55])


def test_an_epoch_is_another_order_of_the_same_rows() -> None:
    orders = [epoch_order(seed, epoch, ROWS) for seed in (0, 1) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 6
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), ROWS)
    np.testing.assert_array_equal(epoch_order(1, 2, ROWS), orders[-1])
    np.testing.assert_array_equal(ROWS, [3, 5, 8, 13, 21, 34, 55])


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
        batch = train_batch(examples, ROWS, config, batch_size=3, position=1, seed=seed, step=step)
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
