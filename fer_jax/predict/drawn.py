"""Drawn copies of pictures and videos, and the crops that the network saw, as files."""

import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from fer_jax.faces import drawing
from fer_jax.faces.drawing import DrawnFace
from fer_jax.faces.sources import Source
from fer_jax.files import replacing, writing
from fer_jax.predict import recordings
from fer_jax.predict.copies import name_crop, number_frame
from fer_jax.predict.frames import Frame, Opened

_JPEG_QUALITY: Final = 92


def annotate(frame: Frame, *, abstain_below: float) -> np.ndarray:
    """Draw the faces of a frame on a copy of it, uint8 [H, W, 3]."""
    faces = [DrawnFace(each.face.box, each.probabilities, each.track) for each in frame.faces]
    return drawing.draw(frame.image, faces, frame.labels, abstain_below=abstain_below)


class Copies:
    """The drawn copies of some sources, each written when its frames come."""

    def __init__(self, places: Mapping[str, Path], every: int) -> None:
        """Take the path of each source's copy, by its name; of videos only each `every`-th frame comes."""
        self._places, self._every = places, every
        self._stack = ExitStack()
        self._opened: Opened | None = None
        self._write: recordings.Write | None = None

    def begin(self, opened: Opened) -> None:
        """Finish the copy of the source before, and begin that of another."""
        self._stack.close()
        self._write, self._opened = None, opened

    def add(self, frame: Frame, drawn: np.ndarray) -> None:
        """Write a drawn frame.

        Raises:
            RunError: it cannot be written.
        """
        place = self._places[frame.source]
        if self._opened is None or not self._opened.is_video or frame.time_s is None:
            is_first_of_still = frame.number == 0 and frame.time_s is None
            save_picture(drawn, place if is_first_of_still else number_frame(place, frame.number))
            return
        if self._write is None:
            fps = self._opened.fps
            writing = recordings.writing_video(place, fps=None if fps is None else fps / self._every)
            self._write = self._stack.enter_context(writing)
        self._write(drawn, frame.time_s)

    def close(self, error: BaseException | None) -> None:
        """Finish the last copy, or leave nothing of it after an error."""
        self._stack.__exit__(None if error is None else type(error), error, None)


@contextmanager
def writing_copies(places: Mapping[str, Path], *, every: int) -> Iterator[Copies]:
    """Write drawn copies until the block ends; a video that is not finished then by an error is removed."""
    copies = Copies(places, every)
    try:
        yield copies
    except BaseException as error:
        copies.close(error)
        raise
    copies.close(None)


def place_by_name(places: Mapping[Source, Path]) -> dict[str, Path]:
    """List the paths by the names of the sources."""
    return {source.name: path for source, path in places.items()}


def save_crops(frame: Frame, place: Path) -> None:
    """Write what the network saw of each face of a frame, 48 × 48 gray pixels; see `name_crop` for `place`.

    Raises:
        RunError: a file cannot be written.
    """
    for number, each in enumerate(frame.faces):
        save_picture(each.face.crop[..., 0], name_crop(place, frame.number, number))


def save_picture(image: np.ndarray, path: Path) -> None:
    """Write a picture uint8 [H, W, 3] or [H, W], as JPEG or PNG by its suffix, atomically.

    Raises:
        RunError: it cannot be written.
    """
    is_png = path.suffix.lower() == ".png"
    options = {"compress_level": 6} if is_png else {"quality": _JPEG_QUALITY}
    # In memory first: on a full disk Pillow writes half a JPEG without a word.
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG" if is_png else "JPEG", **options)
    with writing(path), replacing(path) as new:
        new.write_bytes(content.getvalue())
