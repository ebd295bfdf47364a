"""The augmentation of a run, a section of its config."""

from dataclasses import dataclass, fields

from fer_jax.config.checks import (
    check,
    check_not_negative,
    check_probability,
    check_types,
)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes to the training images. Each has its own probability; 0 turns it off."""

    shift_probability: float = 0.0
    """Chance to move the face towards an edge."""
    max_shift_px: float = 6.0
    """Largest shift along each axis, in pixels of the 48."""
    rotate_probability: float = 0.0
    """Chance to turn the face about the middle of the image."""
    max_rotation_deg: float = 15.0
    """Largest turn to either side, in degrees."""
    crop_probability: float = 0.0
    """Chance to cut out a square and stretch it back to 48 × 48."""
    min_crop_scale: float = 0.8
    """Smallest side of the cut-out, as a fraction of the image's side."""
    zoom_probability: float = 0.0
    """Chance to make the face larger or smaller; beyond the picture its edge pixels go on."""
    max_zoom: float = 1.2
    """Largest factor of a zoom, log-uniform from 1 / this to this."""
    stretch_probability: float = 0.0
    """Chance to make the face taller or wider, its area unchanged."""
    max_stretch: float = 1.2
    """Largest factor on height : width, log-uniform from 1 / this to this."""
    flip_probability: float = 0.0
    """Chance to mirror left and right."""
    alternate_flip: bool = False
    """Mirror each image in turn instead of by chance, in `flip_probability` of the epochs: with 0.5 a random
    half of the images in the first epoch, the others in the next, and so on."""
    sharpness_probability: float = 0.0
    """Chance to blur or to sharpen."""
    max_sharpness: float = 1.0
    """Largest share of the fine detail that is added (sharper) or taken off (blurred)."""
    gamma_probability: float = 0.0
    """Chance to raise the grays, from 0 (black) to 1 (white), to a power."""
    max_gamma: float = 1.5
    """Largest power, log-uniform from 1 / this to this."""
    contrast_probability: float = 0.0
    """Chance to move the grays away from the middle gray or towards it."""
    max_contrast: float = 1.5
    """Largest factor of the contrast, log-uniform from 1 / this to this."""
    brightness_probability: float = 0.0
    """Chance to make the image brighter or darker."""
    max_brightness: float = 0.2
    """Most that is added to the grays or taken off, as a share of the range from black to white."""
    erase_probability: float = 0.0
    """Chance to gray out a rectangle."""
    max_erase_fraction: float = 0.15
    """Largest erased area, as a fraction of the image's area."""

    def __post_init__(self) -> None:
        check_types(self, "augment.")
        for each in fields(self):
            if each.name.endswith("_probability"):
                check_probability(f"augment.{each.name}", getattr(self, each.name))
        for name, least, most, unit in (
            ("max_shift_px", 0, 24, "pixels"),
            ("max_rotation_deg", 0, 180, "degrees"),
            ("min_crop_scale", 0.1, 1, "a fraction"),
            ("max_zoom", 1, 2, "a factor"),
            ("max_stretch", 1, 2, "a factor"),
            ("max_sharpness", 0, 1, "a share"),
            ("max_gamma", 1, 4, "a power"),
            ("max_contrast", 1, 4, "a factor"),
            ("max_brightness", 0, 1, "a share"),
        ):
            value = getattr(self, name)
            check(least <= value <= most, f"augment.{name}", value, f"{unit} in [{least}, {most}]")
        check(
            0 < self.max_erase_fraction <= 0.5,
            "augment.max_erase_fraction",
            self.max_erase_fraction,
            "a fraction in (0, 0.5]",
        )


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """Training images mixed two by two, their targets with them. A kind whose alpha is 0 is off."""

    mixup_alpha: float = 0.0
    """Mixup, a blend of two images: its share comes from Beta(alpha, alpha)."""
    cutmix_alpha: float = 0.0
    """Cutmix, a rectangle of another image pasted in: its area comes from Beta(alpha, alpha)."""
    probability: float = 1.0
    """Chance of an image to be mixed; with both kinds on, each takes half of it."""

    def __post_init__(self) -> None:
        check_types(self, "mix.")
        check_not_negative("mix.mixup_alpha", self.mixup_alpha)
        check_not_negative("mix.cutmix_alpha", self.cutmix_alpha)
        check_probability("mix.probability", self.probability)

    @property
    def is_on(self) -> bool:
        """Whether anything is mixed."""
        return bool(self.probability and (self.mixup_alpha or self.cutmix_alpha))
