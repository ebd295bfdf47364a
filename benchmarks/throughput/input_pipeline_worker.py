"""The worker of the input pipeline benchmark: one way to make augmented batches, one batch per iteration.

`benchmarks.throughput.input_pipeline` starts it; `KINDS` has what it can run.
"""

import json
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import arena
from benchmarks.throughput.transforms import OpenCVTransform, PILTransform, Transform
from fer_jax.config.augment import AugmentConfig
from fer_jax.data import batches as data_batches
from fer_jax.data.examples import Examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.engine import input_pipeline
from fer_jax.images import augment as images_augment
from fer_jax.images import standardise
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.runtime import cpu

SEED = 0
UNTIMED_BATCHES = 12
"""Run before each turn: loaders with worker processes have up to this many batches prepared."""

Run = Callable[[], Any]


class Kind(NamedTuple):
    """How a candidate makes batches.

    Attributes:
        title: its name in the table.
        needs: modules of the extra `bench`.
        make: prepares it: (job) -> a function that makes one batch per call.
        is_tuned: whether `runtime.cpu.tune_cpu` is called.
    """

    title: str
    needs: tuple[str, ...]
    make: Callable[["Job"], Run]
    is_tuned: bool


class Job(NamedTuple):
    """The worker's task, as JSON on its command line.

    Attributes:
        name: its kind's.
        augment: fields of `AugmentConfig`.
        batch_size: images per batch.
        examples: number of faces to choose from.
    """

    name: str
    augment: dict[str, Any]
    batch_size: int
    examples: int

    def config(self) -> AugmentConfig:
        """Return the augmentation as a config."""
        return AugmentConfig(**self.augment)

    def faces(self) -> Examples:
        """Draw the synthetic faces that every candidate takes its batches from."""
        return draw_examples(seed=SEED, examples=self.examples)

    def order(self) -> np.ndarray:
        """Return the shuffled rows of the faces; int [examples]."""
        return data_batches.epoch_order(SEED, 0, np.arange(self.examples))


# Ours: a batch at a time.


def _make_cut(job: Job) -> Run:
    faces, positions, order = job.faces(), _Positions(job), job.order()

    def run() -> Any:
        rows, weights = data_batches.cut(order, job.batch_size, positions.take())
        return faces.images[rows], faces.labels[rows], weights

    return run


def _make_draw(job: Job) -> Run:
    config, positions = job.config(), _Positions(job)
    return lambda: images_augment.draw(
        numpy_rng(SEED, Stream.AUGMENT, positions.take_step()), config, job.batch_size
    )


def _make_apply(job: Job) -> Run:
    images, draws = _drawn_batch(job)
    return lambda: images_augment.apply(images, draws)


def _make_jax_apply(job: Job) -> Run:
    import jax

    images, draws = _drawn_batch(job)
    apply = jax.jit(images_augment.apply)
    return lambda: apply(images, draws).block_until_ready()


def _make_resident_apply(job: Job) -> Run:
    import jax

    faces = jax.device_put(job.faces().images)
    rows, _ = data_batches.cut(job.order(), job.batch_size, 0)
    _, draws = _drawn_batch(job)
    take_and_apply = jax.jit(lambda faces, rows, draws: images_augment.apply(faces[rows], draws))
    return lambda: take_and_apply(faces, rows, draws).block_until_ready()


def _make_train_batch(job: Job) -> Run:
    faces, positions, order, config = job.faces(), _Positions(job), job.order(), job.config()

    def run() -> Any:
        position, step = positions.take(), positions.take_step()
        recipe = input_pipeline.draw_recipe(
            order, config, batch_size=job.batch_size, position=position, seed=SEED, step=step
        )
        return input_pipeline.follow(recipe, faces.images, faces.labels)

    return run


def _make_float_batch(job: Job) -> Run:
    make_batch, stats = _make_train_batch(job), standardise.measure(job.faces().images)
    return lambda: standardise.standardise(make_batch().images, stats)


def _drawn_batch(job: Job) -> tuple[np.ndarray, images_augment.Draws]:
    rows, _ = data_batches.cut(job.order(), job.batch_size, 0)
    rng = numpy_rng(SEED, Stream.AUGMENT, 0)
    return job.faces().images[rows], images_augment.draw(rng, job.config(), job.batch_size)


