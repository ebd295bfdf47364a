"""The networks, losses, optimizers and steps of fer_jax, written in PyTorch for comparison.

With the same weights both compute the same numbers up to rounding, with two exceptions: dropout draws other
masks, and PyTorch's running variance is unbiased. It needs the extra `bench`. It does not import jax, so that
a process can measure PyTorch alone.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness.arena import count_cores
from benchmarks.pytorch.blocks import make_block
from fer_jax import fer2013
from fer_jax.config.model import ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.errors import ConfigError
from fer_jax.images.standardise import PixelStats

LAST_LAYER_STD = 0.01
"""The same as in fer_jax.models, which cannot be imported without jax."""

BEFORE_NORM = r"(conv\d?|depthwise\d|pointwise\d|shortcut)"
"""Names of convolutions to which a `Style` may give a bias that ours lack."""

TrainStep = Callable[[Tensor, Tensor], Tensor]
EvalStep = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Style:
    """How PyTorch is used; the defaults are the fastest in float32 without compiling.

    Attributes:
        conv_bias: a bias in every convolution, as users write it; else none before batch norm, as in ours.
        channels_last: the memory format in which PyTorch's convolutions are fastest.
        fused_optimizer: the whole update in one kernel.
        bfloat16: whether to use autocast.
        compile_mode: of `torch.compile`; None: not compiled.
    """

    conv_bias: bool = False
    channels_last: bool = True
    fused_optimizer: bool = True
    bfloat16: bool = False
    compile_mode: str | None = None


TUNED = Style()
AS_USERS_RUN_IT = Style(conv_bias=True, channels_last=False, fused_optimizer=False)


def set_up(style: Style) -> torch.device:
    """Let PyTorch use all cores of this process, and return its device: the GPU if there is one.

    Tuned, it multiplies float32 on the GPU in TF32, as JAX does by default, and tries out which convolution
    algorithm is fastest.
    """
    torch.set_num_threads(count_cores())
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high" if style.channels_last else "highest")
    torch.backends.cudnn.benchmark = style.channels_last
    return torch.device("cuda")


class Net(nn.Module):
    """The network of a `ModelConfig`: standardised float32 [B, 1, 48, 48] to logits float [B, 7]."""

    def __init__(self, config: ModelConfig, style: Style) -> None:
        """Build it, with weights drawn from the same distributions as ours.

        Raises:
            ConfigError: it has parts that are not implemented here in PyTorch.
        """
        super().__init__()
        _check_parts(config)
        widths = [1, *(block.features for block in config.blocks)]
        self.blocks = nn.Sequential(
            *(
                make_block(block, width, conv_bias=style.conv_bias)
                for block, width in zip(config.blocks, widths, strict=False)
            )
        )
        side = fer2013.IMAGE_SHAPE[0] >> sum(block.pool for block in config.blocks)
        self.head_kind, self.channels = config.head, widths[-1]
        self.head = _make_head(config, widths[-1] * (side**2 if self.head_kind == "flatten" else 1))
        self.is_channels_last = style.channels_last
        self._draw_weights()
        if style.channels_last:
            for kernel in self.parameters():
                if kernel.ndim == 4:
                    kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Map images to logits."""
        x = self.blocks(x)
        if self.head_kind == "mean":
            return self.head(x.mean((2, 3)))
        if self.head_kind == "classes":
            return self.head(x).mean((2, 3))
        # Channels last: flattened in memory order, without a copy.
        return self.head((x.permute(0, 2, 3, 1) if self.is_channels_last else x).flatten(1))

    def _draw_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.get_parameter("head.logits.weight"), std=LAST_LAYER_STD)


def _check_parts(config: ModelConfig) -> None:
    """Refuse a network with parts that are missing here."""
    parts = {
        "model.skip_rate": bool(config.skip_rate),
        "model.pooling": config.pooling != "max" and any(block.pool for block in config.blocks),
        "model.classes": config.classes != fer2013.CLASS_COUNT,
    }
    missing = [name for name, is_used in parts.items() if is_used]
    if missing:
        raise ConfigError(
            f"the network has parts that the benchmarks' PyTorch version lacks: {', '.join(missing)}; it has "
            "all blocks and heads, with max pooling and seven classes: use such a network, for example "
            "configs/run7.py or benchmarks/nets/vgg.py"
        )


