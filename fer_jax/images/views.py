"""Test-time views: an image is shown to the network in several ways, and the logits are averaged.

Each view is an affine map of `augment`: bilinear between pixels, with the edge pixels repeated outside.
"""

from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.images import affine, augment
from fer_jax.images.view_choice import ViewChoice

SHIFT_PX: Final = 2
CROP_PX: Final = 44
ZOOM_SIDES: Final = (0.92, 0.85)
"""Sides of the enlarged middles, as fractions of the image's side."""

_SIDE_PX: Final = fer2013.IMAGE_SHAPE[0]
_IDENTITY: Final = "identity"


def _flipped(name: str) -> str:
    return "flip" if name == _IDENTITY else f"{name} + flip"


def _shift(down_px: float, right_px: float) -> np.ndarray:
    return affine.shift_map(np.array([[down_px, right_px]]))[0]


def _crop(side_px: float, down: int = 0, right: int = 0) -> np.ndarray:
    """Make the map that enlarges a crop to the full image; in a corner (-1 or 1) or the middle (0)."""
    room_px = (_SIDE_PX - side_px) / 2
    return affine.crop_map(np.array([[side_px / _SIDE_PX, down * room_px, right * room_px]]))[0]


_SHIFTS: Final = {
    f"shifted up {SHIFT_PX} px": _shift(-SHIFT_PX, 0),
    f"shifted down {SHIFT_PX} px": _shift(SHIFT_PX, 0),
    f"shifted left {SHIFT_PX} px": _shift(0, -SHIFT_PX),
    f"shifted right {SHIFT_PX} px": _shift(0, SHIFT_PX),
}
_CROPS: Final = {
    f"crop {CROP_PX} px top left": _crop(CROP_PX, -1, -1),
    f"crop {CROP_PX} px top right": _crop(CROP_PX, -1, 1),
    f"crop {CROP_PX} px bottom left": _crop(CROP_PX, 1, -1),
    f"crop {CROP_PX} px bottom right": _crop(CROP_PX, 1, 1),
    f"crop {CROP_PX} px middle": _crop(CROP_PX),
}
_ZOOMS: Final = {f"crop {100 * side:g} % middle": _crop(side * _SIDE_PX) for side in ZOOM_SIDES}
_PLAIN: Final = {_IDENTITY: np.eye(3), **_SHIFTS, **_CROPS, **_ZOOMS}
_FLIP: Final = affine.flip_map(np.array([True]))[0]
_MAPS: Final = _PLAIN | {_flipped(name): plain @ _FLIP for name, plain in _PLAIN.items()}


def _and_flipped(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*names, *map(_flipped, names))


CHOICES: Final[dict[ViewChoice, tuple[str, ...]]] = {
    "single": (_IDENTITY,),
    "flip": _and_flipped((_IDENTITY,)),
    "shifts": (_IDENTITY, *_SHIFTS),
    "flip-shifts": _and_flipped((_IDENTITY, *_SHIFTS)),
    "ten-crop": _and_flipped(tuple(_CROPS)),
    "flip-zooms": _and_flipped((_IDENTITY, *_ZOOMS)),
}
"""Choice -> names of its views, in order. Ten crops: Krizhevsky, Sutskever and Hinton 2012 (AlexNet). Zooms:
random crops enlarge the faces of training images, so a test image seen a little larger matches them (Touvron
et al. 2019, "Fixing the train-test resolution discrepancy")."""


def suffix_of(choice: ViewChoice) -> str:
    """Name the views at the end of a file's name; a single view is not named.

    >>> suffix_of("single"), suffix_of("flip")
    ('', '_flip')
    """
    return "" if choice == "single" else f"_{choice}"


def show(images: np.ndarray, name: str) -> np.ndarray:
    """Make one view, named in `CHOICES`, of images uint8 [N, 48, 48, 1]; the identity keeps every bit.

    >>> images = np.arange(48 * 48, dtype=np.uint8).reshape(1, 48, 48, 1)
    >>> bool((show(images, "flip") == images[:, :, ::-1]).all())
    True
    """
    return augment.move(images, np.repeat(_MAPS[name][None], len(images), axis=0))
