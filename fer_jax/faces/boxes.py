"""Boxes of faces in a picture, as a detector finds them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Boxes:
    """F faces of one picture, by descending score; pixels of the picture, 0 at its upper left corner.

    Attributes:
        xywh: left, top, width, height, float64 [F, 4].
        scores: how sure the detector is, 0..1, float64 [F].
        landmarks: (x, y) of the right eye (left in the picture), the left eye, the tip of the nose, and the
            right and left corner of the mouth, float64 [F, 5, 2].
    """

    xywh: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def __len__(self) -> int:
        """F."""
        return len(self.scores)

    def take(self, rows: np.ndarray) -> "Boxes":
        """Take some of the faces, by indices or by a mask."""
        return Boxes(self.xywh[rows], self.scores[rows], self.landmarks[rows])

    def scaled(self, factor: float) -> "Boxes":
        """Multiply all lengths: the boxes in a picture that is larger by this factor."""
        return Boxes(self.xywh * factor, self.scores, self.landmarks * factor)


def join(several: list[Boxes]) -> Boxes:
    """Put boxes of one picture together, in the order in which they come."""
    return Boxes(
        np.concatenate([each.xywh for each in several]),
        np.concatenate([each.scores for each in several]),
        np.concatenate([each.landmarks for each in several]),
    )


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each box of a with each of b.

    Args:
        a: left, top, width, height, float [F, 4].
        b: the same, float [G, 4].

    Returns:
        float64 [F, G] in 0..1; 0 where both boxes are empty.

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 2], [1, 0, 2, 2], [5, 5, 1, 1]])).round(2)
    array([[1.  , 0.33, 0.  ]])
    """
    a, b = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    lower = np.maximum(a[..., :2], b[..., :2])
    upper = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.prod(np.clip(upper - lower, 0, None), axis=-1)
    union = np.prod(a[..., 2:], axis=-1) + np.prod(b[..., 2:], axis=-1) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def suppress(boxes: Boxes, *, most_iou: float) -> Boxes:
    """Keep the best box of each face: non-maximum suppression.

    By descending score, a box is dropped that overlaps one that was kept by more than `most_iou`.
    """
    boxes = boxes.take(np.argsort(-boxes.scores, kind="stable"))
    overlaps = iou(boxes.xywh, boxes.xywh) > most_iou
    kept: list[int] = []
    for row in range(len(boxes)):
        if not overlaps[row, kept].any():
            kept.append(row)
    return boxes.take(np.array(kept, int))
