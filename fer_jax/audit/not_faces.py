"""Images that show no face: flat ones, and those far from what faces have in common.

The second rule is the distance from face space (Turk and Pentland, *Eigenfaces for Recognition*, 1991): the
part of an image that the principal components of all images cannot represent. It is a rule of thumb, so its
images are only listed, for people to look at.
"""

from typing import Final, NamedTuple

import numpy as np

from fer_jax.data.groups.near_copies import halve

FLAT_DEVIATION: Final = 5.0
"""An image with a smaller standard deviation, in gray levels, is flat."""
EIGENFACES: Final = 40
"""Principal components that span face space."""
OUTLIER_DEVIATIONS: Final = 5.0
"""An image is strange if its distance is this many robust standard deviations above the median."""
LEAST_DISTANCE: Final = 1e-3
"""A strange image is at least this far from face space; if few images span it, less is only rounding."""


class NotFaces(NamedTuple):
    """The verdict of both rules on N images.

    Attributes:
        is_flat: bool [N], (nearly) constant.
        is_strange: bool [N], not flat, and far from face space.
        distance: float32 [N], share of the image's contrast that the mean face and the eigenfaces cannot
            represent, 0..1; 0 if flat.
    """

    is_flat: np.ndarray
    is_strange: np.ndarray
    distance: np.ndarray


def find_not_faces(images: np.ndarray) -> NotFaces:
    """Apply both rules.

    Args:
        images: uint8 [N, 48, 48, 1], most of them faces.
    """
    # Half the resolution is enough to see a face, at a sixteenth of the cost.
    faces = halve(images).reshape(len(images), -1)
    deviation = np.array([image.std() for image in images])
    is_flat = deviation < FLAT_DEVIATION
    faces -= faces.mean(axis=1, keepdims=True)
    faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1.0)
    faces -= faces[~is_flat].mean(axis=0) if (~is_flat).any() else 0.0
    faces[is_flat] = 0.0
    _, axes = np.linalg.eigh(faces.T @ faces)
    drawn = faces @ axes[:, -EIGENFACES:]
    # Each image has norm 1 before the mean face is subtracted, so the remainder is a share of its contrast.
    distance = np.maximum((faces * faces).sum(axis=1) - (drawn * drawn).sum(axis=1), 0.0)
    is_far = (distance >= LEAST_DISTANCE) & _is_outlier(distance, ~is_flat)
    return NotFaces(is_flat, ~is_flat & is_far, distance)


def _is_outlier(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whether each value is far above the median of those that count, by the median absolute deviation."""
    if not counts.any():
        return np.zeros(len(values), bool)
    middle = np.median(values[counts])
    # The factor 1.4826 makes it the standard deviation of a normal distribution.
    spread = 1.4826 * np.median(np.abs(values[counts] - middle))
    return values > middle + OUTLIER_DEVIATIONS * spread
