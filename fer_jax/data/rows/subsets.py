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
    Look at the Jackknife"). Where the split has groups, as many whole groups as there are are drawn instead,
    since rows of a group are not independent (Davison and Hinkley 1997, "Bootstrap Methods and their
    Application", section 3.8); so the number of rows may differ.

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
        rng = numpy_rng(seed, Stream.RESAMPLE, resample)
        if split.groups is None:
            rows = np.sort(rows[rng.integers(len(rows), size=len(rows))])
        else:
            names, group_of_row = np.unique(split.groups[rows], return_inverse=True)
            times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
            rows = np.repeat(rows, times[group_of_row])
    return replace(split, train=rows)


def describe_sample(whole: Split, sampled: Split, config: Config) -> str | None:
    """Describe what `take_sample` took of the whole split in one line; None where it took all of it."""
    limit, resample, words = config.train.max_examples, config.train.resample, []
    if limit and limit < len(whole.train):
        words.append(f"{len(sampled.train):,} of {counted(len(whole.train), 'row')}")
    if resample:
        different = counted(len(np.unique(sampled.train)), "different row")
        of_groups = "" if whole.groups is None else " in whole groups"
        words.append(f"bootstrap resample {resample}: {different}{of_groups}")
    return f"train is a sample: {', '.join(words)}" if words else None


def eval_rows(rows: np.ndarray, config: TrainConfig, *, seed: int) -> np.ndarray:
    """Choose the training rows, of int64 [N], that measure the train accuracy: the same after each epoch."""
    if not config.train_eval_examples or config.train_eval_examples >= len(rows):
        return rows
    return np.sort(numpy_rng(seed, Stream.SUBSET).permutation(rows)[: config.train_eval_examples])
