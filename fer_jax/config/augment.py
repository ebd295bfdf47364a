"""Sections of a run's config: augmentation of single images, and mixing of pairs."""

from dataclasses import dataclass, fields

from fer_jax.config.checks import Checks


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random augmentation of the training images. Each kind has its own probability; 0 turns it off."""

    shift_probability: float = 0.0
    """Probability of shifting the image."""
    max_shift_px: float = 6.0
    """Largest shift along each axis, in pixels (the image has 48 × 48)."""
    rotate_probability: float = 0.0
    """Probability of rotating the image about its centre."""
    max_rotation_deg: float = 15.0
    """Largest rotation in either direction, in degrees."""
    crop_probability: float = 0.0
    """Probability of cropping a square and resizing it to 48 × 48."""
    min_crop_scale: float = 0.8
    """Smallest side of the crop, as a fraction of the image's side."""
    zoom_probability: float = 0.0
    """Probability of zooming in or out; outside the image its edge pixels are repeated."""
    max_zoom: float = 1.2
    """Largest zoom factor z; it is drawn log-uniformly from [1/z, z]."""
    stretch_probability: float = 0.0
    """Probability of changing the aspect ratio while keeping the area."""
    max_stretch: float = 1.2
    """Largest factor s on height / width; it is drawn log-uniformly from [1/s, s]."""
    flip_probability: float = 0.0
    """Probability of flipping the image horizontally."""
    alternate_flip: bool = False
    """Flip each image at regular intervals instead of at random, in a fraction `flip_probability` of the
    epochs: with 0.5 a random half of the images in the first epoch, the other half in the next, and so on."""
    sharpness_probability: float = 0.0
    """Probability of blurring or sharpening."""
    max_sharpness: float = 1.0
    """Largest fraction of the fine detail that is added (sharpening) or removed (blurring)."""
    gamma_probability: float = 0.0
    """Probability of gamma correction: pixel values in [0, 1] are raised to a power."""
    max_gamma: float = 1.5
    """Largest power g; it is drawn log-uniformly from [1/g, g]."""
    contrast_probability: float = 0.0
    """Probability of changing the contrast about the middle gray."""
    max_contrast: float = 1.5
    """Largest contrast factor c; it is drawn log-uniformly from [1/c, c]."""
    brightness_probability: float = 0.0
    """Probability of brightening or darkening the image."""
    max_brightness: float = 0.2
    """Largest change of the pixel values, as a fraction of the range from black to white."""
    erase_probability: float = 0.0
    """Probability of erasing a rectangle (filled with gray)."""
    max_erase_fraction: float = 0.15
    """Largest erased area, as a fraction of the image's area."""

    repeats: int = 1
    """Repeated augmentation: how many times each image is in its batch, every time augmented anew. The batch
    size and the steps of an epoch stay, so an epoch shows one in so many images, and so many epochs show all.
    With `alternate_flip` the copies alternate."""

    def __post_init__(self) -> None:
        checks = Checks(self, "augment.")
        checks.at_least(1, "repeats")
        checks.probability(*(each.name for each in fields(self) if each.name.endswith("_probability")))
        for name, least, most, unit in (
            ("max_shift_px", 0, 24, "pixels"),
            ("max_rotation_deg", 0, 180, "degrees"),
            ("min_crop_scale", 0.1, 1, "a fraction"),
            ("max_zoom", 1, 2, "a factor"),
            ("max_stretch", 1, 2, "a factor"),
            ("max_sharpness", 0, 1, "a fraction"),
            ("max_gamma", 1, 4, "a power"),
            ("max_contrast", 1, 4, "a factor"),
            ("max_brightness", 0, 1, "a fraction"),
        ):
            checks.within(name, least, most, unit)
        checks.check("max_erase_fraction", 0 < self.max_erase_fraction <= 0.5, "a fraction in (0, 0.5]")


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """Mixing pairs of training images together with their targets. A method is off if its alpha is 0."""

    mixup_alpha: float = 0.0
    """Mixup: two images are blended, with a weight drawn from Beta(alpha, alpha)."""
    cutmix_alpha: float = 0.0
    """CutMix: a rectangle of another image is pasted in, its area drawn from Beta(alpha, alpha)."""
    probability: float = 1.0
    """Probability that an image is mixed; with both methods on, each gets half of it."""

    def __post_init__(self) -> None:
        checks = Checks(self, "mix.")
        checks.not_negative("mixup_alpha", "cutmix_alpha")
        checks.probability("probability")

    @property
    def is_on(self) -> bool:
        """Whether any images are mixed."""
        return bool(self.probability and (self.mixup_alpha or self.cutmix_alpha))
