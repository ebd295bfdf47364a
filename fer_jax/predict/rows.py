"""What was found: a row a face, and what is known about each source; for tables, JSON and notebooks."""

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from fer_jax.errors import ConfigError, DataError
from fer_jax.faces import pictures
from fer_jax.faces.choices import PhotoViews
from fer_jax.faces.crop import CropContract
from fer_jax.faces.detectors import TERMS
from fer_jax.faces.drawing import DrawnFace, draw
from fer_jax.faces.sources import find_sources
from fer_jax.files import Json
from fer_jax.inference.analyzer import Analyzer, Face, Search
from fer_jax.predict.frames import Frame
from fer_jax.text import Table, confidence

if TYPE_CHECKING:
    import pandas as pd

UNSURE: Final = "unsure"
FORMAT: Final = 1
"""Of the JSON file."""
_SHOWN_ROWS: Final = 10
_DIGITS: Final = 6


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """A face in a frame.

    Attributes:
        source: name of the picture or video.
        frame: number of the frame, from 0.
        time_s: seconds since the first frame; None of a still picture.
        number: of the face in its frame, from 0, by descending score of the detector.
        track: number of the track in a video; None in a picture.
        box: left, top, width and height, in pixels.
        detector_score: 0..1; None without a detector.
        log_probabilities: of the frame alone, float64 [C].
        smooth: smoothed over time, float64 [C]; None in a picture.
        crop_px: side of the square that was cut out, in pixels.
        is_clipped: the square leaves the picture.
        roll_deg: by how much the eyes' line is turned, clockwise; None without a detector.
    """

    source: str
    frame: int
    time_s: float | None
    number: int
    track: int | None
    box: tuple[float, float, float, float]
    detector_score: float | None
    log_probabilities: np.ndarray
    smooth: np.ndarray | None
    crop_px: float
    is_clipped: bool
    roll_deg: float | None

    @property
    def probabilities(self) -> np.ndarray:
        """The smoothed ones where there are some, otherwise those of the frame; float64 [C]."""
        return np.exp(self.log_probabilities if self.smooth is None else self.smooth)


@dataclass(frozen=True)
class SourceFacts:
    """What a source was.

    Attributes:
        source: its name.
        width, height: of its first frame, in pixels; 0 where there was none.
        frames: how many were looked at.
        frames_without_face: how many of them have none.
        faces: how many rows it has.
        problem: why it, or the rest of it, could not be read; None where all is well.
    """

    source: str
    width: int
    height: int
    frames: int
    frames_without_face: int
    faces: int
    problem: str | None


@dataclass(frozen=True)
class Settings:
    """How the faces were found and classified.

    Attributes:
        weights: `name` and `sha256` of the networks' tensors; a run has no hash.
        labels: names of the classes.
        contract: how faces were cut out.
        search: how they were found; None without a detector.
        views, video_views, abstain_below, every, smooth_s: as the options say.
    """

    weights: tuple[Mapping[str, str | None], ...]
    labels: tuple[str, ...]
    contract: CropContract
    search: Search | None
    views: PhotoViews
    video_views: PhotoViews
    abstain_below: float
    every: int
    smooth_s: float


def describe(
    analyzer: Analyzer, *, video_views: PhotoViews, abstain_below: float, every: int, smooth_s: float
) -> Settings:
    """Describe how faces are found and classified, for the record."""
    return Settings(
        weights=analyzer.weights,
        labels=analyzer.labels,
        contract=analyzer.contract,
        search=analyzer.search,
        views=analyzer.views,
        video_views=video_views,
        # Python's own, for JSON: NumPy's may come.
        abstain_below=float(abstain_below),
        every=int(every),
        smooth_s=float(smooth_s),
    )


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces that were found in some sources, in their order.

    Attributes:
        rows: a row a face.
        sources: what each source was.
        settings: how it was done.
        images: the pictures that came from memory, uint8 [H, W, 3], by name.
    """

    rows: tuple[Row, ...] = field(repr=False)
    sources: tuple[SourceFacts, ...] = field(repr=False)
    settings: Settings
    images: Mapping[str, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        """How many faces there are."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows."""
        return iter(self.rows)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.settings.labels

    @property
    def problems(self) -> list[str]:
        """Why sources could not be read."""
        return [each.problem for each in self.sources if each.problem is not None]

    def to_records(self) -> list[Json]:
        """Make a dict of each row; `columns` lists the keys."""
        return [to_record(row, self.settings) for row in self.rows]

    def to_frame(self) -> "pd.DataFrame":
        """Make a table, a row a face; `columns` lists its columns. What does not exist is missing in it."""
        import pandas as pd

        frame = pd.DataFrame(self.to_records(), columns=columns(self.labels))
        return frame.astype(_dtypes(self.labels))

    def to_dict(self) -> Json:
        """Describe everything, for JSON."""
        settings, search = asdict(self.settings), self.settings.search
        settings["contract"]["gray"] = list(self.settings.contract.gray)
        settings["detector"] = None if search is None else dict(TERMS[search.detector])
        return {
            "format": FORMAT,
            "fer_jax": importlib.metadata.version("fer-jax"),
            "settings": settings | {"weights": [dict(each) for each in self.settings.weights]},
            "sources": [asdict(each) for each in self.sources],
            "sources_without_face": [each.source for each in self.sources if each.frames and not each.faces],
            "faces": self.to_records(),
        }

    def draw(self, source: str | Path | None = None, *, frame: int = 0) -> Image.Image:
        """Draw the faces of a picture on a copy of it; the picture is read again.

        Args:
            source: its name, as in the rows; None for the first source.
            frame: of an animation.

        Raises:
            ConfigError: there is no such picture, it is a video, or the frame was passed over.
            DataError: it could not be read, or cannot be read any more.
        """
        names = [each.source for each in self.sources]
        name = names[0] if source is None and names else str(source)
        # The rows have ./photo.png as photo.png, and a camera or an address as it came.
        name = name if name in names else str(Path(name))
        if name not in names:
            raise ConfigError(
                f"there is no source {name!r} here; name one of {', '.join(names[:5]) or 'none'}"
            )
        rows = [row for row in self.rows if row.source == name and row.frame == frame]
        image = self._find_image(self.sources[names.index(name)], frame)
        if image is None:
            raise ConfigError(f"{name} has no frame {frame}; the first is 0")
        faces = [DrawnFace(row.box, row.probabilities, row.track) for row in rows]
        return Image.fromarray(draw(image, faces, self.labels, abstain_below=self.settings.abstain_below))

    def _find_image(self, facts: SourceFacts, frame: int) -> np.ndarray | None:
        """Find a frame of a source, uint8 [H, W, 3]; None where it has no such frame."""
        name = facts.source
        if not facts.frames:
            raise DataError(facts.problem or f"{name} has no frame")
        if name in self.images:
            return self.images[name] if frame == 0 else None
        if find_sources([name]).sources[0].kind == "video":
            raise ConfigError(
                f"{name} is a video, and draw() draws pictures; fer_jax.stream yields its frames with their "
                "faces, and `python -m fer_jax.predict VIDEO --out FOLDER` writes a drawn copy"
            )
        found = next((each for each in pictures.read_frames(Path(name)) if each.frame == frame), None)
        every = self.settings.every
        if found is not None and found.time_s is not None and frame % every:
            raise ConfigError(f"frame {frame} of {name} was skipped: every is {every}")
        return None if found is None else found.image

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        html: str = self.to_frame().to_html(max_rows=20, float_format="{:.3g}".format, na_rep="")
        return html

    def to_table(self, most: int = _SHOWN_ROWS) -> Table:
        """List the first faces for people, below a head."""
        return [
            ["source", "face", "box", "label", "probability", "next"],
            *(_to_cells(row, self.settings) for row in self.rows[:most]),
        ]


