"""Pictures, from files or bytes, as upright RGB frames: everything Pillow reads, animations frame by frame.

Colour profiles are not applied: pixels are taken as they are stored, as the browser demo takes them.
"""

import functools
import importlib
import importlib.util
import io
import itertools
import struct
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_jax.errors import DataError
from fer_jax.text import thousands

MAX_PIXELS: Final = 178_956_970
"""The pixels of a picture, at most, unless the caller says fewer: as many as Pillow itself opens."""

_NOT_PICTURES: Final = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""What Pillow recognises and cannot decode, or only with a program that it starts (EPS, by Ghostscript)."""

_ANIMATIONS: Final = frozenset({"AVIF", "FLI", "GIF", "PNG", "WEBP"})
_PAGES: Final = frozenset({"DCX", "TIFF"})
# The frames of other formats are no pictures of their own: depth and gain maps of a phone's JPEG (MPO),
# layers (PSD), smaller copies (ICO).

_DEFAULT_FRAME_S: Final = 0.1
"""How long browsers show a frame of an animation that does not say."""

_SUBFILE_TAG: Final = 254
_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS: Final = (b"avif", b"avis")
_HEIC_SUFFIXES: Final = (".heic", ".heif", ".hif")

TRAITS: Final = ("lying or mirrored", "more than 8 bits", "transparent", "palette", "CMYK")
"""What is lost when a stored picture becomes upright RGB of 8 bits."""

_WARNINGS = threading.RLock()
"""`warnings.catch_warnings` acts on the whole process, so one thread at a time is in it."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame of a source.

    Attributes:
        source: its name.
        frame: its number in the source, from 0.
        time_s: when it is shown, in seconds from the start; None of a still picture or a page.
        image: uint8 [H, W, 3], RGB, upright.
        traits: what the picture was stored as, of `TRAITS`.
    """

    source: str
    frame: int
    time_s: float | None
    image: np.ndarray
    traits: frozenset[str] = frozenset()


@functools.cache
def suffixes() -> frozenset[str]:
    """List the suffixes of pictures, in lower case with the dot; HEIC's even where its plug-in is missing."""
    _register()
    readable = Image.OPEN.keys() - _NOT_PICTURES
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in readable}
    return frozenset(known | {*_HEIC_SUFFIXES, ".avif"})


def is_picture(path: Path) -> bool:
    """Whether the content of a file begins like a picture; its pixels may still be damaged."""
    try:
        with path.open("rb") as file, _quiet():
            start = file.read(12)
            try:
                _open(file, None)
            except UnidentifiedImageError:
                return _missing_plugin(start) is not None
            except Image.DecompressionBombError:
                pass  # A picture, and too large to be read: that is said when it is.
            return True
    except Exception:  # Pillow's parsers can raise anything.
        return False


def read_frames(
    source: Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] | None = None,
) -> Iterator[Picture]:
    """Read a picture: one frame, or all of an animation or a file of pages, one at a time.

    Args:
        source: a file, or its content.
        name: what rows and messages call it; None for the file's path.
        max_pixels: of a frame; a larger one is refused before it is decoded.
        formats: Pillow's names of the formats to read, such as "JPEG"; None for all.

    Raises:
        DataError: it is missing, no picture, too large, or damaged. The frames before the damage come first.
    """
    name = name if name is not None else str(source) if isinstance(source, Path) else "-"
    number = 0
    with _content(source, name) as file:
        image = _begin(file, name, formats)
        time_s = 0.0
        for index in _frames_of(image):
            if not _seek(image, index, name):
                break
            if _is_smaller_copy(image, index):
                continue
            pixels, traits, duration_s = _decode(image, name, max_pixels)
            shown_s = None if duration_s is None else time_s
            yield Picture(name, number, shown_s, pixels, traits)
            number += 1
            time_s += duration_s or 0
    if not number:
        raise DataError(f"{name}: the picture has no frame; save it again, for example as JPEG")


