"""Contact sheets: a labelled grid of faces as one picture. The same arguments give the same bytes."""

import base64
import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_jax import fer2013
from fer_jax.config.augment import AugmentConfig
from fer_jax.data.examples import Examples
from fer_jax.errors import DataError
from fer_jax.images import augment
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.report.plots import QUIET_COLOUR, TRAIN_COLOUR, VAL_COLOUR

if TYPE_CHECKING:
    from PIL import Image
from fer_jax.show.__main__ import Show

Role = Literal["plain", "quiet", "right", "wrong"]
"""What words under a tile are; their colour follows from it."""

Caption = tuple[tuple[str, Role], ...]
"""Short lines under a tile, each a text and its role."""

_ZOOM: Final = 2
_GAP_PX: Final = 6
_MARGIN_PX: Final = 12
_LINE_PX: Final = 20
_INK: Final = 34
_PAPER: Final = 255

# Of the coloured sheets, which are drawn larger.
_TILE_GAP_PX: Final = 10
_TILE_MARGIN_PX: Final = 20
_TILE_LINE_PX: Final = 26
_TITLE_PX: Final = 38
_TILE_INK: Final = "#222222"
_QUIET_INK: Final = "#555555"
_ROLE_INKS: Final[dict[Role, str]] = {
    "plain": _TILE_INK,
    "quiet": QUIET_COLOUR,
    "right": TRAIN_COLOUR,
    "wrong": VAL_COLOUR,
}
_TILE_FONTS: Final = (("DejaVuSans.ttf", 20), ("DejaVuSans-Bold.ttf", 20), ("DejaVuSans-Bold.ttf", 26))


def contact_sheet(
    images: np.ndarray,
    *,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str,
    subtitle: str,
) -> Image.Image:
    """Lay faces out in a grid, twice their size, with labels on its left and top.

    Args:
        images: uint8 [R, C, 48, 48, 1], the grid by row and column.
        row_labels: R short words; all empty for none.
        column_labels: C short words; all empty for none.
        title: one line above the grid.
        subtitle: a sentence under the title, wrapped to the width; empty for none.

    Returns:
        A gray picture, mode "L": 102 pixels a face, plus the margins and the words.

    >>> faces = np.zeros((7, 5, 48, 48, 1), np.uint8)
    >>> sheet = contact_sheet(faces, row_labels=[""] * 7, column_labels=[""] * 5, title="Faces", subtitle="")
    >>> sheet.size
    (528, 758)
    """
    grid = _mosaic(images)
    label_font, title_font = _font("DejaVuSans.ttf", 13), _font("DejaVuSans-Bold.ttf", 15)
    labels_width = round(max(label_font.getlength(label) for label in row_labels))
    left = _MARGIN_PX + (labels_width + _GAP_PX if labels_width else 0)
    width = max(left + grid.shape[1], _MARGIN_PX + round(title_font.getlength(title))) + _MARGIN_PX
    letter_width = label_font.getlength("abcdefghijklmnopqrstuvwxyz ") / 27
    lines = textwrap.wrap(subtitle, width=int((width - 2 * _MARGIN_PX) / letter_width))
    top = _MARGIN_PX + _LINE_PX * (1 + len(lines) + any(column_labels)) + _GAP_PX

    sheet = Image.new("L", (width, top + grid.shape[0] + _MARGIN_PX), _PAPER)
    sheet.paste(Image.fromarray(grid), (left, top))
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN_PX, _MARGIN_PX), title, fill=_INK, font=title_font)
    for number, line in enumerate(lines, start=1):
        pen.text((_MARGIN_PX, _MARGIN_PX + _LINE_PX * number), line, fill=_INK, font=label_font)
    step = _ZOOM * images.shape[3] + _GAP_PX
    half_face = _ZOOM * images.shape[3] // 2
    for column, label in enumerate(column_labels):
        place = (left + step * column + half_face, top - _GAP_PX)
        pen.text(place, label, fill=_INK, font=label_font, anchor="ms")
    for row, label in enumerate(row_labels):
        place = (left - _GAP_PX, top + step * row + half_face)
        pen.text(place, label, fill=_INK, font=label_font, anchor="rm")
    return sheet


def _mosaic(images: np.ndarray) -> np.ndarray:
    """Join the faces, enlarged, with gaps between them; uint8 [height, width]."""
    faces = images[..., 0].repeat(_ZOOM, axis=2).repeat(_ZOOM, axis=3)
    framed = np.pad(faces, ((0, 0), (0, 0), (0, _GAP_PX), (0, _GAP_PX)), constant_values=_PAPER)
    joined = framed.swapaxes(1, 2).reshape(framed.shape[0] * framed.shape[2], -1)
    return joined[:-_GAP_PX, :-_GAP_PX]


def _font(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    # matplotlib brings this font along, so a sheet looks the same on every machine.
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size_px)


