"""Augmentation of one image at a time, as in torchvision's transforms, with OpenCV and with PIL.

The geometry and the erasing of `fer_jax.images.augment`, with the same ranges and probabilities, each as a
separate step. Zoom, stretch, alternating flips and changes of gray levels are refused. The library is
imported when a transform is made; this module itself needs none.
"""

import random
from typing import Any

import numpy as np

from fer_jax import fer2013
from fer_jax.config.augment import AugmentConfig
from fer_jax.errors import ConfigError
from fer_jax.images.standardise import PixelStats

_SIDE = fer2013.IMAGE_SHAPE[0]
_REFUSED = (
    "zoom_probability",
    "stretch_probability",
    "alternate_flip",
    "sharpness_probability",
    "gamma_probability",
    "contrast_probability",
    "brightness_probability",
)


class Transform:
    """Augments and standardises one image, in steps that each have their own probability."""

    def __init__(self, config: AugmentConfig, stats: PixelStats) -> None:
        """Set the ranges, and the mean and standard deviation of the pixels.

        Raises:
            ConfigError: the config has an augmentation that is missing here.
        """
        for name in _REFUSED:
            if value := getattr(config, name):
                raise ConfigError(
                    f"config field augment.{name} is {value!r}, which the OpenCV and PIL versions lack; "
                    f"set it to {type(value)()!r}"
                )
        if config.repeats > 1:
            raise ConfigError("the OpenCV and PIL versions lack augment.repeats; set it to 1")
        self.config, self.stats = config, stats

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Map uint8 [48, 48, 1] to float32 [1, 48, 48]."""
        config = self.config
        is_turned = random.random() < config.rotate_probability
        is_shifted = random.random() < config.shift_probability
        degrees = is_turned * random.uniform(-1, 1) * config.max_rotation_deg
        down, right = (is_shifted * random.uniform(-1, 1) * config.max_shift_px for _ in range(2))
        picture = self.open(image)
        if is_turned or is_shifted:
            picture = self.turn_and_shift(picture, degrees, down, right)
        if random.random() < config.crop_probability:
            side = max(1, round(random.uniform(config.min_crop_scale, 1) * _SIDE))
            top, left = (random.randint(0, _SIDE - side) for _ in range(2))
            picture = self.crop(picture, top, left, side)
        if random.random() < config.flip_probability:
            picture = self.flip(picture)
        # Scaled to [0, 1], channels first, then normalised, as ToTensor and Normalize do.
        x = np.asarray(picture).reshape(1, _SIDE, _SIDE).astype(np.float32) / 255
        x = (x - self.stats.mean / 255) / (self.stats.std / 255)
        if random.random() < config.erase_probability:
            height, width = self._erased_sides()
            top, left = random.randint(0, _SIDE - height), random.randint(0, _SIDE - width)
            x[:, top : top + height, left : left + width] = 0
        return x

    def _erased_sides(self) -> tuple[int, int]:
        area = random.random() * self.config.max_erase_fraction * _SIDE**2
        aspect = 2 ** random.uniform(-1, 1)
        height, width = (min(_SIDE, max(1, int(side**0.5))) for side in (area * aspect, area / aspect))
        return height, width

    def open(self, image: np.ndarray) -> Any:
        """Convert uint8 [48, 48, 1] to the library's own image."""
        raise NotImplementedError

    def turn_and_shift(self, picture: Any, degrees: float, down: float, right: float) -> Any:
        """Rotate a picture about its centre and shift it."""
        raise NotImplementedError

    def crop(self, picture: Any, top: int, left: int, side: int) -> Any:
        """Crop a square and resize it to the full size."""
        raise NotImplementedError

    def flip(self, picture: Any) -> Any:
        """Flip a picture horizontally."""
        raise NotImplementedError


class OpenCVTransform(Transform):
    """The steps in OpenCV."""

    def __init__(self, config: AugmentConfig, stats: PixelStats) -> None:
        """Turn off OpenCV's own threads."""
        import cv2

        super().__init__(config, stats)
        # On 48 × 48 pixels threads gain nothing, and they hang in the processes of a DataLoader.
        cv2.setNumThreads(0)

    def open(self, image: np.ndarray) -> Any:
        """Return the image unchanged: OpenCV uses arrays."""
        return image

    def turn_and_shift(self, picture: Any, degrees: float, down: float, right: float) -> Any:
        """Rotate and shift."""
        import cv2

        matrix = cv2.getRotationMatrix2D((_SIDE / 2 - 0.5, _SIDE / 2 - 0.5), degrees, 1)
        matrix[:, 2] += np.array([right, down])
        return cv2.warpAffine(
            picture, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    def crop(self, picture: Any, top: int, left: int, side: int) -> Any:
        """Crop and resize."""
        import cv2

        return cv2.resize(picture[top : top + side, left : left + side], (_SIDE, _SIDE))

    def flip(self, picture: Any) -> Any:
        """Flip horizontally."""
        import cv2

        return cv2.flip(picture, 1)


class PILTransform(Transform):
    """The steps in PIL, which torchvision uses for images. Pixels from beyond the edge are black."""

    def open(self, image: np.ndarray) -> Any:
        """Make a grayscale image."""
        from PIL import Image

        return Image.fromarray(image[..., 0])

    def turn_and_shift(self, picture: Any, degrees: float, down: float, right: float) -> Any:
        """Rotate and shift."""
        from PIL import Image

        return picture.rotate(degrees, Image.Resampling.BILINEAR, translate=(right, down))

    def crop(self, picture: Any, top: int, left: int, side: int) -> Any:
        """Crop and resize."""
        from PIL import Image

        box = (left, top, left + side, top + side)
        return picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box)

    def flip(self, picture: Any) -> Any:
        """Flip horizontally."""
        from PIL import Image

        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
