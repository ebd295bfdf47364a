"""A dry run: the network and the steps of a run, from its initial weights, on a few of its batches.

No weights are kept. Some twenty steps at the peak learning rate, one batch to overfit, and the ramp of the
range test all start from the run's own initial weights, with its order, augmentation and dropout. Blocks that
`init.freeze_blocks` keeps are not trained here either, except to overfit one batch. All steps are those
that follow `init.head_epochs`, with the optimizer that begins there, and are taken on one device.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from fer_jax.check import data as check_data
from fer_jax.check import legibility, network, probe, rate_range
from fer_jax.check.finding import Finding
from fer_jax.check.rate_range import RateRange
from fer_jax.config.model import ModelConfig
from fer_jax.config.run import Config
from fer_jax.data.batches import epoch_order
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.split import Split, count_leaks, count_near_leaks
from fer_jax.engine.input_pipeline import eval_batches, evaluate, follow, make_recipe_at
from fer_jax.engine.losses import cross_entropy
from fer_jax.engine.setup import Programs, make_programs
from fer_jax.engine.state import TrainState
from fer_jax.engine.step import Batch
from fer_jax.files import Json
from fer_jax.images import augment, standardise
from fer_jax.inference.prepare import Prepared
from fer_jax.metrics.counts import accuracy, mean_loss
from fer_jax.models.cnn import make_model
from fer_jax.models.transfer import Start, name_blocks
from fer_jax.randomness import Stream, jax_key, numpy_rng

FIRST_STEPS: Final = 20
PROBED_BATCHES: Final = 3
"""Batches in which a unit has to be active at least once."""
OTHER_MASKS: Final = 3
"""Dropout masks that are compared with the first one."""
START_LOSS_IMAGES: Final = 512
EVAL_BATCH_SIZE: Final = 64
OVERFIT_IMAGES: Final = 64
OVERFIT_STEPS: Final = 100
OVERFIT_STRIDE: Final = 5
"""Steps between two measurements of the accuracy."""
RANGE_RATES: Final = 36
STEPS_AT_EACH_RATE: Final = 2
RANGE_IMAGES: Final = 128
AUGMENTED_IMAGES: Final = 1000

NETWORK_STEPS: Final = FIRST_STEPS + 2 * PROBED_BATCHES + OTHER_MASKS
"""Batches that `check_network` goes through, at most."""

Advance = Callable[[int], None]
"""Told how many steps were taken, for the bar of a part."""


@dataclass(frozen=True, eq=False)
class DryRun:
    """A run that is tried out.

    Attributes:
        start: has its initial weights.
        inherited: the trained network that they are from; None: they are new.
        batch_at: gives the batch of each step.
    """

    config: Config
    examples: Examples
    split: Split
    programs: Programs
    start: TrainState
    inherited: Start | None
    probe_batch: probe.Probe
    batch_at: Callable[[int], Batch]

    @property
    def dropout_key(self) -> jax.Array:
        """The run's key for dropout."""
        return jax_key(self.config.train.seed, Stream.DROPOUT)

    def copy_start(self) -> TrainState:
        """Copy the initial weights, since a train step consumes its state."""
        return jax.tree.map(jnp.copy, self.start)

    @property
    def frozen_blocks(self) -> int:
        """How many of the first blocks are not trained."""
        return self.config.init.freeze_blocks

    def leave_out_frozen(self, by_layer: dict[str, Any]) -> dict[str, Any]:
        """Leave out what belongs to a frozen block, by the names of the layers."""
        frozen = name_blocks(self.frozen_blocks)
        return {name: each for name, each in by_layer.items() if name.partition("/")[0] not in frozen}


def make_dry_run(config: Config, prepared: Prepared) -> DryRun:
    """Build the run's network and steps, with fresh weights.

    Raises:
        ConfigError: the training part has fewer rows than a batch.
    """
    # Else the optimizer would start anew in the middle of these few steps.
    config = replace(config, init=replace(config.init, head_epochs=0.0))
    seed, examples, split = config.train.seed, prepared.examples, prepared.split
    programs = make_programs(config, examples, split, targets=prepared.targets, start=prepared.start)
    plain = make_model(config.model, replace(config.device, kernels="plain"))
    probe_batch = probe.make_probe(
        plain, config.loss, class_weights=programs.class_weights, pixel_stats=programs.pixel_stats
    )
    return DryRun(
        config=config,
        examples=examples,
        split=split,
        programs=programs,
        start=programs.init(jax_key(seed, Stream.INIT)),
        inherited=prepared.start,
        probe_batch=probe_batch,
        batch_at=_make_batch_at(config, prepared),
    )


