"""A hold-out cut from the training part, to choose hyper-parameters on while the other parts stay unseen."""

from dataclasses import replace

import numpy as np

from fer_jax import fer2013
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split, image_hashes
from fer_jax.errors import DataError
from fer_jax.randomness import Stream, numpy_rng


def hold_out(examples: Examples, split: Split, *, share: float, seed: int) -> Split:
    """Cut a share of the training part off, class by class; exact copies of an image stay together.

    Args:
        examples: all of them, labelled.
        split: of these examples.
        share: of the training rows, in (0, 1).
        seed: in [0, 2**32).

    Returns:
        A split whose `train` and `val` make up the training part of the given one, both sorted; its `test` is
        empty. The given validation and test parts are in none of them.

    Raises:
        DataError: a part would be empty.
    """
    rows = np.sort(split.train)
    # A group goes where its first row's class sends it, so copies with other labels come along.
    _, first_row, group_of_row = np.unique(
        image_hashes(examples.images[rows]), return_index=True, return_inverse=True
    )
    group_label = examples.labels[rows][first_row]
    group_size = np.bincount(group_of_row)
    is_held = np.zeros(len(first_row), bool)
    for label in range(fer2013.CLASS_COUNT):
        members = numpy_rng(seed, Stream.HOLDOUT, label).permutation(np.flatnonzero(group_label == label))
        # The middle of a group decides, as in the split.
        middle = np.cumsum(group_size[members]) - group_size[members] / 2
        is_held[members] = middle < share * group_size[members].sum()
    is_val = is_held[group_of_row]
    if is_val.all() or not is_val.any():
        raise DataError(
            f"{examples.description}: a hold-out of {share:g} leaves {int((~is_val).sum())} training rows "
            f"and holds {int(is_val.sum())}; wanted some of each: give more rows, or another share"
        )
    return Split(rows[~is_val], rows[is_val], rows[:0])


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
