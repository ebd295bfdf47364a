"""The worker of the large-data benchmark: batches or training steps of one data set, in memory or mapped.

`benchmarks.throughput.large_data` starts it with a `Job` as JSON; its last line of output is the result.
"""

import contextlib
import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from benchmarks.harness import memory
from fer_jax.config import (
    AugmentConfig,
    Config,
    ConvBlock,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from fer_jax.data.batches import make_expect
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.readers.cached import store
from fer_jax.data.split import Split, split_examples
from fer_jax.engine.input_pipeline import follow, make_recipe_at
from fer_jax.runtime import cpu

WARM_STEPS = 10
"""Steps before the clock starts: the programs are compiled."""
HASHED_STEPS = 100


Reading = Literal["ahead", "alone", "around"]
"""ahead: the rows of coming batches are read ahead; alone: an image is read when it is used, and nothing
around it; around: without any advice to the system, which reads what it wants around an image."""


class Job(NamedTuple):
    """The worker's task, as JSON on its command line.

    Attributes:
        task: draw: only make the data; input: batches; train: steps of a tiny network.
        examples: N synthetic faces.
        is_loaded: whether the images are copied into memory first.
        is_cold: whether the images are dropped from the page cache before the clock starts.
        reading: see `Reading`.
        steps: batches that are timed.
        batch_size: B.
    """

    task: str
    examples: int
    is_loaded: bool
    is_cold: bool
    reading: Reading
    steps: int
    batch_size: int


class _DoneError(Exception):
    """Enough steps are taken."""


def to_config(job: Job) -> Config:
    """Return the config of a tiny network, with the augmentation of run 6."""
    return Config(
        name="large_data",
        data=DataConfig(source="synthetic", synthetic_examples=job.examples),
        augment=AugmentConfig(
            shift_probability=1.0, rotate_probability=1.0, crop_probability=1.0, flip_probability=0.5
        ),
        model=ModelConfig(
            blocks=(ConvBlock(features=8, pool=True), ConvBlock(features=16, pool=True)), dense_features=32
        ),
        optimizer=OptimizerConfig(name="adam", peak_rate=0.0005),
        train=TrainConfig(epochs=1, batch_size=job.batch_size, select="last"),
    )


def run(job: Job) -> dict[str, Any]:
    """Do a task, and return what is measured: seconds, images per second, bytes, and hashes."""
    started, peak = time.perf_counter(), memory.Peak()
    # However few the images are, so that the program can be tried with few.
    store.MOST_LOADED_BYTES = 0
    config = to_config(job)
    examples = load_examples(config.data)
    result: dict[str, Any] = {"load_s": time.perf_counter() - started, "data_sha256": examples.sha256}
    if job.is_loaded:
        examples = replace(examples, images=np.array(examples.images))
    if job.task != "draw":
        split = split_examples(examples, config.split)
        measure = _make_batches if job.task == "input" else _train
        result |= {"split_sha256": split.sha256, **measure(job, config, examples, split)}
    own, all_pages = peak.stop(), memory.read_status("VmHWM")
    return result | {"own_peak_bytes": own, "peak_bytes": all_pages}


def _make_batches(job: Job, config: Config, examples: Examples, split: Split) -> dict[str, Any]:
    """Time the input path, then hash the first batches."""
    # Making it has the system read nothing around an image.
    expect = None if job.reading == "around" else make_expect(examples.images)
    recipe_at = make_recipe_at(
        config,
        examples.labels,
        split.train,
        targets=None,
        seeds=1,
        expect=expect if job.reading == "ahead" else None,
    )
    share = _prepare_pages(job, examples)
    started = time.perf_counter()
    for step in range(job.steps):
        follow(recipe_at(0, step), examples.images, examples.labels)
    seconds = time.perf_counter() - started
    digest = hashlib.sha256()
    for step in range(min(job.steps, HASHED_STEPS)):
        batch = follow(recipe_at(0, step), examples.images, examples.labels)
        for array in (batch.images, batch.labels, batch.weights):
            digest.update(np.ascontiguousarray(array).data)
    rate = job.steps * job.batch_size / seconds
    return {"images_per_s": rate, "share_in_memory": share, "batches_sha256": digest.hexdigest()}


def _train(job: Job, config: Config, examples: Examples, split: Split) -> dict[str, Any]:
    """Time steps of training as `fer_jax.train` takes them, and return the mean objective of all."""
    # Imported here: drawing and the input path need no JAX.
    from fer_jax.engine.loop import Replica, run_unsaved
    from fer_jax.engine.setup import make_job, make_programs
    from fer_jax.randomness import Stream, jax_key

    programs = make_programs(config, examples, split)
    made = make_job(config, [0], examples, split, programs)
    if job.reading == "alone":
        made = replace(made, stepper=made.stepper._replace(expect=None))
    replica = Replica(0, Path(), programs.init(jax_key(0, Stream.INIT)))
    clock: dict[str, Any] = {}

    def on_step(epoch: int, steps: int, objective: float) -> None:
        if steps == WARM_STEPS:
            clock["share"], clock["started"] = _prepare_pages(job, examples), time.perf_counter()
        if steps == WARM_STEPS + job.steps:
            clock["seconds"], clock["objective"] = time.perf_counter() - clock["started"], objective
            raise _DoneError

    with contextlib.suppress(_DoneError):
        run_unsaved(made, [replica], on_step=on_step, on_selected=lambda replica: None)
    rate = job.steps * job.batch_size / clock["seconds"]
    return {"images_per_s": rate, "share_in_memory": clock["share"], "objective": clock["objective"]}


def _prepare_pages(job: Job, examples: Examples) -> float | None:
    """Drop the images from the page cache where that is asked for; return which share of them is there."""
    if job.is_loaded:
        return None
    images = cast("np.memmap", examples.images)
    if job.is_cold:
        memory.drop_pages(images)
    return memory.find_share_in_memory(images)


def main() -> int:
    """Do the task, and print the result."""
    cpu.tune_cpu()
    print(json.dumps(run(Job(*json.loads(sys.argv[1])))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
