"""Annotated copies of pictures: boxes around faces, labels, and bars of all probabilities where they fit."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_COLOURS: Final = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0E442",
    "sad": "#0072B2",
    "surprise": "#56B4E9",
    "neutral": "#F2F2F2",
    "contempt": "#E69F00",
}
"""Okabe and Ito's colours, which colour-blind people can tell apart, and white."""

_UNSURE: Final = "#8C8C8C"
_DARK: Final = "#141414"
_PANEL: Final = (20, 20, 20, 190)
_TRACK: Final = (80, 80, 80, 210)

_LEAST_SIDE_PX: Final = 480
_LEAST_FONT_PX: Final = 12
_MOST_WITH_BARS: Final = 12
"""In a larger crowd bars would cover the picture, and few faces would have them."""


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """What is drawn of a face.

    Attributes:
        box: left, top, width and height, in pixels of the picture.
        probabilities: float [C].
        track: the number of its track; None outside videos.
    """

    box: tuple[float, float, float, float]
    probabilities: np.ndarray
    track: int | None


class _Rectangle(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "_Rectangle") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def joined(self, other: "_Rectangle") -> "_Rectangle":
        """Find the smallest rectangle around both."""
        left, top = min(self.left, other.left), min(self.top, other.top)
        return _Rectangle(left, top, max(self.right, other.right), max(self.bottom, other.bottom))

    def moved_into(self, frame: "_Rectangle") -> "_Rectangle":
        """Move it so that it lies in the frame; what is larger than the frame begins with it."""
        right = max(min(self.left, frame.right - (self.right - self.left)), frame.left) - self.left
        down = max(min(self.top, frame.bottom - (self.bottom - self.top)), frame.top) - self.top
        return _Rectangle(self.left + right, self.top + down, self.right + right, self.bottom + down)


class _Canvas(NamedTuple):
    """A picture that is drawn on.

    Attributes:
        line: the width of the lines in pixels, and `edge` that of the dark line around them.
    """

    picture: Image.Image
    brush: ImageDraw.ImageDraw
    frame: _Rectangle
    line: int
    edge: int


class _Plan(NamedTuple):
    """How one face is drawn: its place, its words and its colour, and the height of the letters."""

    face: DrawnFace
    box: _Rectangle
    words: str
    colour: str
    size_px: int


def draw(
    image: np.ndarray, faces: Sequence[DrawnFace], labels: Sequence[str], *, abstain_below: float
) -> np.ndarray:
    """Draw what was found in a picture on a copy of it.

    Lines and letters grow with the picture and the faces. Labels keep off other faces where they can. The
    bars stand beside a face, or below or above it; they are left out where they would cover something, and
    in a crowd.

    Args:
        image: uint8 [H, W, 3].
        faces: what to draw.
        labels: names of the C classes.
        abstain_below: a face whose highest probability is lower is labelled "unsure".

    Returns:
        uint8 [H, W, 3]; a picture whose longer side is under 480 pixels is enlarged by a whole factor, so
        that letters have room.
    """
    zoom = max(1, math.ceil(_LEAST_SIDE_PX / max(image.shape[:2])))
    canvas = _prepare(image, zoom)
    plans = [_plan(canvas, face, labels, zoom, abstain_below) for face in faces]
    for plan in plans:
        _draw_box(canvas, plan)
    taken = [plan.box for plan in plans]
    names: list[_Rectangle] = []
    for plan in plans:
        names.append(_draw_label(canvas, plan, [*taken, *names]))
    taken += names
    if len(faces) > _MOST_WITH_BARS:
        return np.asarray(canvas.picture)
    # The largest faces first: they are what the picture is about.
    for plan, name in sorted(
        zip(plans, names, strict=True), key=lambda pair: pair[0].box.top - pair[0].box.bottom
    ):
        panel = _draw_bars(canvas, plan, name, tuple(labels), taken)
        taken += [] if panel is None else [panel]
    return np.asarray(canvas.picture)