def columns(labels: Sequence[str]) -> list[str]:
    """List the columns of a row."""
    return list(_dtypes(labels))


def _dtypes(labels: Sequence[str]) -> dict[str, str]:
    """Map each column to its dtype in pandas; whole numbers that can be missing are nullable."""
    return {
        **{"source": "object", "frame": "int64", "time_s": "float64", "face": "int64", "track": "Int64"},
        **dict.fromkeys(("x", "y", "width", "height", "detector_score"), "float64"),
        **{"label": "object", "probability": "float64"},
        **{f"p_{label}": "float64" for label in labels},
        "label_smooth": "object",
        **{f"p_smooth_{label}": "float64" for label in labels},
        **{"crop_px": "float64", "is_clipped": "bool", "roll_deg": "float64"},
    }


def to_record(row: Row, settings: Settings) -> Json:
    """Make a dict of a row, with Python's own numbers, rounded to six digits after the point."""
    raw = np.exp(row.log_probabilities)
    smooth = None if row.smooth is None else np.exp(row.smooth)
    record: Json = {
        "source": row.source,
        "frame": row.frame,
        "time_s": row.time_s,
        "face": row.number,
        "track": row.track,
        **dict(zip(("x", "y", "width", "height"), row.box, strict=True)),
        "detector_score": row.detector_score,
        "label": choose_label(raw, settings),
        "probability": float(raw.max()),
        **_probabilities("p", raw, settings.labels),
        "label_smooth": None if smooth is None else choose_label(smooth, settings),
        **_probabilities("p_smooth", smooth, settings.labels),
        "crop_px": row.crop_px,
        "is_clipped": row.is_clipped,
        "roll_deg": row.roll_deg,
    }
    return {
        key: round(value, _DIGITS) if isinstance(value, float) else value for key, value in record.items()
    }


def choose_label(probabilities: np.ndarray, settings: Settings) -> str:
    """Name the likeliest class, or say "unsure" where it is not likely enough."""
    best = int(probabilities.argmax())
    return settings.labels[best] if probabilities[best] >= settings.abstain_below else UNSURE


def to_rows(frame: Frame) -> list[Row]:
    """Make the rows of a frame; it and its picture need not be kept."""
    return [
        Row(
            source=frame.source,
            frame=frame.number,
            time_s=frame.time_s,
            number=number,
            track=each.track,
            smooth=each.smooth,
            **_facts(each.face),
        )
        for number, each in enumerate(frame.faces)
    ]


def _facts(face: Face) -> dict[str, Any]:
    return {
        "box": face.box,
        "detector_score": face.detector_score,
        "log_probabilities": face.log_probabilities,
        "crop_px": face.crop_px,
        "is_clipped": face.is_clipped,
        "roll_deg": face.roll_deg,
    }


def _probabilities(prefix: str, values: np.ndarray | None, labels: Sequence[str]) -> dict[str, float | None]:
    return {
        f"{prefix}_{label}": None if values is None else float(values[index])
        for index, label in enumerate(labels)
    }


def _to_cells(row: Row, settings: Settings) -> list[str]:
    """Make the cells of a row in the table for people."""
    probabilities = row.probabilities
    first, second = np.argsort(-probabilities, kind="stable")[:2]
    x, y, width, height = (round(each) for each in row.box)
    name = row.source if row.time_s is None else f"{row.source} {row.time_s:.2f} s"
    return [
        name,
        str(row.number if row.track is None else row.track),
        f"{width} × {height} at {x}, {y}",
        choose_label(probabilities, settings),
        confidence(probabilities[first]),
        f"{settings.labels[second]} {confidence(probabilities[second])}",
    ]
