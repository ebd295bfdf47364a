"""Synthetic faces: seven expressions over varied identity, pose, light and noise, drawn from a seed.

The main job uses them where no file is found; tests and benchmarks use them too. An expression is a set of
facial action units (after Ekman and Friesen's prototypes). A face has one of its class's sets, weakened by a
random intensity and with random noise, so that the classes overlap as they do in FER2013. This module draws
the numbers; `face_painter` turns them into pixels.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Final, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.data.examples import Examples, hash_arrays
from fer_jax.data.face_painter import COARSE, paint_faces
from fer_jax.randomness import Stream, numpy_rng

CHUNK_EXAMPLES: Final = 28
"""Faces drawn from one generator: face i depends on the seed and on i, never on how many are drawn. A
multiple of seven, and small, so that a chunk stays in the processor's cache. Part of every result."""

_BLOCK_CHUNKS: Final = 256

ACTION_UNITS: Final = {
    1: "inner_brow_raise",
    2: "outer_brow_raise",
    4: "brow_lower",  # and draws the brows together
    5: "lid_raise",
    6: "cheek_raise",
    7: "lid_tighten",
    9: "nose_wrinkle",
    10: "upper_lip_raise",
    12: "corner_pull",  # the smile
    15: "corner_depress",
    17: "chin_raise",
    20: "lip_stretch",
    24: "lip_press",
    25: "lips_part",
    26: "jaw_drop",
    43: "lid_droop",
}
"""The action units of the Facial Action Coding System that the painter knows, by number."""

EXPRESSIONS: Final[dict[str, tuple[dict[int, float], ...]]] = {
    "angry": (
        {4: 1.0, 5: 0.3, 7: 0.8, 17: 0.4, 24: 1.0},  # lips pressed
        {4: 1.0, 7: 0.6, 10: 0.4, 20: 0.4, 25: 1.0, 26: 0.4},  # shouting
    ),
    "disgust": (
        {4: 0.4, 7: 0.6, 9: 1.0, 10: 0.7, 17: 0.6},  # nose
        {6: 0.4, 9: 0.9, 10: 1.0, 15: 0.6, 25: 0.7},  # lip
    ),
    "fear": (
        {1: 1.0, 2: 0.3, 4: 0.4, 5: 1.0, 20: 1.0, 25: 0.9},  # teeth clenched
        {1: 0.9, 4: 0.3, 5: 0.9, 20: 0.8, 25: 0.6, 26: 0.4},  # mouth open
    ),
    "happy": (
        {6: 0.7, 12: 0.9},  # smiling
        {6: 0.8, 12: 1.0, 25: 0.8},  # teeth shown
        {6: 1.0, 7: 0.3, 12: 1.0, 25: 0.9, 26: 0.5},  # laughing
    ),
    "sad": (
        {1: 0.9, 4: 0.3, 15: 1.0, 17: 0.4, 43: 0.6},  # downcast
        {1: 0.8, 4: 0.5, 7: 0.7, 15: 0.9, 20: 0.3, 25: 0.5},  # crying
    ),
    "surprise": (
        {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.6, 26: 1.0},  # amazed
        {1: 0.8, 2: 1.0, 5: 0.9, 25: 0.5, 26: 0.5},  # startled
    ),
    "neutral": ({},),
}
"""The sets of action units that each class may show, from 0 (at rest) to 1 (the strongest)."""

INTENSITY: Final = (0.55, 1.0)
"""Range of the factor by which a face weakens its expression."""

UNIT_NOISE: Final = 0.18
"""Largest deviation of one action unit from its expression times the intensity."""

TRAITS: Final[dict[str, tuple[float, float]]] = {
    # Where the face is: the shift in half frames, all later lengths in half heads.
    "scale": (0.74, 0.88),
    "shift_x": (-0.11, 0.11),
    "shift_y": (-0.06, 0.14),
    "roll": (-0.1, 0.1),  # tangent of half the angle: 11 degrees at most
    "yaw": (-0.2, 0.2),
    "pitch": (-0.08, 0.08),
    # Identity.
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
    "brow_height": (-0.4, -0.33),
    "brow_thickness": (0.025, 0.07),
    "brow_slope": (-0.04, 0.04),
    "nose_length": (0.24, 0.38),
    "nose_width": (0.12, 0.2),
    "mouth_width": (0.25, 0.36),
    "lip_thickness": (0.04, 0.1),
    "lip_tone": (0.55, 0.85),
    "lopsided": (-0.5, 0.5),
    "age": (0.0, 1.0),
    # Light and camera.
    "light_x": (-0.7, 0.7),
    "light_y": (-0.7, 0.3),
    "diffuse": (0.25, 0.75),
    "backdrop": (0.0, 1.0),
    "clutter": (0.0, 0.7),
    "cloth": (0.0, 1.0),
    "cover_x": (-1.0, 1.0),
    "cover_tone": (0.1, 0.9),
    "gain": (0.8, 1.2),
    "offset": (-0.08, 0.1),
    "blur": (0.0, 1.0),
    "noise": (0.0, 0.05),
}
"""What varies between faces besides the expression, uniform in these ranges; tones: 0 black to 1 white."""

CHANCES: Final[dict[str, float]] = {
    "has_hair": 0.9,
    "has_long_hair": 0.4,
    "has_glasses": 0.18,
    "has_beard": 0.14,
    "has_moustache": 0.1,
    "is_covered": 0.1,
}
"""Attributes that a face may have, and their probabilities."""


