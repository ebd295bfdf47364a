"""The blocks of fer_jax, with squeeze-and-excitation, written in PyTorch."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_jax.config.model import ConvBlock

# The same as in fer_jax.models, which cannot be imported without jax.
BATCH_NORM_EPSILON = 1e-5
FLAX_MOMENTUM = 0.9
SQUEEZE_REDUCTION = 8
LEAST_SQUEEZED = 4


class SqueezeExcite(nn.Module):
    """Weigh each channel of each image by 0..1, computed from the means of all its channels."""

    def __init__(self, channels: int) -> None:
        """Make the two dense layers."""
        super().__init__()
        hidden = max(LEAST_SQUEEZED, channels // SQUEEZE_REDUCTION)
        self.squeeze, self.expand = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh float [B, C, H, W]."""
        weights = torch.sigmoid(self.expand(functional.relu(self.squeeze(x.mean((2, 3))))))
        return x * weights[:, :, None, None]


class Residual(nn.Module):
    """ResNet's basic block; the first convolution's outputs are pooled, and so is the shortcut."""

    def __init__(self, block: ConvBlock, inputs: int, *, conv_bias: bool) -> None:
        """Make the layers, with a bias in each convolution or in none."""
        super().__init__()
        features = block.features
        self.conv1, self.norm1 = _conv(inputs, features, 3, bias=conv_bias), _norm(features)
        self.conv2, self.norm2 = _conv(features, features, 3, bias=conv_bias), _norm(features)
        self.excite = SqueezeExcite(features) if block.squeeze_excite else nn.Identity()
        is_kept = inputs == features
        self.shortcut = nn.Identity() if is_kept else _conv(inputs, features, 1, bias=conv_bias)
        self.shortcut_norm = nn.Identity() if is_kept else _norm(features)
        self.pool = nn.MaxPool2d(2) if block.pool else nn.Identity()
        self.dropout = nn.Dropout(block.dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, H, W] to float [B, features, H', W']; H' is H, or H / 2 when pooled."""
        branch = self.pool(functional.relu(self.norm1(self.conv1(x))))
        branch = self.excite(self.norm2(self.conv2(branch)))
        x = self.shortcut_norm(self.shortcut(self.pool(x)))
        return self.dropout(functional.relu(x + branch))


class Separable(nn.Module):
    """Xception's module: two separable convolutions, pooling after them, and a strided shortcut."""

    def __init__(self, block: ConvBlock, inputs: int, *, conv_bias: bool) -> None:
        """Make the layers, with a bias in each convolution or in none."""
        super().__init__()
        features = block.features
        self.depthwise1 = _conv(inputs, inputs, 3, bias=conv_bias, groups=inputs)
        self.pointwise1, self.norm1 = _conv(inputs, features, 1, bias=conv_bias), _norm(features)
        self.depthwise2 = _conv(features, features, 3, bias=conv_bias, groups=features)
        self.pointwise2, self.norm2 = _conv(features, features, 1, bias=conv_bias), _norm(features)
        self.pool = nn.MaxPool2d(2) if block.pool else nn.Identity()
        self.excite = SqueezeExcite(features) if block.squeeze_excite else nn.Identity()
        # A stride of the convolution itself, channels last, is a segmentation fault in PyTorch 2.15 on a CPU.
        self.stride = 2 if block.pool else 1
        is_kept = inputs == features
        self.shortcut = nn.Identity() if is_kept else _conv(inputs, features, 1, bias=conv_bias)
        self.shortcut_norm = nn.Identity() if is_kept else _norm(features)
        self.dropout = nn.Dropout(block.dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, H, W] to float [B, features, H', W']; H' is H, or H / 2 when pooled."""
        branch = functional.relu(self.norm1(self.pointwise1(self.depthwise1(x))))
        branch = self.norm2(self.pointwise2(self.depthwise2(branch)))
        branch = self.excite(self.pool(branch))
        x = self.shortcut_norm(self.shortcut(x[:, :, :: self.stride, :: self.stride]))
        return self.dropout(x + branch)


def make_block(block: ConvBlock, inputs: int, *, conv_bias: bool) -> nn.Module:
    """Make a block of its kind.

    Args:
        block: its settings.
        inputs: channels that it gets.
        conv_bias: a bias also in a convolution before batch norm, where it is waste.
    """
    if block.kind != "plain":
        kind = Residual if block.kind == "residual" else Separable
        return kind(block, inputs, conv_bias=conv_bias)
    has_bias = conv_bias or not block.batch_norm
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=_conv(inputs, block.features, 3, bias=has_bias))
    if block.batch_norm:
        layers["norm"] = _norm(block.features)
    layers["relu"] = nn.ReLU(inplace=True)
    if block.pool:
        layers["pool"] = nn.MaxPool2d(2)
    if block.squeeze_excite:
        layers["excite"] = SqueezeExcite(block.features)
    if block.dropout_rate:
        layers["dropout"] = nn.Dropout(block.dropout_rate)
    return nn.Sequential(layers)


def _conv(inputs: int, features: int, side: int, *, bias: bool, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, features, side, padding=side // 2, groups=groups, bias=bias)


def _norm(features: int) -> nn.BatchNorm2d:
    # Flax's momentum is the weight of the old value, PyTorch's that of the new one.
    return nn.BatchNorm2d(features, eps=BATCH_NORM_EPSILON, momentum=1 - FLAX_MOMENTUM)
