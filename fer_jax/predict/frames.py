"""From sources to frames with their faces: decoding, finding and classifying as a pipeline.

Decoding and finding each have a thread of their own, with short queues between them, so the memory that a
video takes does not depend on its length. The network takes the faces of several frames as one batch.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fer_jax.errors import ConfigError, DataError
from fer_jax.faces import pictures, smoothing, tracks, videos
from fer_jax.faces.choices import PhotoViews
from fer_jax.faces.pictures import Picture
from fer_jax.faces.sources import CAMERA, Source, read_standard_input
from fer_jax.inference.analyzer import Analyzer, Face, Found
from fer_jax.runtime.prefetch import prefetch

QUEUED: Final = 2
"""How many frames wait between two parts of the pipeline."""
CHUNK_FRAMES: Final = 8
CHUNK_PIXELS: Final = 8_000_000
"""A batch ends with the frame that passes one of these."""


@dataclass(frozen=True, eq=False)
class FollowedFace:
    """A face in a frame.

    Attributes:
        face: where it is, and its expression in this frame alone.
        track: number of the person's track in a video, as far as it could be followed; None in a picture.
        smooth: log-probabilities, float64 [C], smoothed over the frames so far; None in a picture.
    """

    face: Face
    track: int | None
    smooth: np.ndarray | None = field(repr=False)

    @property
    def probabilities(self) -> np.ndarray:
        """The smoothed ones in a video, those of the picture otherwise; float64 [C]."""
        return self.face.probabilities if self.smooth is None else np.exp(self.smooth)


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture or a frame of a video, and the faces in it.

    Attributes:
        source: name of the picture, video or camera.
        number: of the frame in its source, from 0.
        time_s: seconds since the first frame; None of a still picture.
        image: uint8 [H, W, 3] RGB, upright.
        faces: by descending score of the detector.
        labels: names of the classes, in the order of the probabilities.
    """

    source: str
    number: int
    time_s: float | None
    image: np.ndarray = field(repr=False)
    faces: tuple[FollowedFace, ...]
    labels: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Problem:
    """A source, or the rest of one, that could not be read."""

    source: str
    message: str


@dataclass(frozen=True)
class Opened:
    """A source of which frames follow.

    Attributes:
        source: its name.
        is_video: a video or a camera, not a picture.
        frame_count: how many frames of a video there will be, about; None where it is not known.
        fps: frames a second of a video, on average; None where it is not known.
    """

    source: str
    is_video: bool
    frame_count: int | None = None
    fps: float | None = None


Event = Opened | Frame | Problem


def read_events(
    found: Sequence[Source],
    analyzer: Analyzer,
    *,
    video_views: PhotoViews,
    every: int,
    smooth_s: float,
    warn: Callable[[str], None],
) -> Generator[Event]:
    """Read sources, one after the other, and classify the faces in them.

    Args:
        found: the sources.
        analyzer: networks and detector.
        video_views: how often each face of a video or an animation is looked at.
        every: use every so many frames of a video or an animation.
        smooth_s: time constant of the smoothing over time; 0 for none.
        warn: told what is damaged or cut off, and yet usable.

    Yields:
        `Opened` before the first frame of each source, its frames, and a `Problem` where it cannot be read
        further; the next sources are read all the same.
    """
    is_live = any(source.kind == "camera" for source in found)
    decoded = prefetch(_decode_all(found, every, warn), depth=QUEUED, is_live=False)
    parted = prefetch(_find_all(decoded, analyzer, video_views), depth=QUEUED, is_live=False)
    follower = _Follower(smooth_s)
    for chunk in _in_chunks(parted, 1 if is_live else CHUNK_FRAMES):
        faces = iter(analyzer.classify([each.found for each in chunk if isinstance(each, _Parted)]))
        for each in chunk:
            if isinstance(each, _Parted):
                followed = follower.follow(each.picture, next(faces))
                picture = each.picture
                yield Frame(
                    picture.source, picture.frame, picture.time_s, picture.image, followed, analyzer.labels
                )
            else:
                if isinstance(each, Opened):
                    follower.begin()
                yield each