def _make_head(config: ModelConfig, features: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if config.dense_features:
        layers["dense"] = nn.Linear(features, config.dense_features)
        layers["relu"] = nn.ReLU(inplace=True)
    if config.dense_dropout_rate:
        layers["dropout"] = nn.Dropout(config.dense_dropout_rate)
    if config.head == "classes":
        layers["logits"] = nn.Conv2d(features, fer2013.CLASS_COUNT, 3, padding=1)
    else:
        layers["logits"] = nn.Linear(config.dense_features or features, fer2013.CLASS_COUNT)
    return nn.Sequential(layers)


def carry_over(net: Net, params: Mapping[str, Any], batch_stats: Mapping[str, Any]) -> None:
    """Copy our network's weights into PyTorch's, so that both compute the same function.

    Args:
        net: with the same `ModelConfig`; convolution biases that ours lacks become 0.
        params: nested dicts of arrays, as in `TrainState.params`.
        batch_stats: likewise; empty without batch norm.

    Raises:
        RuntimeError: a name or a shape does not fit.
    """
    # These are missing in ours, and start from 0.
    extra = re.compile(rf"\.{BEFORE_NORM}\.bias$|\.num_batches_tracked$")
    state = {name: torch.zeros_like(old) for name, old in net.state_dict().items() if extra.search(name)}
    for name, layers in params.items():
        if name.startswith("block"):
            place = f"blocks.{int(name.removeprefix('block')) - 1}"
            for layer, arrays in layers.items():
                if layer == "excite":
                    for dense in arrays:
                        state |= _convert(f"{place}.excite.{dense}", arrays[dense])
                else:
                    statistics = batch_stats.get(name, {}).get(layer, {})
                    state |= _convert(f"{place}.{layer}", arrays | statistics)
        else:
            is_first = name == "dense" or "dense" not in params
            is_reordered = is_first and net.head_kind == "flatten" and not net.is_channels_last
            state |= _convert(f"head.{name}", _reorder(layers, net.channels) if is_reordered else layers)
    net.load_state_dict(state)


TORCH_NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def _convert(place: str, layer: Mapping[str, Any]) -> dict[str, Tensor]:
    """Rename a layer's arrays for PyTorch, and move a kernel's outputs and inputs to the front."""
    converted = {}
    for name, value in layer.items():
        array = np.asarray(value)
        if name == "kernel":
            array = np.moveaxis(array, (-1, -2), (0, 1))
        converted[f"{place}.{TORCH_NAMES.get(name, name)}"] = torch.tensor(np.ascontiguousarray(array))
    return converted


def _reorder(layer: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """Sort a dense kernel's rows from [H, W, C] to [C, H, W], the order of PyTorch's own flattening."""
    kernel = np.asarray(layer["kernel"])
    by_place = kernel.reshape(-1, channels, kernel.shape[-1])
    return {**layer, "kernel": by_place.transpose(1, 0, 2).reshape(kernel.shape)}


def to_input(images: Tensor, stats: PixelStats, *, channels_last: bool) -> Tensor:
    """Convert uint8 [B, 48, 48, 1] to the network's standardised float32 [B, 1, 48, 48]."""
    # With one channel both formats are the same memory; the strides tell PyTorch which one to continue with.
    x = images.permute(0, 3, 1, 2) if channels_last else images.reshape(len(images), 1, *images.shape[1:3])
    return (x.float() - stats.mean) * (1.0 / stats.std)


def refuse_craft(config: Config) -> None:
    """Refuse a config that trains with something that is missing here.

    Raises:
        ConfigError: it names the fields.
    """
    loss, optimizer, train = config.loss, config.optimizer, config.train
    asked = {
        "loss.focal_gamma": loss.focal_gamma,
        "loss.class_weights": loss.class_weights == "effective",
        "mix": config.mix.is_on,
        "optimizer.name": optimizer.name == "muon",
        "optimizer.clip_value": optimizer.clip_value,
        "optimizer.sam_radius": optimizer.sam_radius,
        "average": config.average.is_on,
        "train.small_epochs": train.small_epochs,
    }
    names = [name for name, is_asked in asked.items() if is_asked]
    if names:
        raise ConfigError(
            f"{config.name} trains with {', '.join(names)}, which the benchmarks' PyTorch version lacks: "
            "turn that off, or use another config"
        )


def make_optimizer(
    config: OptimizerConfig, net: nn.Module, *, rate: float, fused: bool
) -> torch.optim.Optimizer:
    """Make a config's optimizer with a constant learning rate.

    The train step does clipping, and the decoupled weight decay that PyTorch's SGD lacks.
    """
    decay = config.l2 or (config.weight_decay if config.name == "adamw" else 0.0)
    groups = [
        {"params": _kernels(net), "weight_decay": decay},
        {"params": [each for each in net.parameters() if each.ndim == 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(
            groups, lr=rate, momentum=config.momentum, nesterov=nesterov, fused=fused or None
        )
    adam = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return adam(groups, lr=rate, fused=fused or None)


def _kernels(net: nn.Module) -> list[nn.Parameter]:
    return [each for each in net.parameters() if each.ndim > 1]


def make_train_step(
    net: Net,
    config: Config,
    style: Style,
    *,
    rate: float,
    class_weights: np.ndarray,
    pixel_stats: PixelStats,
) -> TrainStep:
    """Make the train step: forward, backward, update. It puts the network into training mode.

    Args:
        net: on the device where the batches are.
        config: its loss and optimizer.
        style: as the network was built with.
        rate: learning rate.
        class_weights: float32 [7].
        pixel_stats: of the training images.

    Returns:
        (images uint8 [B, 48, 48, 1], labels int64 [B]) -> mean loss float32 [].

    Raises:
        ConfigError: see `refuse_craft`.
    """
    refuse_craft(config)
    settings = config.optimizer
    optimizer = make_optimizer(settings, net, rate=rate, fused=style.fused_optimizer)
    forward = _make_forward(net.train(), style, pixel_stats)
    weights = torch.tensor(class_weights, device=next(net.parameters()).device)
    shrinking = _kernels(net) if settings.name == "sgd" and settings.weight_decay else []

    def step(images: Tensor, labels: Tensor) -> Tensor:
        # PyTorch's own class weights would weight label smoothing differently.
        losses = functional.cross_entropy(
            forward(images), labels, label_smoothing=config.loss.label_smoothing, reduction="none"
        )
        weight = weights[labels]
        loss = (losses * weight).sum() / weight.sum()
        optimizer.zero_grad()
        loss.backward()
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(net.parameters(), settings.clip_norm)
        with torch.no_grad():
            for kernel in shrinking:
                kernel.mul_(1 - rate * settings.weight_decay)
        optimizer.step()
        return loss.detach()

    return step


def make_eval_step(net: Net, style: Style, *, pixel_stats: PixelStats) -> EvalStep:
    """Make the evaluation step. It puts the network into evaluation mode.

    Returns:
        (images uint8 [B, 48, 48, 1], labels int64 [B]) -> (summed plain cross-entropy float32 [],
        confusion int64 [7, 7]).
    """
    forward = _make_forward(net.eval(), style, pixel_stats)
    classes = fer2013.CLASS_COUNT

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            logits = forward(images)
            pairs = labels * classes + logits.argmax(-1)
            confusion = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
            return functional.cross_entropy(logits, labels, reduction="sum"), confusion

    return step


def _make_forward(net: Net, style: Style, stats: PixelStats) -> Callable[[Tensor], Tensor]:
    """Make uint8 [B, 48, 48, 1] -> logits float32 [B, 7], whatever is between."""
    run = net if style.compile_mode is None else torch.compile(net, mode=style.compile_mode)
    place = next(net.parameters()).device.type

    def forward(images: Tensor) -> Tensor:
        x = to_input(images, stats, channels_last=style.channels_last)
        with torch.autocast(place, torch.bfloat16, enabled=style.bfloat16):
            return run(x).float()

    return forward
