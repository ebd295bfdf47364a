"""Tracks: which faces of one frame are those of the frames before, by how much their boxes overlap.

Faces move little from one frame to the next, so neither their looks nor a model of their motion is needed.
All faces of a frame are assigned together, so that the sum of the overlaps is largest.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fer_jax.faces.boxes import iou

MIN_IOU: Final = 0.3
"""A face whose box overlaps that of a track by less starts a track of its own."""

LOST_AFTER_S: Final = 1.0
"""A track without a face for longer has ended; who comes back after that is somebody new."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks that go on.

    Attributes:
        ids: int64 [T], the numbers of the tracks.
        boxes: float64 [T, 4], where each was last: x, y, width, height.
        seen_s: float64 [T], when that was.
        next_id: the number of the next new track; the first is 1.
    """

    ids: np.ndarray
    boxes: np.ndarray
    seen_s: np.ndarray
    next_id: int


def start() -> Tracks:
    """Begin a video, without a track."""
    return Tracks(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0), 1)


def advance(before: Tracks, time_s: float, boxes: np.ndarray) -> tuple[Tracks, np.ndarray]:
    """Find the tracks of a frame's faces.

    Args:
        before: the tracks so far; `start()` in the beginning.
        time_s: of the frame, in seconds of the stream.
        boxes: float64 [F, 4]: x, y, width, height.

    Returns:
        The tracks after this frame, and int64 [F], the number of each face's track.
    """
    from scipy.optimize import (
        linear_sum_assignment,
    )  # Slow to import; a photo needs no tracks.

    is_kept = time_s - before.seen_s <= LOST_AFTER_S
    old_ids, old_boxes = before.ids[is_kept], before.boxes[is_kept]
    overlap = iou(boxes, old_boxes)
    # What overlaps too little counts nothing, or it would take a face away from a pair that belongs together.
    overlap[overlap < MIN_IOU] = 0
    faces, columns = linear_sum_assignment(overlap, maximize=True)
    is_pair = overlap[faces, columns] > 0
    faces, columns = faces[is_pair], columns[is_pair]

    ids = np.zeros(len(boxes), np.int64)
    ids[faces] = old_ids[columns]
    is_new = ids == 0
    next_id = before.next_id + int(is_new.sum())
    ids[is_new] = np.arange(before.next_id, next_id)

    is_missed = ~np.isin(old_ids, ids)
    after = Tracks(
        ids=np.concatenate([old_ids[is_missed], ids]),
        boxes=np.concatenate([old_boxes[is_missed], boxes]),
        seen_s=np.concatenate([before.seen_s[is_kept][is_missed], np.full(len(ids), time_s)]),
        next_id=next_id,
    )
    return after, ids
