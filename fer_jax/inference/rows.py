"""Which rows of a data set are measured: a part of a run's own split, a usage of FER2013, or all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import OWN_PARTS
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.readers import official
from fer_jax.errors import DataError, RunError
from fer_jax.files import Json
from fer_jax.inference.run_weights import Trained


def choose_rows(examples: Examples, trained: Trained, part: str) -> np.ndarray:
    """Choose the labelled rows of a part, int64 [N], N >= 1.

    The part is "train", "val" or "test" of the run's split, "PublicTest" or "PrivateTest" (usages), or "all".

    Raises:
        DataError: the data has no such rows, or the part is of the run's split and the data is another.
    """
    if part in OWN_PARTS:
        trained_on = trained.record.data
        if examples.sha256 != trained_on.sha256:
            raise DataError(
                f"{part} is a part of the data that the run was trained on ({trained_on.description}), "
                f"and this is {examples.description}; leave out --data, or use --split PublicTest, "
                "PrivateTest or all"
            )
        return _keep_labelled(examples, trained.saved[part], part)
    return choose_usage(examples, part)


def choose_common_rows(examples: Examples, runs: Sequence[Trained], part: str) -> np.ndarray:
    """Choose the rows of a part, which have to be the same for all of some runs; see `choose_rows`.

    Raises:
        DataError: as `choose_rows`.
        RunError: the runs have different splits.
    """
    first, *others = runs
    rows = choose_rows(examples, first, part)
    for other in others:
        if not np.array_equal(rows, choose_rows(examples, other, part)):
            raise RunError(
                f"{other.folder} has another split than {first.folder}: their {part} images differ; "
                "name runs of one split, or measure on --split PublicTest, PrivateTest or all"
            )
    return rows


def choose_usage(examples: Examples, part: str) -> np.ndarray:
    """Choose the rows of "PublicTest", "PrivateTest" or "all", which need no split; see `choose_rows`.

    Raises:
        DataError: the data has no such rows, or is not FER2013.
    """
    if part != "all" and examples.is_own:
        raise DataError(
            f"{part} is a part of FER2013, and {examples.description} is not FER2013; choose another "
            "--split: train, val or test of a run, or all"
        )
    if part == "all":
        return _keep_labelled(examples, np.arange(len(examples)), part)
    return _keep_labelled(examples, list_labelled(examples, part), part)


def list_labelled(examples: Examples, usage: str) -> np.ndarray:
    """List the labelled rows of a usage, such as "PublicTest": int64 [N]; N may be 0.

    Pictures of the user's own have none of FER2013's.
    """
    if examples.is_own:
        return np.zeros(0, np.int64)
    is_labelled = examples.labels != fer2013.UNLABELLED
    return np.flatnonzero(is_labelled & (examples.usages == fer2013.USAGES.index(usage)))


def _keep_labelled(examples: Examples, rows: np.ndarray, part: str) -> np.ndarray:
    rows = rows[examples.labels[rows] != fer2013.UNLABELLED]
    if not len(rows):
        raise DataError(
            f"{examples.description}: it has no labelled rows of {part}; "
            "give a file that has them with --data, or choose another --split"
        )
    return rows


def find_trained_on(runs: Sequence[Trained], hashes: np.ndarray) -> np.ndarray:
    """Find the hashes, uint64 [N], that are those of a run's training images: bool [N].

    See `Examples.hashes`: the images are exact copies of training images, or these themselves.
    """
    return np.isin(hashes, np.concatenate([run.saved["train_hashes"] for run in runs]))


def find_training_hashes(
    card: Mapping[str, Any], examples: Examples, labels: np.ndarray
) -> np.ndarray | None:
    """Find in a file of FER2013 the images that released weights were trained on: uint64 [T], hashes.

    They are the Training rows, if the card says that the weights were trained by the official protocol on
    all of these, and the file has the same. Of weights that were trained on FER+'s votes, the rows without a
    majority are left out where these votes are at hand; else all Training rows count. Of weights that started
    from others, the images of those are among them.

    Args:
        card: of the weights, or what it says of its ancestor: `training` counts.
        examples: the data, with FER2013's labels.
        labels: int [rows of the data], the labels that are measured by.

    Returns:
        None if the card says something else, or the data lacks these rows.
    """
    if examples.is_own:
        return None
    is_training = examples.usages == fer2013.USAGES.index("Training")
    came = class_counts(examples.labels[is_training])
    arrays = (examples.labels, examples.usages, examples.images)
    said = official.describe_rows(*(array[is_training] for array in arrays))
    training = card["training"]
    is_known = training["split"]["protocol"] == "official" and said in training["data"]
    if not is_known or came != fer2013.CLASS_COUNTS["Training"]:
        return None
    is_labelled = is_training & (labels != fer2013.UNLABELLED)
    is_exact = is_labelled.sum() == training["split"]["sizes"]["train"]
    own = examples.hashes[is_labelled if is_exact else is_training]
    if training.get("ancestor") is None:
        return own
    inherited = find_training_hashes(training["ancestor"], examples, labels)
    return None if inherited is None else np.concatenate([own, inherited])


def find_inherited(
    ancestor: Json | None, examples: Examples, labels: np.ndarray
) -> tuple[np.ndarray, Json | None]:
    """Find the training images of a run's ancestors that were not known to the run: uint64 [T], hashes.

    These are ancestors whose record counts no images: released weights, in a run on other data than theirs.

    Args:
        ancestor: of the run's record, see `RunRecord`.
        examples: the data, with FER2013's labels, in which the images are looked for.
        labels: int [rows of the data], the labels that are measured by.

    Returns:
        The hashes, and the ancestor whose images are not known here either; None: all are known.
    """
    nothing = np.zeros(0, np.uint64)
    while ancestor is not None:
        if not ancestor["images"]:
            # Released weights: what they started from themselves is looked for with them.
            found = find_training_hashes(ancestor, examples, labels)
            return (nothing, ancestor) if found is None else (found, None)
        ancestor = ancestor["training"]["ancestor"]
    return nothing, None
