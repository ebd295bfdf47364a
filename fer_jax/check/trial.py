"""A trial of a run: its network and steps, with the fresh weights, on a few of its batches.

Nothing is trained for good: some twenty steps at the peak rate, a few images learnt by heart, and the ramp of
the range test, all from the run's own initial weights, order, augmentation and dropout.
"""

import functools
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
from fer_jax.data.batches import epoch_order, sampled_order
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.split import Split, count_leaks
from fer_jax.engine.input_pipeline import eval_batches, evaluate, train_batch
from fer_jax.engine.losses import class_weights, cross_entropy
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, init_state
from fer_jax.engine.step import Batch, EvalStep, TrainStep, make_eval_step, make_train_step
from fer_jax.errors import ConfigError
from fer_jax.files import Json
from fer_jax.images import augment, standardise
from fer_jax.metrics.counts import accuracy, mean_loss
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key, numpy_rng

FIRST_STEPS: Final = 20
LOOK_BATCHES: Final = 3
"""Batches over which a unit has to be active once."""
OTHER_MASKS: Final = 3
"""Dropout masks that are compared with the first one."""
START_LOSS_IMAGES: Final = 512
EVAL_BATCH_SIZE: Final = 64
HEART_IMAGES: Final = 64
HEART_STEPS: Final = 100
HEART_STRIDE: Final = 5
"""Steps between two looks at whether the images are known."""
RANGE_RATES: Final = 50
STEPS_AT_EACH_RATE: Final = 2
RANGE_IMAGES: Final = 256
AUGMENTED_IMAGES: Final = 1000

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """A run that is tried out.

    Attributes:
        config: of the run.
        examples: all of them.
        split: rows of each part.
        pixel_stats: of the training images.
        class_weights: float32 [7].
        start: the fresh weights.
        train_step: as the run would use it; it uses up the state that it is given.
        eval_step: as the run would use it.
        probe_batch: see `make_probe`.
        batch_at: number of a step -> its batch, as the run would have it.
    """

    config: Config
    examples: Examples
    split: Split
    pixel_stats: standardise.PixelStats
    class_weights: np.ndarray
    start: TrainState
    train_step: TrainStep
    eval_step: EvalStep
    probe_batch: probe.Probe
    batch_at: Callable[[int], Batch]

    @property
    def dropout_key(self) -> jax.Array:
        """The run's key for dropout."""
        return jax_key(self.config.train.seed, Stream.DROPOUT)

    def copy_start(self) -> TrainState:
        """Copy the fresh weights, since a train step uses up its state."""
        return jax.tree.map(jnp.copy, self.start)


def make_trial(config: Config, examples: Examples, split: Split) -> Trial:
    """Build the run's network and steps, with fresh weights.

    Raises:
        ConfigError: the training part has less than a batch.
    """
    seed, size = config.train.seed, config.train.batch_size
    if size > len(split.train):
        raise ConfigError(
            f"train.batch_size is {size}, and the training part has {len(split.train)} rows; lower it, "
            "or give more data"
        )
    model, optimizer = make_model(config.model, config.device), make_optimizer(config.optimizer)
    plain = make_model(config.model, replace(config.device, kernels="plain"))
    stats = standardise.measure(examples.images[split.train])
    weights = class_weights(config.loss, class_counts(examples.labels[split.train]))
    epoch_steps = len(split.train) // size

    @functools.lru_cache(maxsize=1)
    def order_of(epoch: int) -> np.ndarray:
        labels = examples.labels[split.train]
        return sampled_order(seed, epoch, split.train, labels, sampling=config.train.sampling)

    def batch_at(step: int) -> Batch:
        epoch, position = divmod(step, epoch_steps)
        order = order_of(epoch)
        return train_batch(
            examples,
            order,
            config.augment,
            batch_size=size,
            position=position,
            seed=seed,
            step=step,
            mixing=config.mix,
        )

    return Trial(
        config=config,
        examples=examples,
        split=split,
        pixel_stats=stats,
        class_weights=weights,
        start=init_state(jax_key(seed, Stream.INIT), model, optimizer),
        train_step=make_train_step(
            model,
            optimizer,
            config.loss,
            class_weights=weights,
            pixel_stats=stats,
            sam_radius=config.optimizer.sam_radius,
        ),
        eval_step=make_eval_step(model, pixel_stats=stats),
        probe_batch=probe.make_probe(plain, config.loss, class_weights=weights, pixel_stats=stats),
        batch_at=batch_at,
    )


