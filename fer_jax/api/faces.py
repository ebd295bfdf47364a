"""Faces in pictures and videos, and their expressions: the work of `predict` as two functions."""

import functools
import math
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from fer_jax.config.checks import check_choice, check_ranges
from fer_jax.errors import ConfigError, DataError
from fer_jax.faces import pictures
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE, DetectorName, PhotoViews
from fer_jax.faces.crop import SCALES
from fer_jax.faces.detectors import TERMS
from fer_jax.faces.sources import find_sources
from fer_jax.inference.analyzer import Analyzer, make_analyzer
from fer_jax.inference.weights import to_array
from fer_jax.predict.collect import Collector
from fer_jax.predict.frames import Event, Frame, Problem, analyze_picture, read_events
from fer_jax.predict.rows import Faces, describe
from fer_jax.runs.sources import WEIGHTS, list_names

AnySource = str | Path | np.ndarray | Image.Image
"""A picture, folder, pattern, video or camera, as `predict` takes them; or a picture in memory."""

IN_MEMORY: Final = "picture"
"""The name of a picture that came from memory."""


def analyze(
    source: AnySource | Sequence[AnySource],
    weights: str | Path | Sequence[str | Path] = "mid",
    *,
    views: PhotoViews = "photo",
    video_views: PhotoViews = "flip",
    detector: DetectorName | None = "yunet",
    min_score: float = MIN_SCORE,
    min_face: float = MIN_FACE_PX,
    small_faces: bool = False,
    abstain_below: float = 0.0,
    every: int = 1,
    smooth: float = 0.3,
) -> Faces:
    """Find the faces in pictures and videos and predict their expressions.

    `fer_jax.analyze("photo.jpg").to_frame()` is a table with a row a face. The options are those of
    `predict`, where they are explained.

    Args:
        source: a file, folder, pattern or video; a picture uint8 [H, W, 3] RGB or [H, W] gray, or Pillow's;
            or several of these, in a list. A camera has no end: see `stream`.
        weights: a name, a file or a run; several are an ensemble.
        views: of pictures: "photo" is the most accurate, "single" the fastest.
        video_views: of videos, where the next frame is another look.
        detector: None where each picture is a face that is cut out already.
        min_score: leave out what the detector is less sure of, 0..1.
        min_face: leave out faces whose box is shorter on one side, in pixels.
        small_faces: look a second time, at twice the resolution.
        abstain_below: name no label where the largest probability is smaller.
        every: use one in so many frames of a video or an animation.
        smooth: time constant of the smoothing in videos, seconds.

    Returns:
        The faces. A source that could not be read is in their `sources` with its `problem`, and warned of.

    Raises:
        ConfigError: an option is wrong, `source` is an empty list, or the extra `use` is not installed.
        DataError: no source could be read.
        RunError: there are no such weights.
    """
    check_ranges({"abstain_below": (abstain_below, 0.0, 1.0)})
    _check(source, video_views, every, smooth)
    analyzer = _load(weights, views, detector, min_score, min_face, small_faces)
    collector = Collector(
        describe(analyzer, video_views=video_views, abstain_below=abstain_below, every=every, smooth_s=smooth)
    )
    for each, events in _read(
        source, analyzer, video_views=video_views, every=every, smooth_s=smooth, may_be_live=False
    ):
        with closing(events):
            for event in events:
                collector.add(event)
                if isinstance(event, Frame) and not isinstance(each, str | Path):
                    collector.keep(event.source, event.image)
    faces = collector.to_faces()
    if faces.problems and not any(each.frames for each in faces.sources):
        raise DataError("; ".join(faces.problems))
    for problem in faces.problems:
        _warn(problem)
    return faces


def stream(
    source: AnySource | Sequence[AnySource],
    weights: str | Path | Sequence[str | Path] = "mid",
    *,
    views: PhotoViews = "photo",
    video_views: PhotoViews = "flip",
    detector: DetectorName | None = "yunet",
    min_score: float = MIN_SCORE,
    min_face: float = MIN_FACE_PX,
    small_faces: bool = False,
    every: int = 1,
    smooth: float = 0.3,
) -> Iterator[Frame]:
    """Yield pictures, or the frames of a video or a camera, each with its faces, as they are analysed.

    `for frame in fer_jax.stream("camera:0"): ...`; leaving the loop closes the camera. The arguments are
    those of `analyze`. The smoothing looks at the frames so far, and so lags: a change is half visible after
    0.69 of the time constant.

    Raises:
        FerJaxError: as `analyze` does; where there are several sources, one that cannot be read is warned of.
    """
    _check(source, video_views, every, smooth)
    analyzer = _load(weights, views, detector, min_score, min_face, small_faces)
    problems, has_frames = [], False
    for _, events in _read(
        source, analyzer, video_views=video_views, every=every, smooth_s=smooth, may_be_live=True
    ):
        with closing(events):
            for event in events:
                if isinstance(event, Frame):
                    has_frames = True
                    yield event
                elif isinstance(event, Problem):
                    problems.append(event.message)
    if problems and not has_frames:
        raise DataError("; ".join(problems))
    for problem in problems:
        _warn(problem)