def find_turn(image: Image.Image) -> Image.Transpose | None:
    """Find what makes a picture upright, by EXIF; None where it is, or says nothing, or is damaged.

    Args:
        image: loaded, since Pillow turns a TIFF upright as it loads it, and removes its orientation.
    """
    try:
        return _UPRIGHT.get(int(image.getexif().get(_ORIENTATION_TAG, 1)))
    except Exception:  # The parser of EXIF can raise anything; the pixels are good all the same.
        return None


def to_rgb(image: Image.Image, *, name: str = "picture") -> np.ndarray:
    """Make an opened picture, of any of Pillow's modes, upright RGB; messages call it by its name.

    Gray of 16 bits is divided by 257, so that 65535 becomes 255. Gray of 32 bits, whole or floating, is taken
    as 0..1 (floating only), 0..255 or 0..65535, the first that holds all pixels; if none does, its smallest
    value becomes black and its largest white. What is transparent is laid on white.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DataError: it is damaged or closed: Pillow reads the pixels of a file only when they are needed.
    """
    with _translated(name), _quiet():
        return np.asarray(_upright_rgb(image)[0])


def _upright_rgb(image: Image.Image) -> tuple[Image.Image, frozenset[str]]:
    """Make an opened picture upright RGB, and list which of `TRAITS` it has."""
    was_lying = _is_lying_tiff(image)
    image.load()
    turn, mode, is_transparent = find_turn(image), image.mode, False
    is_deep = mode.startswith("I;16") or mode in ("I", "F")
    if is_deep:
        image = Image.fromarray(_to_8_bits(np.asarray(image), image.mode))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        is_transparent = bool(np.asarray(image.getchannel("A")).min() < 255)
        if is_transparent:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode == "LAB":
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
        image = image if converted is None else converted
    if turn is not None:
        image = image.transpose(turn)
    has = (was_lying or turn is not None, is_deep, is_transparent, mode in ("P", "PA"), mode == "CMYK")
    traits = frozenset(trait for trait, is_there in zip(TRAITS, has, strict=True) if is_there)
    return image.convert("RGB"), traits


def _is_lying_tiff(image: Image.Image) -> bool:
    """Whether a picture, not loaded yet, is a TIFF that Pillow will turn upright."""
    try:
        return int(getattr(image, "tag_v2", {}).get(_ORIENTATION_TAG, 1)) in _UPRIGHT
    except Exception:  # As in `find_turn`.
        return False


