"""EXIF's orientation: how a picture has to be turned to be upright."""

from typing import Final

from PIL import Image

_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def find_turn(image: Image.Image) -> Image.Transpose | None:
    """Find what makes a picture upright; None where it is, or says nothing, or its EXIF is damaged.

    Args:
        image: loaded, since Pillow turns a TIFF upright as it loads it, and removes its orientation.
    """
    try:
        return _UPRIGHT.get(int(image.getexif().get(_TAG, 1)))
    except Exception:  # The parser of EXIF can raise anything; the pixels are good all the same.
        return None