class Tile(NamedTuple):
    """A face, or a map of one, with words under it.

    Attributes:
        image: uint8 [48, 48] or [48, 48, 1], gray, or [48, 48, 3], colours.
        caption: the words under it.
    """

    image: np.ndarray
    caption: Caption


class Sheet(NamedTuple):
    """Tiles in rows, to be drawn as one picture or laid out by a page.

    Attributes:
        rows: R rows of up to C tiles; what is missing on the right stays empty.
        row_labels: R short words on the left; all empty for none.
        column_labels: C short words above; all empty for none.
        title: one line on top.
        subtitle: sentences under the title; empty for none.
        zoom: how many times larger than the images the tiles of the picture are.
        wide_gaps_after: numbers of the columns behind which the picture leaves more room, from 0.
    """

    rows: Sequence[Sequence[Tile]]
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    title: str
    subtitle: str
    zoom: int
    wide_gaps_after: Sequence[int]


def sheet_record(sheet: Sheet) -> dict[str, Any]:
    """Write a sheet as JSON, so that a page can lay its tiles out for any screen.

    Returns:
        `subtitle` and `rows`, each with its `label` and `tiles`: `png` (Base64 of the image in its own size),
        `alt` (what it shows) and `words`, pairs of a text and its role.
    """
    rows = []
    for label, tiles in zip(sheet.row_labels, sheet.rows, strict=True):
        records = []
        # A short row has no tile under the last labels.
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
    """Draw a sheet in colour, with room for words; large enough for a screen of fine pixels.

    Returns:
        A picture of mode "RGB". A column is as wide as its tiles, or as the widest words in it.
    """
    rows, row_labels, column_labels, title, subtitle, zoom, wide_gaps_after = sheet
    plain, bold, large = (_font(name, size) for name, size in _TILE_FONTS)
    side = zoom * fer2013.IMAGE_SHAPE[0]
    lefts = _place_columns(rows, side, row_labels, column_labels, wide_gaps_after, plain)
    width = max(lefts[-1], round(large.getlength(title)) + 2 * _TILE_MARGIN_PX)
    lines = _wrap(subtitle, width - 2 * _TILE_MARGIN_PX, plain)
    top = _TILE_MARGIN_PX + _TITLE_PX + _TILE_LINE_PX * (len(lines) + any(column_labels)) + _TILE_GAP_PX
    caption_lines = max((len(tile.caption) for row in rows for tile in row), default=0)
    pitch = side + _TILE_LINE_PX * caption_lines + 2 * _TILE_GAP_PX

    picture = Image.new("RGB", (width, top + pitch * len(rows)), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((_TILE_MARGIN_PX, _TILE_MARGIN_PX), title, fill=_TILE_INK, font=large)
    for number, line in enumerate(lines):
        place = (_TILE_MARGIN_PX, _TILE_MARGIN_PX + _TITLE_PX + _TILE_LINE_PX * number)
        pen.text(place, line, fill=_QUIET_INK, font=plain)
    for left, label in zip(lefts, column_labels, strict=False):
        pen.text((left, top - _TILE_GAP_PX), label, fill=_TILE_INK, font=bold, anchor="ls")
    for number, (row, label) in enumerate(zip(rows, row_labels, strict=True)):
        y = top + pitch * number
        pen.text((_TILE_MARGIN_PX, y + side // 2), label, fill=_TILE_INK, font=bold, anchor="lm")
        for left, tile in zip(lefts, row, strict=False):
            face = Image.fromarray(tile.image.squeeze()).resize((side, side), Image.Resampling.NEAREST)
            picture.paste(face.convert("RGB"), (left, y))
            for depth, (text, role) in enumerate(tile.caption):
                place = (left, y + side + 2 + _TILE_LINE_PX * depth)
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
    """Give the left edge of each column, and behind them the width of the sheet."""
    labels_width = max((font.getlength(label) for label in row_labels), default=0)
    # The labels are bold, which is about an eighth wider.
    left = _TILE_MARGIN_PX + (round(1.15 * labels_width) + _TILE_GAP_PX if labels_width else 0)
    lefts = []
    for column in range(len(column_labels)):
        words = [text for row in rows if column < len(row) for text, _ in row[column].caption]
        width = max([side, *(round(font.getlength(text)) for text in words)])
        lefts.append(left)
        left += width + _TILE_GAP_PX * (3 if column in wide_gaps_after else 1)
    return [*lefts, left - _TILE_GAP_PX + _TILE_MARGIN_PX]


def _wrap(text: str, width_px: int, font: ImageFont.FreeTypeFont) -> list[str]:
    letter_width = font.getlength("abcdefghijklmnopqrstuvwxyz ") / 27
    return textwrap.wrap(text, width=int(width_px / letter_width))


def draw_rows(rng: np.random.Generator, labels: np.ndarray, *, per_class: int) -> dict[str, np.ndarray]:
    """Draw rows of each class that has any.

    Args:
        rng: source of the randomness.
        labels: int32 [N], 0..6, or -1 for unlabelled.
        per_class: how many rows of a class; fewer where the class is smaller.

    Returns:
        Label name -> int [up to per_class], rows without repeats; classes without rows are left out.

    >>> draw_rows(np.random.default_rng(0), np.array([3, 0, -1]), per_class=5)
    {'angry': array([1]), 'happy': array([0])}
    """
    rows = [np.flatnonzero(labels == label) for label in range(fer2013.CLASS_COUNT)]
    picked = [rng.permutation(of_class)[:per_class] for of_class in rows]
    return {name: some for name, some in zip(fer2013.LABELS, picked, strict=True) if len(some)}


def draw_augmented_grid(
    rng: np.random.Generator, faces: np.ndarray, config: AugmentConfig, *, versions: int
) -> np.ndarray:
    """Put faces over augmented versions of themselves.

    Args:
        rng: source of the randomness.
        faces: uint8 [C, 48, 48, 1], one a column.
        config: ranges and probabilities.
        versions: how many rows to augment.

    Returns:
        uint8 [1 + versions, C, 48, 48, 1].
    """
    copies = np.tile(faces, (versions, 1, 1, 1))
    augmented = augment.apply(copies, augment.draw(rng, config, len(copies)))
    return np.concatenate([faces[None], augmented.reshape(versions, *faces.shape)])


def plain_grid(images: np.ndarray, picked: list[np.ndarray]) -> np.ndarray:
    """Put the picked rows beside each other, with white where a class has fewer than another.

    Args:
        images: uint8 [N, 48, 48, 1].
        picked: R times int [up to C], rows of `images`.

    Returns:
        uint8 [R, C, 48, 48, 1].
    """
    grid = np.full((len(picked), max(map(len, picked)), *fer2013.IMAGE_SHAPE), 255, np.uint8)
    for line, rows in zip(grid, picked, strict=True):
        line[: len(rows)] = images[rows]
    return grid


def describe(config: AugmentConfig) -> str:
    """Say in words what the augmentation does.

    >>> describe(AugmentConfig(shift_probability=1.0, flip_probability=0.5))
    'shifted by up to 6 px (100 %), mirrored (50 %)'
    >>> describe(AugmentConfig())
    'no augmentation'
    """
    changes = (
        (f"turned by up to {config.max_rotation_deg:g}°", config.rotate_probability),
        (f"larger or smaller by up to {config.max_zoom:g}×", config.zoom_probability),
        (f"taller or wider by up to {config.max_stretch:g}×", config.stretch_probability),
        (f"cropped to {100 * config.min_crop_scale:g}–100 % of the side", config.crop_probability),
        (f"shifted by up to {config.max_shift_px:g} px", config.shift_probability),
        ("mirrored" + " in turn" * config.alternate_flip, config.flip_probability),
        (f"blurred or sharpened by up to {100 * config.max_sharpness:g} %", config.sharpness_probability),
        (f"gamma up to {config.max_gamma:g}", config.gamma_probability),
        (f"contrast up to {config.max_contrast:g}×", config.contrast_probability),
        (f"brightness by up to {100 * config.max_brightness:g} %", config.brightness_probability),
        (f"erased up to {100 * config.max_erase_fraction:g} % of the area", config.erase_probability),
    )
    words = [f"{what} ({100 * probability:g} %)" for what, probability in changes if probability]
    return ", ".join(words) or "no augmentation"


def lay_out_sheet(examples: Examples, show: Show) -> "Image.Image":
    """Lay out the sheet that the command asks for.

    Args:
        examples: where to pick the faces from.
        show: the command; `data`, `out` and the like are not looked at.

    Returns:
        A gray picture, mode "L".

    Raises:
        DataError: no example has a label.
    """
    pass  # It needs matplotlib, for which --help need not wait.

    rng = numpy_rng(show.seed, Stream.SHOW)
    picked = draw_rows(rng, examples.labels, per_class=show.examples if show.plain else 1)
    if not picked:
        raise DataError(f"{examples.description}: no image has a label; show needs a labelled file")
    grid = plain_grid(examples.images, list(picked.values()))
    if show.plain:
        return contact_sheet(
            grid,
            row_labels=list(picked),
            column_labels=[""] * grid.shape[1],
            title="Faces by expression",
            subtitle=examples.description,
        )
    return contact_sheet(
        draw_augmented_grid(rng, grid[:, 0], show.settings.augment, versions=show.examples),
        row_labels=["original", "augmented"] + [""] * (show.examples - 1),
        column_labels=list(picked),
        title=f"{show.settings.name}: faces and their augmented versions",
        subtitle=describe(show.settings.augment),
    )
