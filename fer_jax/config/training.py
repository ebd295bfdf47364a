"""Sections of a run's config: initial weights, loss, optimizer, averages, distillation, and the training."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

from fer_jax import fer2013
from fer_jax.config.checks import Checks

Tracker = Literal["tensorboard", "wandb", "mlflow"]
"""Who is told about each epoch, beside log.jsonl."""
Schedule = Literal["constant", "cosine", "step", "plateau", "trapezoid"]
"""How the learning rate changes after the warm-up."""
Sampling = Literal["all", "sqrt", "balanced"]
"""How often an epoch shows the images of each class."""


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """What training starts from: new weights, or those of a trained network (fine-tuning)."""

    weights: str | None = None
    """A trained network whose weights, batch statistics and pixel statistics to start from: weights that come
    with fer_jax such as `mid`, a `.safetensors` file with its card, or the folder of a run. Its blocks must
    be those of `model`; the last layer is new where the classes differ."""
    freeze_blocks: int = 0
    """How many of the first blocks keep their weights and batch statistics."""
    head_epochs: float = 0.0
    """For so many first epochs only the layers after the blocks are trained."""
    rate_factor: float = 1.0
    """Factor of the learning rate of the layers that were not made anew."""

    def __post_init__(self) -> None:
        checks = Checks(self, "init.")
        is_name = self.weights is None or (isinstance(self.weights, str) and self.weights != "")
        checks.check("weights", is_name, "the name of released weights, a file of them, or a run's folder")
        checks.at_least(0, "freeze_blocks")
        checks.not_negative("head_epochs")
        checks.positive("rate_factor")
        for name, value in (("freeze_blocks", 0), ("head_epochs", 0), ("rate_factor", 1)):
            is_used = self.weights is not None or getattr(self, name) == value
            checks.check(name, is_used, f"{value} without init.weights: there is no old layer")


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """Averaging of the weights during training. The averaged weights are evaluated, selected and saved."""

    ema_decay: float = 0.0
    """Decay of an exponential moving average, smaller in the first steps; 0 is off."""
    swa_epochs: int = 0
    """Stochastic weight averaging (SWA): the mean of the weights at the end of each of this many last epochs
    of train.epochs, and of every added epoch; 0 is off."""
    stats_examples: int = 4096
    """Number of training images, not augmented, for the batch statistics of the averaged weights (a fixed
    random subset; 0: all of them). They are measured in batches of train.eval_batch_size, and an incomplete
    last batch is left out."""

    def __post_init__(self) -> None:
        checks = Checks(self, "average.")
        checks.rate("ema_decay")
        checks.at_least(0, "swa_epochs", "stats_examples")
        is_one = not (self.ema_decay and self.swa_epochs)
        checks.check("swa_epochs", is_one, "0 with average.ema_decay: one average at a time")

    @property
    def is_on(self) -> bool:
        """Whether the weights are averaged."""
        return bool(self.ema_decay or self.swa_epochs)


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Distillation: learning from trained networks as well as from the labels. Off without teachers."""

    teachers: tuple[str, ...] = ()
    """The teachers: folders of runs, weights that come with fer_jax such as `best`, `.safetensors` files with
    their card, or folders of these. Their logits are averaged. Runs of the same config make it
    self-distillation. A network that learnt FER+'s votes teaches with labels.source ferplus only."""
    weight: float = 0.5
    """Weight of the teachers in the target; the labels get the rest."""
    temperature: float = 2.0
    """What the teachers' logits are divided by: the higher, the softer the targets."""
    views: int = 0
    """Stored views of each training image, augmented as `augment` says (flips at random), that the teachers
    answer to; an epoch shows one of them. 0: the teachers see the clean image and its flipped copy, and each
    epoch augments anew. Needs `teachers` or a `bank`."""
    bank: str | None = None
    """A bank: a file with teachers' answers to at least `views` views of the training images, instead of
    `teachers`."""

    def __post_init__(self) -> None:
        checks = Checks(self, "distill.")
        # A string is a sequence too: each letter would become a teacher.
        is_tuple = isinstance(self.teachers, tuple | list)
        checks.check("teachers", is_tuple, 'a tuple of teachers, such as ("runs/mid-seed0",)')
        # As a path, an empty name would be the current folder.
        wanted = "names of trained networks, or their folders or files; none of them is empty"
        checks.check("teachers", "" not in self.teachers, wanted)
        checks.probability("weight")
        checks.positive("temperature")
        checks.within("views", 0, 1000, "views of an image")
        wanted = "0, or teachers that answer to the views: give distill.teachers or distill.bank"
        checks.check("views", self.views == 0 or self.is_on, wanted)
        if self.bank is not None:
            checks.check("bank", isinstance(self.bank, str), "a path")
            checks.check("teachers", not self.teachers, "none with distill.bank, which says who they are")
            checks.check("views", self.views > 0, ">= 1 with distill.bank, which has answers for views")

    @property
    def is_on(self) -> bool:
        """Whether anybody teaches."""
        return bool(self.teachers) or self.bank is not None


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The training loss."""

    label_smoothing: float = 0.0
    """Fraction of the target that is spread evenly over the classes."""
    class_weights: Literal["none", "sqrt", "balanced", "effective"] = "none"
    """Weight of a class. none: 1; sqrt: 1 / sqrt(frequency); balanced: 1 / frequency; effective:
    1 / effective number of images."""
    effective_beta: float = 0.999
    """Beta of the effective number of images (class_weights effective): near 0 all classes weigh the same,
    near 1 it is as `balanced`."""
    focal_gamma: float = 0.0
    """Gamma of the focal loss: how strongly well-classified images are down-weighted; 0 is cross-entropy."""

    def __post_init__(self) -> None:
        checks = Checks(self, "loss.")
        checks.rate("label_smoothing", "effective_beta")
        checks.not_negative("focal_gamma")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer and its learning-rate schedule."""

    name: Literal["sgd", "adam", "adamw", "muon"] = "adam"
    """sgd: with momentum; adamw: adam with `weight_decay`; muon: orthogonalised updates for kernels, and
    adamw with Nesterov momentum for the first and last layer, biases, norms, and the kernels of 1 × 1,
    depthwise and squeeze-and-excitation layers; learning rates as for adamw."""
    peak_rate: float = 1e-3
    """Learning rate after the warm-up."""
    momentum: float = 0.9
    """Momentum (sgd, muon; for muon 0.95 is usual)."""
    nesterov: bool = False
    """Nesterov momentum (sgd)."""
    schedule: Schedule = "constant"
    """Learning rate after the warm-up. constant: the peak; cosine: half a cosine down to 0; step: cut every
    `decay_epochs`; plateau: cut when the validation loss has not fallen for `patience_epochs`; trapezoid: the
    peak, then a linear decay to 0 over the last `cooldown_epochs`."""
    warmup_epochs: float = 0.0
    """Length of the linear warm-up from 0 to the peak learning rate, in epochs."""
    decay_epochs: int = 10
    """Epochs between two cuts (step)."""
    decay_factor: float = 0.1
    """Factor of a cut of the learning rate (step, plateau)."""
    patience_epochs: int = 5
    """Epochs without a lower validation loss before a cut (plateau)."""
    cooldown_epochs: float = 1.0
    """Length of the linear decay to 0 at the end, in epochs (trapezoid)."""
    weight_decay: float = 0.0
    """Decoupled weight decay of the kernels, scaled by the learning rate (sgd, adamw, muon)."""
    l2: float = 0.0
    """L2 penalty, as in the notebook: l2 × kernel is added to the gradient (sgd, adam)."""
    clip_norm: float = 0.0
    """Clip the gradient to this global norm; 0 is off."""
    clip_value: float = 0.0
    """Clip each element of the gradient to this absolute value, before `clip_norm`; 0 is off."""
    sam_radius: float = 0.0
    """Radius of sharpness-aware minimisation (SAM), which costs a second pass per step; 0 is off."""

    def __post_init__(self) -> None:
        checks, name = Checks(self, "optimizer."), self.name
        checks.positive("peak_rate", "cooldown_epochs")
        checks.rate("momentum")
        checks.check("decay_factor", 0 < self.decay_factor < 1, "a factor in (0, 1)")
        for epochs in ("decay_epochs", "patience_epochs"):
            checks.within(epochs, 1, 10_000, "epochs")
        checks.check("nesterov", not self.nesterov or name == "sgd", "False unless for sgd")
        checks.not_negative("warmup_epochs", "weight_decay", "l2", "clip_norm", "clip_value", "sam_radius")
        other = "0 for adam: use optimizer.name adamw, or optimizer.l2"
        checks.check("weight_decay", name != "adam" or not self.weight_decay, other)
        other = f"0 for {name}: use optimizer.weight_decay, or optimizer.name adam"
        checks.check("l2", name not in ("adamw", "muon") or not self.l2, other)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Length of training, batch size, seed, and what is saved and measured."""

    epochs: int = 10
    """Number of passes over the training images."""
    extra_epochs: tuple[int, ...] = ()
    """Epochs trained after `epochs`, a number for each time that the run was extended (--extend-epochs adds
    it). constant and plateau go on at their rate, step goes on decaying; cosine and trapezoid, which have
    ended at 0, run once more from the peak, without warm-up, over so many epochs."""
    patience_epochs: int = 0
    """Early stopping: end after this many epochs without a better validation accuracy, and keep the best
    epoch's weights; 0 is off. Seeds that are trained together end together, when none has improved for so
    long."""
    batch_size: int = 128
    """Images per step."""
    select: Literal["best", "last"] = "best"
    """Which weights are the result of the run: those of the epoch with the best validation accuracy, or of
    the last epoch."""
    measure_epochs: int = 1
    """Measure train and validation accuracy and loss after every so many epochs, after the last one and
    before each extension. More than 1 needs select last, and a schedule other than plateau: best, early
    stopping and plateau look at each epoch."""
    save_epochs: int = 1
    """Save a checkpoint every so many epochs, after the last epoch and, for select best, after each epoch
    that is the best so far. On a GPU saving can take as long as an epoch. A killed run resumes from the
    last checkpoint."""
    seed: int = 0
    """Seed of the initial weights, the order of the images, augmentation and dropout."""
    eval_batch_size: int = 256
    """Images per batch in evaluation. Averaged weights (average.ema_decay, average.swa_epochs) have their
    batch statistics measured in batches of this size, so another size makes another network of them."""
    train_eval_examples: int = 4096
    """Number of training images, not augmented, on which train accuracy is measured after each epoch (a fixed
    random subset; 0: all of them). The final results use all of them."""
    max_examples: int = 0
    """Train on at most this many training images, a fixed random subset; 0: all of them."""
    resample: int = 0
    """0: train on the training images; k >= 1: on their k-th bootstrap resample (drawn with replacement)."""
    small_epochs: int = 0
    """Progressive resizing: this many first epochs train on smaller images; 0 is off. It needs a head that
    accepts any image size (model.head other than flatten)."""
    small_side_px: int = 32
    """Height and width of the smaller images."""
    trackers: tuple[Tracker, ...] = ("tensorboard",)
    """Who is told about each epoch, beside log.jsonl. tensorboard: event files in the run's folder; wandb:
    Weights & Biases; mlflow: MLflow. The last two need the extra of their name, and may use the network."""
    sampling: Sampling = "all"
    """all: an epoch shows each training image once; balanced: each class equally often; sqrt: each class in
    proportion to the square root of its frequency. The length of an epoch stays the same: images of frequent
    classes are shown in some epochs only, those of rare classes several times."""

    def __post_init__(self) -> None:
        checks = Checks(self, "train.")
        # The learning rates of all steps and the images of a batch must fit into memory.
        limits = dict.fromkeys(("epochs", "measure_epochs", "save_epochs"), 10000)
        limits |= dict.fromkeys(("batch_size", "eval_batch_size"), 65536)
        for name, most in limits.items():
            checks.check(name, 1 <= getattr(self, name) <= most, f"an integer in 1..{most}")
        is_good = all(isinstance(each, int) and each > 0 for each in self.extra_epochs)
        checks.check("extra_epochs", is_good, "a tuple of integers >= 1, one for each extension")
        checks.check(
            "extra_epochs", self.total_epochs <= 10_000, "at most 10000 epochs together with train.epochs"
        )
        checks.at_least(0, "patience_epochs")
        is_selected = self.select == "best" or not self.patience_epochs
        checks.check(
            "patience_epochs", is_selected, "0 with train.select last: the last epoch is past the best"
        )
        is_seen = self.select == "last" or self.measure_epochs == 1
        checks.check("measure_epochs", is_seen, "1 with train.select best, which looks at each epoch")
        is_good = not isinstance(self.trackers, str) and all(
            each in get_args(Tracker) for each in self.trackers
        )
        checks.check("trackers", is_good, f"a tuple of names: {', '.join(get_args(Tracker))}")
        checks.seed("seed")
        checks.not_negative("train_eval_examples", "max_examples", "resample")
        is_inside = 0 <= self.small_epochs <= self.epochs
        checks.check("small_epochs", is_inside, f"an integer in 0..{self.epochs}, which is train.epochs")
        checks.check("small_side_px", 16 <= self.small_side_px <= 48, "pixels in 16..48")

    @property
    def total_epochs(self) -> int:
        """How many epochs the run has, with all extensions; early stopping may end it sooner."""
        return self.epochs + sum(self.extra_epochs)

    def is_measured(self, epoch: int) -> bool:
        """Whether train and validation are measured after an epoch, counted from 0."""
        ends = accumulate(self.extra_epochs, initial=self.epochs)
        return (epoch + 1) % self.measure_epochs == 0 or epoch + 1 in ends

    def side_px(self, epoch: int) -> int:
        """Height and width of the training images in an epoch, counted from 0."""
        return self.small_side_px if epoch < self.small_epochs else fer2013.IMAGE_SHAPE[0]
