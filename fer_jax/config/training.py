"""Sections of a run's config that are craft alone, off by default: mixed images, averages, teachers."""

from dataclasses import dataclass
from typing import Literal

from fer_jax import fer2013
from fer_jax.config.checks import (
    check,
    check_finite_positive,
    check_not_negative,
    check_probability,
    check_rate,
    check_seed,
    check_types,
)

Sampling = Literal["all", "sqrt", "balanced"]
"""How often an epoch shows the images of a class."""


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


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What training makes small."""

    label_smoothing: float = 0.0
    """Share of the target spread evenly over the classes."""
    class_weights: Literal["none", "sqrt", "balanced", "effective"] = "none"
    """Weight of a class: 1; 1 / sqrt(its share); 1 / its share; 1 / its effective number of images."""
    effective_beta: float = 0.999
    """What the effective number takes each further image for: towards 0 all classes weigh the same, towards
    1 as `balanced` (effective)."""
    focal_gamma: float = 0.0
    """Focal loss: how much less the images count that are already right; 0 is plain cross-entropy."""

    def __post_init__(self) -> None:
        check_types(self, "loss.")
        check_rate("loss.label_smoothing", self.label_smoothing)
        check_rate("loss.effective_beta", self.effective_beta)
        check_not_negative("loss.focal_gamma", self.focal_gamma)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How the weights move."""

    name: Literal["sgd", "adam", "adamw", "muon"] = "adam"
    """sgd has momentum; adamw is adam with `weight_decay`; muon makes the updates of kernels orthogonal, and
    is adamw with Nesterov's momentum for first and last layer, biases and norms; adamw's rates suit it."""
    peak_rate: float = 1e-3
    """Learning rate after the warm-up."""
    momentum: float = 0.9
    """Momentum of sgd and muon (muon's usual one is 0.95)."""
    nesterov: bool = False
    """Look ahead along the momentum (sgd)."""
    schedule: Literal["constant", "cosine", "step", "plateau", "trapezoid"] = "constant"
    """After the warm-up: keep the rate; half a cosine down to 0; cut it every `decay_epochs`; cut it
    when the validation loss has not fallen for `patience_epochs`; keep it, and at the end go down to 0 in a
    line of `cooldown_epochs`."""
    warmup_epochs: float = 0.0
    """Linear rise from 0 to the peak rate, in epochs."""
    decay_epochs: int = 10
    """Epochs between two cuts (step)."""
    decay_factor: float = 0.1
    """What a cut multiplies the rate by (step, plateau)."""
    patience_epochs: int = 5
    """Epochs without a lower validation loss before a cut (plateau)."""
    cooldown_epochs: float = 1.0
    """Linear fall from the peak rate to 0, in epochs (trapezoid)."""
    weight_decay: float = 0.0
    """Decoupled decay of the kernels: each step takes off rate × this (sgd, adamw, muon)."""
    l2: float = 0.0
    """The notebook's L2: this × kernel is added to the gradient (sgd, adam)."""
    clip_norm: float = 0.0
    """Largest global norm of the gradient; 0 does not clip."""
    clip_value: float = 0.0
    """Largest size of each number of the gradient, cut before the norm is; 0 does not clip."""
    sam_radius: float = 0.0
    """Sharpness-aware: the gradient is taken this far uphill. It costs a second pass; 0 is off."""

    def __post_init__(self) -> None:
        check_types(self, "optimizer.")
        check_finite_positive("optimizer.peak_rate", self.peak_rate)
        check_rate("optimizer.momentum", self.momentum)
        check(0 < self.decay_factor < 1, "optimizer.decay_factor", self.decay_factor, "a factor in (0, 1)")
        check(self.decay_epochs >= 1, "optimizer.decay_epochs", self.decay_epochs, ">= 1")
        check(self.patience_epochs >= 1, "optimizer.patience_epochs", self.patience_epochs, ">= 1")
        check(not (self.nesterov and self.name != "sgd"), "optimizer.nesterov", True, "False unless for sgd")
        check_finite_positive("optimizer.cooldown_epochs", self.cooldown_epochs)
        for name in ("warmup_epochs", "weight_decay", "l2", "clip_norm", "clip_value", "sam_radius"):
            check_not_negative(f"optimizer.{name}", getattr(self, name))
        check(
            not (self.name == "adam" and self.weight_decay),
            "optimizer.weight_decay",
            self.weight_decay,
            "0 for adam: use optimizer.name adamw, or optimizer.l2",
        )
        check(
            not (self.name in ("adamw", "muon") and self.l2),
            "optimizer.l2",
            self.l2,
            f"0 for {self.name}: use optimizer.weight_decay, or optimizer.name adam",
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long to train, on how much at once, from which seed."""

    epochs: int = 10
    """Passes over the training images."""
    batch_size: int = 128
    """Images a step."""
    select: Literal["best", "last"] = "best"
    """Whose weights are the run's result: the epoch of the highest validation accuracy, or the last."""
    save_epochs: int = 1
    """Save a checkpoint after every so many epochs, after the last and, for select best, after each that is
    the best so far. On a GPU a save can take as long as an epoch. A killed run goes on from the last one."""
    seed: int = 0
    """Seed of the initial weights, the order, the augmentation and the dropout."""
    eval_batch_size: int = 256
    """Images a step when only predicting."""
    train_eval_examples: int = 4096
    """Training images, without augmentation, on which an epoch's train accuracy is measured (a fixed
    random subset; 0: all of them). The figures at the end are over all of them."""
    max_examples: int = 0
    """Train on at most so many of the training images, a fixed random subset; 0: on all."""
    resample: int = 0
    """0: train on the training images; k >= 1: on their k-th bootstrap resample, drawn with replacement."""
    small_epochs: int = 0
    """Progressive resizing: the first so many epochs train on smaller images; 0 is off. The last layers
    have to take any size (model.head other than flatten)."""
    small_side_px: int = 32
    """Height and width of the smaller images."""
    sampling: Sampling = "all"
    """all: an epoch shows each training image once; balanced: it shows each class equally often; sqrt: each
    class as often as the square root of its share says. An epoch has the same length, so the images of
    frequent classes take turns and those of rare ones come up again and again."""

    def __post_init__(self) -> None:
        check_types(self, "train.")
        # The rates of all steps and a batch's images have to fit into memory.
        limits = {"epochs": 10_000, "save_epochs": 10_000, "batch_size": 65_536, "eval_batch_size": 65_536}
        for name, most in limits.items():
            value = getattr(self, name)
            check(1 <= value <= most, f"train.{name}", value, f"an integer in 1..{most}")
        check_seed("train.seed", self.seed)
        for name in ("train_eval_examples", "max_examples", "resample"):
            check_not_negative(f"train.{name}", getattr(self, name))
        check(
            0 <= self.small_epochs <= self.epochs,
            "train.small_epochs",
            self.small_epochs,
            f"an integer in 0..{self.epochs}, which is train.epochs",
        )
        check(16 <= self.small_side_px <= 48, "train.small_side_px", self.small_side_px, "pixels in 16..48")

    def side_px(self, epoch: int) -> int:
        """Height and width of the images that an epoch, from 0, trains on."""
        return self.small_side_px if epoch < self.small_epochs else fer2013.IMAGE_SHAPE[0]
