"""Videos written frame by frame, such as annotated copies, by PyAV."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from fer_jax.errors import RunError
from fer_jax.faces.videos import check_installed
from fer_jax.files import replacing, writing

_TICKS: Final = 60_000
"""The time stamps of copies count these in a second: all usual frame rates come out whole, NTSC's too."""

Write = Callable[[np.ndarray, float], None]
"""Writes one frame: uint8 [H, W, 3] and its time in seconds, later than that of the frame before."""


@contextmanager
def writing_video(path: Path, *, fps: float | None) -> Iterator[Write]:
    """Write a video as MP4, without sound, atomically: H.264 where this PyAV has it, otherwise MPEG-4.

    The first frame decides on the size, with its last column or row doubled where the number is odd. Times
    are kept, so a variable frame rate stays one.

    Args:
        path: of the file; a folder that is not there is made.
        fps: frames a second, which decides on the bits spent on each; None for 30.

    Raises:
        RunError: the file cannot be written, as on a full disk. Nothing is left of it.
    """
    check_installed(str(path))
    if path.is_dir():
        raise RunError(f"{path} is a folder; wanted the name of a video to write")
    with ExitStack() as stack:
        with _translated(path):
            writer = _Writer(
                stack.enter_context(replacing(path)), Fraction(fps or 30).limit_denominator(1001)
            )
        stack.callback(writer.close)

        def write(image: np.ndarray, time_s: float) -> None:
            with _translated(path):
                writer.write(image, time_s)

        yield write
        with _translated(path):
            writer.finish()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    import av

    with writing(path):
        try:
            yield
        except av.error.FFmpegError as error:
            raise OSError(error.errno, error.strerror or str(error)) from None


class _Writer:
    """A container that is written to, and its stream as soon as the first frame has come."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        import av

        self._rate = rate
        # FFmpeg would take a colon in a relative name for the end of a protocol.
        place = str(path.absolute())
        self._container = av.open(place, "w", format="mp4", options={"movflags": "faststart"})
        self._stream: Any = None
        self._last_tick = -1

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Write a frame."""
        import av

        height, width = image.shape[:2]
        if self._stream is None:
            self._begin(width + width % 2, height + height % 2)
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        size = self._stream.width, self._stream.height
        frame = frame.reformat(*size, format="yuv420p", interpolation="AREA")
        self._last_tick = max(round(time_s * _TICKS), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def _begin(self, width: int, height: int) -> None:
        import av

        has_x264 = "libx264" in av.codecs_available
        self._stream = self._container.add_stream("libx264" if has_x264 else "mpeg4", rate=self._rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        if has_x264:
            # With B-frames and a variable rate, the last frames would have no place in the duration.
            self._stream.options = {"crf": "20", "preset": "veryfast", "bf": "0"}
        else:
            self._stream.bit_rate = int(0.2 * width * height * self._rate)

    def finish(self) -> None:
        """Write what the encoder still holds, and the index."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def close(self) -> None:
        """Close the file, finished or not."""
        import av

        with suppress(av.error.FFmpegError):
            self._container.close()
