"""The config of a run: frozen dataclasses, every default in one place.

The docstring under a field is its help text on the command line. `config_file` reads and writes configs.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Literal

from fer_jax.errors import ConfigError


def _check(is_good: bool, field_name: str, value: object, wanted: str) -> None:
    if not is_good:
        raise ConfigError(f"config field {field_name} is {value!r}; wanted {wanted}")


def _check_types(section: object, prefix: str) -> None:
    """Check each field of a config class against its annotation, so that range checks compare numbers."""
    for each in dataclasses.fields(section):  # type: ignore[arg-type]
        value, wanted = getattr(section, each.name), each.type
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if wanted is float:
            _check(is_number, f"{prefix}{each.name}", value, "a number")
        elif wanted is int:
            _check(is_number and isinstance(value, int), f"{prefix}{each.name}", value, "an integer")
        elif wanted is bool:
            _check(isinstance(value, bool), f"{prefix}{each.name}", value, "True or False")


def _check_rate(field_name: str, value: float) -> None:
    _check(0 <= value < 1, field_name, value, "a rate in [0, 1)")


def _check_probability(field_name: str, value: float) -> None:
    _check(0 <= value <= 1, field_name, value, "a probability in [0, 1]")


def _check_seed(field_name: str, value: int) -> None:
    # JAX builds a key from the lowest 32 bits alone: a larger seed would repeat the keys of a small one.
    _check(0 <= value < 2**32, field_name, value, "a seed in [0, 2**32)")


def _check_not_negative(field_name: str, value: float) -> None:
    _check(value >= 0 and math.isfinite(value), field_name, value, "a finite number >= 0")


BadRow = Literal["stop", "skip"]
"""What a malformed row does: end the load, or be left out and listed."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the faces come from."""

    path: str | None = None
    """Kaggle CSV, .zip or folder of images. Else $FER_JAX_DATA, else data/, else synthetic faces."""
    source: Literal["auto", "kaggle", "tfds", "synthetic"] = "auto"
    """auto: a file if one is found, else synthetic; kaggle: a file or nothing; tfds: a file, through
    TensorFlow Datasets; synthetic: drawn from a seed."""
    on_bad_row: BadRow = "stop"
    """stop: the first malformed row ends the load; skip: leave such rows out, count and list them."""
    drop: str | None = None
    """An audit.csv of this data: training leaves out the rows that it marks `drop`."""
    synthetic_examples: int = 8000
    """How many synthetic faces to draw."""
    synthetic_seed: int = 0
    """Seed of the synthetic faces."""

    def __post_init__(self) -> None:
        _check_types(self, "data.")
        _check(self.synthetic_examples >= 70, "data.synthetic_examples", self.synthetic_examples, ">= 70")
        _check_seed("data.synthetic_seed", self.synthetic_seed)


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """Whose labels training aims at."""

    source: Literal["fer2013", "ferplus"] = "fer2013"
    """fer2013: the label in the file; ferplus: what ten annotators voted for the same faces."""
    mode: Literal["majority", "votes", "drawn"] = "majority"
    """What FER+'s votes become. majority: the expression of more than half of them; votes: their shares, as
    probabilities; drawn: one of them, drawn anew each epoch."""
    keep: Literal["decided", "voted"] = "decided"
    """Rows of FER+ to train on. decided: an expression has more than half of the votes; voted: it has two
    votes at least. Only decided rows are ever measured."""
    ferplus: str | None = None
    """FER+'s fer2013new.csv; else data/fer2013new.csv."""

    def __post_init__(self) -> None:
        _check(
            not (self.keep == "voted" and self.mode == "majority"),
            "labels.keep",
            self.keep,
            "decided with labels.mode majority, since an undecided row has none; or another labels.mode",
        )


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which rows train, which select and which test."""

    protocol: Literal["seed", "official"] = "seed"
    """seed: the Training rows, stratified 70/15/15; official: Training, PublicTest, PrivateTest."""
    seed: int = 0
    """Seed of the 70/15/15 split. Keep it while comparing runs: it is not the training seed."""
    group_duplicates: bool = True
    """Keep exact copies of an image in one part. False gives the notebook's plain split, which leaks."""

    def __post_init__(self) -> None:
        _check_types(self, "split.")
        _check_seed("split.seed", self.seed)


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
    flip_probability: float = 0.0
    """Chance to mirror left and right."""
    erase_probability: float = 0.0
    """Chance to gray out a rectangle."""
    max_erase_fraction: float = 0.15
    """Largest erased area, as a fraction of the image's area."""

    def __post_init__(self) -> None:
        _check_types(self, "augment.")
        for name in ("shift", "rotate", "crop", "flip", "erase"):
            _check_probability(f"augment.{name}_probability", getattr(self, f"{name}_probability"))
        _check(0 <= self.max_shift_px <= 24, "augment.max_shift_px", self.max_shift_px, "pixels in [0, 24]")
        _check(
            0 <= self.max_rotation_deg <= 180,
            "augment.max_rotation_deg",
            self.max_rotation_deg,
            "degrees in [0, 180]",
        )
        _check(
            0.1 <= self.min_crop_scale <= 1,
            "augment.min_crop_scale",
            self.min_crop_scale,
            "a fraction in [0.1, 1]",
        )
        _check(
            0 < self.max_erase_fraction <= 0.5,
            "augment.max_erase_fraction",
            self.max_erase_fraction,
            "a fraction in (0, 0.5]",
        )


