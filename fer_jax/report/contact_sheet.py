"""Contact sheets: a labelled grid of images as one picture. The same arguments give the same bytes."""

import base64
import io
import textwrap
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_jax import fer2013
from fer_jax.config.augment import AugmentConfig
from fer_jax.data.examples import Examples
from fer_jax.errors import DataError
from fer_jax.images import augment
from fer_jax.report.plots import QUIET_COLOUR, TRAIN_COLOUR, VAL_COLOUR

Role = Literal["plain", "quiet", "right", "wrong"]
"""The role of a caption, which decides its colour."""

Caption = tuple[tuple[str, Role], ...]
"""Short lines under a tile, each with its role."""

_PLAIN_ZOOM: Final = 3
_GAP_PX: Final = 10
_MARGIN_PX: Final = 20
_LINE_PX: Final = 26
_TITLE_PX: Final = 38
_INK: Final = "#222222"
_QUIET_INK: Final = "#555555"
_ROLE_INKS: Final[dict[Role, str]] = {
    "plain": _INK,
    "quiet": QUIET_COLOUR,
    "right": TRAIN_COLOUR,
    "wrong": VAL_COLOUR,
}
_FONTS: Final = (("DejaVuSans.ttf", 20), ("DejaVuSans-Bold.ttf", 20), ("DejaVuSans-Bold.ttf", 26))


def _font(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    # matplotlib ships this font, so a sheet looks the same on every machine.
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size_px)


class Tile(NamedTuple):
    """An image, or a map of one, with a caption.

    Attributes:
        image: uint8 [48, 48] or [48, 48, 1] (gray), or [48, 48, 3] (colour).
        caption: lines under it.
    """

    image: np.ndarray
    caption: Caption


class Sheet(NamedTuple):
    """Rows of tiles, to be drawn as one picture or laid out by a page.

    Attributes:
        rows: R rows of up to C tiles, filled from the left.
        row_labels: R short words on the left; all empty for none.
        column_labels: C short words above; all empty for none.
        title: one line on top.
        subtitle: sentences under the title; empty for none.
        zoom: how many times the tiles of the picture are larger than the images.
        wide_gaps_after: indices of the columns that are followed by a wider gap.
    """

    rows: Sequence[Sequence[Tile]]
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    title: str
    subtitle: str
    zoom: int
    wide_gaps_after: Sequence[int]


def sheet_record(sheet: Sheet) -> dict[str, Any]:
    """Convert a sheet to JSON, from which a page lays out its tiles for any screen.

    Returns:
        `subtitle` and `rows`, each with its `label` and `tiles`: `png` (Base64 of the image at its own size),
        `alt` (what it shows) and `words` (pairs of a text and its role).
    """
    rows = []
    for label, tiles in zip(sheet.row_labels, sheet.rows, strict=True):
        records = []
        # A short row has no tiles under the last labels.
        for column, tile in zip(sheet.column_labels, tiles, strict=False):
            buffer = io.BytesIO()
            Image.fromarray(tile.image.squeeze()).save(buffer, format="PNG", optimize=True)
            told = [column or "face", *(text for text, _ in tile.caption)]
            records.append(
                {
                    "png": base64.b64encode(buffer.getvalue()).decode(),
                    "alt": f"{label}: {', '.join(told)}" if label else ", ".join(told),
                    "words": tile.caption or ((column, "quiet"),),
                }
            )
        rows.append({"label": label, "tiles": records})
    return {"subtitle": sheet.subtitle, "rows": rows}


