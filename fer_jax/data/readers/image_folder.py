"""Folders of face images, one folder for each label -> arrays; the same for images in a zip archive.

`train/<label>/*.png`, `test/<label>/*.jpg`, `validation/<label>/…`, or just `<label>/*`.
"""

import io
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from PIL import Image

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.readers import official
from fer_jax.data.readers.csv_rows import Rows
from fer_jax.errors import DataError

SUFFIXES: Final = (".png", ".jpg", ".jpeg")

# In the order of `fer2013.LABELS`.
_LABEL_WORDS: Final = (
    ("angry", "anger"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("surprise", "surprised"),
    ("neutral", "neutrality"),
)
_LABEL_OF_WORD: Final = {word: label for label, words in enumerate(_LABEL_WORDS) for word in words}

_PARTS: Final = {
    **dict.fromkeys(("train", "training"), "Training"),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), "PublicTest"),
    **dict.fromkeys(("test", "testing", "privatetest"), "PrivateTest"),
}
"""Folder name -> the usage of its rows, unless their class counts are official."""

_LITTER: Final = ("thumbs.db", "desktop.ini")
_LEVELS: Final = 4
_CURE: Final = "correct or delete it, or leave bad images out with --on-bad-row skip"


@dataclass(frozen=True)
class ImageFiles:
    """Files of a folder or an archive: paths within it, with `/`, and how to read the bytes of one."""

    names: list[str]
    read: Callable[[str], bytes]


@dataclass(frozen=True)
class _Image:
    """One image file: its path, its label 0..6, and the folder above its label's folder, "" if none."""

    name: str
    label: int
    part: str


class _ImageError(Exception):
    """What is wrong with one image."""


def list_folder(path: Path) -> ImageFiles:
    """List the files of a folder, four levels deep, without system files."""
    names: list[str] = []
    for parent, folders, files in os.walk(path):
        inner = Path(parent).relative_to(path)
        folders[:] = [name for name in folders if not is_litter(name)] if len(inner.parts) < _LEVELS else []
        prefix = "" if inner == Path() else f"{inner.as_posix()}/"
        names += [prefix + name for name in files if not is_litter(name)]
    return ImageFiles(names, lambda name: (path / name).read_bytes())


def is_litter(name: str) -> bool:
    """Whether an operating system made a file: .DS_Store, __MACOSX/…, Thumbs.db.

    >>> [is_litter(name) for name in ("__MACOSX/train/._1.png", "a/.DS_Store", "train/sad/1.png")]
    [True, True, False]
    """
    parts = name.split("/")
    return any(part.startswith((".", "__")) for part in parts) or parts[-1].lower() in _LITTER


def parse_label(name: str) -> int | None:
    """Read a folder's name, a label's name or number or both in the usual variants, as a label 0..6.

    None where it is not a label, or where number and name disagree.

    >>> [parse_label(name) for name in ("Anger", "fearful", "3", "6-neutral", "4_neutral", "contempt")]
    [0, 2, 3, 6, None, None]
    """
    match = re.fullmatch(r"([0-6])?[ _.-]*([a-z]+)?", name.strip().casefold(), re.ASCII)
    number, word = match.groups() if match else (None, None)
    labels = ({int(number)} if number else set()) | ({_LABEL_OF_WORD.get(word)} if word else set())
    return labels.pop() if len(labels) == 1 else None


def holds_images(path: Path) -> bool:
    """Whether a folder holds folders of labels or parts, by their names."""
    names = [each.name for each in path.iterdir() if each.is_dir()]
    return any(name.casefold() in _PARTS or parse_label(name) is not None for name in names)