def check_split(examples: Examples, split: Split, config: Config) -> list[Finding]:
    """Look for copies across the parts, and compare their classes."""
    counts = {name: class_counts(examples.labels[rows]) for name, rows in split.parts.items()}
    sizes = {name: len(rows) for name, rows in split.parts.items()}
    copies = count_leaks(examples.images, split)
    return [
        check_data.check_copies(copies, sizes, can_group=config.split.protocol == "seed"),
        check_data.check_classes(counts),
    ]


def check_augmentation(config: Config) -> Finding:
    """Measure what augmentation takes away from an image."""
    rng = numpy_rng(config.train.seed, Stream.AUGMENT, 0)
    draws = augment.draw(rng, config.augment, AUGMENTED_IMAGES)
    return check_data.check_augmentation(
        legibility.measure_lost_shares(draws),
        legibility.measure_turns(draws),
        legibility.measure_grays(draws),
    )


def check_network(trial: Trial) -> tuple[list[Finding], list[Json]]:
    """Look into the network, fresh and after some steps at the peak rate.

    Returns:
        The findings, and the layers as in `Checked`.
    """
    start, key = trial.start, trial.dropout_key
    batches = [trial.batch_at(number) for number in range(LOOK_BATCHES)]
    before = probe.look(key, trial.probe_batch, start.params, start.batch_stats, batches)
    rows = trial.split.train[:: math.ceil(len(trial.split.train) / START_LOSS_IMAGES)]
    faces = eval_batches(trial.examples, rows, batch_size=EVAL_BATCH_SIZE)
    loss = mean_loss(evaluate(trial.eval_step, start.params, start.batch_stats, faces))
    state, updates = take_first_steps(trial)
    after = probe.look(key, trial.probe_batch, state.params, state.batch_stats, batches)
    norms = (flatten_dict(jax.device_get(each.batch_stats), sep="/") for each in (start, state))
    findings = [
        network.check_start_loss(evaluation=loss, training=before.loss),
        network.check_gradients({name: _rms(leaf) for name, leaf in before.grads.items()}),
        network.check_relus(before.dead_shares, after.dead_shares, steps=FIRST_STEPS),
        network.check_outputs({name: layer.sd for name, layer in after.layers.items()}),
        network.check_gradient_scale({name: layer.gradient_rms for name, layer in after.layers.items()}),
        network.check_updates(updates, steps=FIRST_STEPS),
        network.check_batch_norm(*norms, steps=FIRST_STEPS),
        network.check_dropout(_compare_masks(trial, batches[0], before.grads)),
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


def take_first_steps(trial: Trial) -> tuple[TrainState, dict[str, float]]:
    """Take the run's first steps, at the peak rate at once; a warm-up is squeezed into half of them.

    Returns:
        The state after them, and the update-to-weight ratios of the last one, see `check.probe.measure_updates`.
    """
    state, params = trial.copy_start(), trial.start.params
    for number, rate in enumerate(_rates(trial.config, FIRST_STEPS)):
        if number == FIRST_STEPS - 1:
            params = jax.tree.map(np.array, state.params)  # A copy: the step uses up the state.
        state, _ = trial.train_step(trial.dropout_key, state, trial.batch_at(number), rate)
    return state, probe.measure_updates(params, state.params)


def check_heart(trial: Trial, tell: Tell) -> Finding:
    """Learn a few images by heart, with the config's optimizer, without its dropout and augmentation."""
    config, key, state = trial.config, trial.dropout_key, trial.copy_start()
    step = make_train_step(
        make_model(without_dropout(config.model), config.device),
        make_optimizer(config.optimizer),
        config.loss,
        class_weights=trial.class_weights,
        pixel_stats=trial.pixel_stats,
        sam_radius=config.optimizer.sam_radius,
    )
    rows = epoch_order(config.train.seed, 0, trial.split.train)[:HEART_IMAGES]
    (batch,) = eval_batches(trial.examples, rows, batch_size=len(rows))
    known, loss, steps = 0.0, math.nan, 0
    for rate in _rates(config, HEART_STEPS):
        state, objective = step(key, state, batch, rate)
        steps += 1
        if steps % HEART_STRIDE == 0:
            known = accuracy(evaluate(trial.eval_step, state.params, state.batch_stats, [batch]))
            loss = float(objective.loss_sum / objective.weight_sum)
            tell(f"{100 * known:.0f} % after {steps} steps")
            if known == 1 or not math.isfinite(loss):
                break
    return network.check_heart(accuracy=known, objective=loss, images=len(rows), steps=steps)


def measure_range(trial: Trial, tell: Tell) -> RateRange | None:
    """Take the learning-rate range test; None where the first loss is not finite.

    Its loss is that of validation images, which no step sees, by the batch's own statistics: the running ones
    would lag behind a rising rate.
    """
    rates = rate_range.make_ramp(*rate_range.RANGES[trial.config.optimizer.name], RANGE_RATES)
    model = make_model(without_dropout(trial.config.model), trial.config.device)
    rows = trial.split.val[:: math.ceil(len(trial.split.val) / RANGE_IMAGES)]
    # Arguments, not constants of the program: XLA would spend seconds on folding their padding.
    faces = standardise.standardise(trial.examples.images[rows], trial.pixel_stats)
    labels = trial.examples.labels[rows]
    state = trial.copy_start()

    @jax.jit
    def measure_loss(params: Any, batch_stats: Any, faces: Any, labels: Any) -> jax.Array:
        variables = {"params": params, "batch_stats": batch_stats}
        logits, _ = model.apply(
            variables, faces, is_training=True, rngs={"dropout": trial.dropout_key}, mutable=["batch_stats"]
        )
        return cross_entropy(logits, labels, label_smoothing=0.0).mean()

    def try_rate(number: int, rate: float) -> float:
        nonlocal state
        loss = float(measure_loss(state.params, state.batch_stats, faces, labels))
        for step in range(number * STEPS_AT_EACH_RATE, (number + 1) * STEPS_AT_EACH_RATE):
            state, _ = trial.train_step(trial.dropout_key, state, trial.batch_at(step), np.float32(rate))
        return loss

    losses = []
    for loss in rate_range.run_ramp(try_rate, rates):
        losses.append(loss)
        tell(f"{len(losses)} of {RANGE_RATES} rates, loss {loss:.2f}")
    return rate_range.read_ramp(rates, np.array(losses)) if losses else None


def without_dropout(config: ModelConfig) -> ModelConfig:
    """Take all dropout off a network, and let it skip no block."""
    blocks = tuple(replace(block, dropout_rate=0.0) for block in config.blocks)
    return replace(config, blocks=blocks, dense_dropout_rate=0.0, skip_rate=0.0)


def _compare_masks(trial: Trial, batch: Batch, grads: dict[str, np.ndarray]) -> dict[str, float]:
    """Compare a batch's gradients with those under other dropout masks: mean cosine by layer."""
    if trial.config.model == without_dropout(trial.config.model):
        return {}
    start, keys = trial.start, jax.random.split(trial.dropout_key, OTHER_MASKS)
    looks = [probe.look(key, trial.probe_batch, start.params, start.batch_stats, [batch]) for key in keys]
    cosines = [probe.measure_agreement(grads, each.grads) for each in looks]
    return {name: float(np.mean([each[name] for each in cosines])) for name in cosines[0]}


def _rates(config: Config, steps: int) -> np.ndarray:
    """Give the rate of each step, float32: the peak, reached in some steps where the config warms up."""
    rise = FIRST_STEPS // 2 if config.optimizer.warmup_epochs else 1
    share = np.minimum(np.arange(1, steps + 1) / rise, 1)
    return (config.optimizer.peak_rate * share).astype(np.float32)


def _rms(leaf: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(leaf, dtype=np.float64))))
