"""Folders of face images, one folder for each label -> arrays; the same for images in a zip archive.

`train/<label>/*.png`, `test/<label>/*.jpg`, `validation/<label>/…`, or just `<label>/*`.
"""

import io
import os
import stat
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from PIL import Image

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.readers import folder_names, official
from fer_jax.data.readers.archives import MOST_IMAGE_BYTES, MemberError
from fer_jax.data.readers.file_kinds import printable
from fer_jax.data.readers.folder_names import PARTS, SUFFIXES, parse_label
from fer_jax.data.readers.kaggle_csv.rows import Rows
from fer_jax.errors import DataError
from fer_jax.faces.pictures import find_turn
from fer_jax.litter import is_litter
from fer_jax.text import counted

_FORMATS: Final = ("PNG", "JPEG")
_LEVELS: Final = 4
_FIT: Final = " (for pictures of any size and colour: --data.fit resize or detect)"
_CURE: Final = "correct or delete it, or leave bad images out with --on-bad-row skip"


@dataclass(frozen=True)
class ImageFiles:
    """Files of a folder or an archive: paths within it, with `/`, how large one is, and its bytes."""

    names: list[str]
    size: Callable[[str], int]
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
    """List the files of a folder, four levels deep, without system files.

    Raises:
        DataError: the folder of a label or a part is a link, which is not followed.
    """
    names: list[str] = []

    def fail(error: OSError) -> None:  # os.walk would pass over a folder that it cannot read.
        raise error

    for parent, folders, files in os.walk(path, onerror=fail):
        inner = Path(parent).relative_to(path)
        folders[:] = [name for name in folders if not is_litter(name)] if len(inner.parts) < _LEVELS else []
        for name in folders:
            if Path(parent, name).is_symlink() and _has_meaning(name):
                raise DataError(f"{printable(str(Path(parent, name)))}: {folder_names.LINKED}")
        prefix = "" if inner == Path() else f"{inner.as_posix()}/"
        names += [prefix + name for name in files if not is_litter(name)]
    return ImageFiles(names, lambda name: _file_size(path / name), lambda name: (path / name).read_bytes())


