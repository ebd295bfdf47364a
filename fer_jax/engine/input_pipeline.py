"""Batches for the steps: rows and random numbers from the host, fixed shapes for the device."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.run import Config
from fer_jax.data.batches import Expect, alternate_flips, cut, in_order, sampled_order
from fer_jax.data.examples import Examples
from fer_jax.engine.step import Batch, EvalStep
from fer_jax.images import augment
from fer_jax.images.augment import Draws
from fer_jax.images.mixing import Mix
from fer_jax.images.mixing import draw as draw_mix
from fer_jax.images.stored_views import EpochViews, TrainTargets
from fer_jax.metrics.counts import Counts, merge
from fer_jax.parallel.mesh import ONE_DEVICE, Place, divisible
from fer_jax.randomness import Stream, numpy_rng


class Recipe(NamedTuple):
    """What a training batch is made of; a pytree of arrays, without a pixel in it.

    Attributes:
        rows: int32 [B], of the Examples.
        weights: float32 [B], 1 for an example, 0 for padding.
        draws: the augmentation of B images.
        mix: how they are mixed; None: not mixed.
        targets: soft labels float32 [B, C]; None: the labels are the targets.
    """

    rows: Any
    weights: Any
    draws: Draws
    mix: Mix | None
    targets: Any


RecipeAt = Callable[[int, int], Recipe]
"""(training seed, step from 0) -> the recipe of the step's batch."""


def make_recipe_at(
    config: Config,
    labels: np.ndarray,
    rows: np.ndarray,
    *,
    targets: TrainTargets | None,
    seeds: int,
    expect: Expect | None = None,
) -> RecipeAt:
    """Make the function that draws the batch of any step of a training.

    Args:
        config: of the run; its seed does not matter.
        labels: int [N], of all examples.
        rows: int [Ntrain], the training part, at least a batch.
        targets: the training targets; None: the labels.
        seeds: how many are trained together; what belongs to an epoch is kept for as many.
        expect: told which rows each batch takes; None: nobody reads ahead.
    """
    size, repeats = config.train.batch_size, config.augment.repeats
    epoch_steps = len(rows) // size

    @lru_cache(maxsize=seeds)
    def order_of(seed: int, cycle: int) -> np.ndarray:
        return sampled_order(seed, cycle, rows, labels[rows], sampling=config.train.sampling)

    @lru_cache(maxsize=seeds)
    def targets_of(seed: int, epoch: int) -> np.ndarray | EpochViews | None:
        return None if targets is None else targets(seed, epoch)

    def recipe_at(seed: int, step: int) -> Recipe:
        epoch, position = divmod(step, epoch_steps)
        order = order_of(seed, epoch // repeats)
        if expect is not None:
            images = size // repeats
            expect(order, (epoch % repeats * epoch_steps + position) * images, images, repeats)
        return draw_recipe(
            order,
            config.augment,
            batch_size=size,
            position=position,
            seed=seed,
            step=step,
            mixing=config.mix,
            targets=targets_of(seed, epoch),
        )

    return recipe_at


def draw_recipe(
    order: np.ndarray,
    config: AugmentConfig,
    *,
    batch_size: int,
    position: int,
    seed: int,
    step: int,
    mixing: MixConfig | None = None,
    targets: np.ndarray | EpochViews | None = None,
) -> Recipe:
    """Draw one training batch: a pure function of the order, the seed and the step.

    With `repeats` R the order serves R epochs, and a batch has B / R images, one after the other, R times
    over (Hoffer et al. 2020, "Augment your batch"; at equal compute Fort et al. 2021, "Drawing multiple
    augmentation samples per image during training efficiently decreases test error"). So neighbours, which
    mixing brings together, are different images. Alternating flips alternate between the copies of an image:
    with a flip probability of 1/2 every second copy is mirrored.

    Args:
        order: int [Ntrain], the order of the epoch, or of R epochs, see `epoch_order`.
        config: which augmentation.
        batch_size: B.
        position: number of the batch in its epoch, from 0.
        seed: the training seed.
        step: number of the batch in the run, from 0; an incomplete last batch of an epoch is left out.
        mixing: how images are mixed; None for no mixing.
        targets: soft labels float32 [N, C] of all examples; None: their labels are the targets. Stored views
            bring their own augmentation, for which see `images.stored_views`.
    """
    repeats, epoch_steps = config.repeats, max(1, len(order) // batch_size)
    epoch = step // epoch_steps
    images, place = batch_size // repeats, epoch % repeats * epoch_steps + position
    rows, weights = (np.tile(part, repeats) for part in cut(order, images, place))
    if isinstance(targets, EpochViews):
        draws = targets.find_draws(rows)
    else:
        is_flipped = None
        if config.alternate_flip:
            showing = epoch // repeats * repeats + np.repeat(np.arange(repeats), images)
            is_flipped = alternate_flips(seed, showing, rows, share=config.flip_probability)
        draws = augment.draw(numpy_rng(seed, Stream.AUGMENT, step), config, batch_size, is_flipped=is_flipped)
    mix = None if mixing is None else draw_mix(numpy_rng(seed, Stream.MIX, step), mixing, batch_size)
    return Recipe(rows.astype(np.int32), weights, draws, mix, None if targets is None else targets[rows])


def follow(recipe: Recipe, images: Any, labels: Any) -> Batch:
    """Make the batch of a recipe, on the host or on the device: NumPy and JAX give the same bits.

    Args:
        recipe: of the batch; arrays of the same library as the images.
        images: uint8 [N, 48, 48, 1], all of them.
        labels: int32 [N]; unused where the recipe has targets.
    """
    augmented = augment.apply(images[recipe.rows], recipe.draws)
    targets = labels[recipe.rows] if recipe.targets is None else recipe.targets
    return Batch(augmented, targets, recipe.weights, recipe.mix)


def eval_batches(
    examples: Examples,
    rows: np.ndarray,
    *,
    batch_size: int,
    expect: Expect | None = None,
    place: Place = ONE_DEVICE,
) -> Iterator[Batch]:
    """Make the batches of one pass over some rows, in order and without augmentation, where they are used.

    For `expect` see `make_recipe_at`.
    """
    size = divisible(batch_size, place)
    for position, batch in enumerate(in_order(rows, size)):
        if expect is not None:
            expect(rows, position * size, size, 1)
        part, weights = place.cut(batch)
        yield place.put_shared(Batch(examples.images[part], examples.labels[part], weights))


def evaluate(eval_step: EvalStep, params: Any, batch_stats: Any, batches: Iterable[Batch]) -> Counts:
    """Evaluate all batches, at least one, and merge their counts."""
    return merge([eval_step(params, batch_stats, batch) for batch in batches])
