"""Numbers -> faces: soft-edged shapes and shades over a grid of pixels, many faces at once.

Nothing is random here. Every function takes what `synthetic` drew, float32 [N, 1, 1] under each name of two
namespaces: `unit`, the action units, and `who`, the traits. Lengths are in half heads, x to the right, y
down, (0, 0) between the eyes and the tip of the nose; |x| covers both sides of the face. The arithmetic is
only +, -, ×, /, square root, floor, minimum and maximum, which all CPUs round alike: the same numbers give
the same bits everywhere.
"""

from types import SimpleNamespace
from typing import Final

import numpy as np

from fer_jax import fer2013

COARSE: Final = 6
"""Side of the coarse grid of random tones behind a face."""

Array = np.ndarray
Numbers = SimpleNamespace

_SIDE: Final = fer2013.IMAGE_SHAPE[0]
_AXIS: Final = ((np.arange(_SIDE) + 0.5) * 2 / _SIDE - 1).astype(np.float32)
"""Centres of the pixels, from -1 to 1 over the frame."""


def paint_faces(*, unit: Numbers, who: Numbers, coarse: Array, grain: Array) -> Array:
    """Paint faces.

    Args:
        unit: each name of `synthetic.ACTION_UNITS` as float32 [N, 1, 1], 0 at rest to 1.
        who: each name of `synthetic.TRAITS` and `synthetic.CHANCES` as float32 [N, 1, 1].
        coarse: float32 [N, COARSE, COARSE], 0..1: the blurry background.
        grain: float32 [2, N, 48, 48], 0..1: the camera's noise is their difference.

    Returns:
        uint8 [N, 48, 48, 1], 0 black to 255 white.
    """
    x, y = _head_coordinates(who)
    canvas = _paint_background(who, x, y, coarse)
    _paint_head(canvas, who, unit, x, y)
    # Turning the head moves what is nearest to the camera most.
    x, y = x - who.yaw * (1 - x * x), y - who.pitch * (1 - 0.6 * y * y)
    _paint_skin(canvas, who, unit, x, y)
    _paint_eyes(canvas, who, unit, x, y)
    _paint_brows(canvas, who, unit, x, y)
    _paint_mouth(canvas, who, unit, x, y)
    _paint_extras(canvas, who, x, y)
    return _take_picture(canvas, who, grain)


def _head_coordinates(who: Numbers) -> tuple[Array, Array]:
    x, y = (_AXIS - who.shift_x) / who.scale, (_AXIS[:, None] - who.shift_y) / who.scale
    square = who.roll * who.roll
    cos, sin = (1 - square) / (1 + square), 2 * who.roll / (1 + square)
    return cos * x + sin * y, cos * y - sin * x


def _inside(distance: Array, who: Numbers) -> Array:
    """Compute how much of a pixel, 0..1, a shape covers, from the distance to its edge (< 0 inside)."""
    return np.clip(0.5 - distance * (0.385 * _SIDE * who.scale), 0, 1)


def _spot(x: Array, y: Array, width: float | Array, height: float | Array) -> Array:
    """Compute a soft spot: 1 at (0, 0), 0 outside its half width and half height."""
    near = np.maximum(1 - (x / width) ** 2 - (y / height) ** 2, 0)
    return near * near


def _wave(phase: Array) -> Array:
    """Compute a triangle wave: from 1 to 0 and back, once per unit of phase."""
    return np.abs(2 * (phase - np.floor(phase)) - 1)


def _paint(canvas: Array, cover: Array, tone: float | Array) -> None:
    canvas += cover * (tone - canvas)


def _darken(canvas: Array, amount: Array) -> None:
    canvas *= 1 - amount


def _paint_background(who: Numbers, x: Array, y: Array, coarse: Array) -> Array:
    place = (_AXIS + 1) * (0.4 * (COARSE - 1))
    i = place.astype(int)
    part = place - np.floor(place)
    rows = coarse[:, i] + part[:, None] * (coarse[:, i + 1] - coarse[:, i])
    blurry = rows[:, :, i] + part * (rows[:, :, i + 1] - rows[:, :, i])
    canvas = who.backdrop + who.clutter * (1.4 * blurry - 0.7)
    # Some faces have a straight edge behind them: a door, a wall, a horizon.
    edge = x * who.clutter + y * (who.clutter - 0.35) + 0.5
    _paint(canvas, _inside(edge, who) * (who.clutter > 0.45), 1 - who.backdrop)
    return canvas


