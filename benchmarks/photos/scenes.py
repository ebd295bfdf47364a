"""Photos made of FER2013 faces: known faces at known places, sizes and angles in synthetic backgrounds.

A `Layout` says all of a scene in numbers; the same layout and the same faces give the same bytes. The faces
are gray and end where FER2013 cut them off, so there is no hair, no neck and no ear.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from PIL import Image
from scipy import ndimage

from fer_jax import fer2013

Background = Literal["noise", "gradient", "texture"]

FACE_PX: Final = fer2013.IMAGE_SHAPE[0]
SIZES: Final = ((640, 480), (480, 640))
MOST_FACES: Final = 3
ENLARGED: Final = (1.5, 5.0)
"""How many times its 48 pixels a face is wide; drawn on a log scale."""
MOST_ROLL_DEG: Final = 20.0
UPRIGHT: Final = 0.5
"""Share of the faces that are not rolled."""
QUALITIES: Final = (60, 95)
SOFT_EDGE: Final = 0.15
"""Share of a face's side over which its border, repeated, fades into the background around it."""
SATURATION: Final = 25.0
"""Standard deviation of a background's red, green and blue around their gray."""
_REACH: Final = math.sqrt(0.5)
"""Half the diagonal of a square of side 1."""
_TRIES: Final = 50


@dataclass(frozen=True)
class Pasted:
    """A face in a scene.

    Attributes:
        row: of the face among the images.
        x, y: of its centre, in pixels of the scene.
        side: of the square that its 48 × 48 pixels become, in pixels of the scene.
        roll_deg: by how much it is turned clockwise.
    """

    row: int
    x: float
    y: float
    side: float
    roll_deg: float


@dataclass(frozen=True)
class Layout:
    """A scene in numbers.

    Attributes:
        seed: of the background.
        width, height: in pixels.
        background: its kind.
        faces: that do not overlap.
        quality: of the JPEG.
        blur: standard deviation of a Gaussian blur of the whole scene; as a share of a face's side.
    """

    seed: tuple[int, ...]
    width: int
    height: int
    background: Background
    faces: tuple[Pasted, ...]
    quality: int
    blur: float = 0.0


def draw_layouts(seed: int, *, faces: int) -> list[Layout]:
    """Draw scenes in which each of so many faces is pasted once, in a random order.

    A scene has one to three faces, and fewer than it was to have where no room is left for one.
    """
    order = np.random.default_rng(seed).permutation(faces)
    layouts: list[Layout] = []
    start = 0
    while start < faces:
        layouts.append(_draw_layout((seed, len(layouts)), order[start : start + MOST_FACES]))
        start += len(layouts[-1].faces)
    return layouts


def _draw_layout(seed: tuple[int, ...], rows: np.ndarray) -> Layout:
    """Draw a scene with the first one, two or three of these faces."""
    rng = np.random.default_rng((*seed, 0))
    width, height = SIZES[rng.integers(len(SIZES))]
    placed: list[Pasted] = []
    for row in rows[: rng.integers(1, MOST_FACES + 1)]:
        side = FACE_PX * math.exp(rng.uniform(math.log(ENLARGED[0]), math.log(ENLARGED[1])))
        roll_deg = 0.0 if rng.random() < UPRIGHT else rng.uniform(-MOST_ROLL_DEG, MOST_ROLL_DEG)
        room = _REACH * side
        for _ in range(_TRIES):
            x, y = rng.uniform(room, width - room), rng.uniform(room, height - room)
            if all(math.hypot(x - one.x, y - one.y) > room + _REACH * one.side for one in placed):
                placed.append(Pasted(int(row), x, y, side, roll_deg))
                break
        else:
            break
    kinds: tuple[Background, ...] = get_args(Background)
    kind = kinds[rng.integers(len(kinds))]
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    return Layout(seed, width, height, kind, tuple(placed), quality)


