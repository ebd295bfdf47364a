"""What the options of faces choose from, and their defaults, named without NumPy."""

from typing import Final, Literal

DetectorName = Literal["yunet"]
"""See `detectors.make_detector`."""

PhotoViews = Literal["photo", "flip", "single"]
"""See `crop.SCALES`."""

MIN_SCORE: Final = 0.7
MIN_FACE_PX: Final = 12.0