def _paint_head(canvas: Array, who: Numbers, unit: Numbers, x: Array, y: Array) -> None:
    """Paint the back of the hair, shoulders, neck, ears, the shaded head, and the hair in front."""
    below = np.maximum(y, 0)
    fall = (y - 0.85 * who.has_long_hair * below + 0.12) / (0.59 + 0.59 * who.hair_volume)
    mane = (x / (who.head_width * who.hair_volume)) ** 2 + fall * fall - 1
    # Strands fan out from the crown, and the top of the head shines.
    strands = _wave(5.5 * x / (1.6 + 0.3 * y) + 2 * who.hair_part * y)
    shine = _spot(x - 0.5 * who.light_x, y + 0.95, 0.6, 0.4)
    hair = who.hair * (0.8 + 0.25 * strands + 0.5 * shine) + 0.03
    _paint(canvas, who.has_hair * _inside(0.5 * mane, who), hair)
    shoulders = (x / 1.7) ** 2 + ((y - 2.1) / 0.85) ** 2 - 1
    _paint(canvas, _inside(0.4 * shoulders, who), who.cloth)
    neck = np.maximum(np.abs(x) - 0.5 * who.head_width, np.abs(y - 1.1) - 0.35)
    _paint(canvas, _inside(neck, who), 0.6 * who.skin)
    ear = ((np.abs(x) - who.head_width) / 0.13) ** 2 + ((y - 0.02) / 0.24) ** 2 - 1
    _paint(canvas, _inside(0.1 * ear, who) * (1 - 0.8 * who.has_long_hair), 0.8 * who.skin)

    # The head is lit as the half of an egg; a dropped jaw makes it longer.
    across = x / (who.head_width * (1 - who.jaw_taper * below * below))
    along = np.where(y > 0, y / (1.08 + 0.2 * unit.jaw_drop), y / 1.15)
    radius = across * across + along * along
    toward = np.sqrt(np.maximum(1 - radius, 0))
    light = 1.05 - who.diffuse + who.diffuse * (across * who.light_x + along * who.light_y + 0.9 * toward)
    cover = _inside(0.45 * (radius - 1), who)
    _paint(canvas, cover, who.skin * light)
    front = y - who.hairline - (0.35 + 0.5 * who.has_long_hair) * x * x - who.hair_part * x
    # Twice the cover: the hair hides the skin's soft edge too.
    cover = np.minimum(2 * cover, 1) * who.has_hair * _inside(front, who)
    _paint(canvas, cover, hair * (0.8 + 0.2 * light))


def _paint_skin(canvas: Array, who: Numbers, unit: Numbers, x: Array, y: Array) -> None:
    """Paint wrinkles, nose, folds and cheeks: shades of the skin."""
    side = np.abs(x)
    frown, wrinkle, cheek, smile = (
        np.maximum(amount, 0)
        for amount in (unit.brow_lower, unit.nose_wrinkle, unit.cheek_raise, unit.corner_pull)
    )
    age = 0.15 + 0.35 * who.age
    # Raised brows fold the forehead across, lowered brows fold it upright between them.
    raise_ = np.maximum(unit.inner_brow_raise + unit.outer_brow_raise * np.minimum(3 * side, 1), 0)
    folds = np.maximum(2 * _wave(4 * y) - 1, 0) * _spot(x, y + 0.62, 0.6, 0.24)
    _darken(canvas, folds * raise_ * (0.12 + 0.2 * who.age))
    _darken(canvas, 0.5 * frown * _spot(side - 0.07, y + 0.36, 0.06, 0.2))
    # The nose has a bright bridge and a dark side; wrinkled, it is shorter, wider and folded across.
    tip = who.nose_length - 0.09 * wrinkle
    wide = who.nose_width * (1 + 0.35 * wrinkle + 0.15 * smile)
    flank = _spot(x + 0.14 * np.sign(who.light_x), y - 0.5 * tip, 0.1, 0.4)
    _darken(canvas, 0.3 * flank - 0.16 * _spot(x, y - 0.3 * tip, 0.11, 0.5))
    _darken(canvas, 0.35 * _spot(x, y - tip - 0.04, 1.3 * wide, 0.09))
    _darken(canvas, 0.6 * _spot(side - 0.55 * wide, y - tip, 0.075, 0.055))
    _darken(canvas, 0.75 * wrinkle * _wave(4.5 * y + 2.5 * side) * _spot(x, y + 0.06, 0.24, 0.2))
    # A fold runs from the nose to the corner of the mouth; a smile lifts the ball of the cheek.
    pull = np.maximum(np.maximum(smile, wrinkle), unit.upper_lip_raise)
    fold = side - wide - 0.02 - 0.5 * (y - tip + 0.06)
    _darken(canvas, (0.12 * age + 0.42 * np.minimum(pull, 1)) * _spot(fold, y - tip - 0.16, 0.07, 0.3))
    _darken(canvas, -0.22 * cheek * _spot(side - 0.5, y - 0.2, 0.26, 0.2))
    out = side - who.eye_gap
    bag = y - 0.05 + 0.03 * cheek - 0.8 * out * out
    _darken(canvas, (0.12 * age + 0.35 * cheek) * _spot(bag, out, 0.05, 0.26))