def _make_batch_at(config: Config, prepared: Prepared) -> Callable[[int], Batch]:
    """Make the function from the number of a step to its batch."""
    examples, rows, targets = prepared.examples, prepared.split.train, prepared.targets
    recipe_at = make_recipe_at(config, examples.labels, rows, targets=targets, seeds=1)

    def batch_at(step: int) -> Batch:
        return follow(recipe_at(config.train.seed, step), examples.images, examples.labels)

    return batch_at


def check_split(examples: Examples, split: Split, config: Config) -> list[Finding]:
    """Look for copies across the parts, and compare their classes."""
    names = config.model.names
    counts = {
        part: class_counts(examples.labels[rows], classes=len(names)) for part, rows in split.parts.items()
    }
    sizes = {part: len(rows) for part, rows in split.parts.items()}
    copies, near = count_leaks(examples, split), count_near_leaks(examples, split)
    return [
        check_data.check_copies(copies, near, sizes, protocol=config.split.protocol),
        check_data.check_classes(counts, names),
    ]


def check_augmentation(config: Config) -> Finding:
    """Measure how much of an image augmentation removes."""
    rng = numpy_rng(config.train.seed, Stream.AUGMENT, 0)
    draws = augment.draw(rng, config.augment, AUGMENTED_IMAGES)
    return check_data.check_augmentation(
        legibility.measure_lost_shares(draws),
        legibility.measure_turns(draws),
        legibility.measure_gray_levels(draws),
    )


def check_network(dry_run: DryRun, advance: Advance) -> tuple[list[Finding], list[Json]]:
    """Probe the network before and after some steps at the peak learning rate, `NETWORK_STEPS` at most.

    Returns:
        The findings, and the layers as in `Checked`.
    """
    start, key = dry_run.start, dry_run.dropout_key
    batches = [dry_run.batch_at(number) for number in range(PROBED_BATCHES)]
    before = probe.look(key, dry_run.probe_batch, start.params, start.batch_stats, batches)
    advance(PROBED_BATCHES)
    rows = dry_run.split.train[:: math.ceil(len(dry_run.split.train) / START_LOSS_IMAGES)]
    images = eval_batches(dry_run.examples, rows, batch_size=EVAL_BATCH_SIZE)
    loss = mean_loss(evaluate(dry_run.programs.eval_step, start.params, start.batch_stats, images))
    state, updates = take_first_steps(dry_run, advance)
    after = probe.look(key, dry_run.probe_batch, state.params, state.batch_stats, batches)
    advance(PROBED_BATCHES)
    norms = (
        dry_run.leave_out_frozen(flatten_dict(jax.device_get(each.batch_stats), sep="/"))
        for each in (start, state)
    )
    findings = [
        network.check_start_loss(
            evaluation=loss,
            training=before.loss,
            classes=dry_run.config.model.classes,
            is_fresh=dry_run.inherited is None,
        ),
        network.check_gradients({name: _rms(leaf) for name, leaf in before.grads.items()}),
        network.check_relus(before.dead_shares, after.dead_shares, steps=FIRST_STEPS),
        network.check_outputs({name: layer.sd for name, layer in after.layers.items()}),
        network.check_gradient_scale({name: layer.gradient_rms for name, layer in after.layers.items()}),
        network.check_updates(dry_run.leave_out_frozen(updates), steps=FIRST_STEPS),
        network.check_batch_norm(*norms, steps=FIRST_STEPS),
        network.check_dropout(_compare_masks(dry_run, batches[0], before.grads, advance)),
    ]
    layers = [
        {
            "name": name,
            "update_to_weight": updates.get(name),
            "start": before.layers[name]._asdict(),
            "later": after.layers[name]._asdict(),
        }
        for name in before.layers
    ]
    return findings, layers


def take_first_steps(dry_run: DryRun, advance: Advance) -> tuple[TrainState, dict[str, float]]:
    """Take the run's first steps at the peak learning rate; a warm-up is shortened to half of them.

    Returns:
        The state after them, and the update-to-weight ratios of the last one, see
        `check.probe.measure_updates`.
    """
    state, params = dry_run.copy_start(), dry_run.start.params
    for number, rate in enumerate(_rates(dry_run.config, FIRST_STEPS)):
        if number == FIRST_STEPS - 1:
            params = jax.tree.map(np.array, state.params)  # A copy: the step consumes the state.
        state, _ = dry_run.programs.train_step(
            dry_run.dropout_key,
            state,
            dry_run.batch_at(number),
            rate,
            frozen_blocks=dry_run.frozen_blocks,
        )
        advance(1)
    return state, probe.measure_updates(params, state.params)


