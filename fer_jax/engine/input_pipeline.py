"""Batches to the steps: rows and drawn numbers on the host, fixed shapes for the device."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.data.batches import cut, in_order, mirrors_in_turn
from fer_jax.data.examples import Examples
from fer_jax.engine.step import Batch, EvalStep
from fer_jax.images import augment
from fer_jax.images import mixing as images_mixing
from fer_jax.images.augment import Draws
from fer_jax.images.mixing import Mix
from fer_jax.metrics.counts import Counts, merge
from fer_jax.randomness import Stream, numpy_rng

TargetsOf = Callable[[int, int], np.ndarray]
"""(training seed, epoch) -> shares of the classes float32 [N, C] of all examples, each row of sum 1."""


class Recipe(NamedTuple):
    """What a training batch is made of; a pytree of arrays, without a pixel in it.

    Attributes:
        rows: int32 [B], of the Examples.
        weights: float32 [B], 1 for an example, 0 for padding.
        draws: the augmentation of B images.
        mix: how they are mixed; None for not at all.
        targets: shares of the classes, float32 [B, C]; None where the labels are the targets.
    """

    rows: Any
    weights: Any
    draws: Draws
    mix: Mix | None
    targets: Any


def draw_recipe(
    order: np.ndarray,
    config: AugmentConfig,
    *,
    batch_size: int,
    position: int,
    seed: int,
    step: int,
    mixing: MixConfig | None = None,
    targets: np.ndarray | None = None,
) -> Recipe:
    """Draw one training batch: a pure function of the order, the seed and the step.

    Args:
        order: int [Ntrain], the epoch's order, see `epoch_order`.
        config: which augmentation.
        batch_size: B.
        position: number of the batch in the epoch, from 0.
        seed: the training seed.
        step: number of the batch in the run, from 0; an epoch has as many steps as whole batches.
        mixing: of which kind; None for none.
        targets: shares of the classes float32 [N, C] of all examples; None to learn their labels.
    """
    rows, weights = cut(order, batch_size, position)
    is_flipped = None
    if config.alternate_flip:
        epoch = step // (len(order) // batch_size)
        is_flipped = mirrors_in_turn(seed, epoch, rows, share=config.flip_probability)
    draws = augment.draw(numpy_rng(seed, Stream.AUGMENT, step), config, batch_size, is_flipped=is_flipped)
    mixes = (
        None if mixing is None else images_mixing.draw(numpy_rng(seed, Stream.MIX, step), mixing, batch_size)
    )
    return Recipe(
        rows=rows.astype(np.int32),
        weights=weights,
        draws=draws,
        mix=mixes,
        targets=None if targets is None else targets[rows],
    )


def follow(recipe: Recipe, images: Any, labels: Any) -> Batch:
    """Make the batch of a recipe, where the images are: NumPy and JAX arrays give the same bits.

    Args:
        recipe: what to make, arrays of the same library.
        images: uint8 [N, 48, 48, 1], all of them.
        labels: int32 [N]; left aside where the recipe has targets.
    """
    faces = augment.apply(images[recipe.rows], recipe.draws)
    targets = labels[recipe.rows] if recipe.targets is None else recipe.targets
    return Batch(faces, targets, recipe.weights, recipe.mix)


def train_batch(
    examples: Examples,
    order: np.ndarray,
    config: AugmentConfig,
    *,
    batch_size: int,
    position: int,
    seed: int,
    step: int,
    mixing: MixConfig | None = None,
) -> Batch:
    """Make one augmented batch of labelled faces on the host; arguments as of `draw_recipe`."""
    recipe = draw_recipe(
        order, config, batch_size=batch_size, position=position, seed=seed, step=step, mixing=mixing
    )
    return follow(recipe, examples.images, examples.labels)


def eval_batches(examples: Examples, rows: np.ndarray, *, batch_size: int) -> Iterator[Batch]:
    """Make the batches of one pass over some rows, in order, as they are."""
    for part, weights in in_order(rows, batch_size):
        yield Batch(examples.images[part], examples.labels[part], weights)


def evaluate(eval_step: EvalStep, params: Any, batch_stats: Any, batches: Iterable[Batch]) -> Counts:
    """Count over all batches.

    Args:
        eval_step: see `make_eval_step`.
        params: trained weights.
        batch_stats: running statistics.
        batches: at least one.
    """
    return merge([eval_step(params, batch_stats, batch) for batch in batches])
