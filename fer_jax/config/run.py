"""The config of a run: frozen dataclasses with every default.

The docstring under a field is its help text on the command line. `config.files` reads and writes configs.
"""

from dataclasses import dataclass, field

from fer_jax import fer2013
from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.checks import Checks
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.model import DeviceConfig, ModelConfig
from fer_jax.config.training import (
    AverageConfig,
    DistillConfig,
    InitConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that determines the result of a run, apart from the data and the machine."""

    name: str
    """Name of the run and of its folder."""
    data: DataConfig = field(default_factory=DataConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    average: AverageConfig = field(default_factory=AverageConfig)
    init: InitConfig = field(default_factory=InitConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)

    @property
    def has_own_data(self) -> bool:
        """Whether it is for pictures of the user's own: they are made to fit, or their labels are mapped."""
        return self.data.is_own or bool(self.model.class_names)

    def __post_init__(self) -> None:
        checks, epochs, optimizer = Checks(self, ""), self.train.epochs, self.optimizer
        is_name = 0 < len(self.name) <= 100 and all(c.isalnum() or c in "._-" for c in self.name)
        # A folder's name that begins with - would be taken for an option.
        wanted = "1 to 100 letters, digits, '.', '_' and '-', without '.' or '-' first: it names a folder"
        checks.check("name", is_name and self.name[0] not in ".-", wanted)
        if self.data.class_map == "fer2013" and not self.model.class_names:  # `data.load` knows the names.
            has_labels = self.model.classes == fer2013.CLASS_COUNT or (
                self.model.classes == len(fer2013.NAMES) and self.labels.source == "ferplus"
            )
            wanted = (
                "7, or 8 with labels.source ferplus: FER2013's own labels have no contempt, FER+'s votes do; "
                "for classes of your own, see data.class_map"
            )
            checks.check("model.classes", has_labels, wanted)
        is_fer2013 = self.data.class_map == "fer2013" and fer2013.are_known(self.model.names)
        wanted = "fer2013: FER+ has votes on FER2013's images alone, and data.class_map names other classes"
        checks.check("labels.source", self.labels.source == "fer2013" or is_fer2013, wanted)
        wanted = f"less than train.epochs, which is {epochs}"
        checks.check("optimizer.warmup_epochs", optimizer.warmup_epochs < epochs, wanted)
        checks.at_most("average.swa_epochs", epochs, "train.epochs")
        checks.at_most("init.head_epochs", epochs, "train.epochs")
        checks.at_most("init.freeze_blocks", len(self.model.blocks), "the number of blocks")
        is_whole = not (self.train.patience_epochs and self.average.swa_epochs)
        wanted = "0 with average.swa_epochs, which averages the last epochs of the plan"
        checks.check("train.patience_epochs", is_whole, wanted)
        is_seen = optimizer.schedule != "plateau" or self.train.measure_epochs == 1
        wanted = "1 with optimizer.schedule plateau, which looks at each epoch"
        checks.check("train.measure_epochs", is_seen, wanted)
        if optimizer.schedule == "trapezoid":
            left, words = epochs - optimizer.warmup_epochs, "train.epochs minus optimizer.warmup_epochs"
            checks.at_most("optimizer.cooldown_epochs", left, words)
        size, repeats = self.train.batch_size, self.augment.repeats
        wanted = f"1, or a divisor of train.batch_size, which is {size}, that leaves at least two images"
        checks.check("augment.repeats", repeats == 1 or (size % repeats == 0 and size >= 2 * repeats), wanted)
        if self.train.small_epochs:
            self._check_small_images(checks)

    def _check_small_images(self, checks: Checks) -> None:
        wanted = "0 for model.head flatten, whose dense layer accepts one image size only"
        checks.check("train.small_epochs", self.model.head != "flatten", wanted)
        halves = 2 ** sum(block.pool for block in self.model.blocks)
        # Blur pooling needs two maxima along each axis.
        least = 2 * halves if self.model.pooling == "blur" else halves
        side = self.train.small_side_px
        wanted = f"a multiple of {halves} and at least {least}: the blocks divide it by {halves}"
        checks.check("train.small_side_px", side % halves == 0 and side >= least, wanted)
