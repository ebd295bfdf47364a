"""Sections of a run's config: the network, and the device that it runs on."""

from dataclasses import dataclass
from typing import Literal

from fer_jax.config.checks import check, check_rate, check_types


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
