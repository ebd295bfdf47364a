"""The kinds of blocks, each a Linen module made of `models.layers`.

The scale of a branch's last norm starts from 1. From 0 (Goyal et al. 2017) helps very deep networks and large
batches; ours are neither, and with 0 a branch's weights would have no gradient at the first step.
"""

import flax.linen as nn
import jax

from fer_jax.config.model import ConvBlock, Pooling
from fer_jax.models.layers import EXCITE, EXPAND, SHORTCUT_NORM, SqueezeExcite, Unit, drop
from fer_jax.models.pooling import pool

DEPTHWISE = ("depthwise1", "depthwise2")
LAST_NORM = "norm2"
NOT_RECTIFIED = frozenset({*DEPTHWISE, LAST_NORM, SHORTCUT_NORM, EXPAND})
"""Names of the layers within blocks that no ReLU follows, other than convolutions before their norm."""


class ConvUnit(Unit):
    """A plain block: convolution 3 × 3, optional norm, ReLU, pooling, squeeze-and-excitation and dropout."""

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        """Map float [B, H, W, C] to float [B, H', W', features]; H' is H, or H / 2 when pooled."""
        block, pooling = self.block, self.pooling if self.block.pool else None
        rate = 0.0 if block.squeeze_excite else block.dropout_rate
        if block.batch_norm:
            x = self.conv_norm_relu_pool_drop(
                x, "conv", "norm", is_training=is_training, pooling=pooling, rate=rate
            )
        else:
            stride = 2 if pooling == "stride" else 1
            x = self.convolve(
                x, "conv", is_training=is_training, stride=stride, has_bias=True, has_windows=False
            )
            x = drop(self, pool(nn.relu(x), pooling), self.device, rate=rate, is_training=is_training)
        if block.squeeze_excite:
            x = SqueezeExcite(self.device, name=EXCITE)(x)
            x = drop(self, x, self.device, rate=block.dropout_rate, is_training=is_training)
        return x


class ResidualUnit(Unit):
    """ResNet's basic block (He et al. 2015): two 3 × 3 convolutions with norms, and a shortcut.

    The first convolution's outputs are pooled, or it is strided; so is the shortcut.
    """

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        """Map float [B, H, W, C] to float [B, H', W', features]; H' is H, or H / 2 when pooled."""
        pooling = self.pooling if self.block.pool else None
        branch = self.conv_norm_relu_pool_drop(x, "conv1", "norm1", is_training=is_training, pooling=pooling)
        branch = self.convolve(branch, "conv2", is_training=is_training, has_bias=False, has_windows=False)
        branch = self.normalise(branch, LAST_NORM, is_training=is_training)
        x = nn.relu(self.add_to_shortcut(x, branch, is_training=is_training, pooling=pooling))
        return drop(self, x, self.device, rate=self.block.dropout_rate, is_training=is_training)


class SeparableUnit(Unit):
    """Xception's module (Chollet 2017) as in mini-Xception (Arriaga et al. 2017).

    Two separable convolutions, a depthwise and a pointwise one each, with a ReLU between them and none after;
    then pooling; and a strided shortcut. "max" takes 2 × 2 windows, where the papers take overlapping ones.
    """

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        """Map float [B, H, W, C] to float [B, H', W', features]; H' is H, or H / 2 when pooled."""
        branch = self.depthwise(x, DEPTHWISE[0])
        branch = self.conv_norm_relu_pool_drop(branch, "pointwise1", "norm1", is_training=is_training, side=1)
        branch = self.depthwise(branch, DEPTHWISE[1])
        if self.block.pool and self.pooling == "stride":
            branch = branch[:, ::2, ::2]
        branch = self.convolve(
            branch, "pointwise2", is_training=is_training, side=1, has_bias=False, has_windows=False
        )
        branch = self.normalise(branch, LAST_NORM, is_training=is_training)
        branch = pool(branch, self.pooling if self.block.pool else None)
        pooling: Pooling | None = "stride" if self.block.pool else None
        x = self.add_to_shortcut(x, branch, is_training=is_training, pooling=pooling)
        return drop(self, x, self.device, rate=self.block.dropout_rate, is_training=is_training)


UNITS: dict[str, type[Unit]] = {"plain": ConvUnit, "residual": ResidualUnit, "separable": SeparableUnit}


def skip_rates(blocks: tuple[ConvBlock, ...], last_rate: float) -> list[float]:
    """Compute each block's probability of being skipped in training: it rises linearly with the depth.

    Args:
        blocks: in order; plain ones are never skipped, and are not counted.
        last_rate: of the last block that can be skipped.

    >>> plain, residual = ConvBlock(), ConvBlock(kind="residual")
    >>> skip_rates((plain, residual, residual), 0.5)
    [0.0, 0.25, 0.5]
    """
    can_skip = [block.kind != "plain" for block in blocks]
    return [
        last_rate * sum(can_skip[: place + 1]) / sum(can_skip) if can else 0.0
        for place, can in enumerate(can_skip)
    ]
