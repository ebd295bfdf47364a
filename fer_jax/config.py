"""The config of a run: frozen dataclasses, every default in one place.

The docstring under a field is its help text on the command line. `config_file` reads and writes configs.
"""

from dataclasses import dataclass, field
from typing import Literal

from fer_jax import fer2013
from fer_jax.config_augment import AugmentConfig
from fer_jax.config_checks import (
    check,
    check_at_most,
    check_finite_positive,
    check_not_negative,
    check_rate,
    check_seed,
    check_types,
)
from fer_jax.config_craft import AverageConfig, DistillConfig, MixConfig

BadRow = Literal["stop", "skip"]
"""What a malformed row does: end the load, or be left out and listed."""

Sampling = Literal["all", "sqrt", "balanced"]
"""How often an epoch shows the images of a class."""

LabelSource = Literal["fer2013", "ferplus"]
"""Whose labels: those in FER2013's file, or ten annotators' votes for the same faces."""


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
        check_types(self, "data.")
        check(self.synthetic_examples >= 70, "data.synthetic_examples", self.synthetic_examples, ">= 70")
        check_seed("data.synthetic_seed", self.synthetic_seed)


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """Whose labels training aims at."""

    source: LabelSource = "fer2013"
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
        check(
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
        check_types(self, "split.")
        check_seed("split.seed", self.seed)


@dataclass(frozen=True, kw_only=True)
class ConvBlock:
    """One block of 3 × 3 convolutions: of which kind, how wide, and what comes behind them."""

    features: int = 32
    """Output channels."""
    batch_norm: bool = True
    """Normalise behind each convolution. Residual and separable blocks always do."""
    pool: bool = False
    """Halve height and width, as `model.pooling` says."""
    dropout_rate: float = 0.0
    """Share of the block's outputs that training sets to zero."""
    kind: Literal["plain", "residual", "separable"] = "plain"
    """plain: convolution, norm, ReLU; residual: two convolutions and a way around them (ResNet's basic
    block); separable: the same with depthwise and pointwise convolutions (Xception's module)."""
    squeeze_excite: bool = False
    """Weigh the channels of each image by what is in all of them."""

    def __post_init__(self) -> None:
        check_types(self, "model.blocks.")
        check(self.features >= 1, "model.blocks.features", self.features, ">= 1")
        check_rate("model.blocks.dropout_rate", self.dropout_rate)
        check(
            self.batch_norm or self.kind == "plain",
            "model.blocks.batch_norm",
            False,
            f"True: model.blocks.kind is {self.kind}, and only plain blocks do without",
        )


Pooling = Literal["max", "blur", "mean", "stride"]
"""How a block halves height and width."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network: convolution blocks, then flatten or mean, then dense layers; or classes, then mean."""

    blocks: tuple[ConvBlock, ...] = (ConvBlock(),)
    """The convolution blocks, in order."""
    head: Literal["flatten", "mean", "classes"] = "flatten"
    """flatten: every position feeds the dense layer; mean: the average over positions does; classes: a
    3 × 3 convolution gives each position its logits, and their average is the answer."""
    dense_features: int = 256
    """Width of the hidden dense layer; 0 leaves it out."""
    dense_dropout_rate: float = 0.0
    """Share that training sets to zero of what goes into the last layer: the hidden dense outputs, or
    without that layer the last features."""
    pooling: Pooling = "max"
    """What halves a block with `pool`. max, mean: of each 2 × 2 window; blur: maxima of all windows, then
    every other place of a soft average; stride: the convolution leaves out every other place."""
    skip_rate: float = 0.0
    """Chance that training leaves out what the last residual or separable block adds, for each image; the
    earlier the block, the smaller its share of it."""
    classes: Literal[7, 8] = 7
    """How many logits: FER2013's seven classes; or, for labels.source ferplus, eight, with contempt."""

    def __post_init__(self) -> None:
        check_types(self, "model.")
        check(len(self.blocks) >= 1, "model.blocks", self.blocks, "at least one block")
        pools = sum(block.pool for block in self.blocks)
        wanted = "at most 4: 48 pixels halve evenly 4 times"
        check(pools <= 4, "model.blocks", f"{pools} pooled blocks", wanted)
        check(self.dense_features >= 0, "model.dense_features", self.dense_features, ">= 0")
        check(
            self.head != "classes" or self.dense_features == 0,
            "model.dense_features",
            self.dense_features,
            "0: model.head is classes, which has no hidden dense layer",
        )
        check_rate("model.dense_dropout_rate", self.dense_dropout_rate)
        check_rate("model.skip_rate", self.skip_rate)
        check(
            self.skip_rate == 0 or any(block.kind != "plain" for block in self.blocks),
            "model.skip_rate",
            self.skip_rate,
            "0: no block of model.blocks is residual or separable, so there is nothing to skip",
        )


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
        check_types(self, "device.")


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
