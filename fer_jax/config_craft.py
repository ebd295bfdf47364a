"""Sections of a run's config that are craft alone, off by default: mixed images, averages, teachers."""

from dataclasses import dataclass

from fer_jax.config_checks import (
    check,
    check_finite_positive,
    check_not_negative,
    check_probability,
    check_rate,
    check_types,
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


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """Weights averaged along the training. What is measured, selected and loaded are the averaged ones."""

    ema_decay: float = 0.0
    """Exponential moving average: how much of it a step keeps, less in the first steps; 0 is off."""
    swa_epochs: int = 0
    """Mean of the weights after each of so many last epochs; 0 is off."""
    stats_examples: int = 4096
    """Training images, without augmentation, from which the batch statistics of the averaged weights are
    computed (a fixed random subset; 0: all of them)."""

    def __post_init__(self) -> None:
        check_types(self, "average.")
        check_rate("average.ema_decay", self.ema_decay)
        check(self.swa_epochs >= 0, "average.swa_epochs", self.swa_epochs, ">= 0")
        check(self.stats_examples >= 0, "average.stats_examples", self.stats_examples, ">= 0")
        check(
            not (self.ema_decay and self.swa_epochs),
            "average.swa_epochs",
            self.swa_epochs,
            "0 with average.ema_decay: one average at a time",
        )

    @property
    def is_on(self) -> bool:
        """Whether there is an average."""
        return bool(self.ema_decay or self.swa_epochs)


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Learning from networks that are trained already, beside the labels. Off without teachers."""

    teachers: tuple[str, ...] = ()
    """Folders of their runs. Their logits are averaged, over each image and its mirror image; runs of this
    same config make it self-distillation."""
    weight: float = 0.5
    """Share of the target that comes from the teachers; the labels give the rest."""
    temperature: float = 2.0
    """What the teachers' logits are divided by: the larger, the softer their answers."""

    def __post_init__(self) -> None:
        check_types(self, "distill.")
        # A text is a sequence of letters, and would become as many teachers.
        check(
            not isinstance(self.teachers, str),
            "distill.teachers",
            self.teachers,
            'a tuple of folders, such as ("runs/mid-seed0",)',
        )
        check_probability("distill.weight", self.weight)
        check_finite_positive("distill.temperature", self.temperature)
