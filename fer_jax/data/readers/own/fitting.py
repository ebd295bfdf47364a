"""How a picture becomes 48 × 48 gray pixels: as it is, resized, or by finding the face in it.

All of it is what `predict` does: the same reader of pictures, weights of gray, filter, detector and crop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config import data as config
from fer_jax.data.readers.own.pictures import FORMATS, PictureError
from fer_jax.errors import DataError
from fer_jax.faces import detectors
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.faces.crop import CONTRACT, Square, cut_out, place_square
from fer_jax.faces.pictures import TRAITS, Picture, read_frames

LEAST_SIDE_PX: Final = 12
"""Height and width of a picture, at least: of a smaller one nothing can be told."""

_READABLE: Final = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP")  # MPO: a JPEG with a depth map behind it.
_CHANGED: Final = "wanted 48 × 48 pixels in gray of 8 bits; --data.fit resize or detect makes it so"


@dataclass(frozen=True, eq=False)
class Fitted:
    """A picture as a network sees it.

    Attributes:
        pixels: uint8 [48, 48, 1].
        done: what was done to get there, in words for a count.
    """

    pixels: np.ndarray
    done: tuple[str, ...]


SEVERAL_FACES: Final = "with several faces, of which the largest is taken"

CHANGES: Final = (
    *("made gray from colour", "turned upright by EXIF", "reduced to 8 bits", "laid on white"),
    *("with a palette", "from CMYK", "cut to the square in the middle", "reduced", "enlarged", SEVERAL_FACES),
)
"""What may be done to a picture, in the order in which it is told."""

_WORDS: Final = dict(zip(TRAITS, CHANGES[1:6], strict=True))

Fit = Callable[[bytes], Fitted]
"""Makes 48 × 48 gray pixels of the content of a picture; raises `PictureError` where it cannot."""


def make_fit(fit: config.Fit) -> Fit:
    """Make the function that fits a picture.

    Raises:
        ConfigError: a package for finding faces is not installed.
    """
    if fit == "refuse":
        return lambda content: _check(_read(content))
    if fit == "resize":
        return lambda content: _resize(_read(content))
    detect = detectors.make_detector(
        "yunet", min_score=MIN_SCORE, min_face_px=MIN_FACE_PX, has_small_faces=False
    )
    return lambda content: _cut_face(_read(content), detect)


def _read(content: bytes) -> Picture:
    """Decode a still picture."""
    try:
        frames = read_frames(content, name="", formats=_READABLE)
        picture = next(frames)
        is_still = next(frames, None) is None
    except DataError as error:
        raise PictureError(str(error).removeprefix(": ")) from None
    except StopIteration:
        raise PictureError("found a file without a picture; wanted one") from None
    if not is_still:
        raise PictureError(
            f"found an animation or a file of several pages; wanted one still picture ({FORMATS}); save the "
            "frames as files"
        )
    height, width = picture.image.shape[:2]
    if min(height, width) < LEAST_SIDE_PX:
        raise PictureError(
            f"found {width} × {height} pixels; wanted at least {LEAST_SIDE_PX} × {LEAST_SIDE_PX}"
        )
    return picture


def _check(picture: Picture) -> Fitted:
    """Take a picture as it is, if it is 48 × 48 gray."""
    image = picture.image
    height, width = image.shape[:2]
    if (height, width) != fer2013.IMAGE_SHAPE[:2]:
        raise PictureError(f"found {width} × {height} pixels; {_CHANGED}")
    lost = sorted(picture.traits - {"lying or mirrored", "palette"})
    if lost:
        raise PictureError(f"found a picture that is stored as: {', '.join(lost)}; {_CHANGED}")
    if _is_coloured(image):
        raise PictureError(f"found a colour picture; {_CHANGED}")
    return Fitted(image[..., :1], _list_changes(picture))


def _resize(picture: Picture) -> Fitted:
    """Cut out the square in the middle of a picture."""
    height, width = picture.image.shape[:2]
    side = min(height, width)
    square = Square((width - side) / 2, (height - side) / 2, side)
    cut = [] if height == width else [CHANGES[6]]
    resized = [] if side == CONTRACT.side_px else ["enlarged" if side < CONTRACT.side_px else "reduced"]
    return Fitted(cut_out(picture.image, square, CONTRACT), (*_list_changes(picture), *cut, *resized))


def _cut_face(picture: Picture, detect: detectors.Detect) -> Fitted:
    """Find the face, the largest of several, and cut it out."""
    boxes = detect(picture.image)
    if not len(boxes):
        raise PictureError("found no face in it; wanted one (--data.fit resize takes pictures as they are)")
    largest = int(np.argmax(boxes.xywh[:, 2] * boxes.xywh[:, 3]))
    square = place_square(boxes.xywh[largest], CONTRACT, scale=1.0)
    several = [SEVERAL_FACES] if len(boxes) > 1 else []
    enlarged = ["enlarged" if square.side < CONTRACT.side_px else "reduced"]
    return Fitted(cut_out(picture.image, square, CONTRACT), (*_list_changes(picture), *several, *enlarged))


def _list_changes(picture: Picture) -> tuple[str, ...]:
    coloured = [CHANGES[0]] if _is_coloured(picture.image) else []
    return (*coloured, *(_WORDS[trait] for trait in sorted(picture.traits)))


def _is_coloured(image: np.ndarray) -> bool:
    return bool((image[..., 1:] != image[..., :1]).any())
