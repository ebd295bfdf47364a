"""Videos and cameras as upright RGB frames with times, by PyAV.

The package comes with the extra `video` and is imported when the first video is opened.
"""

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from fer_jax.errors import ConfigError, DataError
from fer_jax.faces.pictures import Picture
from fer_jax.text import counted

_NOT_VIDEOS: Final = frozenset({"concat", "dash", "hls", "sdp", "tty"})
"""What FFmpeg opens and is none: lists of other files or addresses, and text."""

_ATTACHED_PICTURE: Final = 0x400
"""The disposition of a stream that is the cover of an album."""

_MISSING_END_S: Final = 0.5
_USUAL_FPS: Final = 25.0
_RESTART_FRAMES: Final = 3
"""Times that jump back by more frames than this have started again; smaller jumps are inaccuracies."""
_HIGHEST_FPS: Final = 1000


@dataclass(frozen=True, eq=False)
class Video:
    """An opened video or camera.

    Attributes:
        name: what rows and messages call it.
        width, height: of the first frame as it is coded: the upright frame may be turned or stretched.
        fps: frames a second, on average; None where it is not known.
        duration_s: None where it is not known, as of a camera.
        frame_count: how many frames there will be, about; None where it is not known.
        is_live: whether it is a camera.
    """

    name: str
    width: int
    height: int
    fps: float | None
    duration_s: float | None
    frame_count: int | None
    is_live: bool
    _container: Any = field(repr=False)
    _stream: Any = field(repr=False)

    def read_frames(self, *, every: int, warn: Callable[[str], None]) -> Iterator[Picture]:
        """Decode the frames, once, in the order in which they are shown; the first is at 0 s.

        Times are the stream's own, so that a variable frame rate keeps them right. What the file says about
        rotation and about the shape of its pixels is applied.

        Args:
            every: yield the frames 0, `every`, 2 · `every`, …
            warn: told once, in the end, if the file is damaged or cut off.

        Raises:
            DataError: not one frame can be decoded, or a camera is gone.
        """
        reader = _Reader(self)
        for index, frame in enumerate(reader.decode()):
            time_s = reader.time_of(frame, index)
            image = reader.convert(frame) if index % every == 0 else None
            if image is not None:
                yield Picture(self.name, index, time_s, image)
        reader.finish(warn)


class _Reader:
    """Decoding under way: how many frames there were, their last time, and what went wrong."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._count = self._damaged = 0
        self._start_s: float | None = None
        self._last_s = 0.0
        self._period_s = 1 / (video.fps or _USUAL_FPS)

    def decode(self) -> Iterator[Any]:
        """Yield PyAV's frames; a damaged part is left out."""
        for packet in self._read_packets():
            try:
                frames = packet.decode()
            except Exception:  # A damaged part can raise anything.
                self._damaged += 1
                continue
            for frame in frames:
                self._count += 1
                yield frame

    def _read_packets(self) -> Iterator[Any]:
        video = self._video
        try:
            yield from video._container.demux(video._stream)
        except Exception as error:  # As above.
            if video.is_live:
                said = getattr(error, "strerror", None) or error
                raise DataError(f"{video.name}: the camera stopped: {said}") from None
            self._damaged += 1

    def convert(self, frame: Any) -> np.ndarray | None:
        """Convert a frame, see `_to_rgb`; None where it is damaged."""
        try:
            return _to_rgb(frame, self._video._stream)
        except Exception:  # A damaged frame can raise anything.
            self._damaged += 1
            return None

    def time_of(self, frame: Any, index: int) -> float:
        """Find a frame's time in seconds from the first; it never goes back.

        In files that were joined the times start again; there the next frame comes one period later.
        """
        if frame.time is None:
            time_s = index * self._period_s
        else:
            self._start_s = frame.time if self._start_s is None else self._start_s
            time_s = float(frame.time - self._start_s)
            if time_s < self._last_s - _RESTART_FRAMES * self._period_s:
                self._start_s -= self._last_s + self._period_s - time_s
                time_s = self._last_s + self._period_s
        self._last_s = max(time_s, self._last_s)
        return self._last_s

    def finish(self, warn: Callable[[str], None]) -> None:
        """Say what was missing."""
        video = self._video
        if self._count == 0:
            raise DataError(f"{video.name}: no frame of the video can be decoded; copy or convert it again")
        # A file that is cut off ends in silence; its index, or its head, tells how long it was.
        # It includes the time for which the last frame is shown.
        least_s = max(_MISSING_END_S, 1.5 * self._period_s)
        is_short = video.duration_s is not None and self._last_s + least_s < video.duration_s
        lacks_frames = self._video._stream.frames == 0 or self._count < self._video._stream.frames
        if self._damaged or (is_short and lacks_frames):
            warn(
                f"{video.name}: the video is damaged or cut off; {counted(self._count, 'frame')} could be "
                f"read, up to {self._last_s:.1f} s"
            )


