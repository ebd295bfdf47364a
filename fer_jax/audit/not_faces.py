"""Images that show no face: flat ones, and those far from all that faces have in common.

The second rule is the distance from face space (Turk and Pentland, *Eigenfaces for Recognition*, 1991): what
the principal components of all images cannot draw of one. A rule of thumb: it proposes, people look.
"""

from typing import Final, NamedTuple

import numpy as np

from fer_jax.audit.near_copies import halve

FLAT_DEVIATION: Final = 5.0
"""Below this standard deviation, in gray levels, an image shows nothing."""
EIGENFACES: Final = 40
"""Principal components that span face space."""
OUTLIER_DEVIATIONS: Final = 5.0
"""An image is strange that lies so many robust standard deviations above the median distance."""


class NotFaces(NamedTuple):
    """What the rules say about N images.

    Attributes:
        is_flat: bool [N], (nearly) constant.
        is_strange: bool [N], not flat, and far from face space.
        distance: float32 [N], share of the image's contrast that mean face and eigenfaces cannot draw, 0..1;
            0 if flat.
    """

    is_flat: np.ndarray
    is_strange: np.ndarray
    distance: np.ndarray


def find_not_faces(images: np.ndarray) -> NotFaces:
    """Apply both rules.

    Args:
        images: uint8 [N, 48, 48, 1], most of them faces.
    """
    # Half the resolution shows what is a face, at a sixteenth of the cost.
    faces = halve(images).reshape(len(images), -1)
    deviation = np.array([image.std() for image in images])
    is_flat = deviation < FLAT_DEVIATION
    faces -= faces.mean(axis=1, keepdims=True)
    faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1.0)
    faces -= faces[~is_flat].mean(axis=0) if (~is_flat).any() else 0.0
    faces[is_flat] = 0.0
    _, axes = np.linalg.eigh(faces.T @ faces)
    drawn = faces @ axes[:, -EIGENFACES:]
    # A face has length 1 before the mean face is taken off, so what is left over is a share of its contrast.
    distance = np.maximum((faces * faces).sum(axis=1) - (drawn * drawn).sum(axis=1), 0.0)
    return NotFaces(is_flat, ~is_flat & _is_outlier(distance, ~is_flat), distance)


def _is_outlier(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Say which values lie far above the median of those that count, by the median absolute deviation."""
    if not counts.any():
        return np.zeros(len(values), bool)
    middle = np.median(values[counts])
    # 1.4826 makes it the standard deviation where values are normally distributed.
    spread = 1.4826 * np.median(np.abs(values[counts] - middle))
    return values > middle + OUTLIER_DEVIATIONS * spread
