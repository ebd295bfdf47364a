"""Subsets of the training part: a hold-out to choose hyper-parameters on, a limit, a bootstrap resample."""

from dataclasses import replace

import numpy as np

from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split, shuffle_groups
from fer_jax.errors import DataError
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.text import counted


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


def take_sample(split: Split, config: Config) -> Split:
    """Replace the training part by the rows that the config trains on; the other parts stay.

    Both draws come from the split's seed and not from the training seed, so all seeds of a config see the
    same images. A resample is drawn from the limited part, with replacement and as many rows as it has:
    about 63 % of its images are in it, some of them several times (Efron 1979, "Bootstrap Methods: Another
    Look at the Jackknife").

    Args:
        split: of all examples.
        config: its `train.max_examples` and `train.resample`; with 0 for both nothing changes.

    Returns:
        The split; `train` is sorted, and a resample repeats rows.

    >>> split = Split(np.arange(6), np.array([6]), np.array([7]))
    >>> resampled = replace(Config(name="a").train, resample=1)
    >>> len(take_sample(split, Config(name="a", train=resampled)).train)
    6
    """
    seed, rows = config.split.seed, split.train
    limit, resample = config.train.max_examples, config.train.resample
    if limit and limit < len(rows):
        rows = np.sort(numpy_rng(seed, Stream.LIMIT).permutation(rows)[:limit])
    if resample:
        rows = np.sort(rows[numpy_rng(seed, Stream.RESAMPLE, resample).integers(len(rows), size=len(rows))])
    return replace(split, train=rows)


def describe_sample(whole: Split, sampled: Split, config: Config) -> str | None:
    """Describe what `take_sample` took of the whole split in one line; None where it took all of it."""
    limit, resample, words = config.train.max_examples, config.train.resample, []
    if limit and limit < len(whole.train):
        words.append(f"{len(sampled.train):,} of {counted(len(whole.train), 'row')}")
    if resample:
        different = len(np.unique(sampled.train))
        words.append(f"bootstrap resample {resample}: {counted(different, 'different row')}")
    return f"train is a sample: {', '.join(words)}" if words else None


def eval_rows(rows: np.ndarray, config: TrainConfig, *, seed: int) -> np.ndarray:
    """Choose the training rows, of int64 [N], that measure the train accuracy: the same after each epoch."""
    if not config.train_eval_examples or config.train_eval_examples >= len(rows):
        return rows
    return np.sort(numpy_rng(seed, Stream.SUBSET).permutation(rows)[: config.train_eval_examples])