def _read(
    source: AnySource | Sequence[AnySource],
    analyzer: Analyzer,
    *,
    video_views: PhotoViews,
    every: int,
    smooth_s: float,
    may_be_live: bool,
) -> Iterator[tuple[AnySource, Generator[Event]]]:
    """Yield each source that was named, and its events."""
    several = source if isinstance(source, list | tuple) else [source]
    for number, each in enumerate(several):
        if not isinstance(each, str | Path):
            name = IN_MEMORY if len(several) == 1 else f"{IN_MEMORY} {number}"
            try:
                image = _to_image(each, name)
            except DataError as error:
                yield each, _tell([Problem(name, str(error))])
            else:
                yield each, analyze_picture(name, image, analyzer)
            continue
        try:
            found = find_sources([each])
        except DataError as error:
            yield each, _tell([Problem(str(each), str(error))])
            continue
        cameras = [one.name for one in found.sources if one.kind == "camera"]
        if cameras and not may_be_live:
            raise ConfigError(f"{cameras[0]} has no end; `for frame in fer_jax.stream(...)` reads it")
        yield (
            each,
            read_events(
                found.sources, analyzer, video_views=video_views, every=every, smooth_s=smooth_s, warn=_warn
            ),
        )
        yield each, _tell([Problem(str(each), message) for message in found.problems])


def _check(source: object, video_views: str, every: int, smooth_s: float) -> None:
    """Refuse what is wrong at first sight, before networks are loaded."""
    if isinstance(source, list | tuple) and not source:
        raise ConfigError("source came empty; name a picture, a folder or a video, or give a picture itself")
    check_choice("video_views", video_views, SCALES)
    check_ranges({"every": (every, 1, math.inf), "smooth": (smooth_s, 0.0, math.inf)})


def _tell(problems: Sequence[Problem]) -> Generator[Event]:
    """Yield what was wrong with a name, as an event."""
    yield from problems


def _to_image(picture: Any, name: str) -> np.ndarray:
    """Make a picture in memory uint8 [H, W, 3] RGB, or refuse it."""
    if isinstance(picture, Image.Image) and 0 not in picture.size:
        return pictures.to_rgb(picture, name=name)
    came = to_array(name, picture, wanted="uint8 [H, W, 3] RGB or [H, W] gray")
    if (
        came.dtype != np.uint8
        or not (came.ndim == 2 or (came.ndim == 3 and came.shape[2] in (1, 3)))
        or not came.size
    ):
        is_array = isinstance(picture, np.ndarray) or came.dtype.kind in "biufc"
        what = (
            f"{came.dtype} {list(came.shape)}" if is_array else f"an object of type {type(picture).__name__}"
        )
        raise DataError(
            f"{name} came as {what}; wanted uint8 [H, W, 3] RGB or [H, W] gray, the name of a file, or a "
            "picture of Pillow's; several in a list"
        )
    flat = came.reshape(*came.shape[:2], -1)
    return np.ascontiguousarray(np.broadcast_to(flat, (*flat.shape[:2], 3)))


def _load(
    weights: str | Path | Sequence[str | Path],
    views: PhotoViews,
    detector: DetectorName | None,
    min_score: float,
    min_face_px: float,
    has_small_faces: bool,
) -> Analyzer:
    names: Any = (weights,) if isinstance(weights, str | Path) else weights
    names = tuple(names) if isinstance(names, Iterable) else (names,)
    if not names:
        raise ConfigError(f"weights came empty; name {', '.join(list_names(WEIGHTS))}, a file or a run")
    for each in names:
        if not isinstance(each, str | Path):
            raise ConfigError(
                f"weights came {each!r}; wanted {', '.join(list_names(WEIGHTS))}, the name of a file or of a "
                "run, or several of these in a list"
            )
    check_choice("views", views, SCALES)
    if detector is not None:
        check_choice("detector", detector, TERMS, others=", or None")
    check_ranges({"min_score": (min_score, 0.0, 1.0), "min_face": (min_face_px, 0.0, math.inf)})
    make = _make_once if set(map(str, names)) <= set(list_names(WEIGHTS)) else make_analyzer
    return make(
        names,
        views=views,
        detector=detector,
        min_score=float(min_score),
        min_face_px=float(min_face_px),
        has_small_faces=bool(has_small_faces),
    )


_make_once = functools.lru_cache(maxsize=4)(make_analyzer)
"""Released weights do not change while a program runs; runs may."""


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)
