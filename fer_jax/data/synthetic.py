"""Synthetic faces: seven expressions over varied identity, pose, light and noise, drawn from a seed.

The default data, the tests' data and the benchmarks' data. An expression is a set of facial action units
(FACS; Ekman and Friesen's prototypes); each face takes one of its class's sets, weakens it by a random
intensity and adds noise of its own, so that the classes overlap as they do in FER2013.

A face is painted as soft-edged shapes over a pixel grid, many faces at once. Pixels only meet +, -, ×, /, square
root, minimum and maximum, which every CPU rounds alike: the same seed gives the same bits everywhere.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.data.examples import Examples
from fer_jax.randomness import Stream, numpy_rng

CHUNK_EXAMPLES: Final = 140
"""Faces drawn from one generator. Face i depends on the seed and on i alone, never on how many are drawn."""

ACTION_UNITS: Final = (
    "inner_brow_raise",  # AU 1
    "outer_brow_raise",  # AU 2
    "brow_lower",  # AU 4: down and together
    "lid_raise",  # AU 5: eyes wide
    "cheek_raise",  # AU 6
    "lid_tighten",  # AU 7
    "nose_wrinkle",  # AU 9
    "upper_lip_raise",  # AU 10
    "corner_pull",  # AU 12: smile
    "corner_depress",  # AU 15
    "chin_raise",  # AU 17
    "lip_stretch",  # AU 20
    "lip_press",  # AU 23 and 24
    "lips_part",  # AU 25
    "jaw_drop",  # AU 26 and 27
    "lid_droop",  # AU 41 and 43
)

EXPRESSIONS: Final[dict[str, tuple[dict[str, float], ...]]] = {
    "angry": (
        dict(brow_lower=1.0, lid_raise=0.3, lid_tighten=0.8, lip_press=1.0, chin_raise=0.4),
        dict(
            brow_lower=1.0, lid_tighten=0.6, upper_lip_raise=0.4, lip_stretch=0.4, lips_part=1.0, jaw_drop=0.4
        ),
    ),
    "disgust": (
        dict(brow_lower=0.4, lid_tighten=0.6, nose_wrinkle=1.0, upper_lip_raise=0.7, chin_raise=0.6),
        dict(nose_wrinkle=0.9, upper_lip_raise=1.0, cheek_raise=0.4, lips_part=0.7, corner_depress=0.6),
    ),
    "fear": (
        dict(
            inner_brow_raise=1.0,
            outer_brow_raise=0.3,
            brow_lower=0.4,
            lid_raise=1.0,
            lip_stretch=1.0,
            lips_part=0.9,
        ),
        dict(
            inner_brow_raise=0.9, brow_lower=0.3, lid_raise=0.9, lip_stretch=0.8, lips_part=0.6, jaw_drop=0.4
        ),
    ),
    "happy": (
        dict(cheek_raise=0.7, corner_pull=0.9),
        dict(cheek_raise=0.8, corner_pull=1.0, lips_part=0.8),
        dict(cheek_raise=1.0, corner_pull=1.0, lips_part=0.9, jaw_drop=0.5, lid_tighten=0.3),
    ),
    "sad": (
        dict(inner_brow_raise=0.9, brow_lower=0.3, corner_depress=1.0, lid_droop=0.6, chin_raise=0.4),
        dict(
            inner_brow_raise=0.8,
            brow_lower=0.5,
            corner_depress=0.9,
            lid_tighten=0.7,
            lips_part=0.5,
            lip_stretch=0.3,
        ),
    ),
    "surprise": (
        dict(inner_brow_raise=1.0, outer_brow_raise=1.0, lid_raise=0.8, lips_part=0.6, jaw_drop=1.0),
        dict(inner_brow_raise=0.8, outer_brow_raise=1.0, lid_raise=0.9, lips_part=0.5, jaw_drop=0.5),
    ),
    "neutral": ({}, {"lid_droop": 0.15}),
}
"""The sets of action units that a class may show, each 0 (at rest) to 1 (as strong as it gets)."""

INTENSITY: Final = (0.35, 1.0)
"""How much of its expression a face shows."""

UNIT_NOISE: Final = 0.30
"""Largest departure of one action unit from what the expression asks for."""

TRAITS: Final[dict[str, tuple[float, float]]] = {
    # Where the face is: lengths are in half frames for the shift, in half heads for all that follows.
    "scale": (0.74, 0.88),
    "shift_x": (-0.11, 0.11),
    "shift_y": (-0.06, 0.14),
    "roll": (-0.1, 0.1),  # tangent of half the angle: 11 degrees at most
    "yaw": (-0.2, 0.2),
    "pitch": (-0.08, 0.08),
    # Whose it is.
    "skin": (0.32, 0.88),
    "hair": (0.04, 0.75),
    "head_width": (0.78, 0.96),
    "jaw_taper": (-0.02, 0.3),
    "hairline": (-1.0, -0.7),
    "hair_part": (-0.35, 0.35),
    "hair_volume": (1.05, 1.28),
    "eye_gap": (0.34, 0.44),
    "eye_width": (0.15, 0.21),
    "eye_open": (0.8, 1.2),
    "iris": (0.05, 0.4),
    "gaze": (-0.05, 0.05),
    "brow_height": (-0.40, -0.33),
    "brow_thickness": (0.025, 0.07),
    "brow_slope": (-0.04, 0.04),
    "nose_length": (0.24, 0.38),
    "nose_width": (0.12, 0.2),
    "mouth_width": (0.25, 0.36),
    "lip_thickness": (0.04, 0.10),
    "lip_tone": (0.55, 0.85),
    "age": (0.0, 1.0),
    # How it is lit and taken.
    "light_x": (-0.7, 0.7),
    "light_y": (-0.7, 0.3),
    "diffuse": (0.25, 0.75),
    "gain": (0.75, 1.2),
    "offset": (-0.08, 0.1),
    "blur": (0.0, 1.0),
    "noise": (0.0, 0.06),
    "backdrop": (0.0, 1.0),
    "clutter": (0.0, 0.7),
    "cloth": (0.0, 1.0),
    "lopsided": (-0.5, 0.5),
    "cover_x": (-1.0, 1.0),
    "cover_tone": (0.1, 0.9),
}
"""What varies between faces besides the expression: uniform in these ranges."""

CHANCES: Final[dict[str, float]] = {
    "has_hair": 0.9,
    "has_long_hair": 0.4,
    "has_glasses": 0.18,
    "has_beard": 0.14,
    "has_moustache": 0.1,
    "is_covered": 0.1,
}
"""What a face has or has not, and how often."""

_AXIS = ((np.arange(48, dtype=np.float32) + 0.5) / 24 - 1).astype(np.float32)


def draw_examples(*, seed: int, examples: int) -> Examples:
    """Draw labelled synthetic faces.

    Each run of seven holds every class once, in random order, and of each ten such runs one is PublicTest and one
    PrivateTest: any number of examples is balanced to within one a class.

    Args:
        seed: >= 0; the same seed gives the same faces.
        examples: how many, >= 1. More of them begin with the same faces.

    Returns:
        Examples, with usages 80 % Training, 10 % PublicTest, 10 % PrivateTest.
    """
    chunks = -(-examples // CHUNK_EXAMPLES)
    # NumPy lets go of the interpreter lock inside its loops, and chunks share nothing.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        drawn = list(pool.map(lambda chunk: _draw_chunk(seed, chunk), range(chunks)))
    labels = np.concatenate([labels for labels, _ in drawn])[:examples]
    images = np.concatenate([images for _, images in drawn])[:examples]
    tens = np.arange(examples) // fer2013.CLASS_COUNT % 10
    usages = np.maximum(tens - 7, 0).astype(np.int32)
    digest = hashlib.sha256()
    for array in (images, labels, usages):
        digest.update(array.tobytes())
    return Examples(
        images=images,
        labels=labels,
        usages=usages,
        description=f"{examples:,} synthetic faces, seed {seed} (not FER2013)",
        sha256=digest.hexdigest(),
    )


def _draw_chunk(seed: int, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    rng = numpy_rng(seed, Stream.SYNTHETIC, chunk)
    sevens = np.tile(
        np.arange(fer2013.CLASS_COUNT, dtype=np.int32), (CHUNK_EXAMPLES // fer2013.CLASS_COUNT, 1)
    )
    labels = rng.permuted(sevens, axis=1).ravel()
    return labels, draw_faces(rng, labels)


def draw_faces(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Draw one synthetic face for each label.

    Args:
        rng: where the randomness comes from.
        labels: int [N], 0..6 as in `fer2013.LABELS`.

    Returns:
        uint8 [N, 48, 48, 1], 0 black to 255 white.
    """
    unit = _draw_action_units(rng, labels)
    who = _draw_traits(rng, len(labels))
    x, y = _head_coordinates(who)
    canvas = _paint_background(rng, who, x, y)
    _paint_head(canvas, who, unit, x, y)
    # Turning the head moves what is in front of it most.
    x = x - who.yaw * (1 - x * x)
    y = y - who.pitch * (1 - 0.6 * y * y)
    _paint_skin(canvas, who, unit, x, y)
    _paint_eyes(canvas, who, unit, x, y)
    _paint_mouth(canvas, who, unit, x, y)
    _paint_extras(canvas, who, x, y)
    return _take_picture(rng, canvas, who)


