"""Sections of a run's config: the network, and the device it runs on."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fer_jax import fer2013
from fer_jax.config.checks import Checks


@dataclass(frozen=True, kw_only=True)
class ConvBlock:
    """A block of 3 × 3 convolutions: its kind, its width, and what follows the convolutions."""

    features: int = 32
    """Output channels."""
    batch_norm: bool = True
    """Batch norm after each convolution. Residual and separable blocks always have it."""
    pool: bool = False
    """Halve height and width, by the method of `model.pooling`."""
    dropout_rate: float = 0.0
    """Dropout rate on the block's output."""
    kind: Literal["plain", "residual", "separable"] = "plain"
    """plain: convolution, batch norm, ReLU; residual: two convolutions with a shortcut (ResNet's basic
    block); separable: the same with depthwise separable convolutions (Xception's module)."""
    squeeze_excite: bool = False
    """Reweight the channels by squeeze-and-excitation."""

    def __post_init__(self) -> None:
        checks = Checks(self, "model.blocks.")
        checks.at_least(1, "features")
        checks.rate("dropout_rate")
        wanted = f"True: model.blocks.kind is {self.kind}, and only plain blocks can go without batch norm"
        checks.check("batch_norm", self.batch_norm or self.kind == "plain", wanted)


Pooling = Literal["max", "blur", "mean", "stride"]
"""How a block halves height and width."""


LEAST_CLASSES: Final = 2
MOST_CLASSES: Final = 20
LONGEST_NAME: Final = 40
"""Letters of a class's name, which heads columns and labels pictures."""

_MARKS: Final = " -_.'&+()"


def find_name_fault(names: Sequence[object]) -> str:
    """Say what names must be to name classes; empty where these are so.

    Names come from folders and files of others, and go into tables, pages and pictures: letters and digits
    of any script and a few marks, with a letter or digit first.

    >>> find_name_fault(("calm", "very angry")), find_name_fault(("calm", "Calm"))
    ('', 'names that differ in more than their case')
    """
    if not LEAST_CLASSES <= len(names) <= MOST_CLASSES:
        return f"{LEAST_CLASSES} to {MOST_CLASSES} names"
    faults = (fault for name in names if (fault := find_fault_of_one(name)))
    if fault := next(faults, ""):
        return fault
    if len({unify_name(name).casefold() for name in names if isinstance(name, str)}) < len(names):
        return "names that differ in more than their case"
    return ""


def unify_name(name: str) -> str:
    r"""Write a name of a class in the one form in which names are compared: Unicode's NFC.

    macOS, and archives made on it, write an accent as a letter of its own.

    >>> unify_name("mu\u0308de") == "m\u00fcde"
    True
    """
    return unicodedata.normalize("NFC", name)


def find_fault_of_one(name: object) -> str:
    """Say what a name of one class must be, see `find_name_fault`; empty if it is so.

    >>> find_fault_of_one("calm"), find_fault_of_one("Unsure")[:41]
    ('', 'other names than unsure and smooth_…, whi')
    """
    if not isinstance(name, str) or not _is_name(name):
        return (
            f"names of 1 to {LONGEST_NAME} letters, digits and marks of {_MARKS.strip()!r} or single spaces, "
            "with a letter or digit first"
        )
    if name.casefold() == "unsure" or name.casefold().startswith("smooth_"):
        return "other names than unsure and smooth_…, which `predict` writes in their place"
    return ""