class Drawing(NamedTuple):
    """Synthetic faces on the way, block by block.

    Attributes:
        blocks: images, uint8 [n, 48, 48, 1] each, N in all.
        labels: int32 [N], filled in by the time that the last block has come.
        usages: int32 [N].
        contents: one line for people, see `Examples`.
    """

    blocks: Iterator[np.ndarray]
    labels: np.ndarray
    usages: np.ndarray
    contents: str


def draw_examples(*, seed: int, examples: int) -> Examples:
    """Draw labelled synthetic faces.

    Every seven consecutive examples hold each class once, in random order, and of every ten sevens one is
    PublicTest and one PrivateTest: any number of examples is balanced to within one example a class.

    Args:
        seed: >= 0; the same seed gives the same faces.
        examples: how many, >= 1; a larger number begins with the same faces.

    Returns:
        Examples; 80 % of them Training, 10 % PublicTest, 10 % PrivateTest.

    >>> faces = draw_examples(seed=0, examples=70)
    >>> faces.images.shape, faces.images.dtype.name, faces.description
    ((70, 48, 48, 1), 'uint8', '70 synthetic faces, seed 0 (not FER2013)')
    """
    drawing = draw_in_blocks(seed=seed, examples=examples)
    images = np.concatenate(list(drawing.blocks))
    arrays = (images, drawing.labels, drawing.usages)
    return Examples(*arrays, drawing.contents, hash_arrays(*arrays))


def draw_in_blocks(*, seed: int, examples: int) -> Drawing:
    """Begin to draw the faces of `draw_examples`, for who cannot hold all of them in memory."""
    labels = np.empty(examples, np.int32)
    seven = np.arange(examples) // fer2013.CLASS_COUNT
    usages = np.maximum(seven % 10 - 7, 0).astype(np.int32)
    contents = f"{examples:,} synthetic faces, seed {seed} (not FER2013)"
    return Drawing(_draw_blocks(seed, labels), labels, usages, contents)


def _draw_blocks(seed: int, labels: np.ndarray) -> Iterator[np.ndarray]:
    """Draw a face for each label, int32 [N], and fill it in; uint8 [n, 48, 48, 1] at a time."""
    chunks = range(-(-len(labels) // CHUNK_EXAMPLES))
    # Threads help: NumPy releases the GIL inside its loops.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(chunks), _BLOCK_CHUNKS):
            some = chunks[first : first + _BLOCK_CHUNKS]
            own_labels, images = zip(*pool.map(lambda chunk: _draw_chunk(seed, chunk), some), strict=True)
            own = labels[some.start * CHUNK_EXAMPLES : some.stop * CHUNK_EXAMPLES]
            own[:] = np.concatenate(own_labels)[: len(own)]
            yield np.concatenate(images)[: len(own)]


def _draw_chunk(seed: int, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    rng = numpy_rng(seed, Stream.SYNTHETIC, chunk)
    classes = np.arange(fer2013.CLASS_COUNT, dtype=np.int32)
    sevens = np.tile(classes, (CHUNK_EXAMPLES // fer2013.CLASS_COUNT, 1))
    labels = rng.permuted(sevens, axis=1).ravel()
    return labels, draw_faces(rng, labels)


def draw_faces(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Draw one synthetic face for each label, int [N] in 0..6: uint8 [N, 48, 48, 1]."""
    height, width, _ = fer2013.IMAGE_SHAPE
    return paint_faces(
        unit=_draw_action_units(rng, labels),
        who=_draw_traits(rng, len(labels)),
        coarse=rng.random((len(labels), COARSE, COARSE), dtype=np.float32),
        grain=rng.random((2, len(labels), height, width), dtype=np.float32),
    )


def _draw_action_units(rng: np.random.Generator, labels: np.ndarray) -> SimpleNamespace:
    """Draw each face's action units: float32 [N, 1, 1] under each name in `ACTION_UNITS`, 0 at rest to 1."""
    choices = np.array([len(EXPRESSIONS[name]) for name in fer2013.LABELS])[labels]
    chosen = (rng.random(len(labels)) * choices).astype(int)
    sets = [EXPRESSIONS[fer2013.LABELS[label]][i] for label, i in zip(labels, chosen, strict=True)]
    wanted = np.array([[units.get(number, 0.0) for number in ACTION_UNITS] for units in sets])
    intensity = rng.uniform(*INTENSITY, (len(labels), 1))
    # The sum of two uniforms: most faces stay close to their expression, and none gets absurd.
    noise = UNIT_NOISE * (rng.random(wanted.shape) + rng.random(wanted.shape) - 1)
    shown = np.clip(intensity * wanted + noise, -0.2, 1.1).astype(np.float32)
    return SimpleNamespace(**{name: shown[:, i, None, None] for i, name in enumerate(ACTION_UNITS.values())})


def _draw_traits(rng: np.random.Generator, faces: int) -> SimpleNamespace:
    """Draw `TRAITS`, and `CHANCES` as 0 or 1: float32 [N, 1, 1] under each name."""
    shape = (faces, 1, 1)
    traits = {name: rng.uniform(low, high, shape) for name, (low, high) in TRAITS.items()}
    chances = {name: rng.random(shape) < chance for name, chance in CHANCES.items()}
    return SimpleNamespace(**{name: drawn.astype(np.float32) for name, drawn in (traits | chances).items()})