def _draw_action_units(rng: np.random.Generator, labels: np.ndarray) -> SimpleNamespace:
    """Give each face its action units: float32 [N, 1, 1] under each name of `ACTION_UNITS`."""
    sets = [EXPRESSIONS[name] for name in fer2013.LABELS]
    most = max(len(variants) for variants in sets)
    table = np.array(
        [[[v[i % len(v)].get(name, 0.0) for name in ACTION_UNITS] for i in range(most)] for v in sets]
    )
    counts = np.array([len(variants) for variants in sets])
    variants = (rng.random(len(labels)) * counts[labels]).astype(int)
    intensity = rng.uniform(*INTENSITY, (len(labels), 1))
    # The mean of two uniforms: most faces near what the expression asks for, none absurd.
    noise = UNIT_NOISE * (rng.random((2, len(labels), len(ACTION_UNITS))).sum(axis=0) - 1)
    units = np.clip(intensity * table[labels, variants] + noise, -0.2, 1.1).astype(np.float32)
    return SimpleNamespace(**{name: units[:, i, None, None] for i, name in enumerate(ACTION_UNITS)})


def _draw_traits(rng: np.random.Generator, faces: int) -> SimpleNamespace:
    """Draw `TRAITS` and `CHANCES` (as 0 or 1): float32 [N, 1, 1] under each name."""
    drawn = {name: rng.uniform(low, high, (faces, 1, 1)) for name, (low, high) in TRAITS.items()}
    drawn |= {name: rng.random((faces, 1, 1)) < chance for name, chance in CHANCES.items()}
    who = SimpleNamespace(**{name: values.astype(np.float32) for name, values in drawn.items()})
    who.pixel = 1 / (24 * who.scale)
    return who


