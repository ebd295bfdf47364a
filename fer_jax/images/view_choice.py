"""The names of the choices of test-time views, see `images.views`; options name them, and need no NumPy."""

from typing import Literal

ViewChoice = Literal["single", "flip", "shifts", "flip-shifts", "ten-crop", "flip-zooms"]
