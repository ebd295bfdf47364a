"""What of the training part is trained on: a fixed subset, a bootstrap resample, the same for every seed."""

from dataclasses import replace

import numpy as np

from fer_jax.config.data import SplitConfig
from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.rows.subsets import describe_sample, take_sample
from fer_jax.data.split import Split

SPLIT = Split(np.arange(0, 2000, 2), np.array([1, 3]), np.array([5]))


def config(max_examples: int = 0, resample: int = 0, seed: int = 0, split_seed: int = 0) -> Config:
    train = TrainConfig(max_examples=max_examples, resample=resample, seed=seed)
    return Config(name="a", train=train, split=SplitConfig(seed=split_seed))


def taken(**fields: int) -> list[int]:
    rows: list[int] = take_sample(SPLIT, config(**fields)).train.tolist()
    return rows


def test_nothing_is_taken_away_unasked() -> None:
    assert take_sample(SPLIT, config()).sha256 == SPLIT.sha256
    assert taken(max_examples=1000) == SPLIT.train.tolist()
    assert describe_sample(SPLIT, SPLIT, config()) is None
    assert describe_sample(SPLIT, SPLIT, config(max_examples=1000)) is None


def test_a_limit_is_a_sorted_subset_that_seeds_share() -> None:
    rows = taken(max_examples=100)
    assert rows == sorted(set(rows)) and len(rows) == 100 and set(rows) <= set(SPLIT.train.tolist())
    assert rows == taken(max_examples=100, seed=9)
    assert rows != taken(max_examples=100, split_seed=1)
    assert set(rows) < set(taken(max_examples=200))


def test_a_resample_draws_with_replacement_from_the_limited_part() -> None:
    rows = taken(resample=1)
    assert len(rows) == 1000 and rows == sorted(rows)
    assert 590 < len(set(rows)) < 670  # 632 of 1000 are expected, with a deviation of about 10.
    assert rows == taken(resample=1, seed=9)
    assert rows != taken(resample=2)
    limited = taken(max_examples=100, resample=1)
    assert len(limited) == 100 and set(limited) < set(taken(max_examples=100))


def test_the_other_parts_stay_and_the_sample_is_named() -> None:
    both = config(max_examples=100, resample=2)
    sampled = take_sample(SPLIT, both)
    assert (sampled.val.tolist(), sampled.test.tolist()) == ([1, 3], [5])
    different = len(np.unique(sampled.train))
    assert describe_sample(SPLIT, sampled, both) == (
        f"train is a sample: 100 of 1,000 rows, bootstrap resample 2: {different} different rows"
    )
    assert replace(SPLIT, train=sampled.train).sha256 == sampled.sha256


def test_a_resample_of_groups_draws_whole_ones() -> None:
    groups = np.repeat(np.arange(500), 4)
    sampled = take_sample(replace(SPLIT, groups=groups), config(resample=1)).train
    assert np.isin(sampled, SPLIT.train).all() and (np.diff(sampled) >= 0).all()
    times = np.bincount(sampled, minlength=2000)[SPLIT.train].reshape(500, 2)
    assert (times[:, 0] == times[:, 1]).all() and times[:, 0].sum() == 500
    assert 280 < (times[:, 0] > 0).sum() < 350  # 63 % of 500 are expected.