def _is_name(name: str) -> bool:
    is_known = all(unicodedata.category(letter)[0] in "LMN" or letter in _MARKS for letter in name)
    is_neat = name == " ".join(name.split()) and name[:1].isalnum()
    return is_known and is_neat and len(name) <= LONGEST_NAME


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network: convolution blocks, then a head that turns their features into logits."""

    blocks: tuple[ConvBlock, ...] = (ConvBlock(),)
    """The convolution blocks, in order."""
    head: Literal["flatten", "mean", "classes"] = "flatten"
    """What follows the blocks. flatten: dense layers on the flattened features; mean: dense layers on the
    features averaged over all positions; classes: a 3 × 3 convolution to logits at every position, which are
    averaged."""
    dense_features: int = 256
    """Width of the hidden dense layer; 0: no hidden layer."""
    dense_dropout_rate: float = 0.0
    """Dropout rate on the input of the last layer: the output of the hidden dense layer, or the features
    where there is none."""
    pooling: Pooling = "max"
    """How a block with `pool` halves its output. max, mean: over each 2 × 2 window; blur: maximum over every
    2 × 2 window (stride 1), then a blur with stride 2; stride: a convolution with stride 2."""
    skip_rate: float = 0.0
    """Stochastic depth: the probability that training skips the residual branch of the last residual or
    separable block, drawn per image; it falls linearly towards the first block."""
    classes: int = 7
    """Number of classes, 2 to 20: FER2013's seven, or eight (with contempt) for labels.source ferplus. With
    classes of your own it follows from data.class_map."""
    class_names: tuple[str, ...] = ()
    """Names of the classes, in the order of the network's outputs; by default FER2013's and FER+'s. With
    classes of your own they follow from data.class_map; name them to choose the order."""

    def __post_init__(self) -> None:
        checks = Checks(self, "model.")
        checks.check("blocks", len(self.blocks) >= 1, "at least one block")
        pools = sum(block.pool for block in self.blocks)
        shown = f"{pools} pooled blocks"
        checks.check("blocks", pools <= 4, "at most 4: 48 pixels halve evenly 4 times", shown=shown)
        checks.at_least(0, "dense_features")
        wanted = "0: model.head is classes, which has no hidden dense layer"
        checks.check("dense_features", self.head != "classes" or self.dense_features == 0, wanted)
        checks.rate("dense_dropout_rate", "skip_rate")
        checks.within("classes", LEAST_CLASSES, MOST_CLASSES, "classes")
        is_tuple = not isinstance(self.class_names, str)
        checks.check("class_names", is_tuple, 'a tuple of names, such as ("calm", "angry")')
        if self.class_names:
            fault = find_name_fault(self.class_names)
            checks.check("class_names", not fault, fault)
            is_whole = len(self.class_names) == self.classes
            checks.check("class_names", is_whole, f"{self.classes} names: model.classes is that")
            # Names typed on macOS, and those of older networks, may be in the other form.
            object.__setattr__(self, "class_names", tuple(map(unify_name, self.class_names)))
        can_skip = any(block.kind != "plain" for block in self.blocks)
        wanted = "0: no block of model.blocks is residual or separable, so there is nothing to skip"
        checks.check("skip_rate", self.skip_rate == 0 or can_skip, wanted)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the network's outputs."""
        return self.class_names or fer2013.names_of(self.classes)


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """How the machine is used. None of these settings changes which batches are drawn."""

    count: int | Literal["all"] = 1
    """Devices that share each batch (data parallel): a number, or all; of each process where several train
    together. Seeds that are trained together share them too. On a CPU the environment variable
    JAX_NUM_CPU_DEVICES makes several, to try things out."""
    mode: Literal["auto", "host", "resident"] = "auto"
    """host: NumPy augments each batch, which is then sent to the device; resident: all images stay on the
    device and are augmented there, many steps in one program; auto: resident on a GPU or TPU of which the
    images take at most half of the memory, otherwise host."""
    kernels: Literal["fast", "plain"] = "fast"
    """plain: the layers of Flax, the reference; fast: the same function up to rounding, computed faster."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Data type of the activations. Weights, batch statistics, logits and loss are always float32."""
    compile_cache: bool = True
    """Keep compiled programs in your cache folder, readable by you only: the next start need not compile."""

    def __post_init__(self) -> None:
        is_count = self.count == "all" or (isinstance(self.count, int) and self.count >= 1)
        Checks(self, "device.").check("count", is_count, "an integer >= 1, or all")
