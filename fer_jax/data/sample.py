"""What of the training part a run trains on: all of it, at most so many images, or a bootstrap resample."""

from dataclasses import replace

import numpy as np

from fer_jax.config import Config
from fer_jax.data.split import Split
from fer_jax.randomness import Stream, numpy_rng


def take_sample(split: Split, config: Config) -> Split:
    """Replace the training part by what the config trains on; the other parts stay.

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


def describe_sample(split: Split, config: Config) -> str | None:
    """Say in one line what was taken; None where it is the whole training part.

    Args:
        split: after `take_sample`.
        config: of the run.
    """
    words = [f"at most {config.train.max_examples:,} images"] if config.train.max_examples else []
    if config.train.resample:
        different = len(np.unique(split.train))
        words.append(f"bootstrap resample {config.train.resample}: {different:,} different rows")
    return f"train is a sample: {', '.join(words)}" if words else None
