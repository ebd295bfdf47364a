"""Subsets of the training part: a limit, and a bootstrap resample."""

from dataclasses import replace

import numpy as np

from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.split import Split
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.text import counted


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
