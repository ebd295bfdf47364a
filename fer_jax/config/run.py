"""The config of a run: frozen dataclasses, every default in one place.

The docstring under a field is its help text on the command line. `config_file` reads and writes configs.
"""

from dataclasses import dataclass, field

from fer_jax import fer2013
from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.checks import (
    check,
    check_at_most,
)
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.model import DeviceConfig, ModelConfig
from fer_jax.config.training import AverageConfig, DistillConfig, LossConfig, OptimizerConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a run's result, given the data and the machine."""

    name: str
    """Name of the run, used for its folder."""
    data: DataConfig = field(default_factory=DataConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    average: AverageConfig = field(default_factory=AverageConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)

    def __post_init__(self) -> None:
        check(
            0 < len(self.name) <= 100
            and all(c.isalnum() or c in "._-" for c in self.name)
            and self.name[0] != ".",
            "name",
            self.name,
            "1 to 100 letters, digits, '.', '_' and '-': it names a folder",
        )
        check(
            self.model.classes == fer2013.CLASS_COUNT or self.labels.source == "ferplus",
            "model.classes",
            self.model.classes,
            "7, or labels.source ferplus: FER2013's own labels know no contempt, FER+'s votes do",
        )
        check(
            self.optimizer.warmup_epochs < self.train.epochs,
            "optimizer.warmup_epochs",
            self.optimizer.warmup_epochs,
            f"less than train.epochs, which is {self.train.epochs}",
        )
        check_at_most("average.swa_epochs", self.average.swa_epochs, self.train.epochs, "train.epochs")
        if self.optimizer.schedule == "trapezoid":
            left = self.train.epochs - self.optimizer.warmup_epochs
            words = "train.epochs less optimizer.warmup_epochs"
            check_at_most("optimizer.cooldown_epochs", self.optimizer.cooldown_epochs, left, words)
        self._check_small_images()

    def _check_small_images(self) -> None:
        if not self.train.small_epochs:
            return
        check(
            self.model.head != "flatten",
            "train.small_epochs",
            self.train.small_epochs,
            "0 for model.head flatten, whose dense layer takes one size of image",
        )
        halves = 2 ** sum(block.pool for block in self.model.blocks)
        # A blur needs two maxima along each axis.
        least = 2 * halves if self.model.pooling == "blur" else halves
        check(
            self.train.small_side_px % halves == 0 and self.train.small_side_px >= least,
            "train.small_side_px",
            self.train.small_side_px,
            f"a multiple of {halves}, {least} at least: the blocks halve it that often",
        )
