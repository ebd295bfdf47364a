"""The options of `predict`, which are its command line too: the docstrings are the help text."""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fer_jax.config.checks import check_ranges
from fer_jax.errors import ConfigError, RunError
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE, DetectorName, PhotoViews
from fer_jax.files import find_other_kind
from fer_jax.runs.outputs import resolve

if TYPE_CHECKING:
    from fer_jax.faces.sources import Found, Source


@dataclass(frozen=True)
class PredictOptions:
    """Find the faces in pictures and videos and predict their expressions.

    A source is a picture, a folder of pictures and videos, a pattern such as 'holiday/*.jpg', a video (extra
    `video`), a camera, or - for a picture on standard input. Nothing is downloaded, and nothing leaves this
    machine.

    The first faces are shown as a table; --csv, --json and --parquet write all of them, a row a face. Every
    row has the probabilities of all classes: read them, not the label alone. An expression is not an emotion,
    and a guess from one picture is not a measurement of a person.

    In a video faces are followed, and the probabilities of each are smoothed over time; rows have both.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Pictures, folders, patterns, videos, camera:0, or - for a picture on standard input."""
    weights: tuple[str, ...] = ("mid",)
    """Released weights (tiny, tiny80, mid, best, ferplus), a .safetensors file or the folder of a run;
    several are an ensemble."""
    views: PhotoViews = "photo"
    """How often a network looks at a face in a picture. photo: at squares of three sizes and their mirror
    images, the most accurate; flip: at one square and its mirror image; single: once, the fastest."""
    video_views: PhotoViews = "flip"
    """The same in a video, where the next frame is another look."""
    detector: DetectorName = "yunet"
    """What finds the faces; yunet comes with the extra `use`."""
    no_detector: tyro.conf.FlagCreatePairsOff[bool] = False
    """Each picture is a face that is cut out already, as FER2013's are."""
    min_score: float = MIN_SCORE
    """Leave out what the detector is less sure of, 0..1."""
    min_face: float = MIN_FACE_PX
    """Leave out faces whose box is shorter on one side, in pixels."""
    small_faces: tyro.conf.FlagCreatePairsOff[bool] = False
    """Look a second time, at twice the resolution, for faces that are small in a large picture; about five
    times slower."""
    abstain_below: float = 0.0
    """Say "unsure" where the largest probability is below this, 0..1; 0 always names a label."""
    every: int = 1
    """Use every N-th frame of a video or an animation."""
    smooth: float = 0.3
    """Time constant of the smoothing in videos, seconds; 0 smooths nothing. In the rows it does not lag; in
    --show and in drawn videos a change is half visible after 0.69 of it."""
    csv: Path | None = None
    """Write the rows to this CSV file."""
    json: Path | None = None
    """Write the rows, the settings and what was found in each source to this JSON file."""
    parquet: Path | None = None
    """Write the rows to this Parquet file (takes pyarrow)."""
    out: Path | None = None
    """Write copies of the pictures and videos, with boxes, labels and bars, into this folder."""
    crops: Path | None = None
    """Write what the network saw of each face, 48 × 48 gray pixels, as PNG files into this folder."""
    show: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show the pictures in a window as they are analysed; q or Escape ends."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace files that exist."""


def check(options: PredictOptions) -> "Found":
    """Check the options and find the sources, before anything slow is imported.

    Raises:
        ConfigError: an option is out of range, or names weights that do not exist.
        DataError: no source exists.
        RunError: an output cannot be written, or exists.
    """
    # Imported here: --help and misspelt options need not wait for Pillow and NumPy.
    from fer_jax.faces import videos
    from fer_jax.faces.detectors import check_installed
    from fer_jax.faces.sources import find_sources
    from fer_jax.runs import sources

    _check_numbers(options)
    found = find_sources(options.sources)
    for name in options.weights:
        sources.find(name)
    if not options.weights:
        released = ", ".join(sources.list_names(sources.WEIGHTS))
        raise ConfigError(f"--weights names nothing; give {released}, a file or a run")
    if not options.no_detector:
        check_installed(options.detector)
    if {source.kind for source in found.sources} <= {"camera", "video"}:
        videos.check_installed(found.sources[0].name)
    cameras = [source for source in found.sources if source.kind == "camera"]
    if cameras and found.sources[-1] is not cameras[0]:
        raise ConfigError(f"{cameras[0].name} has no end; name it last, and only one camera")
    if options.show and not _has_display():
        raise ConfigError("--show needs a display, and there is none; --out writes drawn copies instead")
    _check_outputs(options, found.sources)
    return found