@dataclass(frozen=True, kw_only=True)
class ConvBlock:
    """One block: 3 × 3 convolution, batch norm, ReLU, pooling, dropout; the last three as asked."""

    features: int = 32
    """Output channels."""
    batch_norm: bool = True
    """Normalise between the convolution and the ReLU."""
    pool: bool = False
    """Halve height and width by 2 × 2 maxima."""
    dropout_rate: float = 0.0
    """Share of the block's outputs that training sets to zero."""

    def __post_init__(self) -> None:
        _check_types(self, "model.blocks.")
        _check(self.features >= 1, "model.blocks.features", self.features, ">= 1")
        _check_rate("model.blocks.dropout_rate", self.dropout_rate)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network: convolution blocks, then flatten or mean, then dense layers."""

    blocks: tuple[ConvBlock, ...] = (ConvBlock(),)
    """The convolution blocks, in order."""
    head: Literal["flatten", "mean"] = "flatten"
    """flatten: every position feeds the dense layer; mean: the average over positions does."""
    dense_features: int = 256
    """Width of the hidden dense layer; 0 leaves it out."""
    dense_dropout_rate: float = 0.0
    """Share of the hidden dense outputs that training sets to zero."""

    def __post_init__(self) -> None:
        _check_types(self, "model.")
        _check(len(self.blocks) >= 1, "model.blocks", self.blocks, "at least one block")
        pools = sum(block.pool for block in self.blocks)
        _check(
            pools <= 4, "model.blocks", f"{pools} pooled blocks", "at most 4: 48 pixels halve evenly 4 times"
        )
        _check(self.dense_features >= 0, "model.dense_features", self.dense_features, ">= 0")
        _check_rate("model.dense_dropout_rate", self.dense_dropout_rate)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What training makes small."""

    label_smoothing: float = 0.0
    """Share of the target spread evenly over the seven classes."""
    class_weights: Literal["none", "sqrt", "balanced"] = "none"
    """Weight of a class: 1; 1 / sqrt(its share); 1 / its share."""

    def __post_init__(self) -> None:
        _check_types(self, "loss.")
        _check_rate("loss.label_smoothing", self.label_smoothing)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How the weights move."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    """sgd has momentum; adamw is adam with `weight_decay`."""
    peak_rate: float = 1e-3
    """Learning rate after the warm-up."""
    momentum: float = 0.9
    """Momentum of sgd."""
    nesterov: bool = False
    """Look ahead along the momentum (sgd)."""
    schedule: Literal["constant", "cosine", "step", "plateau"] = "constant"
    """After the warm-up: keep the rate; half a cosine down to 0; cut it every `decay_epochs`; cut it
    when the validation loss has not fallen for `patience_epochs`."""
    warmup_epochs: float = 0.0
    """Linear rise from 0 to the peak rate, in epochs."""
    decay_epochs: int = 10
    """Epochs between two cuts (step)."""
    decay_factor: float = 0.1
    """What a cut multiplies the rate by (step, plateau)."""
    patience_epochs: int = 5
    """Epochs without a lower validation loss before a cut (plateau)."""
    weight_decay: float = 0.0
    """Decoupled decay of the kernels: each step takes off rate × this (sgd, adamw)."""
    l2: float = 0.0
    """The notebook's L2: this × kernel is added to the gradient (sgd, adam)."""
    clip_norm: float = 0.0
    """Largest global norm of the gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        _check_types(self, "optimizer.")
        _check(
            self.peak_rate > 0 and math.isfinite(self.peak_rate),
            "optimizer.peak_rate",
            self.peak_rate,
            "a finite rate > 0",
        )
        _check_rate("optimizer.momentum", self.momentum)
        _check(0 < self.decay_factor < 1, "optimizer.decay_factor", self.decay_factor, "a factor in (0, 1)")
        _check(self.decay_epochs >= 1, "optimizer.decay_epochs", self.decay_epochs, ">= 1")
        _check(self.patience_epochs >= 1, "optimizer.patience_epochs", self.patience_epochs, ">= 1")
        _check(not (self.nesterov and self.name != "sgd"), "optimizer.nesterov", True, "False unless for sgd")
        for name in ("warmup_epochs", "weight_decay", "l2", "clip_norm"):
            _check_not_negative(f"optimizer.{name}", getattr(self, name))
        _check(
            not (self.name == "adam" and self.weight_decay),
            "optimizer.weight_decay",
            self.weight_decay,
            "0 for adam: use optimizer.name adamw, or optimizer.l2",
        )
        _check(
            not (self.name == "adamw" and self.l2),
            "optimizer.l2",
            self.l2,
            "0 for adamw: use optimizer.weight_decay, or optimizer.name adam",
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

    def __post_init__(self) -> None:
        _check_types(self, "train.")
        # The rates of all steps and a batch's images have to fit into memory.
        for name, most in (("epochs", 10_000), ("batch_size", 65_536), ("eval_batch_size", 65_536)):
            value = getattr(self, name)
            _check(1 <= value <= most, f"train.{name}", value, f"an integer in 1..{most}")
        _check_seed("train.seed", self.seed)
        _check(self.train_eval_examples >= 0, "train.train_eval_examples", self.train_eval_examples, ">= 0")
        _check(self.max_examples >= 0, "train.max_examples", self.max_examples, ">= 0")
        _check(self.resample >= 0, "train.resample", self.resample, ">= 0")


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """How the machine is used. The batches are the same whatever is chosen."""

    mode: Literal["auto", "host", "resident"] = "auto"
    """host: NumPy augments each batch, which is sent to the device; resident: all images stay on the device
    and are augmented there, many steps in one program; auto: resident on GPU and TPU, host on CPU."""
    kernels: Literal["fast", "plain"] = "fast"
    """plain: the layers as Flax has them, the definition; fast: the same function, computed faster."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Numbers between the layers. Weights, batch statistics, logits and loss are float32 always."""
    compile_cache: bool = False
    """Keep compiled programs in your cache folder, readable by you alone: the next start is faster."""

    def __post_init__(self) -> None:
        _check_types(self, "device.")


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
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)

    def __post_init__(self) -> None:
        _check(
            0 < len(self.name) <= 100
            and all(c.isalnum() or c in "._-" for c in self.name)
            and self.name[0] != ".",
            "name",
            self.name,
            "1 to 100 letters, digits, '.', '_' and '-': it names a folder",
        )
        _check(
            self.optimizer.warmup_epochs < self.train.epochs,
            "optimizer.warmup_epochs",
            self.optimizer.warmup_epochs,
            f"less than train.epochs, which is {self.train.epochs}",
        )