def decode(files: ImageFiles, *, where: str, on_bad_row: BadRow) -> tuple[Rows, list[str]]:
    """Decode and check all images, in the order of their paths.

    The rows of `train` are Training. Those of `test` are the official part that has their class counts, or
    else PrivateTest; likewise those of `validation`, or else PublicTest. Either is left out, with a note,
    where it is the merged test of 7,178 rows. Other rows have a usage only with official class counts.

    Args:
        files: other files than images are ignored, unless they are in a label's folder.
        where: the folder or archive, for messages.
        on_bad_row: stop at the first bad image, or skip these and list them.

    Returns:
        The rows, and notes for the description.

    Raises:
        DataError: no images, folders that are not labels, a bad image (with stop), or the merged test alone.
    """
    images, messages = _sort_out(files.names, where)
    if messages and on_bad_row == "stop":
        raise DataError(f"{where}, {messages[0]}; {_CURE}")
    usages, notes = _find_usages(images, where)
    good, decoded = [], []
    for image in images:
        if image.part not in usages:
            continue
        try:
            decoded.append(_decode_image(files.read(image.name)))
            good.append(image)
        except _ImageError as error:
            if on_bad_row == "stop":
                raise DataError(f"{where}, {image.name}: {error}; {_CURE}") from None
            messages.append(f"{image.name}: {error}")
    if not decoded:
        raise DataError(
            f"{where}: no good image is left; the first bad one is {messages[0]}; download the data again"
        )
    labels = np.array([image.label for image in good], np.int32)
    usage = np.array([usages[image.part] for image in good], np.int32)
    return Rows(np.stack(decoded), labels, usage, tuple(messages)), notes


def _sort_out(names: list[str], where: str) -> tuple[list[_Image], list[str]]:
    """Sort the images by path; messages for other files in a label's folder."""
    images, messages, roots = [], [], set()
    for name in sorted(names):
        parts = ("", "", *PurePosixPath(name).parts)
        label = parse_label(parts[-2]) if parts[-2] else None
        if not name.lower().endswith(SUFFIXES):
            if label is not None:
                messages.append(f"{name}: found a file that is not an image; wanted {', '.join(SUFFIXES)}")
            continue
        if label is None:
            raise DataError(
                f"{where}, {name}: found the folder {parts[-2] or '.'!r}; wanted "
                f"{', '.join(fer2013.LABELS)}, their usual variants, or 0..6 in this order; "
                "rename or remove it"
            )
        part = parts[-3] if parts[-3].casefold() in _PARTS else ""
        roots.add(parts[: -3 if part else -2])
        images.append(_Image(name, label, part))
    if not images:
        raise DataError(
            f"{where}: found no .png or .jpg; wanted train/<label>/*.png, <label>/*.png or a CSV file"
        )
    if len(roots) > 1:
        shown = ", ".join(sorted("/".join(filter(None, root)) or "." for root in roots))
        raise DataError(f"{where}: found images of several data sets, in {shown}; wanted one; give its path")
    if len({bool(image.part) for image in images}) > 1:
        raise DataError(
            f"{where}: found some images in train/, validation/ or test/ and some not; "
            "wanted all or none; move them"
        )
    return images, messages


def _find_usages(images: list[_Image], where: str) -> tuple[dict[str, int], list[str]]:
    """Find the usage of each part that is kept, and notes for the description."""
    usages: dict[str, int] = {}
    notes = []
    counts = Counter((image.part, image.label) for image in images)
    for part in sorted({image.part for image in images}):
        of_part = tuple(counts[part, label] for label in range(fer2013.CLASS_COUNT))
        name = _PARTS.get(part.casefold())
        if name != "Training" and sum(of_part) == fer2013.MERGED_TEST_ROWS:
            notes.append(f"{part}/ is left out: {official.MERGED_TEST}")
            continue
        found = official.find_usage(of_part)
        if name == "Training" or (name and found == fer2013.UNLABELLED):
            found = fer2013.USAGES.index(name)
        usages[part] = found
    if not usages:
        raise DataError(f"{where}: {official.MERGED_TEST}; add the folder train/, or give fer2013.csv")
    return usages, notes


def _decode_image(data: bytes) -> np.ndarray:
    """Decode one image: uint8 [48, 48, 1]."""
    height, width, _ = fer2013.IMAGE_SHAPE
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.size != (width, height):
                raise _ImageError(f"found {image.width} × {image.height} pixels; wanted {width} × {height}")
            if image.mode not in ("L", "RGB"):
                raise _ImageError(f"found pixels of mode {image.mode}; wanted 8-bit gray (L) or RGB")
            pixels = np.asarray(image).reshape(height, width, -1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _ImageError(f"it cannot be read as PNG or JPEG ({error}); wanted a complete image") from None
    if (pixels != pixels[..., :1]).any():
        raise _ImageError("found a colour image; wanted gray, or RGB with three equal channels")
    return pixels[..., :1]