def _paint_eyes(canvas: Array, who: Numbers, unit: Numbers, x: Array, y: Array) -> None:
    """Paint sockets, eyes and lids."""
    cheek = np.maximum(unit.cheek_raise, 0)
    out, down = np.abs(x) - who.eye_gap, y + 0.12
    _darken(canvas, 0.22 * _spot(out, down + 0.04, 0.34, 0.22))
    along = out / who.eye_width
    arch = np.maximum(1 - along * along, 0)
    # Sad lids hang at the outer corner; a cheek that rises bends the whole eye upwards.
    hang = 0.03 * unit.lid_droop + 0.02 * unit.inner_brow_raise - 0.015
    down = down - hang * along + 0.06 * cheek * (arch - 0.3)
    upper = 0.105 + 0.095 * unit.lid_raise - 0.05 * unit.lid_tighten - 0.085 * unit.lid_droop
    upper = np.maximum(who.eye_open * upper - 0.03 * cheek, 0.008)
    lower = 0.06 + 0.025 * unit.lid_raise - 0.03 * unit.lid_tighten - 0.04 * unit.cheek_raise
    over, under = -upper * arch - down, down - np.maximum(lower, 0.008) * arch
    ends = np.abs(out) - who.eye_width
    eye = _inside(np.maximum(np.maximum(over, under), ends), who)
    _paint(canvas, eye, 0.45 + 0.5 * who.skin)
    look = out - who.gaze * np.sign(x)
    iris = (look * look + (down + 0.02) ** 2) / 0.0115
    _paint(canvas, eye * np.clip(2.2 - 1.7 * iris, 0, 1), who.iris * np.minimum(iris, 1))
    _paint(canvas, eye * _spot(look + 0.03, down + 0.05, 0.05, 0.05), 1.0)
    lash = np.maximum(np.abs(over) - 0.036, ends - 0.02)
    _paint(canvas, 0.9 * _inside(lash, who), 0.15 * who.skin)
    _darken(canvas, 0.3 * _spot(over - 0.07, out, 0.045, 1.2 * who.eye_width))


def _paint_brows(canvas: Array, who: Numbers, unit: Numbers, x: Array, y: Array) -> None:
    """Paint each brow as a bent stroke between its inner and its outer end."""
    uneven = 1 + who.lopsided * np.sign(x)
    inner = 0.14 * unit.brow_lower - 0.17 * unit.inner_brow_raise * uneven - 0.5 * who.brow_slope
    outer = 0.03 * unit.brow_lower - 0.15 * unit.outer_brow_raise * uneven + who.brow_slope + 0.03
    out = np.abs(x) - who.eye_gap + 0.05 * unit.brow_lower - 0.02
    along = np.clip(out / 0.26, -1, 1)
    bend = 0.05 * (1 - along * along) * (1 + 0.6 * unit.outer_brow_raise)
    middle = who.brow_height + 0.5 * (inner + outer) + 0.5 * along * (outer - inner) - bend
    thick = who.brow_thickness * (1.1 - 0.4 * along)
    brow = np.maximum(np.abs(y - middle) - thick, np.abs(out) - 0.26)
    _paint(canvas, 0.85 * _inside(brow, who), np.minimum(0.8 * who.hair, 0.45 * who.skin))


