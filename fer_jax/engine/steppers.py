"""How replicas take their steps: on batches from the host, or on images that stay on the device.

A replica is the training of one seed. K >= 1 replicas of one config take the same steps, each with its own
state. Both steppers follow the same recipes, so they train on the same bits.

- host: NumPy makes each batch while the device is busy with the one before; one step a call, replica after
  replica. Every replica is bit-equal to its seed trained alone.
- resident: images and labels stay on the device, which gathers and augments them; the host sends recipes
  alone. On an accelerator it is *fused*: a call is a scan over many steps, and the replicas are one program
  (`vmap`), so that the device never waits for the host. On CPU both would be very slow: so are gradients of
  convolutions inside a scan, and convolutions with different weights become grouped convolutions. There a
  call is one step of one replica.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.data.batches import in_order
from fer_jax.data.examples import Examples
from fer_jax.engine.input_pipeline import Recipe, eval_batches, evaluate, follow
from fer_jax.engine.state import TrainState
from fer_jax.engine.step import Batch, EvalStep, Objective, TrainStep
from fer_jax.metrics.counts import Counts, merge
from fer_jax.text import counted

MAX_SCANNED_STEPS: Final = 64
"""Most training steps of one scan: enough to hide the host's work, few enough for signals and the bar."""
EVAL_STEPS: Final = 8
"""Evaluation steps of one scan; the last scan over some rows is padded to as many."""
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
            pixels) -> (states [K], objectives [K]), where an objective has one number a step. Returns before
            the device is done. The states that were passed in cannot be used again.
        evaluate: (states [K], rows [K][parts] of int [N]) -> counts [K][parts], without augmentation, of the
            weights that predict (`TrainState.predictor`); a part has as many rows in every replica.
    """

    description: str
    chunk_steps: int
    train: Callable[[States, Recipes, np.ndarray, int], Moved]
    evaluate: Callable[[States, Parts], list[list[Counts]]]


def make_host_stepper(
    keys: Sequence[jax.Array],
    train_step: TrainStep,
    eval_step: EvalStep,
    examples: Examples,
    *,
    eval_batch_size: int,
) -> Stepper:
    """Make the stepper that makes batches with NumPy; for the arguments see `make_resident_stepper`."""

    def train(states: States, recipes: Recipes, rates: np.ndarray, side_px: int) -> Moved:
        stepped = [
            train_step(key, state, follow(recipe, examples.images, examples.labels), rate, side_px=side_px)
            for key, state, (recipe,), (rate,) in zip(keys, states, recipes, rates, strict=True)
        ]
        return [state for state, _ in stepped], [objective for _, objective in stepped]

    def count_part(state: TrainState, rows: np.ndarray) -> Counts:
        batches = eval_batches(examples, rows, batch_size=eval_batch_size)
        return evaluate(eval_step, **state.predictor, batches=batches)

    def count(states: States, rows: Parts) -> list[list[Counts]]:
        return [
            [count_part(state, part) for part in parts] for state, parts in zip(states, rows, strict=True)
        ]

    return Stepper("made on the host", 1, train, count)


def make_resident_stepper(
    keys: Sequence[jax.Array],
    train_step: TrainStep,
    eval_step: EvalStep,
    examples: Examples,
    *,
    eval_batch_size: int,
    epoch_steps: int,
    is_fused: bool,
) -> Stepper:
    """Make the stepper that makes batches on the device, where all images are put once.

    Args:
        keys: K keys of the stream `Stream.DROPOUT`.
        train_step: see `make_train_step`.
        eval_step: see `make_eval_step`.
        examples: all of them.
        eval_batch_size: images of a step of evaluation.
        epoch_steps: steps of an epoch; they are divided into chunks of about the same size.
        is_fused: whether many steps of all replicas are one program, as suits an accelerator.
    """
    data = jnp.asarray(examples.images), jnp.asarray(examples.labels)
    width = len(keys) if is_fused else 1
    groups = [slice(first, first + width) for first in range(0, len(keys), width)]
    group_keys = [jnp.stack(keys[group]) for group in groups]
    scans = math.ceil(epoch_steps / MAX_SCANNED_STEPS)
    chunk_steps, count_steps = (math.ceil(epoch_steps / scans), EVAL_STEPS) if is_fused else (1, 1)
    description = f"made on the device; {counted(chunk_steps, 'step')} a call, seeds in it: {width}"
    train_chunk = _make_train_chunk(train_step, replicas=width, is_fused=is_fused)
    count_chunk = _make_count_chunk(eval_step, replicas=width, is_fused=is_fused)

    def train(states: States, recipes: Recipes, rates: np.ndarray, side_px: int) -> Moved:
        moved: list[TrainState] = []
        objectives: list[Objective] = []
        for group, some_keys in zip(groups, group_keys, strict=True):
            by_step = _stack([_stack(replicas) for replicas in zip(*recipes[group], strict=True)])
            some_rates = rates[group].T
            some = list(states[group])
            new, sums = train_chunk(data, some_keys, some, by_step, some_rates, side_px=side_px)
            moved += new
            objectives += sums
        return moved, objectives

    def count_part(states: States, rows: Sequence[np.ndarray]) -> list[Counts]:
        weights = [state.predictor for state in states]
        passes = [in_order(part, count_steps * eval_batch_size) for part in rows]
        chunks = []
        for replicas in zip(*passes, strict=True):
            # [steps * B] of each replica -> [steps, replicas, B]
            rows_and_weights = (
                np.stack(x).reshape(width, count_steps, -1).swapaxes(0, 1)
                for x in zip(*replicas, strict=True)
            )
            chunks.append(count_chunk(data, weights, *rows_and_weights))
        return [merge(list(counts)) for counts in zip(*chunks, strict=True)]

    def count(states: States, rows: Parts) -> list[list[Counts]]:
        by_part = [
            [counts for group in groups for counts in count_part(states[group], part[group])]
            for part in zip(*rows, strict=True)
        ]
        return [list(parts) for parts in zip(*by_part, strict=True)]

    return Stepper(description, chunk_steps, train, count)


def _make_train_chunk(train_step: TrainStep, *, replicas: int, is_fused: bool) -> Callable[..., Any]:
    """Make the program (data, keys, states, recipes, rates, *, side_px) -> (states, objectives).

    Keys have the axis [replicas], recipes and rates [steps, replicas]; states and objectives are lists.
    """

    def train_chunk(
        data: Data,
        keys: jax.Array,
        states: list[TrainState],
        recipes: Recipe,
        rates: jax.Array,
        *,
        side_px: int,
    ) -> Moved:
        def take_step(
            key: jax.Array, state: TrainState, recipe: Recipe, rate: jax.Array
        ) -> tuple[TrainState, Objective]:
            return train_step(key, state, follow(recipe, *data), rate, side_px=side_px)

        def take_steps(joined: TrainState, inputs: tuple[Recipe, jax.Array]) -> tuple[TrainState, Objective]:
            return _over_replicas(take_step, replicas)(keys, joined, *inputs)

        joined, sums = jax.lax.scan(take_steps, _join(states), (recipes, rates), unroll=_UNROLL[is_fused])
        return _part(joined), _part(jax.tree.map(_replicas_first, sums))

    return jax.jit(train_chunk, donate_argnums=2, static_argnames="side_px")


def _make_count_chunk(eval_step: EvalStep, *, replicas: int, is_fused: bool) -> Callable[..., Any]:
    """Make the program (data, weights, rows [steps, replicas, B], is_real [steps, replicas, B]) -> counts.

    Weights are a list of `params` and `batch_stats`, counts a list too: loss_sum [steps], confusion [C, C].
    """

    def count_chunk(data: Data, weights: list[Any], rows: jax.Array, is_real: jax.Array) -> list[Counts]:
        images, labels = data

        def count(weights: Any, rows: jax.Array, is_real: jax.Array) -> Counts:
            batch = Batch(images[rows], labels[rows], is_real)
            return eval_step(weights["params"], weights["batch_stats"], batch)

        def count_replicas(joined: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, Counts]:
            return joined, _over_replicas(count, replicas)(joined, *inputs)

        _, counts = jax.lax.scan(count_replicas, _join(weights), (rows, is_real), unroll=_UNROLL[is_fused])
        by_replica = jax.tree.map(_replicas_first, counts)
        return _part(by_replica._replace(confusion=by_replica.confusion.sum(axis=1)))

    return jax.jit(count_chunk)


def _over_replicas(function: Callable[..., Any], replicas: int) -> Callable[..., Any]:
    """`vmap` a function over replicas; a single replica gets no axis."""
    if replicas > 1:
        return jax.vmap(function)
    return lambda *args: jax.tree.map(lambda x: x[None], function(*jax.tree.map(lambda x: x[0], args)))


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _join(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _part(joined: Any) -> list[Any]:
    replicas = len(jax.tree.leaves(joined)[0])
    return [jax.tree.map(lambda x, replica=replica: x[replica], joined) for replica in range(replicas)]


def _replicas_first(x: jax.Array) -> jax.Array:
    return x.swapaxes(0, 1)