def check_overfit(dry_run: DryRun, advance: Advance) -> Finding:
    """Overfit one batch with the config's optimizer, without dropout and augmentation."""
    config, key, state = dry_run.config, dry_run.dropout_key, dry_run.copy_start()
    still = replace(config, model=without_dropout(config.model))
    programs = make_programs(
        still,
        dry_run.examples,
        dry_run.split,
        targets=dry_run.programs.targets,
        start=dry_run.inherited,
    )
    rows = epoch_order(config.train.seed, 0, dry_run.split.train)[:OVERFIT_IMAGES]
    (batch,) = eval_batches(dry_run.examples, rows, batch_size=len(rows))
    learnt, loss, steps = 0.0, math.nan, 0
    for rate in _rates(config, OVERFIT_STEPS):
        state, objective = programs.train_step(key, state, batch, rate)
        steps += 1
        if steps % OVERFIT_STRIDE == 0:
            learnt = accuracy(evaluate(dry_run.programs.eval_step, state.params, state.batch_stats, [batch]))
            loss = float(objective.loss_sum / objective.weight_sum)
            advance(OVERFIT_STRIDE)
            if learnt == 1 or not math.isfinite(loss):
                break
    return network.check_overfit(accuracy=learnt, objective=loss, images=len(rows), steps=steps)


def measure_range(dry_run: DryRun, advance: Advance) -> RateRange | None:
    """Run the learning-rate range test; None if the first loss is not finite.

    Its loss is measured on validation images, which no step is trained on, with the statistics of their own
    batch: running statistics would lag behind a rising learning rate.
    """
    rates = rate_range.make_ramp(*rate_range.RANGES[dry_run.config.optimizer.name], RANGE_RATES)
    model = make_model(without_dropout(dry_run.config.model), dry_run.config.device)
    rows = dry_run.split.val[:: math.ceil(len(dry_run.split.val) / RANGE_IMAGES)]
    # Arguments, not constants of the program: XLA would spend seconds on constant folding.
    images = standardise.standardise(dry_run.examples.images[rows], dry_run.programs.pixel_stats)
    labels = dry_run.examples.labels[rows]
    state = dry_run.copy_start()

    @jax.jit
    def measure_loss(params: Any, batch_stats: Any, images: Any, labels: Any) -> jax.Array:
        variables = {"params": params, "batch_stats": batch_stats}
        logits, _ = model.apply(
            variables,
            images,
            is_training=True,
            frozen_blocks=dry_run.frozen_blocks,
            rngs={"dropout": dry_run.dropout_key},
            mutable=["batch_stats"],
        )
        return cross_entropy(logits, labels, label_smoothing=0.0).mean()

    def try_rate(number: int, rate: float) -> float:
        nonlocal state
        loss = float(measure_loss(state.params, state.batch_stats, images, labels))
        for step in range(number * STEPS_AT_EACH_RATE, (number + 1) * STEPS_AT_EACH_RATE):
            state, _ = dry_run.programs.train_step(
                dry_run.dropout_key,
                state,
                dry_run.batch_at(step),
                np.float32(rate),
                frozen_blocks=dry_run.frozen_blocks,
            )
        return loss

    losses = []
    for loss in rate_range.run_ramp(try_rate, rates):
        losses.append(loss)
        advance(1)
    return rate_range.read_ramp(rates, np.array(losses)) if losses else None


def without_dropout(config: ModelConfig) -> ModelConfig:
    """Remove all dropout and all skipping of blocks from a network."""
    blocks = tuple(replace(block, dropout_rate=0.0) for block in config.blocks)
    return replace(config, blocks=blocks, dense_dropout_rate=0.0, skip_rate=0.0)


def _compare_masks(
    dry_run: DryRun, batch: Batch, grads: dict[str, np.ndarray], advance: Advance
) -> dict[str, float]:
    """Compare a batch's gradients with those under other dropout masks: mean cosine by layer, or nothing."""
    if dry_run.config.model == without_dropout(dry_run.config.model):
        return {}
    start, keys = dry_run.start, jax.random.split(dry_run.dropout_key, OTHER_MASKS)
    cosines = []
    for key in keys:
        other = probe.look(key, dry_run.probe_batch, start.params, start.batch_stats, [batch])
        cosines.append(probe.measure_agreement(grads, other.grads))
        advance(1)
    return {name: float(np.mean([each[name] for each in cosines])) for name in cosines[0]}


def _rates(config: Config, steps: int) -> np.ndarray:
    """List the learning rate of each step, float32: the peak, after a few steps of warm-up if it has one."""
    rise = FIRST_STEPS // 2 if config.optimizer.warmup_epochs else 1
    share = np.minimum(np.arange(1, steps + 1) / rise, 1)
    return (config.optimizer.peak_rate * share).astype(np.float32)


def _rms(leaf: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(leaf, dtype=np.float64))))