def _to_8_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale gray values of 16 or 32 bits, [H, W], to uint8, see `to_rgb`; what is not finite becomes 0."""
    values = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    limits = (65535,) if mode.startswith("I;16") else (255, 65535) if mode == "I" else (1, 255, 65535)
    limit = next((each for each in limits if low >= 0 and high <= each), None)
    start, span = (low, high - low) if limit is None else (0.0, float(limit))
    return np.rint((values - start) * 255 / span).astype(np.uint8)


@contextmanager
def _content(source: Path | bytes, name: str) -> Iterator[IO[bytes]]:
    """Open a file, or bytes as one, and refuse what has no content."""
    if isinstance(source, bytes):
        if not source:
            raise DataError(f"{name}: nothing came; wanted the content of a picture, such as `< photo.jpg`")
        yield io.BytesIO(source)
        return
    try:
        file = source.open("rb")
        if source.stat().st_size == 0:
            file.close()
            raise DataError(f"{name}: the file is empty; wanted a picture; copy or download it again")
    except IsADirectoryError:
        raise DataError(f"{name} is a folder; wanted the file of a picture") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}; give a file that exists") from None
    with file:
        yield file


def _begin(file: IO[bytes], name: str, formats: Sequence[str] | None) -> Image.Image:
    """Read the header of a picture."""
    start = file.read(12)
    with _translated(name), _quiet():
        try:
            return _open(file, formats)
        except UnidentifiedImageError:
            plugin = _missing_plugin(start)
            if plugin is not None:
                raise DataError(f"{name}: {plugin}") from None
            wanted = "a picture" if formats is None else f"a picture as {', '.join(formats)}"
            raise DataError(
                f"{name}: this is not a picture that can be read (it begins with {_show(start)}); "
                f"wanted {wanted}"
            ) from None


def _open(file: IO[bytes], formats: Sequence[str] | None) -> Image.Image:
    _register()
    file.seek(0)
    allowed = set(Image.ID) - _NOT_PICTURES if formats is None else set(formats) & set(Image.ID)
    # In Pillow's order, in which formats with a clear signature come before those without.
    return Image.open(file, formats=[each for each in Image.ID if each in allowed])


@functools.cache
def _register() -> None:
    """Let Pillow load all its formats, and the plug-in for HEIC where the user has it."""
    Image.init()
    if importlib.util.find_spec("pillow_heif") is not None:
        importlib.import_module("pillow_heif").register_heif_opener()


def _missing_plugin(start: bytes) -> str | None:
    """Say which plug-in reads a picture that begins so; None where it is not missing."""
    if start[4:8] != b"ftyp":
        return None
    brand = start[8:12]
    if brand in _AVIF_BRANDS and ".avif" not in Image.registered_extensions():
        return "this is an AVIF picture, which this Pillow cannot read; pip install --upgrade pillow"
    if brand in _HEIC_BRANDS and importlib.util.find_spec("pillow_heif") is None:
        return (
            "this is a HEIC picture, which Pillow reads with a plug-in: pip install pillow-heif, "
            "or export it as JPEG"
        )
    return None


def _frames_of(image: Image.Image) -> Iterable[int]:
    """List the numbers of the frames that are pictures of their own; `_seek` says where they end."""
    if image.format not in _ANIMATIONS | _PAGES:
        return [image.tell()]
    # A PNG's default image is for programs that do not know animated PNG.
    return itertools.count(1 if image.info.get("default_image") else 0)


def _seek(image: Image.Image, index: int, name: str) -> bool:
    """Go to a frame; False where there is none."""
    with _translated(name), _quiet():
        try:
            if index != image.tell():
                image.seek(index)
        except EOFError:
            return False
    return True


def _is_smaller_copy(image: Image.Image, index: int) -> bool:
    """Whether the page of a TIFF is another one at a lower resolution."""
    kind = getattr(image, "tag_v2", {}).get(_SUBFILE_TAG, 0)
    return index > 0 and isinstance(kind, int) and bool(kind & 1)


def _decode(
    image: Image.Image, name: str, max_pixels: int
) -> tuple[np.ndarray, frozenset[str], float | None]:
    """Decode a frame: uint8 [H, W, 3], traits, and duration in seconds, None of a still picture or a page."""
    with _translated(name), _quiet():
        if image.width * image.height > max_pixels:
            raise DataError(
                f"{name}: the picture has {image.width} × {image.height} pixels; at most "
                f"{thousands(max_pixels)} are read; reduce it first"
            )
        upright, traits = _upright_rgb(image)
        pixels = np.asarray(upright)
        is_animated = image.format in _ANIMATIONS and getattr(image, "is_animated", False)
        # WebP says how long only once the frame is decoded.
        milliseconds = image.info.get("duration") or 1000 * _DEFAULT_FRAME_S
    return pixels, traits, float(milliseconds) / 1000 if is_animated else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings to itself: about large pictures, odd palettes, damaged metadata."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn what Pillow raises about a damaged picture into one message."""
    try:
        yield
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(
            f"{name}: the picture has more than {thousands(MAX_PIXELS)} pixels, too many to be read; "
            "reduce it first"
        ) from None
    except MemoryError:
        raise DataError(f"{name}: there is not enough memory for this picture; reduce it first") from None
    except Exception as error:  # A damaged picture can raise anything.
        said = str(error) or type(error).__name__
        if isinstance(error, struct.error | EOFError | IndexError | KeyError | TypeError | AttributeError):
            said = "unexpected content"
        raise DataError(
            f"{name}: the picture is damaged or cut off ({said}); copy or download it again"
        ) from None


def _show(start: bytes) -> str:
    """Show how a file begins, as text where it is text."""
    text = start.decode("ascii", "replace")
    return repr(text) if text.isprintable() else start[:8].hex(" ")