def _check_numbers(options: PredictOptions) -> None:
    check_ranges(
        {
            "--min-score": (options.min_score, 0.0, 1.0),
            "--min-face": (options.min_face, 0.0, math.inf),
            "--abstain-below": (options.abstain_below, 0.0, 1.0),
            "--smooth": (options.smooth, 0.0, math.inf),
            "--every": (options.every, 1, math.inf),
        }
    )


def _check_outputs(options: PredictOptions, found: "tuple[Source, ...]") -> None:
    from fer_jax.predict.copies import find_frame_name, place_copies
    from fer_jax.runs import inputs, outputs

    originals = [each.path for each in found if each.path is not None]
    tables = {"--csv": options.csv, "--json": options.json, "--parquet": options.parquet}
    files = [each for each in tables.values() if each is not None]
    if files:
        # Once for all of them: there may be 100,000 sources.
        outputs.refuse_inputs(files, [*originals, *_list_networks(options.weights)])
    for name, path in tables.items():
        if path is not None:
            outputs.check_file(name, path, inputs=(), may_replace=options.overwrite)
    _refuse_same(files)
    if options.parquet is not None:
        inputs.check_parquet("--parquet", options.parquet)
    for name, folder in {"--out": options.out, "--crops": options.crops}.items():
        if folder is not None:
            outputs.check_folder(name, folder)
            _check_folder(name, folder, found)
            _check_tables(name, folder, files)
    if options.out is not None:
        copies = list(place_copies(options.out, found).values())
        _refuse_same([*files, *copies])
        doubtful = find_frame_name(copies)
        if doubtful is not None:
            raise RunError(
                f"--out: {doubtful.name} could be a frame of another source; name it in another call"
            )
        if options.out.exists():
            _check_copies(copies, originals, may_replace=options.overwrite)
    if options.crops is not None and not options.overwrite and any(options.crops.glob("*")):
        raise RunError(f"{options.crops} holds files; give --overwrite to replace crops, or another --crops")


def _list_networks(weights: Sequence[str]) -> list[Path]:
    """List the files that the networks consist of."""
    from fer_jax.runs import sources
    from fer_jax.runs.folder import OWN_FILES

    files: list[Path] = []
    for name in weights:
        found = sources.find(name)
        if isinstance(found, sources.Released):
            files += [found.folder / f"{found.name}{end}" for end in (sources.CARD_SUFFIX, sources.SUFFIX)]
        else:
            files += [folder / name for folder in found for name in OWN_FILES]
    return files


def _check_copies(copies: list[Path], originals: list[Path], *, may_replace: bool) -> None:
    """Refuse to draw where a source, a folder or a pipe is, or, unasked, where a copy is."""
    from fer_jax.predict.copies import find_frames
    from fer_jax.runs import outputs

    outputs.refuse_inputs(copies, originals)
    for copy in copies:
        if kind := find_other_kind(copy):
            raise RunError(f"{copy}, where a drawn copy would be, is {kind}; give another --out")
        there = copy if copy.exists() else next(find_frames(copy), None)
        if there is not None and not may_replace:
            raise RunError(f"{there} exists; give --overwrite to replace it, or another --out")


def _check_folder(name: str, folder: Path, found: "tuple[Source, ...]") -> None:
    """Refuse a folder in which sources lie, or where two sources would have the same name."""
    from fer_jax.predict.copies import place_copies

    home = resolve(folder)
    inside = [each.name for each in found if each.path and home in resolve(each.path).parents]
    if inside:
        raise RunError(f"{name} {folder} holds {inside[0]}, a source; name a folder without sources")
    places = list(place_copies(folder, found).values())
    if len(set(places)) < len(found) or len({each.name for each in found}) < len(found):
        raise RunError(f"{name}: two sources have the same name; name them in two calls")


def _refuse_same(paths: list[Path]) -> None:
    """Refuse two outputs that are the same file."""
    places: set[Path] = set()
    for path in paths:
        place = resolve(path)
        if place in places:
            raise RunError(f"{path} is named twice, for two outputs; give each a file of its own")
        places.add(place)


def _check_tables(name: str, folder: Path, files: list[Path]) -> None:
    """Refuse a folder that is to be where a file is to be, or in it."""
    home = resolve(folder)
    for file in files:
        if resolve(file) in (home, *home.parents):
            raise RunError(f"{file} is to be a file, and {name} {folder} needs a folder there; name another")


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
