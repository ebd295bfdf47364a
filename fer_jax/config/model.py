"""Sections of a run's config: the network, and the device it runs on."""

from dataclasses import dataclass
from typing import Literal

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
        checks.within("classes", 2, 20, "classes")
        is_tuple = not isinstance(self.class_names, str)
        checks.check("class_names", is_tuple, 'a tuple of names, such as ("calm", "angry")')
        is_whole = not self.class_names or len(set(self.class_names)) == len(self.class_names) == self.classes
        checks.check("class_names", is_whole, f"{self.classes} different names: model.classes is that")
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
    """Devices of this machine that share each batch (data parallel): a number, or all."""
    mode: Literal["auto", "host", "resident"] = "auto"
    """host: NumPy augments each batch, which is then sent to the device; resident: all images stay on the
    device and are augmented there, many steps in one program; auto: resident on GPU and TPU, host on CPU."""
    kernels: Literal["fast", "plain"] = "fast"
    """plain: the layers of Flax, the reference; fast: the same function up to rounding, computed faster."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Data type of the activations. Weights, batch statistics, logits and loss are always float32."""
    compile_cache: bool = True
    """Keep compiled programs in your cache folder, readable by you only: the next start need not compile."""

    def __post_init__(self) -> None:
        Checks(self, "device.")
