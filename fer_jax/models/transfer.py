"""Transfer: a network that starts from the weights of another one, and which of its layers then train.

Fine-tuning as in Yosinski et al. 2014, "How transferable are features in deep neural networks?": the blocks
are taken over, the last layer is new where the classes differ, and the first blocks may keep what they have.
A block that keeps its weights runs as it predicts: its batch norms use their running statistics, and it has
no dropout. Everything here is decided by the names of the layers, before any number is computed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp

from fer_jax.config.model import ModelConfig
from fer_jax.config.overrides import Value
from fer_jax.models.cnn import LAST_LAYER, name_block

Columns = tuple[tuple[int, int], ...]
"""Pairs (output of the old last layer, output of the new one) of the classes that both have."""

_OF_A_BLOCK: Final = ("kind", "features", "batch_norm", "pool", "squeeze_excite")
_OF_THE_HEAD: Final = ("head", "dense_features")


@dataclass(frozen=True, eq=False)
class Start:
    """What a training starts from, instead of new weights.

    Attributes:
        variables: `params` and `batch_stats` of a trained network, nested dicts of NumPy arrays; None where
            a checkpoint replaces all weights anyway, as when a run is resumed.
        columns: what the new last layer takes over; None: the last layer is kept whole.
        pixel_mean, pixel_std: of the images that the trained network was trained on.
    """

    variables: dict[str, Any] | None
    columns: Columns | None
    pixel_mean: float
    pixel_std: float

    @property
    def new_layers(self) -> frozenset[str]:
        """The layers that were made anew."""
        return frozenset() if self.columns is None else frozenset({LAST_LAYER})


class Transfer(NamedTuple):
    """How the train step treats layers that were trained before.

    Attributes:
        rate_factor: of the learning rate of all layers but the new ones.
        new_layers: names of those that were made anew.
        restart_step: the step before which the optimizer starts anew, since layers join the training; 0:
            never.
    """

    rate_factor: float
    new_layers: frozenset[str]
    restart_step: int


NO_TRANSFER: Final = Transfer(rate_factor=1.0, new_layers=frozenset(), restart_step=0)
"""Of a network with new weights: all layers train alike."""


def list_differences(old: ModelConfig, new: ModelConfig) -> dict[str, tuple[Value, Value]]:
    """List the fields by which two networks have other weights or compute something else with them.

    Dropout and stochastic depth may differ, and so may the classes.

    Returns:
        (old value, new value) by dotted name; of networks with different numbers of blocks these numbers
        alone.

    >>> from fer_jax.config.model import ConvBlock
    >>> narrow, wide = (ModelConfig(blocks=(ConvBlock(features=each),)) for each in (8, 16))
    >>> list_differences(narrow, wide)
    {'model.blocks.0.features': (8, 16)}
    """
    if len(old.blocks) != len(new.blocks):
        return {"model.blocks": (len(old.blocks), len(new.blocks))}
    pairs = {
        f"model.blocks.{number}.{name}": (getattr(was, name), getattr(now, name))
        for number, (was, now) in enumerate(zip(old.blocks, new.blocks, strict=True))
        for name in _OF_A_BLOCK
    }
    pooling = ("pooling",) if any(block.pool for block in old.blocks) else ()
    pairs |= {f"model.{name}": (getattr(old, name), getattr(new, name)) for name in (*_OF_THE_HEAD, *pooling)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def match_classes(old: Sequence[str], new: Sequence[str]) -> Columns | None:
    """Match the outputs of two last layers by the names of their classes; None: these are the same.

    >>> match_classes(("angry", "happy", "sad"), ("sad", "calm", "angry"))
    ((2, 0), (0, 2))
    """
    if tuple(old) == tuple(new):
        return None
    return tuple((old.index(name), place) for place, name in enumerate(new) if name in old)


def inherit(fresh: Any, old: Any, columns: Columns | None) -> Any:
    """Put the weights of a trained network in the place of new ones.

    Args:
        fresh: `params` and `batch_stats` as they are drawn, nested dicts of float32.
        old: those of the trained network, of the same layers.
        columns: see `Start`.

    Returns:
        Copies of the old numbers. In a last layer with other classes the kernels and biases of classes that
        both have are the old ones, and all others are as drawn.
    """

    def choose(path: Any, new: jax.Array, was: jax.Array) -> jax.Array:
        if columns is None or LAST_LAYER not in [each.key for each in path]:
            return jnp.copy(was)
        if not columns:
            return new
        theirs, own = (jnp.array(places) for places in zip(*columns, strict=True))
        return new.at[..., own].set(was[..., theirs])

    return jax.tree_util.tree_map_with_path(choose, fresh, old)


def name_blocks(count: int) -> frozenset[str]:
    """Name the first blocks of a network.

    >>> sorted(name_blocks(2))
    ['block1', 'block2']
    """
    return frozenset(map(name_block, range(count)))


def keep(old: Any, new: Any, layers: Collection[str]) -> Any:
    """Take some layers from one tree and all others from another.

    Args:
        old: nested dicts with a layer at each name of the top.
        new: of the same shape.
        layers: the names of those to take from `old`, which keep their bits.
    """
    if not layers:
        return new
    return jax.tree_util.tree_map_with_path(
        lambda path, was, now: was if path[0].key in layers else now, old, new
    )


def slow_down(directions: Any, transfer: Transfer) -> Any:
    """Multiply the directions of all layers but the new ones by the factor of their learning rate."""
    if transfer.rate_factor == 1:
        return directions
    slowed = jax.tree.map(lambda direction: transfer.rate_factor * direction, directions)
    return keep(directions, slowed, transfer.new_layers)
