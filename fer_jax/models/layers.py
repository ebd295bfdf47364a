"""The layers that all kinds of blocks are made of, with plain or fast kernels.

Convolutions start from He et al. 2015 (`he_normal`, for ReLU), the scale of a batch norm from 1. A
convolution before batch norm has no bias: the norm would cancel it. Plain and fast kernels have the same
variables: the plain layers make them when the network is initialised, and the fast ones read them by name.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.config.model import ConvBlock, DeviceConfig, Pooling
from fer_jax.models import kernels, winograd
from fer_jax.models.pooling import pool

SHORTCUT_NORM = "shortcut_norm"
EXCITE = "excite"
"""Name of a layer for squeeze-and-excitation."""
EXPAND = "expand"
"""Name of the last layer of squeeze-and-excitation."""
BATCH_NORM_MOMENTUM = 0.9
SQUEEZE_REDUCTION = 8
LEAST_SQUEEZED = 4


class Unit(nn.Module):
    """A block's settings and its layers; each layer is called within the block's `__call__`.

    Attributes:
        block: which layers there are.
        device: plain or fast kernels, and the dtype between the layers.
        pooling: how the block halves height and width, if it does.
        skip_rate: probability that the block's branch is left out, for each image in training.
    """

    block: ConvBlock
    device: DeviceConfig
    pooling: Pooling = "max"
    skip_rate: float = 0.0

    def has_fast_kernels(self) -> bool:
        """Whether there are fast kernels: once the plain layers have made the variables."""
        return self.device.kernels == "fast" and not self.is_initializing()

    def is_fast(self, *, is_training: bool) -> bool:
        """Whether the fast layers of training are used."""
        return is_training and self.has_fast_kernels()

    def convolve(
        self,
        x: jax.Array,
        name: str,
        *,
        is_training: bool,
        side: int = 3,
        stride: int = 1,
        has_bias: bool,
        has_windows: bool,
    ) -> jax.Array:
        """Convolve float [B, H, W, C] with zero padding to float [B, H / stride, W / stride, features].

        With `has_windows`, images of one channel may come back as [B · H / 2 · W / 2, 2, 2, features], one
        image for each pooling window: see `kernels.conv_one_channel`.
        """
        if x.shape[-1] == 1 and side == 3 and not has_bias and self.is_fast(is_training=is_training):
            kernel = self.variables["params"][name]["kernel"].astype(x.dtype)
            return kernels.conv_one_channel(x, kernel, is_pooled=has_windows, stride=stride)
        features = self.block.features
        is_usual = side == 3 and stride == 1 and not has_bias
        if is_usual and self.has_fast_kernels() and winograd.suits(x, features):
            return winograd.conv(x, self.variables["params"][name]["kernel"])
        # In other blocks they are a small part, and gain nothing.
        is_pointwise = side == 1 and stride == 1 and not has_bias and self.block.kind == "separable"
        if is_pointwise and self.has_fast_kernels() and jax.default_backend() == "cpu":
            return kernels.conv_pointwise(x, self.variables["params"][name]["kernel"].astype(x.dtype))
        # Strided as in ResNet: around the places 0, 2, 4, ...
        padding = "SAME" if stride == 1 else side // 2
        return self._plain_conv(
            name, features, side=side, strides=stride, padding=padding, use_bias=has_bias
        )(x)

    def normalise(self, x: jax.Array, name: str, *, is_training: bool) -> jax.Array:
        """Apply batch norm to float [B, H, W, C], and nothing after it."""
        if self.is_fast(is_training=is_training):
            x, *moments = kernels.norm(x, *self._scale_and_bias(name))
            self._move_statistics(name, moments)
            return x
        dtype = self.device.compute_dtype
        return nn.BatchNorm(not is_training, momentum=BATCH_NORM_MOMENTUM, dtype=dtype, name=name)(x)

    def conv_norm_relu_pool_drop(
        self,
        x: jax.Array,
        conv: str,
        norm: str,
        *,
        is_training: bool,
        side: int = 3,
        pooling: Pooling | None = None,
        rate: float = 0.0,
    ) -> jax.Array:
        """Apply the layers of the name in this order, as many as possible in one kernel.

        From float [B, H, W, C] to float [B, H', W', features]; H' is H, or H / 2 with pooling. `conv` and
        `norm` name the convolution, with a kernel of `side` × `side`, and the batch norm; `rate` is the
        share to drop.
        """
        stride, is_max = 2 if pooling == "stride" else 1, pooling == "max"
        height, width = (length // 2 if pooling else length for length in x.shape[1:3])
        shape = (x.shape[0], height, width, self.block.features)
        x = self.convolve(
            x, conv, is_training=is_training, side=side, stride=stride, has_bias=False, has_windows=is_max
        )
        if not self.is_fast(is_training=is_training):
            x = pool(nn.relu(self.normalise(x, norm, is_training=is_training)), pooling)
            return drop(self, x, self.device, rate=rate, is_training=is_training)
        # Any other pooling comes between the ReLU and the dropout.
        is_whole = pooling in (None, "max", "stride")
        fused_rate = rate if is_whole else 0.0
        key_words = jax.random.key_data(self.make_rng("dropout")) if fused_rate else None
        x, *moments = kernels.norm_relu_pool_drop(
            x, *self._scale_and_bias(norm), key_words, is_max, fused_rate
        )
        self._move_statistics(norm, moments)
        if is_whole:
            return x.reshape(shape)
        return drop(self, pool(x, pooling), self.device, rate=rate, is_training=is_training)

    def depthwise(self, x: jax.Array, name: str) -> jax.Array:
        """Convolve each channel of float [B, H, W, C] 3 × 3 with its own kernel; no bias."""
        if self.has_fast_kernels():
            return kernels.conv_depthwise(x, self.variables["params"][name]["kernel"].astype(x.dtype))
        channels = x.shape[-1]
        return self._plain_conv(name, channels, side=3, feature_group_count=channels, use_bias=False)(x)

    def add_to_shortcut(
        self, x: jax.Array, branch: jax.Array, *, is_training: bool, pooling: Pooling | None
    ) -> jax.Array:
        """Weigh the branch's channels, skip it for some images, and add the shortcut.

        He et al. 2015, "Deep residual learning for image recognition": the shortcut is x itself, or a 1 × 1
        convolution with batch norm where the channels change. Huang et al. 2016, "Deep networks with
        stochastic depth"; here a branch that is kept is scaled up in training, so evaluation needs no factor.
        The block got x, float [B, H, W, C]; the branch has computed float [B, H', W', features] from it.
        """
        if self.block.squeeze_excite:
            branch = SqueezeExcite(self.device, name=EXCITE)(branch)
        branch = skip(self, branch, self.device, rate=self.skip_rate, is_training=is_training)
        x = x[:, ::2, ::2] if pooling == "stride" else pool(x, pooling)
        if x.shape == branch.shape:
            return x + branch
        x = self.convolve(x, "shortcut", is_training=is_training, side=1, has_bias=False, has_windows=False)
        return self.normalise(x, SHORTCUT_NORM, is_training=is_training) + branch

    def _plain_conv(self, name: str, features: int, *, side: int, **options: Any) -> nn.Conv:
        init, dtype = nn.initializers.he_normal(), self.device.compute_dtype
        return nn.Conv(features, (side, side), kernel_init=init, dtype=dtype, name=name, **options)

    def _scale_and_bias(self, name: str) -> tuple[jax.Array, jax.Array]:
        params = self.variables["params"][name]
        return params["scale"], params["bias"]

    def _move_statistics(self, name: str, moments: list[jax.Array]) -> None:
        running = self.variables["batch_stats"][name]
        moved = {
            each: BATCH_NORM_MOMENTUM * running[each] + (1 - BATCH_NORM_MOMENTUM) * moment
            for each, moment in zip(("mean", "var"), moments, strict=True)
        }
        self.put_variable("batch_stats", name, moved)


class SqueezeExcite(nn.Module):
    """Weigh each channel of each image by 0..1, computed from the means of all its channels.

    Hu et al. 2018, "Squeeze-and-excitation networks", with a hidden layer of an eighth of the channels, and
    at least 4 units. All weights start near a half.
    """

    device: DeviceConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Weigh float [B, H, W, C]."""
        dtype, channels = self.device.compute_dtype, x.shape[-1]
        hidden = max(LEAST_SQUEEZED, channels // SQUEEZE_REDUCTION)
        he_normal = nn.initializers.he_normal()
        squeezed = nn.Dense(hidden, kernel_init=he_normal, dtype=dtype, name="squeeze")(x.mean(axis=(1, 2)))
        weights = nn.sigmoid(nn.Dense(channels, dtype=dtype, name=EXPAND)(nn.relu(squeezed)))
        return x * weights[:, None, None]


def drop(
    module: nn.Module, x: jax.Array, device: DeviceConfig, *, rate: float, is_training: bool
) -> jax.Array:
    """Apply dropout in training mode, within a module's `__call__`: with Flax's masks, or the fast ones."""
    if device.kernels == "plain" or not rate or not is_training:
        return nn.Dropout(rate, deterministic=not is_training)(x)
    return kernels.drop(jax.random.key_data(module.make_rng("dropout")), x, rate=rate)


def skip(
    module: nn.Module, x: jax.Array, device: DeviceConfig, *, rate: float, is_training: bool
) -> jax.Array:
    """Drop whole images of float [B, H, W, C] in training mode, within a module's `__call__`."""
    if not rate or not is_training:
        return x
    if device.kernels == "plain":
        return nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=False)(x)
    key_words = jax.random.key_data(module.make_rng("dropout"))
    is_kept = kernels.keep_mask(key_words, (x.shape[0], 1, 1, 1), rate=rate)
    return jnp.where(is_kept, x / (1 - rate), 0)
