"""The table of predictions: a row an image, as CSV or Parquet."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from fer_jax.inference.labels import LabelledRows


def make_table(
    part: LabelledRows, logits: np.ndarray, names: Sequence[str], is_copy: np.ndarray | None
) -> Any:
    """Make the pandas table of some predictions.

    Args:
        part: the N rows that were predicted.
        logits: float64 [N, C].
        names: of the C classes.
        is_copy: bool [N], exact copies of training images; None if these are not known.

    Returns:
        A DataFrame with N rows: `row` (of the Examples, from 0), `usage` (missing if the data states none),
        `label` and `predicted` (names), `p_NAME` (the probability of each class) and `is_copy_of_training`
        (missing if not known).
    """
    import pandas as pd  # It takes a moment, and is needed here alone.

    of_class = np.array(names)
    # An index of -1, a row without a usage, is the last of these.
    usages = np.array([*part.examples.usage_names, None])[part.examples.usages[part.rows]]
    probabilities = softmax(logits, axis=1)
    return pd.DataFrame(
        {
            "row": part.rows,
            "usage": usages,
            "label": of_class[part.labels],
            "predicted": of_class[logits.argmax(axis=1)],
            **{f"p_{name}": probabilities[:, k] for k, name in enumerate(names)},
            "is_copy_of_training": pd.array(
                [None] * len(part.rows) if is_copy is None else is_copy, dtype="boolean"
            ),
        }
    )