def lay_out_grid(
    seed: tuple[int, ...],
    rows: Sequence[int],
    *,
    size: tuple[int, int],
    columns: int,
    side: float,
    roll_deg: float,
    blur: float,
) -> Layout:
    """Lay faces of one size, angle and sharpness out in rows and columns, on smooth noise, at quality 90.

    Args:
        seed: of the background.
        rows: of the faces; as many rows of the grid as it takes.
        size: width and height of the scene in pixels.
        columns: faces side by side.
        side: of each face, in pixels.
        roll_deg: of each face.
        blur: as a share of a face's side.
    """
    width, height = size
    lines = -(-len(rows) // columns)
    placed = [
        Pasted(
            row,
            (number % columns + 0.5) * width / columns,
            (number // columns + 0.5) * height / lines,
            side,
            roll_deg,
        )
        for number, row in enumerate(rows)
    ]
    return Layout(seed, width, height, "noise", tuple(placed), 90, blur)


def make_scene(layout: Layout, images: np.ndarray) -> np.ndarray:
    """Make the picture before it becomes a JPEG.

    Args:
        layout: of the scene.
        images: all faces, uint8 [N, 48, 48, 1].

    Returns:
        uint8 [H, W, 3], RGB.
    """
    scene = _make_background(layout)
    for face in layout.faces:
        paste(scene, images[face.row, ..., 0], face)
    if layout.blur:
        spread = layout.blur * layout.faces[0].side
        scene = ndimage.gaussian_filter(scene, (spread, spread, 0), mode="nearest")
    return np.floor(np.clip(scene, 0, 255) + 0.5).astype(np.uint8)


def encode(scene: np.ndarray, quality: int) -> bytes:
    """Encode a picture as JPEG with Pillow's other settings: colours at half the resolution."""
    buffer = io.BytesIO()
    Image.fromarray(scene).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode(content: bytes) -> np.ndarray:
    """Decode a JPEG as uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _make_background(layout: Layout) -> np.ndarray:
    """Make a background, float64 [H, W, 3]."""
    rng = np.random.default_rng((*layout.seed, 1))
    shape = layout.height, layout.width
    if layout.background == "noise":
        return _draw_noise(rng, shape, cells=int(rng.integers(3, 12)))
    if layout.background == "gradient":
        down, across = np.meshgrid(*(np.linspace(0, 1, length) for length in shape), indexing="ij")
        angle = rng.uniform(0, 2 * math.pi)
        along = 0.5 + (across - 0.5) * math.cos(angle) + (down - 0.5) * math.sin(angle)
        first, second = _draw_colours(rng, (2,))
        grain = rng.normal(0, 3, size=(*shape, 1))
        return first + np.clip(along, 0, 1)[..., None] * (second - first) + grain
    coarse = _draw_noise(rng, shape, cells=4)
    fine = sum(_draw_noise(rng, shape, cells=cells) - 127.5 for cells in (16, 48, 120))
    return 0.6 * coarse + 0.4 * fine + 50


def _draw_noise(rng: np.random.Generator, shape: tuple[int, int], *, cells: int) -> np.ndarray:
    """Draw smooth noise: random colours at so many places along the long side, and cubic curves between."""
    height, width = shape
    step = max(shape) / cells
    grid = _draw_colours(rng, (math.ceil(height / step) + 1, math.ceil(width / step) + 1))
    small = Image.fromarray(grid.astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float64)


def _draw_colours(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw colours of any brightness and little saturation, float64 [..., 3] in 0..255."""
    gray = rng.uniform(10, 245, size=(*shape, 1))
    return np.clip(gray + rng.normal(0, SATURATION, size=(*shape, 3)), 0, 255)


def paste(scene: np.ndarray, pixels: np.ndarray, face: Pasted) -> None:
    """Paste a face, uint8 [48, 48], into a scene, float64 [H, W, 3].

    It is enlarged and turned at once by cubic interpolation, as Pillow's; reduced first, by Lanczos, where it
    becomes smaller.
    """
    reach = math.ceil(_REACH * (1 + 2 * SOFT_EDGE) * face.side) + 1
    top, left = max(0, math.floor(face.y) - reach), max(0, math.floor(face.x) - reach)
    window = scene[top : math.floor(face.y) + reach + 1, left : math.floor(face.x) + reach + 1]
    angle = math.radians(face.roll_deg)
    # From the centre of a pixel of the scene to the face's own coordinates, 0..1 from edge to edge.
    cosine, sine = math.cos(angle) / face.side, math.sin(angle) / face.side
    right, down = left + 0.5 - face.x, top + 0.5 - face.y
    ys, xs = np.mgrid[: window.shape[0], : window.shape[1]]
    u = 0.5 + cosine * (xs + right) + sine * (ys + down)
    v = 0.5 - sine * (xs + right) + cosine * (ys + down)
    source = Image.fromarray(pixels)
    if face.side < FACE_PX:
        side = max(2, round(face.side))
        source = source.resize((side, side), Image.Resampling.LANCZOS)
    length, border = source.width, math.ceil(SOFT_EDGE * source.width) + 3
    padded = Image.fromarray(np.pad(np.asarray(source), border, mode="edge"))
    # Pillow takes the map of pixels' indices, and adds the halves itself.
    rows = [
        (cosine * length, sine * length, length * (0.5 + cosine * (right - 0.5) + sine * (down - 0.5))),
        (-sine * length, cosine * length, length * (0.5 - sine * (right - 0.5) + cosine * (down - 0.5))),
    ]
    data = tuple(value + (border if place == 2 else 0) for row in rows for place, value in enumerate(row))
    size = (window.shape[1], window.shape[0])
    moved = padded.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
    weight = _soften(u) * _soften(v)
    window += weight[..., None] * (np.asarray(moved, np.float64)[..., None] - window)


def _soften(places: np.ndarray) -> np.ndarray:
    """Weigh a face's pixels along one direction: 1 from edge to edge (0..1), and smoothly to 0 outside."""
    edge = np.clip(1 + np.minimum(places, 1 - places) / SOFT_EDGE, 0, 1)
    return edge * edge * (3 - 2 * edge)
