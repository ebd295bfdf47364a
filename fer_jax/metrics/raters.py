"""One human rater against the others, and a network against the same raters: a reference for an accuracy.

Of an image's raters one is left out, each with the same chance, and the choice with the most votes of the
others is the target: whoever rates the image is right by chance alone where raters disagree. Where several
choices have the most votes, each of them is the target with the same chance. Both chances are summed, not
drawn, so that the result is exact and the same every time.
"""

from typing import Any, Final

import numpy as np

LEAST_VOTES: Final = 2
"""Of an image that counts: with one rater there are no others."""


def agreement(votes: np.ndarray) -> np.ndarray:
    """Compute how likely one rater of each image agrees with the others.

    Args:
        votes: int [N, K], the raters of each image by the choice that they made; at least two in each row.

    Returns:
        float64 [N], in 0..1.

    Of three raters two say the first choice, one the second. One of the two is left out with chance 2/3; the
    others then disagree, and the target is their choice with chance 1/2. The third is outvoted by the two
    others: 2/3 · 1/2 + 1/3 · 0.

    >>> agreement(np.array([[2, 1, 0], [10, 0, 0]])).round(4).tolist()
    [0.3333, 1.0]
    """
    return np.einsum("nk,nkk->n", _left_out(votes), _targets(votes))


def agreement_with(votes: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """Compute how likely given choices meet the same targets as one rater; see `agreement`.

    Args:
        votes: int [N, K], as of `agreement`.
        choices: int [N], 0..K-1: what a network chooses for each image.

    Returns:
        float64 [N], in 0..1.

    >>> agreement_with(np.array([[2, 1, 0], [10, 0, 0]]), np.array([0, 0])).round(4).tolist()
    [0.6667, 1.0]
    """
    chosen = np.take_along_axis(_targets(votes), choices[:, None, None], axis=2)[..., 0]
    return np.einsum("nk,nk->n", _left_out(votes), chosen)


def _left_out(votes: np.ndarray) -> np.ndarray:
    """Compute the chance float64 [N, K] that the rater who is left out has made each choice."""
    return votes / votes.sum(axis=1, keepdims=True)


def _targets(votes: np.ndarray) -> np.ndarray:
    """Compute the chance float64 [N, K, K] of each target (last), by the choice of the rater left out."""
    others = votes[:, None, :] - np.eye(votes.shape[1], dtype=votes.dtype)
    is_most = others == others.max(axis=2, keepdims=True)
    return is_most / is_most.sum(axis=2, keepdims=True)


def measure(votes: np.ndarray, choices: np.ndarray) -> dict[str, Any] | None:
    """Measure one human rater and a network against the same targets on the same images, ready for JSON.

    Args:
        votes: int [N, K], the raters of each image by the choice that they made.
        choices: int [N], 0..K-1, the choices of a network.

    Returns:
        `total`, the images with at least two votes; `votes`, of all of them together; and for `rater` and
        `network` each `expected_correct`, the expected number of images, a fraction, and `accuracy`. None
        without such an image.
    """
    has_others = votes.sum(axis=1) >= LEAST_VOTES
    votes, choices = votes[has_others], choices[has_others]
    if not len(votes):
        return None
    by_name = {"rater": agreement(votes), "network": agreement_with(votes, choices)}
    return {"total": len(votes), "votes": int(votes.sum())} | {
        name: {"expected_correct": float(each.sum()), "accuracy": float(each.mean())}
        for name, each in by_name.items()
    }
