"""Which rows of a data set are measured: a part of a run's own split, a usage of FER2013, or all."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from fer_jax import fer2013
from fer_jax.data.examples import Examples
from fer_jax.data.split import image_hashes
from fer_jax.errors import DataError
from fer_jax.inference.run_weights import Trained

Part = Literal["train", "val", "test", "PublicTest", "PrivateTest", "all"]

OWN_PARTS: Final = ("train", "val", "test")
"""The parts of a run's own split."""


def choose_rows(examples: Examples, trained: Trained, part: str) -> np.ndarray:
    """Choose the rows of a part.

    Args:
        examples: the data to measure on.
        trained: whose split counts.
        part: "train", "val" or "test" of that split, "PublicTest" or "PrivateTest" (the usage), or "all".

    Returns:
        int64 [N], N >= 1, labelled rows.

    Raises:
        DataError: the data has no such rows, or is not the data that the run's split is of.
    """
    if part in OWN_PARTS:
        trained_on = trained.facts["data"]
        if examples.sha256 != trained_on["sha256"]:
            raise DataError(
                f"{part} is a part of the data that the run was trained on ({trained_on['description']}), "
                f"and this is {examples.description}; leave out --data, or use --split PublicTest, "
                "PrivateTest or all"
            )
        return _keep_labelled(examples, trained.saved[part], part)
    return choose_usage(examples, part)


def choose_usage(examples: Examples, part: str) -> np.ndarray:
    """Choose the rows of a usage, whatever run they are for.

    Args:
        examples: the data to measure on.
        part: "PublicTest" or "PrivateTest" (the usage), or "all".

    Returns:
        int64 [N], N >= 1, labelled rows.

    Raises:
        DataError: the data has no such rows.
    """
    if part == "all":
        return _keep_labelled(examples, np.arange(len(examples)), part)
    rows = np.flatnonzero(examples.usages == fer2013.USAGES.index(part))
    return _keep_labelled(examples, rows, part)


def _keep_labelled(examples: Examples, rows: np.ndarray, part: str) -> np.ndarray:
    rows = rows[examples.labels[rows] != fer2013.UNLABELLED]
    if not len(rows):
        raise DataError(
            f"{examples.description}: it has no labelled rows of {part}; "
            "give a file that has them with --data, or choose another --split"
        )
    return rows


def find_copies(runs: Sequence[Trained], images: np.ndarray) -> np.ndarray:
    """Find the images that are exact copies of images that one of some runs was trained on.

    Args:
        runs: whose training images count.
        images: uint8 [N, 48, 48, 1].

    Returns:
        bool [N].
    """
    return np.isin(image_hashes(images), np.concatenate([run.saved["train_hashes"] for run in runs]))
