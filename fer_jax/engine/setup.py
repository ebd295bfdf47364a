"""Everything that is compiled once for a config and a training part: model, steps, statistics, job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax
import numpy as np

from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.split import Split
from fer_jax.engine.averages import make_pace
from fer_jax.engine.batch_stats import Refresh, make_refresh
from fer_jax.engine.input_pipeline import TargetsOf
from fer_jax.engine.loop import Job
from fer_jax.engine.losses import class_weights
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, begin_average, init_state
from fer_jax.engine.step import EvalStep, TrainStep, make_eval_step, make_train_step
from fer_jax.engine.steppers import make_host_stepper, make_resident_stepper
from fer_jax.errors import ConfigError
from fer_jax.images import standardise
from fer_jax.images.standardise import PixelStats
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key


@dataclass(frozen=True)
class Programs:
    """What is compiled once for all seeds of a config on one training part.

    Attributes:
        model: the network.
        init: key of the stream `Stream.INIT` -> fresh state.
        train_step: see `make_train_step`.
        eval_step: see `make_eval_step`.
        pixel_stats: of the training images.
        targets: what the examples' targets are; None: their labels.
        refresh: brings an average up to date, see `make_refresh`.
    """

    model: nn.Module
    init: Callable[[jax.Array], TrainState]
    train_step: TrainStep
    eval_step: EvalStep
    pixel_stats: PixelStats
    targets: TargetsOf | None
    refresh: Refresh


def make_programs(
    config: Config, examples: Examples, split: Split, *, targets: TargetsOf | None = None
) -> Programs:
    """Make the programs of a config.

    Args:
        config: of the run; its seed does not matter.
        examples: all of them.
        split: what is trained on, see `take_sample`.
        targets: what the examples' targets are; None: their labels.

    Raises:
        ConfigError: the training part has not enough rows for one batch.
    """
    if config.train.batch_size > len(split.train):
        raise ConfigError(
            f"train.batch_size is {config.train.batch_size}, and the training part has {len(split.train)} "
            "rows; lower it, or give more data"
        )
    model, optimizer = make_model(config.model, config.device), make_optimizer(config.optimizer)
    stats = standardise.measure(examples.images[split.train])
    counts: np.ndarray = np.array(class_counts(examples.labels[split.train], classes=config.model.classes))
    if targets is not None:
        counts = targets(0, 0)[split.train].sum(axis=0, dtype=np.float64)
    epoch_steps = len(split.train) // config.train.batch_size
    train_step = make_train_step(
        model,
        optimizer,
        config.loss,
        class_weights=class_weights(config.loss, counts),
        pixel_stats=stats,
        sam_radius=config.optimizer.sam_radius,
        pace=make_pace(config.average, epoch_steps=epoch_steps, epochs=config.train.epochs),
    )
    refresh = make_refresh(
        config.average,
        model,
        examples.images,
        split.train,
        pixel_stats=stats,
        batch_size=config.train.eval_batch_size,
    )
    return Programs(
        model=model,
        init=jax.jit(lambda key: begin_average(init_state(key, model, optimizer), config.average)),
        train_step=train_step,
        eval_step=make_eval_step(model, pixel_stats=stats),
        pixel_stats=stats,
        targets=targets,
        refresh=refresh,
    )


def make_job(
    config: Config, seeds: Sequence[int], examples: Examples, split: Split, programs: Programs
) -> Job:
    """Make the job of some seeds that are trained together.

    Args:
        config: of the run.
        seeds: one for each lane.
        examples: all of them.
        split: what is trained on.
        programs: of this config, these examples and this split.
    """
    keys = [jax_key(seed, Stream.DROPOUT) for seed in seeds]
    is_accelerated = jax.devices()[0].platform != "cpu"
    is_resident = config.device.mode == "resident" or (config.device.mode == "auto" and is_accelerated)
    eval_batch_size = config.train.eval_batch_size
    if is_resident:
        stepper = make_resident_stepper(
            keys,
            programs.train_step,
            programs.eval_step,
            examples,
            eval_batch_size=eval_batch_size,
            epoch_steps=len(split.train) // config.train.batch_size,
            is_fused=is_accelerated,
        )
    else:
        stepper = make_host_stepper(
            keys, programs.train_step, programs.eval_step, examples, eval_batch_size=eval_batch_size
        )
    return Job(
        config=config,
        examples=examples,
        targets=programs.targets,
        split=split,
        pixel_stats=programs.pixel_stats,
        stepper=stepper,
        refresh=programs.refresh,
    )
