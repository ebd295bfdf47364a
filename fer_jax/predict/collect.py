"""The rows of some sources, collected frame by frame, and smoothed over a whole video at its end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_jax.faces import smoothing
from fer_jax.predict.frames import Event, Frame, Opened, Problem
from fer_jax.predict.rows import Faces, Row, Settings, SourceFacts, to_rows


class Collector:
    """Collects events; `to_faces` may be called at any time, and covers what has come so far."""

    def __init__(self, settings: Settings) -> None:
        """Begin with no sources."""
        self._settings = settings
        self._rows: list[Row] = []
        self._facts: list[SourceFacts] = []
        self._current: list[Row] = []
        self._source: str | None = None
        self._size = (0, 0)
        self._frames = self._without_face = 0
        self._images: dict[str, np.ndarray] = {}

    def keep(self, name: str, image: np.ndarray) -> None:
        """Keep a picture that came from memory, to draw on it later."""
        self._images[name] = image

    def add(self, event: Event) -> None:
        """Add the next event."""
        if isinstance(event, Opened):
            self._finish(None)
            self._source = event.source
        elif isinstance(event, Problem):
            # Either the rest of the present source, or one that could not be opened.
            if event.source != self._source:
                self._finish(None)
                self._source = event.source
            self._finish(event.message)
        else:
            self._add_frame(event)

    def to_faces(self) -> Faces:
        """Make the rows of all that has come."""
        self._finish(None)
        return Faces(tuple(self._rows), tuple(self._facts), self._settings, dict(self._images))

    def _add_frame(self, frame: Frame) -> None:
        if not self._frames:
            self._size = (frame.image.shape[1], frame.image.shape[0])
        self._frames += 1
        self._without_face += not frame.faces
        self._current += to_rows(frame)

    def _finish(self, problem: str | None) -> None:
        """End a source, if there is one."""
        if self._source is None:
            return
        rows = smooth_tracks(self._current, self._settings.smooth_s)
        self._facts.append(
            SourceFacts(self._source, *self._size, self._frames, self._without_face, len(rows), problem)
        )
        self._rows += rows
        self._current, self._source, self._size = [], None, (0, 0)
        self._frames = self._without_face = 0


def smooth_tracks(rows: Sequence[Row], smooth_s: float) -> list[Row]:
    """Smooth the rows of a source without lag, each track by itself; those of pictures stay as they are."""
    followed = [index for index, row in enumerate(rows) if row.track is not None]
    if not followed:
        return list(rows)
    smoothed = list(rows)
    values = smoothing.smooth(
        np.array([rows[index].time_s for index in followed], float),
        np.array([rows[index].track for index in followed]),
        np.stack([rows[index].log_probabilities for index in followed]),
        tau_s=smooth_s,
    )
    for index, row in zip(followed, values, strict=True):
        smoothed[index] = replace(rows[index], smooth=row)
    return smoothed