def tile_sheet(sheet: Sheet) -> Image.Image:
    """Draw a sheet in colour, with captions, at a size for high-resolution screens.

    Returns:
        A picture of mode "RGB". A column is as wide as its tiles or its widest caption.
    """
    rows, row_labels, column_labels, title, subtitle, zoom, wide_gaps_after = sheet
    plain, bold, large = (_font(name, size) for name, size in _FONTS)
    side = zoom * fer2013.IMAGE_SHAPE[0]
    lefts = _place_columns(rows, side, row_labels, column_labels, wide_gaps_after, plain)
    width = max(lefts[-1], round(large.getlength(title)) + 2 * _MARGIN_PX)
    lines = _wrap(subtitle, width - 2 * _MARGIN_PX, plain)
    top = _MARGIN_PX + _TITLE_PX + _LINE_PX * (len(lines) + any(column_labels)) + _GAP_PX
    caption_lines = max((len(tile.caption) for row in rows for tile in row), default=0)
    pitch = side + _LINE_PX * caption_lines + 2 * _GAP_PX

    picture = Image.new("RGB", (width, top + pitch * len(rows)), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((_MARGIN_PX, _MARGIN_PX), title, fill=_INK, font=large)
    for number, line in enumerate(lines):
        place = (_MARGIN_PX, _MARGIN_PX + _TITLE_PX + _LINE_PX * number)
        pen.text(place, line, fill=_QUIET_INK, font=plain)
    for left, label in zip(lefts, column_labels, strict=False):
        pen.text((left, top - _GAP_PX), label, fill=_INK, font=bold, anchor="ls")
    for number, (row, label) in enumerate(zip(rows, row_labels, strict=True)):
        y = top + pitch * number
        pen.text((_MARGIN_PX, y + side // 2), label, fill=_INK, font=bold, anchor="lm")
        for left, tile in zip(lefts, row, strict=False):
            face = Image.fromarray(tile.image.squeeze()).resize((side, side), Image.Resampling.NEAREST)
            picture.paste(face.convert("RGB"), (left, y))
            for depth, (text, role) in enumerate(tile.caption):
                place = (left, y + side + 2 + _LINE_PX * depth)
                pen.text(place, text, fill=_ROLE_INKS[role], font=plain)
    return picture


def _place_columns(
    rows: Sequence[Sequence[Tile]],
    side: int,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    wide_gaps_after: Sequence[int],
    font: ImageFont.FreeTypeFont,
) -> list[int]:
    """Return the left edge of each column, followed by the width of the sheet."""
    labels_width = max((font.getlength(label) for label in row_labels), default=0)
    # Labels are bold, which is about 15 % wider.
    left = _MARGIN_PX + (round(1.15 * labels_width) + _GAP_PX if labels_width else 0)
    lefts = []
    for column in range(len(column_labels)):
        words = [text for row in rows if column < len(row) for text, _ in row[column].caption]
        head = round(1.15 * font.getlength(column_labels[column]))
        width = max([side, head, *(round(font.getlength(text)) for text in words)])
        lefts.append(left)
        left += width + _GAP_PX * (3 if column in wide_gaps_after else 1)
    return [*lefts, left - _GAP_PX + _MARGIN_PX]


def _wrap(text: str, width_px: int, font: ImageFont.FreeTypeFont) -> list[str]:
    letter_width = font.getlength("abcdefghijklmnopqrstuvwxyz ") / 27
    return textwrap.wrap(text, width=int(width_px / letter_width))


def draw_rows(
    rng: np.random.Generator, labels: np.ndarray, names: Sequence[str], *, per_class: int
) -> dict[str, np.ndarray]:
    """Draw random rows of each class.

    Args:
        rng: source of the randomness.
        labels: int32 [N], 0..C-1, or -1 for unlabelled.
        names: of the C classes.
        per_class: number of rows of a class; fewer if the class has fewer.

    Returns:
        Label name -> int [up to per_class], distinct rows; classes without rows are left out.

    >>> draw_rows(np.random.default_rng(0), np.array([2, 0, -1]), ["calm", "sad", "shy"], per_class=5)
    {'calm': array([1]), 'shy': array([0])}
    """
    rows = [np.flatnonzero(labels == label) for label in range(len(names))]
    picked = [rng.permutation(of_class)[:per_class] for of_class in rows]
    return {name: some for name, some in zip(names, picked, strict=True) if len(some)}


def draw_augmented_grid(
    rng: np.random.Generator, faces: np.ndarray, config: AugmentConfig, *, versions: int
) -> np.ndarray:
    """Stack images on top of augmented versions of them.

    Args:
        rng: source of the randomness.
        faces: uint8 [C, 48, 48, 1], one per column.
        config: ranges and probabilities.
        versions: number of augmented rows.

    Returns:
        uint8 [1 + versions, C, 48, 48, 1].
    """
    copies = np.tile(faces, (versions, 1, 1, 1))
    augmented = augment.apply(copies, augment.draw(rng, config, len(copies)))
    return np.concatenate([faces[None], augmented.reshape(versions, *faces.shape)])


def describe(config: AugmentConfig) -> str:
    """Describe the augmentation in words.

    >>> describe(AugmentConfig(shift_probability=1.0, flip_probability=0.5))
    'shifted by up to 6 px (100 %), flipped (50 %)'
    >>> describe(AugmentConfig())
    'no augmentation'
    >>> describe(AugmentConfig(flip_probability=0.5, repeats=4))
    'flipped (50 %); each image 4 times in a batch'
    """
    changes = (
        (f"rotated by up to {config.max_rotation_deg:g}°", config.rotate_probability),
        (f"zoomed by up to {config.max_zoom:g}×", config.zoom_probability),
        (f"stretched by up to {config.max_stretch:g}×", config.stretch_probability),
        (f"cropped to {100 * config.min_crop_scale:g}–100 % of the side", config.crop_probability),
        (f"shifted by up to {config.max_shift_px:g} px", config.shift_probability),
        ("flipped" + " alternately" * config.alternate_flip, config.flip_probability),
        (f"blurred or sharpened by up to {100 * config.max_sharpness:g} %", config.sharpness_probability),
        (f"gamma up to {config.max_gamma:g}", config.gamma_probability),
        (f"contrast up to {config.max_contrast:g}×", config.contrast_probability),
        (f"brightness by up to {100 * config.max_brightness:g} %", config.brightness_probability),
        (f"up to {100 * config.max_erase_fraction:g} % of the area erased", config.erase_probability),
    )
    words = [f"{what} ({100 * probability:g} %)" for what, probability in changes if probability]
    repeats = f"; each image {config.repeats} times in a batch" if config.repeats > 1 else ""
    return (", ".join(words) or "no augmentation") + repeats


def lay_out_augmented(
    rng: np.random.Generator, examples: Examples, config: AugmentConfig, *, versions: int, title: str
) -> Image.Image:
    """Lay out one image of each class above augmented versions of it.

    Args:
        rng: source of the randomness.
        examples: the images to pick from.
        config: ranges and probabilities of the augmentation.
        versions: number of augmented versions, >= 1.
        title: one line on top.

    Returns:
        A picture of mode "RGB".

    Raises:
        DataError: no image has a label.
    """
    picked = _draw_labelled(rng, examples, per_class=1)
    faces = examples.images[np.concatenate([*picked.values()])]
    return _draw_grid(
        [*draw_augmented_grid(rng, faces, config, versions=versions)],
        row_labels=["original", "augmented"] + [""] * (versions - 1),
        column_labels=list(picked),
        title=title,
        subtitle=describe(config),
    )


def lay_out_plain(rng: np.random.Generator, examples: Examples, *, per_class: int) -> Image.Image:
    """Lay out images as they are, one row per class; arguments and errors as for `lay_out_augmented`."""
    picked = _draw_labelled(rng, examples, per_class=per_class)
    return _draw_grid(
        [examples.images[rows] for rows in picked.values()],
        row_labels=list(picked),
        column_labels=[""] * max(map(len, picked.values())),
        title="Pictures as a network sees them" if examples.is_own else "Faces by expression",
        subtitle=examples.description,
    )


def _draw_labelled(rng: np.random.Generator, examples: Examples, *, per_class: int) -> dict[str, np.ndarray]:
    picked = draw_rows(rng, examples.labels, examples.names, per_class=per_class)
    if not picked:
        raise DataError(f"{examples.description}: no image has a label; give a labelled file with --data")
    return picked


def _draw_grid(
    rows: Sequence[np.ndarray],
    *,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str,
    subtitle: str,
) -> Image.Image:
    tiles = [[Tile(image, ()) for image in row] for row in rows]
    return tile_sheet(Sheet(tiles, row_labels, column_labels, title, subtitle, _PLAIN_ZOOM, ()))
