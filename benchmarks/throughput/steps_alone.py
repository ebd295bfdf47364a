"""Only the device steps of an epoch: what an epoch would cost without any overhead.

    python -m benchmarks.throughput.steps_alone --config configs/run6.py --data train.csv --run-dir runs/steps

It takes as many train and eval steps as an epoch of `python -m fer_jax.train`, compiled by the same
functions, over prepared batches, and appends a line to `log.jsonl` after each epoch.
`benchmarks.throughput.epoch` compares the real program with it.
"""

import itertools
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import optax
import tyro

from fer_jax import cli, fer2013
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import load_examples
from fer_jax.data.split import Split, split_examples
from fer_jax.engine.input_pipeline import draw_recipe, follow, make_recipe_at
from fer_jax.engine.losses import class_weights
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import init_state
from fer_jax.engine.step import make_eval_step, make_train_step
from fer_jax.engine.steppers import make_resident_stepper
from fer_jax.files import json_line
from fer_jax.images import standardise
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key
from fer_jax.runtime import cpu

RATE = np.float32(1e-6)
"""Learning rate: so small that the weights hardly change."""

Epoch = Callable[[], None]
"""Takes all steps of an epoch and waits until they are done."""


@dataclass(frozen=True)
class StepsAlone:
    """Take the steps of a config's epochs over prepared batches, and time them."""

    config: Path
    """Config file, such as configs/run6.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    run_dir: Path = Path("runs/steps")
    """Folder for log.jsonl."""
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, take the steps, and return the exit status."""
    return cli.run(
        lambda: _step(cli.parse(StepsAlone, argv, prog="python -m benchmarks.throughput.steps_alone"))
    )


def _step(options: StepsAlone) -> int:
    config = with_data(options.settings, options.data, None)
    cpu.tune_cpu()
    examples = load_examples(config.data)
    split = split_examples(examples, config.split)
    take_epoch = prepare(config, examples, split, make_optimizer(config.optimizer), is_measured=True)
    options.run_dir.mkdir(parents=True, exist_ok=True)
    for epoch in range(1, config.train.epochs + 1):
        started = time.perf_counter()
        take_epoch()
        record = {"epoch": epoch, "seconds": time.perf_counter() - started}
        with (options.run_dir / "log.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json_line(record))
    return 0


def prepare(
    config: Config,
    examples: Examples,
    split: Split,
    optimizer: optax.GradientTransformation,
    *,
    is_measured: bool,
) -> Epoch:
    """Make the steps as `fer_jax.train` does, and the function that takes an epoch of them.

    Args:
        config: of the run.
        examples: all of them.
        split: rows of each part.
        optimizer: such as the config's.
        is_measured: whether the evaluation steps after an epoch belong to it.
    """
    model = make_model(config.model, config.device)
    stats = standardise.measure(examples.images[split.train])
    weights = class_weights(config.loss, class_counts(examples.labels[split.train]))
    train_step = make_train_step(
        model,
        optimizer,
        config.loss,
        class_weights=weights,
        pixel_stats=stats,
        sam_radius=config.optimizer.sam_radius,
    )
    eval_step = make_eval_step(model, pixel_stats=stats)
    state = init_state(jax_key(config.train.seed, Stream.INIT), model, optimizer)
    is_on_cpu = jax.devices()[0].platform == "cpu"
    is_resident = config.device.mode == "resident" or (config.device.mode == "auto" and not is_on_cpu)
    make = _make_resident_epoch if is_resident else _make_host_epoch
    return make(config, examples, split, train_step, eval_step, state, is_measured=is_measured)


def _make_host_epoch(
    config: Config,
    examples: Examples,
    split: Split,
    train_step: Any,
    eval_step: Any,
    state: Any,
    *,
    is_measured: bool,
) -> Epoch:
    """Make an epoch of steps over one batch that is on the device."""
    train = config.train
    key = jax_key(train.seed, Stream.DROPOUT)

    def make_batch(batch_size: int) -> Any:
        # Rows of the training part, repeated where it is smaller than a batch.
        order = np.resize(split.train, batch_size)
        recipe = draw_recipe(
            order,
            config.augment,
            batch_size=batch_size,
            position=0,
            seed=train.seed,
            step=0,
            mixing=config.mix,
        )
        return jax.device_put(follow(recipe, examples.images, examples.labels))

    batch, eval_batch = make_batch(train.batch_size), make_batch(train.eval_batch_size)
    parts = (_measured(config, split), len(split.val))
    eval_steps = sum(math.ceil(rows / train.eval_batch_size) for rows in parts)

    def take_epoch() -> None:
        nonlocal state
        pending = None
        for _ in range(len(split.train) // train.batch_size):
            state, objective = train_step(key, state, batch, RATE)
            # As the program does: it waits for the previous step while this one runs.
            jax.block_until_ready(pending)
            pending = objective
        jax.block_until_ready(pending)
        if is_measured:
            jax.block_until_ready(
                [eval_step(state.params, state.batch_stats, eval_batch) for _ in range(eval_steps)]
            )

    return take_epoch


def _make_resident_epoch(
    config: Config,
    examples: Examples,
    split: Split,
    train_step: Any,
    eval_step: Any,
    state: Any,
    *,
    is_measured: bool,
) -> Epoch:
    """Make an epoch of chunks with recipes drawn in advance; the images stay on the device."""
    train = config.train
    steps = len(split.train) // train.batch_size
    stepper = make_resident_stepper(
        [jax_key(train.seed, Stream.DROPOUT)],
        train_step,
        eval_step,
        examples,
        eval_batch_size=train.eval_batch_size,
        epoch_steps=steps,
        is_fused=jax.devices()[0].platform != "cpu",
    )
    recipe_at = make_recipe_at(config, examples.labels, split.train, targets=None, seeds=1)
    recipes = [recipe_at(train.seed, step) for step in range(steps)]
    bounds = [*range(0, steps, stepper.chunk_steps), steps]
    chunks = [recipes[start:end] for start, end in itertools.pairwise(bounds)]
    measured = [[split.train[: _measured(config, split)], split.val]]

    def take_epoch() -> None:
        nonlocal state
        pending = None
        for chunk in chunks:
            (state,), objectives = stepper.train(
                [state], [chunk], np.full((1, len(chunk)), RATE), fer2013.IMAGE_SHAPE[0], 0
            )
            jax.block_until_ready(pending)
            pending = objectives
        jax.block_until_ready(pending)
        if is_measured:
            jax.block_until_ready(stepper.evaluate([state], measured))

    return take_epoch


def _measured(config: Config, split: Split) -> int:
    """Count the training rows on which the train accuracy is measured after an epoch."""
    wanted, rows = config.train.train_eval_examples, len(split.train)
    return min(wanted, rows) if wanted else rows


if __name__ == "__main__":
    sys.exit(main())