def _file_size(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _ImageError("found a pipe or a device; wanted a file")
    return status.st_size


def holds_images(path: Path) -> bool:
    """Whether a folder holds folders of labels or parts, by their names."""
    return any(_has_meaning(each.name) for each in path.iterdir() if each.is_dir())


def _has_meaning(name: str) -> bool:
    """Whether a folder of this name is that of a label or a part."""
    is_part = name.casefold() in PARTS or folder_names.is_ferplus_output(name)
    return is_part or parse_label(name) is not None


def decode(files: ImageFiles, *, where: str, on_bad_row: BadRow) -> tuple[Rows, list[str]]:
    """Decode and check all images, in the order of their paths.

    Rows have a usage where their folder has the class counts of an official part, whatever its name. The rows
    of `train` and of folders of labels alone are kept without one too; those of `test` and `validation` are
    left out, with a caution, since nothing may be trained on them and no name is theirs.

    Args:
        files: other files than images are ignored, unless they are in a label's folder.
        where: the folder or archive, for messages.
        on_bad_row: stop at the first bad image, or skip these and list them.

    Returns:
        The rows, and cautions: what was assumed, and which images are left out.

    Raises:
        DataError: no images, folders that are not labels, a bad image (with stop), numbered folders in an
            order that is not FER2013's, or no images but those of a test that is no official part.
    """
    images, messages = _sort_out(files.names, where)
    if messages and on_bad_row == "stop":
        raise DataError(f"{where}, {messages[0]}; {_CURE}")
    images, cautions = _leave_contempt(images, where, on_bad_row=on_bad_row)
    cautions += _check_numbers(images, where)
    usages, left_out = _find_usages(images, where)
    images = [image for image in images if image.part in usages]
    good, decoded = [], []
    with warnings.catch_warnings(action="ignore"):  # Pillow's, about large images: these are refused below.
        for image in images:
            try:
                decoded.append(_decode_image(files, image.name))
                good.append(image)
            except _ImageError as error:
                name = printable(image.name)
                if on_bad_row == "stop":
                    raise DataError(f"{where}, {name}: {error}; {_CURE}") from None
                messages.append(f"{name}: {error}")
    if not decoded:
        raise DataError(
            f"{where}: no good image is left; the first bad one is {messages[0]}; download the data again"
        )
    labels = np.array([image.label for image in good], np.int32)
    usage = np.array([usages[image.part] for image in good], np.int32)
    return Rows(np.stack(decoded), labels, usage, tuple(messages)), cautions + left_out


def _sort_out(names: list[str], where: str) -> tuple[list[_Image], list[str]]:
    """Sort the images by path; messages for other files in a label's folder."""
    images, messages, roots = [], [], set()
    other = folder_names.find_other_order(
        PurePosixPath(name).parent.name for name in names if name.lower().endswith(SUFFIXES)
    )
    if other:
        raise DataError(f"{where}: {other}")
    for name in sorted(names):
        parts = ("", "", *PurePosixPath(name).parts)
        label = parse_label(parts[-2]) if parts[-2] else None
        if any(map(folder_names.is_ferplus_output, parts[:-1])):
            raise DataError(f"{where}, {printable(name)}: {folder_names.FERPLUS_OUTPUT}")
        if not name.lower().endswith(SUFFIXES):
            if label is not None:
                shown = printable(name)
                messages.append(f"{shown}: found a file that is not an image; wanted {', '.join(SUFFIXES)}")
            continue
        if label is None:
            raise DataError(
                f"{where}, {printable(name)}: found the folder {parts[-2] or '.'!r}; wanted "
                f"{', '.join(fer2013.LABELS)}, their usual variants, or 0..6 in this order; "
                "rename or remove it"
            )
        part = parts[-3] if parts[-3].casefold() in PARTS else ""
        roots.add(parts[: -3 if part else -2])
        images.append(_Image(name, label, part))
    if not images:
        raise DataError(
            f"{where}: found no .png or .jpg; wanted train/<label>/*.png, <label>/*.png or a CSV file"
        )
    if len(roots) > 1:
        shown = printable(", ".join(sorted("/".join(filter(None, root)) or "." for root in roots)))
        raise DataError(f"{where}: found images of several data sets, in {shown}; wanted one; give its path")
    if len({bool(image.part) for image in images}) > 1:
        raise DataError(
            f"{where}: found some images in train/, validation/ or test/ and some not; "
            "wanted all or none; move them"
        )
    return images, messages


def _leave_contempt(
    images: list[_Image], where: str, *, on_bad_row: BadRow
) -> tuple[list[_Image], list[str]]:
    """Leave out the images of contempt, if bad images may be left out, and say how many they are."""
    others = [image for image in images if image.label < fer2013.CLASS_COUNT]
    count = len(images) - len(others)
    if not count:
        return images, []
    if on_bad_row == "stop" or not others:
        name = next(image.name for image in images if image.label == fer2013.CLASS_COUNT)
        raise DataError(
            f"{where}, {printable(name)}: found a folder of contempt, with {counted(count, 'image')} in all; "
            f"{official.CONTEMPT}; {official.CONTEMPT_CURE}"
        )
    return others, [f"{counted(count, 'image')} of contempt left out: {official.CONTEMPT}"]


def _check_numbers(images: list[_Image], where: str) -> list[str]:
    """Refuse numbered folders with another data set's counts; a caution where FER2013's order is assumed."""
    folders = {PurePosixPath(image.name).parts[-2] for image in images}
    if not any(map(folder_names.is_numbered, folders)):
        return []
    for part in sorted({image.part for image in images}):
        official.refuse_other_order(_count(images, part), f"{where}, folders {part or '0'}/…")
    return [
        f"the numbered folders are taken in FER2013's order ({folder_names.describe_order()}), "
        "and other data sets number otherwise: rename the folders to words if yours does"
    ]


def _count(images: list[_Image], part: str) -> tuple[int, ...]:
    counts = Counter(image.label for image in images if image.part == part)
    return tuple(counts[label] for label in range(fer2013.CLASS_COUNT))


def _find_usages(images: list[_Image], where: str) -> tuple[dict[str, int], list[str]]:
    """Find the usage of each part that is kept, and cautions about the others."""
    usages: dict[str, int] = {}
    cautions = []
    for part in sorted({image.part for image in images}):
        counts = _count(images, part)
        found = official.find_usage(counts)
        is_test = PARTS.get(part.casefold(), "Training") != "Training"
        if found == fer2013.UNLABELLED and is_test:
            rows = sum(counts)
            why = official.MERGED_TEST if rows == fer2013.MERGED_TEST_ROWS else official.describe_other(rows)
            cautions.append(f"{part}/ is left out: {why}")
            continue
        if found == fer2013.UNLABELLED:
            official.refuse_merged(counts, 0, f"{where}, {part}/" if part else where)
        usages[part] = found
    if not usages:
        raise DataError(f"{where}: {'; '.join(cautions)}; add the folder train/, or give fer2013.csv")
    if len(images) == sum(fer2013.ROW_COUNTS.values()) and fer2013.UNLABELLED in usages.values():
        cautions.append(
            "these are as many images as FER2013 has, cut in another way: there are images of PublicTest and "
            "PrivateTest among those to train on, so figures on these are not comparable"
        )
    return usages, cautions


def _decode_image(files: ImageFiles, name: str) -> np.ndarray:
    """Decode one image, upright: uint8 [48, 48, 1]."""
    height, width, _ = fer2013.IMAGE_SHAPE
    try:
        if files.size(name) > MOST_IMAGE_BYTES:
            raise _ImageError(
                f"it has more than {MOST_IMAGE_BYTES:,} bytes; wanted {width} × {height} pixels"
            )
        data = files.read(name)
    except MemberError as error:
        raise _ImageError(error.reason) from None
    except OSError as error:
        raise _ImageError(f"it cannot be read: {error.strerror or error}") from None
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.size != (width, height):
                came = f"found {image.width} × {image.height} pixels; wanted {width} × {height}"
                raise _ImageError(f"{came}{_FIT}")
            if image.mode not in ("L", "RGB"):
                raise _ImageError(f"found pixels of mode {image.mode}; wanted 8-bit gray (L) or RGB{_FIT}")
            image.load()
            turn = find_turn(image)
            upright = image if turn is None else image.transpose(turn)
            pixels = np.asarray(upright).reshape(height, width, -1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        said = printable(str(error))
        raise _ImageError(f"it cannot be read as PNG or JPEG ({said}); wanted a complete image") from None
    if (pixels != pixels[..., :1]).any():
        raise _ImageError("found a colour image; wanted gray, or RGB with three equal channels" + _FIT)
    return pixels[..., :1]