@contextmanager
def open_video(path: Path, *, name: str | None = None) -> Iterator[Video]:
    """Open the file of a video.

    Args:
        path: of the file.
        name: what rows and messages call it; None for the path.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: it is missing, or no video.
    """
    name = str(path) if name is None else name
    check_installed(name)
    try:
        if path.is_dir():
            raise DataError(f"{name} is a folder; wanted the file of a video")
        if path.stat().st_size == 0:
            raise DataError(f"{name}: the file is empty; wanted a video; copy or download it again")
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}; give a file that exists") from None
    with file:
        # `file:` keeps FFmpeg from taking a colon in the name for a protocol; the whitelist keeps it from
        # following addresses in a file.
        place: Any = file if _has_odd_letters(path) else f"file:{path}"
        hint = "wanted a video; a video that was cut off before its index was written cannot be read"
        with _opened(place, name, hint, {"protocol_whitelist": "file"}) as container:
            yield _describe(container, name, is_live=False)


@contextmanager
def open_camera(device: str) -> Iterator[Video]:
    """Open a camera.

    Args:
        device: its number, the path or the name by which the system calls it, or `lavfi:` and a source of
            FFmpeg's, such as `lavfi:testsrc2=size=640x360:rate=30`, which stands in for a camera.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: there is no such camera, or another program has it.
    """
    name = f"camera:{device}"
    check_installed(name)
    place, driver, options = _find_camera(device)
    with _opened(place, name, "is it connected, and free of other programs?", options, driver) as container:
        yield _describe(container, name, is_live=driver != "lavfi")


def _find_camera(device: str) -> tuple[str, str, dict[str, str]]:
    """Find a camera's place, FFmpeg's driver for it, and the options of the driver."""
    is_number = device.isascii() and device.isdigit()
    if device.startswith("lavfi:"):
        return device.removeprefix("lavfi:"), "lavfi", {}
    if sys.platform == "darwin":
        return f"{device}:none", "avfoundation", {"framerate": "30"}
    if sys.platform == "win32":
        return f"video={_name_camera(int(device)) if is_number else device}", "dshow", {}
    return f"/dev/video{device}" if is_number else device, "v4l2", {}


def _name_camera(number: int) -> str:
    """Find the name of a camera on Windows, where cameras have no numbers."""
    import av

    listed = av.enumerate_input_devices("dshow") if hasattr(av, "enumerate_input_devices") else []
    names = [each.description for each in listed if "video" in each.media_types]
    if number >= len(names):
        found = f"found {', '.join(names)}" if names else "found none"
        raise DataError(f"camera:{number}: there is no such camera ({found}); write camera: and a name")
    return str(names[number])


def check_installed(name: str) -> None:
    """Refuse a video, a camera or a copy of this name where PyAV is not installed.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("av") is None:
        raise ConfigError(
            f"{name}: a video or a camera needs PyAV, which is not installed: `pip install 'fer-jax[video]'` "
            "installs it"
        )


def _has_odd_letters(path: Path) -> bool:
    """Whether a name is no UTF-8, which PyAV cannot pass on."""
    return re.search(r"[\ud800-\udfff]", str(path)) is not None


@contextmanager
def _opened(
    place: Any, name: str, hint: str, options: dict[str, str], driver: str | None = None
) -> Iterator[Any]:
    import av

    try:
        container = av.open(place, format=driver, options=options)
    except (av.error.FFmpegError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{name} cannot be opened ({said}); {hint}") from None
    with container:
        yield container


def _describe(container: Any, name: str, *, is_live: bool) -> Video:
    """Find the stream of pictures, and what is known about it."""
    streams = [
        each
        for each in container.streams.video
        # Without a decoder, or with a damaged head, there is no context.
        if getattr(each, "codec_context", None) and not int(each.disposition) & _ATTACHED_PICTURE
    ]
    if container.format.name in _NOT_VIDEOS or not streams:
        came = (
            "sound alone"
            if container.streams.audio
            else f"no video that can be decoded ({container.format.long_name})"
        )
        raise DataError(f"{name}: found {came}; wanted a picture, or a video that is not cut off")
    stream = streams[0]
    stream.thread_type = "AUTO"
    rates = [float(each) for each in (stream.average_rate, stream.guessed_rate) if each]
    fps = next((rate for rate in rates if rate <= _HIGHEST_FPS), None)
    duration_s = None
    if stream.duration:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:
        duration_s = container.duration / 1e6
    frame_count = stream.frames or (round(duration_s * fps) if duration_s and fps else None)
    return Video(name, stream.width, stream.height, fps, duration_s, frame_count, is_live, container, stream)


def _to_rgb(frame: Any, stream: Any) -> np.ndarray:
    """Convert a frame to uint8 [H, W, 3], upright and with square pixels."""
    shape = stream.codec_context.sample_aspect_ratio or 1
    width = round(frame.width * shape) if Fraction(1, 4) < shape < 4 else frame.width
    pixels = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    quarters = frame.rotation // 90 if frame.rotation % 90 == 0 else 0
    return np.ascontiguousarray(np.rot90(pixels, quarters))
