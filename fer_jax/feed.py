"""Batches to the steps: rows and drawn numbers on the host, fixed shapes for the device."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fer_jax import augment
from fer_jax.config import AugmentConfig
from fer_jax.data.batch import cut, in_order
from fer_jax.data.examples import Examples
from fer_jax.metrics import Counts, merge
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.step import Batch, EvalStep


def train_batch(
    examples: Examples,
    order: np.ndarray,
    config: AugmentConfig,
    *,
    batch_size: int,
    position: int,
    seed: int,
    step: int,
) -> Batch:
    """Make one augmented batch: a pure function of the data, the seed and the step.

    Args:
        examples: all of them.
        order: int [Ntrain], the epoch's order, see `epoch_order`.
        config: which augmentation.
        batch_size: B.
        position: number of the batch in the epoch, from 0.
        seed: the training seed.
        step: number of the batch in the run, from 0.
    """
    rows, weights = cut(order, batch_size, position)
    draws = augment.draw(numpy_rng(seed, Stream.AUGMENT, step), config, len(rows))
    return Batch(augment.apply(examples.images[rows], draws), examples.labels[rows], weights)


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