def _head_coordinates(who: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Turn the pixel grid into half heads: x to the right, y down, (0, 0) between the eyes and the mouth."""
    x = (_AXIS[None, None, :] - who.shift_x) / who.scale
    y = (_AXIS[None, :, None] - who.shift_y) / who.scale
    square = who.roll * who.roll
    cos, sin = (1 - square) / (1 + square), 2 * who.roll / (1 + square)
    return cos * x + sin * y, cos * y - sin * x


def _edge(distance: np.ndarray, who: SimpleNamespace) -> np.ndarray:
    """Cover of a pixel at this signed distance (< 0 inside) from a shape's edge: 0..1."""
    return np.clip(0.5 - distance / (1.3 * who.pixel), 0, 1)


def _spot(x: np.ndarray, y: np.ndarray, width: float | np.ndarray, height: float | np.ndarray) -> np.ndarray:
    """A soft round spot, 1 at (0, 0) and 0 from its half width and half height on."""
    inside = np.maximum(1 - (x / width) ** 2 - (y / height) ** 2, 0)
    return inside * inside


def _wave(phase: np.ndarray) -> np.ndarray:
    """A triangle wave of period 1 between 0 and 1."""
    return np.abs(2 * (phase - np.floor(phase)) - 1)


def _paint(canvas: np.ndarray, cover: np.ndarray, tone: float | np.ndarray) -> None:
    canvas += cover * (tone - canvas)


def _shade(canvas: np.ndarray, amount: np.ndarray) -> None:
    canvas *= 1 - amount


def _paint_background(
    rng: np.random.Generator, who: SimpleNamespace, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    # A coarse random grid, drawn out bilinearly: light, shadow and things out of focus.
    coarse = rng.random((len(x), 6, 6), dtype=np.float32) - 0.5
    place = (_AXIS + 1) * 2.4
    low = place.astype(int)
    part = (place - low).astype(np.float32)
    rows = coarse[:, low] + part[:, None] * (coarse[:, low + 1] - coarse[:, low])
    blurry = rows[:, :, low] + part * (rows[:, :, low + 1] - rows[:, :, low])
    canvas = who.backdrop + who.clutter * 1.4 * blurry
    _paint(
        canvas,
        _edge(x * who.clutter + y * (who.clutter - 0.35) + 0.5, who) * (who.clutter > 0.45),
        1 - who.backdrop,
    )
    return canvas


def _paint_head(
    canvas: np.ndarray, who: SimpleNamespace, unit: SimpleNamespace, x: np.ndarray, y: np.ndarray
) -> None:
    below = np.maximum(y, 0)
    # Back of the hair, which falls to the shoulders when it is long.
    fall = (y - who.has_long_hair * 0.85 * below + 0.12) / (1.18 * (0.5 + 0.5 * who.hair_volume))
    back = (x / (who.head_width * who.hair_volume)) ** 2 + fall * fall
    # Strands fan out from the crown, and the top of the head shines.
    strands = _wave(x * 5.5 / (1.6 + 0.3 * y) + y * who.hair_part * 2)
    hair = who.hair * (0.8 + 0.25 * strands + 0.5 * _spot(x - 0.5 * who.light_x, y + 0.95, 0.6, 0.4)) + 0.03
    _paint(canvas, who.has_hair * _edge(0.5 * (back - 1), who), hair)
    _paint(canvas, _edge(0.4 * ((x / 1.7) ** 2 + ((y - 2.1) / 0.85) ** 2 - 1), who), who.cloth)
    neck = np.maximum(np.abs(x) - 0.5 * who.head_width, np.abs(y - 1.1) - 0.35)
    _paint(canvas, _edge(neck, who), 0.6 * who.skin)
    ear = 0.1 * (((np.abs(x) - who.head_width) / 0.13) ** 2 + ((y - 0.02) / 0.24) ** 2 - 1)
    _paint(canvas, _edge(ear, who) * (1 - 0.8 * who.has_long_hair), 0.8 * who.skin)
    across = x / (who.head_width * (1 - who.jaw_taper * below * below))
    along = np.where(y > 0, y / (1.08 + 0.2 * unit.jaw_drop), y / 1.15)
    round_ = across * across + along * along
    out = np.sqrt(np.maximum(1 - round_, 0))
    light = who.diffuse * (across * who.light_x + along * who.light_y + 0.9 * out) + 1.05 - who.diffuse
    cover = _edge(0.45 * (round_ - 1), who)
    _paint(canvas, cover, who.skin * light)
    front = y - who.hairline - (0.35 + 0.5 * who.has_long_hair) * x * x - who.hair_part * x
    # Twice the cover: hair hides the skin's soft edge too.
    _paint(canvas, np.minimum(2 * cover, 1) * who.has_hair * _edge(front, who), hair * (0.8 + 0.2 * light))


def _paint_skin(
    canvas: np.ndarray, who: SimpleNamespace, unit: SimpleNamespace, x: np.ndarray, y: np.ndarray
) -> None:
    """Paint nose, cheeks, folds and wrinkles: shades of the skin that is there."""
    side = np.abs(x)
    lines = 0.15 + 0.35 * who.age
    # Forehead: raised brows fold it across, lowered brows fold it between them.
    folds = np.maximum(2 * _wave(4 * y) - 1, 0) * _spot(x, y + 0.62, 0.6, 0.24)
    raised = np.maximum(unit.inner_brow_raise + unit.outer_brow_raise * np.minimum(3 * side, 1), 0)
    _shade(canvas, folds * raised * (0.12 + 0.2 * who.age))
    frown = np.maximum(unit.brow_lower, 0)
    _shade(canvas, frown * 0.5 * _spot(side - 0.07, y + 0.36, 0.06, 0.2))
    # Nose: the bridge catches light on one side; a wrinkled nose is shorter, wider and folded across.
    wrinkle = np.maximum(unit.nose_wrinkle, 0)
    tip = who.nose_length - 0.09 * wrinkle
    wide = who.nose_width * (1 + 0.35 * wrinkle + 0.15 * np.maximum(unit.corner_pull, 0))
    bridge = _spot(x, y - 0.3 * tip, 0.11, 0.5)
    _shade(canvas, -0.16 * bridge + 0.3 * _spot(x + 0.14 * np.sign(who.light_x), y - 0.5 * tip, 0.1, 0.4))
    _shade(canvas, 0.35 * _spot(x, y - tip - 0.04, 1.3 * wide, 0.09))
    _shade(canvas, 0.6 * _spot(side - 0.55 * wide, y - tip, 0.075, 0.055))
    folds = _wave(4.5 * y + 2.5 * side) * _spot(x, y + 0.06, 0.24, 0.2)
    _shade(canvas, 0.75 * wrinkle * folds)
    # Cheeks: the fold from the nose to the corner of the mouth, and the ball that a smile pushes up.
    pull = np.maximum(np.maximum(unit.corner_pull, unit.nose_wrinkle), unit.upper_lip_raise)
    depth = np.clip(0.12 * lines + 0.42 * np.maximum(pull, 0), 0, 1)
    fold = side - wide - 0.02 - 0.5 * (y - tip + 0.06)
    _shade(canvas, depth * _spot(fold, y - tip - 0.16, 0.07, 0.3))
    cheek = np.maximum(unit.cheek_raise, 0)
    _shade(canvas, -0.22 * cheek * _spot(side - 0.5, y - 0.2, 0.26, 0.2))
    bag = y - 0.05 + 0.03 * cheek - 0.8 * (side - who.eye_gap) ** 2
    _shade(canvas, (0.12 * lines + 0.35 * cheek) * _spot(bag, side - who.eye_gap, 0.05, 0.26))


def _paint_eyes(
    canvas: np.ndarray, who: SimpleNamespace, unit: SimpleNamespace, x: np.ndarray, y: np.ndarray
) -> None:
    """Paint sockets, eyes, lids and brows, both sides at once."""
    out = np.abs(x) - who.eye_gap
    down = y + 0.12
    _shade(canvas, 0.22 * _spot(out, down + 0.04, 0.34, 0.22))
    along = out / who.eye_width
    arch = np.maximum(1 - along * along, 0)
    upper = who.eye_open * (0.105 + 0.095 * unit.lid_raise - 0.05 * unit.lid_tighten - 0.085 * unit.lid_droop)
    lower = 0.06 + 0.025 * unit.lid_raise - 0.03 * unit.lid_tighten - 0.04 * unit.cheek_raise
    upper = np.maximum(upper - 0.03 * np.maximum(unit.cheek_raise, 0), 0.008)
    # Sad lids hang at the outer corner; a cheek that rises bends the whole eye upwards.
    hang = along * (0.03 * unit.lid_droop + 0.02 * unit.inner_brow_raise - 0.015)
    hang = hang - 0.06 * np.maximum(unit.cheek_raise, 0) * (arch - 0.3)
    down = down - hang
    over, under = -upper * arch - down, down - np.maximum(lower, 0.008) * arch
    ends = np.abs(out) - who.eye_width
    eye = _edge(np.maximum(np.maximum(over, under), ends), who)
    _paint(canvas, eye, 0.45 + 0.5 * who.skin)
    look = out - who.gaze * np.sign(x)
    iris = (look * look + (down + 0.02) ** 2) / 0.0115
    _paint(canvas, eye * np.clip(2.2 - 1.7 * iris, 0, 1), who.iris * np.minimum(iris, 1))
    _paint(canvas, eye * _spot(look + 0.03, down + 0.05, 0.05, 0.05), 1.0)
    lash = _edge(np.maximum(np.abs(over) - 0.036, ends - 0.02), who)
    _paint(canvas, 0.9 * lash, 0.15 * who.skin)
    _shade(canvas, 0.3 * _spot(over - 0.07, out, 0.045, 1.2 * who.eye_width))
    # Brows: where the inner and the outer end stand, and how thick they are between.
    inner, outer = unit.inner_brow_raise, unit.outer_brow_raise
    out = out + 0.05 * unit.brow_lower - 0.02
    along = np.clip(out / 0.26, -1, 1)
    uneven = 1 + who.lopsided * np.sign(x)
    inner_end = 0.14 * unit.brow_lower - 0.17 * inner * uneven - 0.5 * who.brow_slope
    outer_end = 0.03 * unit.brow_lower - 0.15 * outer * uneven + who.brow_slope + 0.03
    middle = who.brow_height + 0.5 * (inner_end + outer_end) + 0.5 * along * (outer_end - inner_end)
    bend = y - middle + 0.05 * (1 - along * along) * (1 + 0.6 * outer)
    thick = who.brow_thickness * (1.1 - 0.4 * along)
    brow = _edge(np.maximum(np.abs(bend) - thick, np.abs(out) - 0.26), who)
    _paint(canvas, 0.85 * brow, np.minimum(who.hair * 0.8, 0.45 * who.skin))


def _paint_mouth(
    canvas: np.ndarray, who: SimpleNamespace, unit: SimpleNamespace, x: np.ndarray, y: np.ndarray
) -> None:
    """Paint lips, and between them teeth and dark."""
    smile, sneer, drop = unit.corner_pull, unit.upper_lip_raise, np.maximum(unit.jaw_drop, 0)
    half = who.mouth_width + 0.11 * smile + 0.11 * unit.lip_stretch - 0.06 * unit.lip_press
    half = half - 0.11 * drop * (1 - np.clip(smile + unit.lip_stretch, 0, 1))
    along = x / half
    square = along * along
    arch = np.maximum(1 - square, 0)
    # Stretched lips open to a box (1 - t^4), a dropped jaw to a circle (its root), others to an almond (1 - t^2).
    arch = arch * (1 + np.clip(unit.lip_stretch, 0, 1) * square)
    arch += np.clip(2 * drop - smile, 0, 1) * (np.sqrt(arch) - arch)
    bend = 0.15 * unit.corner_depress - 0.17 * smile * (1 + who.lopsided * along) + 0.04 * unit.lip_stretch
    centre = 0.6 - 0.04 * np.maximum(unit.chin_raise, 0) + 0.06 * drop - 0.04 * sneer
    centre = centre + bend * (np.minimum(square, 1.5) - 0.45)
    part = np.maximum(unit.lips_part, 0)
    lift = np.maximum(sneer, 0) * (0.09 + 0.3 * who.lopsided * along)
    top = centre - (0.016 + 0.035 * part + np.maximum(lift, 0) * (0.3 + part)) * arch
    bottom = centre + (0.016 + 0.09 * part + 0.3 * drop) * arch
    ends = np.abs(x) - half
    full = who.lip_thickness * (1 - 0.75 * np.clip(unit.lip_press, 0, 1))
    lips = np.maximum(top - 0.8 * full * arch - lift * arch * 0.4 - y, y - bottom - full * arch)
    _paint(canvas, _edge(np.maximum(lips, ends), who), canvas * who.lip_tone)
    inside = _edge(np.maximum(np.maximum(top - y, y - bottom), ends), who)
    _paint(canvas, inside, 0.08 + 0.1 * who.skin)
    # Teeth hang from the upper lip as far as smile, sneer and stretch bare them.
    bare = np.clip(smile + sneer + unit.lip_stretch, 0, 1.2) * 0.1
    _paint(canvas, inside * part * _edge(y - top - bare, who), 0.92)
    _shade(canvas, 0.3 * _spot(x, y - bottom - full - 0.07, 0.24, 0.08))
    chin = np.maximum(unit.chin_raise, 0)
    _shade(canvas, chin * (0.4 * _spot(x, y - 0.8, 0.3, 0.06) - 0.15 * _spot(x, y - 0.93, 0.2, 0.12)))
    corner = _spot(np.abs(x) - half - 0.03, y - centre, 0.07, 0.1)
    _shade(canvas, corner * np.clip(0.25 + 0.4 * np.abs(smile) + 0.3 * unit.corner_depress, 0, 0.8))


def _paint_extras(canvas: np.ndarray, who: SimpleNamespace, x: np.ndarray, y: np.ndarray) -> None:
    """Paint what some faces have: beard, moustache, glasses, something in front."""
    side = np.abs(x)
    jaw = (x / (who.head_width * 0.95)) ** 2 + ((y - 0.1) / 1.0) ** 2
    beard = np.clip(3 * (jaw - 0.45), 0, 1) * np.clip(4 * (y - 0.25), 0, 1) * _edge(0.4 * (jaw - 1.1), who)
    _paint(canvas, 0.7 * who.has_beard * beard, who.hair * 0.6)
    tache = _spot(x, y - 0.47 - 0.2 * x * x, 0.34, 0.1)
    _paint(canvas, np.minimum(1.4 * who.has_moustache * tache, 0.9), who.hair * 0.6)
    rim = ((side - who.eye_gap) / 0.3) ** 2 + ((y + 0.1) / 0.24) ** 2 - 1
    wire = np.minimum(np.abs(0.13 * rim), np.maximum(np.abs(y + 0.14), side - 0.1)) - 0.012
    _paint(canvas, 0.85 * who.has_glasses * _edge(wire, who), 0.6 * who.cover_tone)
    # A hand, a cup, a scarf: a rounded thing from below that hides a part.
    thing = ((x - who.cover_x) / 0.4) ** 2 + ((y - 1.2) / 0.75) ** 2 - 1
    _paint(canvas, who.is_covered * _edge(0.3 * thing, who), who.cover_tone)


def _take_picture(rng: np.random.Generator, canvas: np.ndarray, who: SimpleNamespace) -> np.ndarray:
    """Blur, set the exposure, add noise, and round to gray levels."""
    padded = np.pad(canvas, ((0, 0), (1, 1), (0, 0)), mode="edge")
    blurred = 0.5 * canvas + 0.25 * (padded[:, :-2] + padded[:, 2:])
    padded = np.pad(blurred, ((0, 0), (0, 0), (1, 1)), mode="edge")
    blurred = 0.5 * blurred + 0.25 * (padded[:, :, :-2] + padded[:, :, 2:])
    canvas += who.blur * (blurred - canvas)
    grain = rng.random(canvas.shape, dtype=np.float32) - rng.random(canvas.shape, dtype=np.float32)
    canvas = who.gain * canvas + who.offset + who.noise * grain
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None]
