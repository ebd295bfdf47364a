"""How replicas take their steps: on batches from the host, or on images that stay on the device.

A replica is the training of one seed. K >= 1 replicas of one config take the same steps, each with its own
state, one replica after another: every one is bit-equal to its seed trained alone. (Together, under `vmap`,
they would have convolutions with different weights, which become grouped convolutions, slow everywhere.)
Both steppers follow the same recipes, so they train on the same bits.

- host: NumPy makes each batch while the device is busy with the one before; one step a call.
- resident: images and labels stay on the device, which gathers and augments them; the host sends recipes
  alone. Devices that share batches have a part of the images each. On an accelerator it is *fused*: a call is
  a scan over many steps, so that the device never waits for the host. On a CPU gradients of convolutions
  inside a scan are very slow, so there a call is one step.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import jax
import numpy as np

from fer_jax.data.batches import Expect, in_order, make_expect
from fer_jax.data.examples import Examples
from fer_jax.engine.input_pipeline import Recipe, eval_batches, evaluate, follow
from fer_jax.engine.state import TrainState
from fer_jax.engine.step import Batch, EvalStep, Objective, TrainStep
from fer_jax.metrics.counts import Counts, merge
from fer_jax.parallel.mesh import ONE_DEVICE, Place, describe, divisible, spread
from fer_jax.text import counted

MAX_SCANNED_STEPS: Final = 64
"""Most training steps of one scan: enough to hide the host's work, few enough for signals and the bar."""
EVAL_STEPS: Final = 8
"""Evaluation steps of one scan; the last scan over some rows is padded to as many."""
_STATIC: Final = ("side_px", "frozen_blocks")
_UNROLL: Final = {True: 1, False: 0}
"""0: no loop at all, not even one with a single iteration."""

States = Sequence[TrainState]
Recipes = Sequence[Sequence[Recipe]]
Parts = Sequence[Sequence[np.ndarray]]
Data = tuple[jax.Array, jax.Array]
Moved = tuple[list[TrainState], list[Objective]]


class Stepper(NamedTuple):
    """One way to train and measure K replicas.

    Attributes:
        description: where batches are made and how much a call does, for people. Runs with different
            descriptions may have different bits.
        chunk_steps: most steps of one call of `train`.
        train: (states [K], recipes [K][steps], learning rates float32 [K, steps], side of the images in
            pixels, number of frozen blocks) -> (states [K], objectives [K]), where an objective has one
            number a step. Returns before the device is done. The states that were passed in cannot be used
            again.
        evaluate: (states [K], rows [K][parts] of int [N]) -> counts [K][parts], without augmentation, of the
            weights that predict (`TrainState.predictor`); a part has as many rows in every replica.
        expect: told which rows the next batches take, see `make_recipe_at`; None: it reads nothing ahead.
    """

    description: str
    chunk_steps: int
    train: Callable[[States, Recipes, np.ndarray, int, int], Moved]
    evaluate: Callable[[States, Parts], list[list[Counts]]]
    expect: Expect | None = None


def make_host_stepper(
    keys: Sequence[jax.Array],
    train_step: TrainStep,
    eval_step: EvalStep,
    examples: Examples,
    *,
    eval_batch_size: int,
    places: Sequence[Place] = (),
) -> Stepper:
    """Make the stepper that makes batches with NumPy; for the arguments see `make_resident_stepper`."""
    places = places or [ONE_DEVICE] * len(keys)
    keys = [place.put_whole(key) for place, key in zip(places, keys, strict=True)]
    steps = spread(train_step, places, donate_argnums=1, static_argnames=_STATIC)
    eval_steps = spread(eval_step, places)
    # Of every replica's batches a process makes the same part, see `make_mesh`.
    expect = make_expect(examples.images, places[0].cut)

    def make_batch(place: Place, recipe: Recipe) -> Batch:
        return place.put_shared(follow(place.cut(recipe), examples.images, examples.labels))

    def train(states: States, recipes: Recipes, rates: np.ndarray, side_px: int, frozen_blocks: int) -> Moved:
        static = {"side_px": side_px, "frozen_blocks": frozen_blocks}
        stepped = [
            step(key, place.put_whole(state), make_batch(place, recipe), rate, **static)
            for step, place, key, state, (recipe,), (rate,) in zip(
                steps, places, keys, states, recipes, rates, strict=True
            )
        ]
        return [state for state, _ in stepped], [objective for _, objective in stepped]

    def count_part(eval_step: EvalStep, place: Place, state: TrainState, rows: np.ndarray) -> Counts:
        batches = eval_batches(examples, rows, batch_size=eval_batch_size, expect=expect, place=place)
        return evaluate(eval_step, **place.put_whole(state.predictor), batches=batches)

    def count(states: States, rows: Parts) -> list[list[Counts]]:
        return [
            [count_part(eval_step, place, state, part) for part in parts]
            for eval_step, place, state, parts in zip(eval_steps, places, states, rows, strict=True)
        ]

    return Stepper(f"made on the host{describe(places)}", 1, train, count, expect)


