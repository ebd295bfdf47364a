"""The only source of randomness: (seed, stream, indices) -> a NumPy Generator or a JAX key.

No random state is stored. A generator depends only on its purpose, so a batch can be made again from
(seed, step) alone, and a resumed run draws the same numbers as an uninterrupted one.
"""

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax


class Stream(IntEnum):
    """The purposes of randomness. The numbers are part of every result: never change or reuse one."""

    SPLIT = 1
    EPOCH_ORDER = 2
    AUGMENT = 3
    INIT = 4
    DROPOUT = 5
    SYNTHETIC = 6
    SHOW = 7
    SUBSET = 8  # Of training images: those that are measured, and those that give averages their statistics.
    BOOTSTRAP = 9
    CORRUPTION = 10
    RESAMPLE = 11
    LIMIT = 12
    MIX = 13
    LABELS = 14
    HOLDOUT = 15
    SWEEP = 16
    CALIBRATION = 17
    VIEWS = 18


def numpy_rng(seed: int, stream: Stream, *indices: int) -> np.random.Generator:
    """Make the generator of a stream at some indices.

    Args:
        seed: the user's seed, in [0, 2**32).
        stream: what the numbers are for.
        *indices: position in the stream, such as the epoch or the step; each >= 0.

    Returns:
        A Philox generator, independent of that of any other (seed, stream, indices).

    >>> a = numpy_rng(0, Stream.SPLIT, 3).integers(1000, size=3)
    >>> b = numpy_rng(0, Stream.SPLIT, 3).integers(1000, size=3)
    >>> bool((a == b).all())
    True
    """
    # The leading length distinguishes (seed, 1) and (seed, 1, 0): SeedSequence ignores trailing zeros.
    entropy = (len(indices), seed, int(stream), *indices)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def jax_key(seed: int, stream: Stream) -> "jax.Array":
    """Make the typed JAX key, shape [], of one stream, from a seed in [0, 2**32).

    Fold the step in inside the program: `jax.random.fold_in(key, step)`.
    """
    # Imported here: the host half uses numpy_rng alone and starts without jax.
    import jax

    return jax.random.fold_in(jax.random.key(seed), int(stream))