def _prepare(image: np.ndarray, zoom: int) -> _Canvas:
    picture = Image.fromarray(image)
    if zoom > 1:
        picture = picture.resize((zoom * picture.width, zoom * picture.height), Image.Resampling.BICUBIC)
    line = max(2, round(max(picture.size) / 400))
    frame = _Rectangle(0, 0, *picture.size)
    return _Canvas(picture, ImageDraw.Draw(picture), frame, line, max(1, line // 3))


def _plan(canvas: _Canvas, face: DrawnFace, labels: Sequence[str], zoom: int, abstain_below: float) -> _Plan:
    """Decide how a face is drawn; a box over the border is drawn along the border."""
    left, top, width, height = (zoom * each for each in face.box)
    line, frame = canvas.line, canvas.frame
    right, bottom = max(line, frame.right - 1 - line), max(line, frame.bottom - 1 - line)
    box = _Rectangle(
        min(max(left, line), right),
        min(max(top, line), bottom),
        min(max(left + width, line), right),
        min(max(top + height, line), bottom),
    )
    best = int(np.argmax(face.probabilities))
    probability = float(face.probabilities[best])
    is_sure = probability >= abstain_below
    words = f"{labels[best]} {_percent(probability)}" if is_sure else "unsure"
    number = "" if face.track is None else f"{face.track}: "
    # On a screen that shows the whole picture, letters take 1.4 to 2.6 % of its longer side.
    longer = max(frame.right, frame.bottom)
    least, most = max(_LEAST_FONT_PX, 0.014 * longer), max(14, 0.026 * longer)
    size_px = round(min(max(0.13 * min(width, height), least), most))
    return _Plan(face, box, number + words, _colours(tuple(labels))[best] if is_sure else _UNSURE, size_px)


def _percent(probability: float) -> str:
    """Write a probability in whole per cent; no network is certain.

    >>> _percent(0.874), _percent(0.9951)
    ('87 %', '> 99 %')
    """
    return "> 99 %" if probability >= 0.995 else f"{100 * probability:.0f} %"


@functools.lru_cache(maxsize=64)
def _colours(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Choose a colour for each class: FER2013's keep theirs, others take those that are left, in order.

    Where none is left, lighter ones follow, then darker ones, which stand out less from the dark panel.

    >>> _colours(("calm", "angry"))
    ('#009E73', '#D55E00')
    """
    plain = list(_COLOURS.values())
    of_hue = [each for name, each in _COLOURS.items() if name != "neutral"]
    more = [_blend(each, other) for other in ("#FFFFFF", "#000000") for each in of_hue]
    taken = {_COLOURS[label] for label in labels if label in _COLOURS}
    free = (each for each in (*plain, *more) if each not in taken)
    return tuple(_COLOURS.get(label) or next(free) for label in labels)


def _blend(colour: str, other: str) -> str:
    """Blend two colours, such as `#D55E00`, in equal parts."""
    pairs = ((int(colour[start : start + 2], 16), int(other[start : start + 2], 16)) for start in (1, 3, 5))
    return "#" + "".join(f"{(one + two) // 2:02X}" for one, two in pairs)


def _ink(colour: str) -> str:
    """Choose black or white letters, whichever stand out more on a colour."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return _DARK if luminance > 0.18 else "#FFFFFF"


@functools.cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def _draw_box(canvas: _Canvas, plan: _Plan) -> None:
    """Draw a line in the class's colour between two dark ones, which stands out on any background."""
    edge, box = canvas.edge, plan.box
    around = (box.left - edge, box.top - edge, box.right + edge, box.bottom + edge)
    canvas.brush.rectangle(around, outline=_DARK, width=canvas.line + 2 * edge)
    canvas.brush.rectangle(box, outline=plan.colour, width=canvas.line)


def _draw_label(canvas: _Canvas, plan: _Plan, taken: Sequence[_Rectangle]) -> _Rectangle:
    """Draw the label where it covers no other face and no other label, above its box if possible."""
    font, size, box = _font(plan.size_px), plan.size_px, plan.box
    width, height = canvas.brush.textlength(plan.words, font=font) + 0.7 * size, 1.35 * size
    left = box.left - canvas.edge
    places = [
        _Rectangle(left, box.top - height, left + width, box.top),
        _Rectangle(left, box.bottom + 1, left + width, box.bottom + 1 + height),
        _Rectangle(box.left, box.top, box.left + width, box.top + height),
    ]
    others = [each for each in taken if each is not box]
    inside = [each.moved_into(canvas.frame) for each in places]
    free = [
        place
        for place, each in zip(inside, places, strict=True)
        if place.top == each.top and not any(map(place.overlaps, others))
    ]
    place = free[0] if free else inside[-1]
    corners = (place.left, place.top, place.right - 1, place.bottom - 1)
    canvas.brush.rectangle(corners, fill=plan.colour, outline=_DARK, width=canvas.edge)
    start = (place.left + 0.35 * size, (place.top + place.bottom) / 2)
    canvas.brush.text(start, plan.words, font=font, fill=_ink(plan.colour), anchor="lm")
    return place


def _draw_bars(
    canvas: _Canvas, plan: _Plan, name: _Rectangle, labels: tuple[str, ...], taken: Sequence[_Rectangle]
) -> _Rectangle | None:
    """Draw a bar for each class on a dark panel where it covers nothing; None if there is no such place."""
    for size in (round(0.9 * plan.size_px), round(0.7 * plan.size_px)):
        if size < _LEAST_FONT_PX - 2:
            continue
        panel = _make_panel(labels, size)
        gap, shape = round(0.5 * size), panel.picture.size
        beside_both = _panel_places(plan.box.joined(name), shape, canvas.frame, gap)
        for place in (*_panel_places(plan.box, shape, canvas.frame, gap), *beside_both):
            if not any(map(place.overlaps, taken)):
                left, top = int(place.left), int(place.top)
                canvas.picture.paste(panel.picture, (left, top), panel.picture)
                for index, row in enumerate(panel.tracks):
                    length = float(plan.face.probabilities[index]) * (row.right - row.left)
                    bar = (left + row.left, top + row.top, left + row.left + length, top + row.bottom)
                    if length >= 1:
                        canvas.brush.rectangle(bar, fill=_colours(labels)[index])
                return place
    return None


def _panel_places(
    box: _Rectangle, size: tuple[int, int], frame: _Rectangle, gap: int
) -> Iterator[_Rectangle]:
    """Yield the places beside, below and above a box that lie in the frame, in whole pixels."""
    width, height = size
    for left, top in (
        (round(box.right) + gap, round(box.top)),
        (round(box.left) - gap - width, round(box.top)),
        (round(box.left), round(box.bottom) + gap),
        (round(box.left), round(box.top) - gap - height),
    ):
        place = _Rectangle(left, top, left + width, top + height)
        moved = place.moved_into(frame)
        stays = moved.left == left if top == round(box.top) else moved.top == top
        if stays and moved.right <= frame.right and moved.bottom <= frame.bottom:
            yield moved


class _Panel(NamedTuple):
    """The background of the bars, with the names of the classes, and where the bars are drawn on it."""

    picture: Image.Image
    tracks: tuple[_Rectangle, ...]


@functools.lru_cache(maxsize=64)
def _make_panel(labels: tuple[str, ...], size_px: int) -> _Panel:
    """Draw the panel once for each height of letters: they take most of the time of a frame."""
    font, row = _font(size_px), round(1.3 * size_px)
    names = max(font.getlength(label) for label in labels)
    width, height = round(names + 6.4 * size_px), round(row * len(labels) + 0.6 * size_px)
    picture = Image.new("RGBA", (width, height), _PANEL)
    brush = ImageDraw.Draw(picture)
    tracks = []
    for index, label in enumerate(labels):
        middle = 0.3 * size_px + (index + 0.5) * row
        start, end = names + 0.9 * size_px, width - 0.5 * size_px
        tracks.append(_Rectangle(start, middle - 0.32 * size_px, end, middle + 0.32 * size_px))
        brush.text((0.4 * size_px, middle), label, font=font, fill="#FFFFFF", anchor="lm")
        brush.rectangle(tracks[-1], fill=_TRACK)
    return _Panel(picture, tuple(tracks))