def _paint_mouth(canvas: Array, who: Numbers, unit: Numbers, x: Array, y: Array) -> None:
    """Paint lips, the teeth and the dark between them, and the folds of the skin around the mouth."""
    smile, stretch = unit.corner_pull, unit.lip_stretch
    part, drop, sneer, chin = (
        np.maximum(amount, 0)
        for amount in (unit.lips_part, unit.jaw_drop, unit.upper_lip_raise, unit.chin_raise)
    )
    half = who.mouth_width + 0.11 * smile + 0.11 * stretch - 0.06 * unit.lip_press
    half = half - 0.11 * drop * (1 - np.clip(smile + stretch, 0, 1))
    along = x / half
    square = along * along
    # Lips open to an almond, 1 - t²; stretched ones to a box, 1 - t⁴; a dropped jaw to an oval, the root.
    arch = np.maximum(1 - square, 0) * (1 + np.clip(stretch, 0, 1) * square)
    arch += np.clip(2 * drop - smile, 0, 1) * (np.sqrt(arch) - arch)
    bend = 0.15 * unit.corner_depress - 0.17 * smile * (1 + who.lopsided * along) + 0.04 * stretch
    middle = 0.6 - 0.04 * chin + 0.06 * drop - 0.04 * sneer + bend * (np.minimum(square, 1.5) - 0.45)
    lift = np.maximum(sneer * (0.09 + 0.3 * who.lopsided * along), 0)
    top = middle - (0.016 + 0.035 * part + lift * (0.3 + part)) * arch
    bottom = middle + (0.016 + 0.09 * part + 0.3 * drop) * arch
    full = who.lip_thickness * (1 - 0.75 * np.clip(unit.lip_press, 0, 1))
    ends = np.abs(x) - half
    lips = np.maximum(top - (0.8 * full + 0.4 * lift) * arch - y, y - bottom - full * arch)
    _paint(canvas, _inside(np.maximum(lips, ends), who), canvas * who.lip_tone)
    gap = _inside(np.maximum(np.maximum(top - y, y - bottom), ends), who)
    _paint(canvas, gap, 0.08 + 0.1 * who.skin)
    # Teeth hang from the upper lip as far as smile, sneer and stretch bare them.
    teeth = y - top - 0.1 * np.clip(smile + sneer + stretch, 0, 1.2)
    _paint(canvas, gap * part * _inside(teeth, who), 0.92)
    _darken(canvas, 0.3 * _spot(x, y - bottom - full - 0.07, 0.24, 0.08))
    _darken(canvas, chin * (0.4 * _spot(x, y - 0.8, 0.3, 0.06) - 0.15 * _spot(x, y - 0.93, 0.2, 0.12)))
    depth = np.clip(0.25 + 0.4 * np.abs(smile) + 0.3 * unit.corner_depress, 0, 0.8)
    _darken(canvas, depth * _spot(ends - 0.03, y - middle, 0.07, 0.1))


def _paint_extras(canvas: Array, who: Numbers, x: Array, y: Array) -> None:
    """Paint what only some faces have: beard, moustache, glasses, something in front of the face."""
    side = np.abs(x)
    jaw = (x / (0.95 * who.head_width)) ** 2 + (y - 0.1) ** 2
    beard = np.clip(3 * jaw - 1.35, 0, 1) * np.clip(4 * y - 1, 0, 1) * _inside(0.4 * jaw - 0.44, who)
    _paint(canvas, 0.7 * who.has_beard * beard, 0.6 * who.hair)
    moustache = np.minimum(1.4 * _spot(x, y - 0.47 - 0.2 * x * x, 0.34, 0.1), 0.9)
    _paint(canvas, who.has_moustache * moustache, 0.6 * who.hair)
    rim = ((side - who.eye_gap) / 0.3) ** 2 + ((y + 0.1) / 0.24) ** 2 - 1
    bridge = np.maximum(np.abs(y + 0.14), side - 0.1)
    wire = np.minimum(np.abs(0.13 * rim), bridge) - 0.012
    _paint(canvas, 0.85 * who.has_glasses * _inside(wire, who), 0.6 * who.cover_tone)
    # A hand, a cup, a scarf: something round, from below.
    thing = ((x - who.cover_x) / 0.4) ** 2 + ((y - 1.2) / 0.75) ** 2 - 1
    _paint(canvas, who.is_covered * _inside(0.3 * thing, who), who.cover_tone)


def _take_picture(canvas: Array, who: Numbers, grain: Array) -> Array:
    """Blur, expose, add noise, round to gray levels."""
    wide = np.pad(canvas, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = 0.5 * wide[:, 1:-1] + 0.25 * (wide[:, :-2] + wide[:, 2:])
    blurred = 0.5 * rows[:, :, 1:-1] + 0.25 * (rows[:, :, :-2] + rows[:, :, 2:])
    _paint(canvas, who.blur, blurred)
    exposed = who.gain * canvas + who.offset + who.noise * (grain[0] - grain[1])
    return (np.clip(exposed, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None]
