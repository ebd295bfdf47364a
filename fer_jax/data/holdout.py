"""A hold-out cut from the training part, to choose hyper-parameters on while the other parts stay unseen."""

import numpy as np

from fer_jax import fer2013
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