def analyze_picture(name: str, image: np.ndarray, analyzer: Analyzer) -> Generator[Event]:
    """Find and classify the faces of a picture uint8 [H, W, 3]; yield the events that `read_events` would."""
    faces = tuple(FollowedFace(face, None, None) for face in analyzer.analyze([image])[0])
    yield Opened(name, is_video=False)
    yield Frame(name, 0, None, image, faces, analyzer.labels)


@dataclass(frozen=True, eq=False)
class _Parted:
    """A picture whose faces are cut out."""

    picture: Picture
    found: Found


class _Follower:
    """The tracks of one video, and their smoothed log-probabilities."""

    def __init__(self, smooth_s: float) -> None:
        self._smooth_s = smooth_s
        self.begin()

    def begin(self) -> None:
        """Forget all tracks: another source begins."""
        self._tracker = tracks.start()
        self._averages: smoothing.Averages = {}

    def follow(self, picture: Picture, faces: Sequence[Face]) -> tuple[FollowedFace, ...]:
        """Give the faces of the next frame their tracks."""
        if picture.time_s is None:
            return tuple(FollowedFace(face, None, None) for face in faces)
        boxes = np.array([face.box for face in faces], float).reshape(-1, 4)
        self._tracker, numbers = tracks.advance(self._tracker, picture.time_s, boxes)
        if not faces:
            return ()
        raw = np.stack([face.log_probabilities for face in faces])
        self._averages, smoothed = smoothing.advance(
            self._averages, picture.time_s, numbers, raw, tau_s=self._smooth_s
        )
        return tuple(
            FollowedFace(face, int(number), row)
            for face, number, row in zip(faces, numbers, smoothed, strict=True)
        )


def _in_chunks(
    events: Iterable[_Parted | Opened | Problem], most_frames: int
) -> Iterator[list[_Parted | Opened | Problem]]:
    """Group frames that are classified as one batch, in order, with what comes between them."""
    chunk: list[_Parted | Opened | Problem] = []
    frames = pixels = 0
    for event in events:
        chunk.append(event)
        if isinstance(event, _Parted):
            frames, pixels = frames + 1, pixels + event.picture.image.size // 3
        if frames >= most_frames or pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, frames, pixels = [], 0, 0
    if chunk:
        yield chunk


def _find_all(
    events: Iterable[Picture | Opened | Problem], analyzer: Analyzer, video_views: PhotoViews
) -> Iterator[_Parted | Opened | Problem]:
    for event in events:
        if isinstance(event, Picture):
            views = None if event.time_s is None else video_views
            yield _Parted(event, analyzer.find(event.image, views=views))
        else:
            yield event


def _decode_all(
    found: Sequence[Source], every: int, warn: Callable[[str], None]
) -> Iterator[Picture | Opened | Problem]:
    for source in found:
        try:
            yield from _decode(source, every, warn)
        except (DataError, ConfigError) as error:  # The second where PyAV is not installed.
            yield Problem(source.name, str(error))


def _decode(source: Source, every: int, warn: Callable[[str], None]) -> Iterator[Picture | Opened]:
    if source.kind == "camera":
        with videos.open_camera(source.name.removeprefix(CAMERA)) as camera:
            yield Opened(source.name, is_video=True, fps=camera.fps)
            frames = camera.read_frames(every=every, warn=warn)
            yield from prefetch(frames, depth=1, is_live=camera.is_live)
    elif source.kind == "video" and source.path is not None:
        with videos.open_video(source.path, name=source.name) as video:
            yield Opened(source.name, is_video=True, frame_count=video.frame_count, fps=video.fps)
            yield from video.read_frames(every=every, warn=warn)
    else:
        yield Opened(source.name, is_video=False)
        content = read_standard_input() if source.path is None else source.path
        for picture in pictures.read_frames(content, name=source.name):
            if picture.time_s is None or picture.frame % every == 0:
                yield picture