class _Positions:
    """Counts the batches of the run, and those of an epoch that starts over and over."""

    def __init__(self, job: Job) -> None:
        self.step = self.position = -1
        self.epoch_batches = job.examples // job.batch_size

    def take(self) -> int:
        """Move to the next batch of the epoch."""
        self.position = (self.position + 1) % self.epoch_batches
        return self.position

    def take_step(self) -> int:
        """Move to the next batch of the run."""
        self.step += 1
        return self.step


# Theirs: an image at a time.


class _Dataset:
    """Faces with a transform, as PyTorch's DataLoader wants them."""

    def __init__(self, faces: Examples, transform: Transform) -> None:
        self.faces, self.transform = faces, transform

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
        return self.transform(self.faces.images[row]), int(self.faces.labels[row])


def _make_loop(job: Job, transform: type[Transform]) -> Run:
    """Prepare a plain loop over the images of a batch."""
    random.seed(SEED)
    faces, order, positions = job.faces(), job.order(), _Positions(job)
    dataset = _Dataset(faces, transform(job.config(), standardise.measure(faces.images)))

    def run() -> Any:
        rows, _ = data_batches.cut(order, job.batch_size, positions.take())
        images, labels = zip(*(dataset[row] for row in rows), strict=True)
        return np.stack(images), np.array(labels)

    return run


def _make_loader(job: Job, transform: type[Transform], processes: int) -> Run:
    """Prepare a PyTorch DataLoader that never ends."""
    from torch.utils import data

    random.seed(SEED)
    faces = job.faces()
    dataset: Any = _Dataset(faces, transform(job.config(), standardise.measure(faces.images)))
    rows = data.RandomSampler(dataset, replacement=True, num_samples=2**40)
    batches = iter(data.DataLoader(dataset, job.batch_size, sampler=rows, num_workers=processes))
    return lambda: next(batches)


_CV2, _PIL = partial(_make_loop, transform=OpenCVTransform), partial(_make_loop, transform=PILTransform)
_CV2_LOADER = partial(_make_loader, transform=OpenCVTransform)
_PIL_LOADER = partial(_make_loader, transform=PILTransform)
_BOTH = ("cv2", "torch")
KINDS = {
    "cut": Kind("ours: rows and pixels of a batch", (), _make_cut, True),
    "draw": Kind("ours: draws", (), _make_draw, True),
    "apply": Kind("ours: apply, NumPy", (), _make_apply, True),
    "apply-untuned": Kind("ours: apply, NumPy, not tuned", (), _make_apply, False),
    "apply-jax": Kind("ours: apply, JAX jitted", (), _make_jax_apply, True),
    "apply-resident": Kind("ours: pixels and apply, JAX, faces on device", (), _make_resident_apply, True),
    "batch": Kind("ours: everything, to uint8", (), _make_train_batch, True),
    "batch-float": Kind("ours: everything, to float32", (), _make_float_batch, True),
    "cv2": Kind("OpenCV, one by one", ("cv2",), _CV2, False),
    "pil": Kind("PIL, one by one", (), _PIL, False),
    "cv2-loader-0": Kind("OpenCV, DataLoader, 0 workers", _BOTH, partial(_CV2_LOADER, processes=0), False),
    "cv2-loader-2": Kind("OpenCV, DataLoader, 2 workers", _BOTH, partial(_CV2_LOADER, processes=2), False),
    "pil-loader-0": Kind("PIL, DataLoader, 0 workers", ("torch",), partial(_PIL_LOADER, processes=0), False),
    "pil-loader-2": Kind("PIL, DataLoader, 2 workers", ("torch",), partial(_PIL_LOADER, processes=2), False),
}
"""Ours use the allocator setting of our programs; the others run as users run them."""


def main() -> int:
    """Prepare one way to make batches, make a few, and serve."""
    job = Job(*json.loads(sys.argv[1]))
    kind = KINDS[job.name]
    # Before the first large array and before jax is imported.
    tuning = cpu.tune_cpu() if kind.is_tuned else []
    run = kind.make(job)
    run()
    facts = {"cores": arena.count_cores(), "tuning": tuning}
    arena.serve(facts, run, untimed_iterations=UNTIMED_BATCHES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