def make_resident_stepper(
    keys: Sequence[jax.Array],
    train_step: TrainStep,
    eval_step: EvalStep,
    examples: Examples,
    *,
    eval_batch_size: int,
    epoch_steps: int,
    is_fused: bool,
    places: Sequence[Place] = (),
) -> Stepper:
    """Make the stepper that makes batches on the device, where all images are put once.

    Args:
        keys: K keys of the stream `Stream.DROPOUT`.
        train_step: see `make_train_step`.
        eval_step: see `make_eval_step`.
        examples: all of them.
        eval_batch_size: images of a step of evaluation.
        epoch_steps: steps of an epoch; they are divided into chunks of about the same size.
        is_fused: whether many steps are one program, as suits an accelerator.
        places: where each replica trains, see `list_places`; by default all on one device.
    """
    places = places or [ONE_DEVICE] * len(keys)
    keys = [place.put_whole(key) for place, key in zip(places, keys, strict=True)]
    held = {place: place.put_data((examples.images, examples.labels)) for place in dict.fromkeys(places)}
    scans = math.ceil(epoch_steps / MAX_SCANNED_STEPS)
    chunk_steps, count_steps = (math.ceil(epoch_steps / scans), EVAL_STEPS) if is_fused else (1, 1)
    train_chunks = spread(
        _make_train_chunk(train_step, is_fused=is_fused), places, donate_argnums=2, static_argnames=_STATIC
    )
    count_chunks = spread(_make_count_chunk(eval_step, is_fused=is_fused), places)

    def put(place: Place, recipes: Sequence[Recipe]) -> Recipe:
        return place.put_shared(_stack([place.cut(each) for each in recipes]), axis=1)

    def train(states: States, recipes: Recipes, rates: np.ndarray, side_px: int, frozen_blocks: int) -> Moved:
        static = {"side_px": side_px, "frozen_blocks": frozen_blocks}
        moved = [
            train_chunk(key, held[place], place.put_whole(state), put(place, own), own_rates, **static)
            for train_chunk, place, key, state, own, own_rates in zip(
                train_chunks, places, keys, states, recipes, rates, strict=True
            )
        ]
        return [state for state, _ in moved], [objective for _, objective in moved]

    def count_part(
        count_chunk: Callable[..., Counts], place: Place, state: TrainState, rows: np.ndarray
    ) -> Counts:
        weights, size = place.put_whole(state.predictor), divisible(eval_batch_size, place)
        chunks = [
            count_chunk(held[place], weights, *place.put_shared(place.cut(some, axis=1), axis=1))
            for some in (
                tuple(x.reshape(count_steps, -1) for x in flat) for flat in in_order(rows, count_steps * size)
            )
        ]
        return merge(chunks)

    def count(states: States, rows: Parts) -> list[list[Counts]]:
        return [
            [count_part(count_chunk, place, state, part) for part in parts]
            for count_chunk, place, state, parts in zip(count_chunks, places, states, rows, strict=True)
        ]

    description = f"made on the device; {counted(chunk_steps, 'step')} a call{describe(places)}"
    return Stepper(description, chunk_steps, train, count)


def _make_train_chunk(train_step: TrainStep, *, is_fused: bool) -> Callable[..., Any]:
    """Make the program (key, data, state, recipes, rates, *, static) -> (state, objectives), of [steps].

    Static are `side_px` and `frozen_blocks`.
    """

    def train_chunk(
        key: jax.Array,
        data: Data,
        state: TrainState,
        recipes: Recipe,
        rates: jax.Array,
        *,
        side_px: int,
        frozen_blocks: int,
    ) -> tuple[TrainState, Objective]:
        def take_step(state: TrainState, inputs: tuple[Recipe, jax.Array]) -> tuple[TrainState, Objective]:
            recipe, rate = inputs
            batch = follow(recipe, *data)
            return train_step(key, state, batch, rate, side_px=side_px, frozen_blocks=frozen_blocks)

        return jax.lax.scan(take_step, state, (recipes, rates), unroll=_UNROLL[is_fused])

    return jax.jit(train_chunk, donate_argnums=2, static_argnames=_STATIC)


def _make_count_chunk(eval_step: EvalStep, *, is_fused: bool) -> Callable[..., Counts]:
    """Make the program (data, weights, rows [steps, B], is_real [steps, B]) -> counts.

    Weights are `params` and `batch_stats`; the counts have loss_sum [steps] and confusion [C, C].
    """

    def count_chunk(data: Data, weights: Any, rows: jax.Array, is_real: jax.Array) -> Counts:
        images, labels = data

        def count(weights: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, Counts]:
            some, is_real = inputs
            batch = Batch(images[some], labels[some], is_real)
            return weights, eval_step(weights["params"], weights["batch_stats"], batch)

        _, counts = jax.lax.scan(count, weights, (rows, is_real), unroll=_UNROLL[is_fused])
        return counts._replace(confusion=counts.confusion.sum(axis=0))

    return jax.jit(count_chunk)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
