"""Contact sheets: a labelled grid of faces as one picture. The same arguments give the same bytes."""

import textwrap
from collections.abc import Sequence
from typing import Final

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_ZOOM: Final = 2
_GAP_PX: Final = 6
_MARGIN_PX: Final = 12
_LINE_PX: Final = 20
_INK: Final = 34
_PAPER: Final = 255


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
