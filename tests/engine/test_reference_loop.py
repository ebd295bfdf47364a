"""Training against a plain loop: what it should come to, written out step by step.

The plain loop takes rows and random numbers from `sampled_order` and `draw_recipe` and gradients from the
train step, which have tests of their own. What connects them is written out here: targets, pixel statistics,
class weights, learning rates and the cuts of the plateau schedule, objective, accuracy and loss. The rows
outside the training part are brighter and of other classes, so that it shows if one of them is counted.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import pytest

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import LabelsConfig, SplitConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig, OptimizerConfig, TrainConfig
from fer_jax.data.batches import sampled_order
from fer_jax.data.examples import Examples
from fer_jax.data.readers.ferplus import CHOICES, HEADER
from fer_jax.data.split import Split
from fer_jax.engine.input_pipeline import draw_recipe, follow
from fer_jax.engine.loop import Record, Replica, run_epochs, run_unsaved
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.engine.state import TrainState, init_state
from fer_jax.engine.step import make_train_step
from fer_jax.fer2013 import USAGES
from fer_jax.images.standardise import PixelStats
from fer_jax.inference.prepare import prepare
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key, numpy_rng

Kind = Literal["labels", "votes", "drawn"]
"""FER2013's labels; FER+'s votes as soft labels; one of the votes, drawn again in each epoch."""

# After the second epoch the validation loss of the first seed has risen, and that of the second has fallen.
SEEDS = (0, 5)
EPOCHS, BATCH_SIZE, WARMUP_STEPS, PEAK, CUT = 3, 8, 6, 0.2, 0.5
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
CONFIG = Config(
    name="reference",
    split=SplitConfig(protocol="official"),
    augment=AugmentConfig(flip_probability=0.5, shift_probability=0.5, rotate_probability=0.5),
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True, dropout_rate=0.2),), dense_features=4),
    loss=LossConfig(label_smoothing=0.1, class_weights="balanced"),
    optimizer=OptimizerConfig(
        name="sgd",
        momentum=0.9,
        peak_rate=PEAK,
        schedule="plateau",
        patience_epochs=1,
        decay_factor=CUT,
        warmup_epochs=1.5,
    ),
    train=TrainConfig(epochs=EPOCHS, batch_size=BATCH_SIZE, eval_batch_size=16, train_eval_examples=0),
)


def draw_bands() -> Examples:
    """Draw 64 images: a bright band on noise, at a different height for each class."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([rng.integers(0, 4, 38), rng.integers(2, 7, 26)]).astype(np.int32)
    images = rng.integers(0, 60, (64, 48, 48, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 6] += 90
    images[38:] += 80
    usages = np.repeat([0, 1, 2], [38, 18, 8]).astype(np.int32)
    return Examples(images, labels, usages, "64 images of bands", "0" * 64)


EXAMPLES = draw_bands()
# In every ninth row "unknown" has the most votes, so that FER+ has no label for it.
HAS_LABEL = np.arange(64) % 9 != 4
# Four steps an epoch, with or without FER+, and some rows left over.
SPLIT = Split(train=np.arange(38), val=np.arange(38, 56), test=np.arange(56, 64))


def write_votes(path: Path) -> None:
    """Write six votes for each row's label, two for the class after it, and two single ones."""
    lines = [",".join(HEADER)]
    for row, label in enumerate(EXAMPLES.labels):
        counts = dict.fromkeys(CHOICES, 0)
        if HAS_LABEL[row]:
            counts[EXPRESSIONS[label]], counts[EXPRESSIONS[(label + 1) % 7]] = 6, 2
            counts["contempt"], counts["NF"] = 1, 1
        else:
            counts["unknown"] = 10
        lines.append(f"{USAGES[EXAMPLES.usages[row]]},,{','.join(str(counts[choice]) for choice in CHOICES)}")
    path.write_text("\n".join(lines))


def targets_by_hand(kind: Kind, seed: int, epoch: int) -> np.ndarray:
    """Return the targets, float64 [64, 7]; zeros where FER+ has no label."""
    targets = np.zeros((64, 7))
    places = numpy_rng(seed, Stream.LABELS, epoch).random(64)
    for row, label in enumerate(EXAMPLES.labels.tolist()):
        other = (label + 1) % 7
        if kind == "labels":
            targets[row, label] = 1
        elif kind == "votes" and HAS_LABEL[row]:
            targets[row, label], targets[row, other] = 0.75, 0.25
        elif HAS_LABEL[row]:
            ballots = sorted([label] * 6 + [other] * 2)
            targets[row, ballots[int(8 * places[row])]] = 1
    return targets


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the training of one seed results in.

    Attributes:
        state: after the last step.
        rates: the learning rate of each step.
        records: for each epoch `objective`, `train_loss`, `train_accuracy`, `val_loss` and `val_accuracy`.
    """

    state: TrainState
    rates: list[float]
    records: list[Record]


def stats_by_hand(train: np.ndarray) -> PixelStats:
    pixels = EXAMPLES.images[train].astype(np.float64)
    return PixelStats(float(pixels.mean()), float(pixels.std()))


def weights_by_hand(counts: np.ndarray) -> np.ndarray:
    """Weigh each class by 1 / its rows, so that the mean over all rows is 1; float32 [7]."""
    mean = counts.sum() / np.count_nonzero(counts)
    return np.array([mean / count if count else 0.0 for count in counts], np.float32)


def train_by_hand(kind: Kind) -> list[Outcome]:
    """Train each seed on its own in a plain loop."""
    train, val = SPLIT.train, SPLIT.val
    if kind != "labels":
        train, val = train[HAS_LABEL[train]], val[HAS_LABEL[val]]
    stats = stats_by_hand(train)
    model, optimizer = make_model(CONFIG.model, CONFIG.device), make_optimizer(CONFIG.optimizer)
    # Over 32 epochs, since the votes of one are a sample.
    counts = np.mean([targets_by_hand(kind, 0, epoch)[train].sum(axis=0) for epoch in range(32)], axis=0)
    class_weights = weights_by_hand(counts)
    step = make_train_step(model, optimizer, CONFIG.loss, class_weights=class_weights, pixel_stats=stats)
    init = jax.jit(lambda key: init_state(key, model, optimizer))
    to_logits = jax.jit(lambda variables, x: model.apply(variables, x, is_training=False))

    def measure(state: TrainState, rows: np.ndarray) -> tuple[float, float]:
        x = (EXAMPLES.images[rows].astype(np.float64) - stats.mean) / stats.std
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        logits = np.asarray(to_logits(variables, x.astype(np.float32)), np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities, labels = powers / powers.sum(axis=1, keepdims=True), EXAMPLES.labels[rows]
        loss = -np.log(probabilities[np.arange(len(rows)), labels]).mean()
        return float(loss), float((logits.argmax(axis=1) == labels).mean())

    outcomes = []
    for seed in SEEDS:
        state, number = init(jax_key(seed, Stream.INIT)), 0
        lowest, cuts = np.inf, 0
        rates, records = [], []
        for epoch in range(EPOCHS):
            order = sampled_order(seed, epoch, train, EXAMPLES.labels[train], sampling="all")
            targets = targets_by_hand(kind, seed, epoch).astype(np.float32)
            loss_sum = weight_sum = 0.0
            for position in range(len(train) // BATCH_SIZE):
                recipe = draw_recipe(
                    order,
                    CONFIG.augment,
                    batch_size=BATCH_SIZE,
                    position=position,
                    seed=seed,
                    step=number,
                    targets=None if kind == "labels" else targets,
                )
                rates.append(PEAK * min(1.0, number / WARMUP_STEPS) * CUT**cuts)
                batch = follow(recipe, EXAMPLES.images, EXAMPLES.labels)
                state, sums = step(jax_key(seed, Stream.DROPOUT), state, batch, np.float32(rates[-1]))
                loss_sum, weight_sum = loss_sum + float(sums.loss_sum), weight_sum + float(sums.weight_sum)
                number += 1
            (train_loss, train_accuracy), (val_loss, val_accuracy) = (
                measure(state, train),
                measure(state, val),
            )
            records.append(
                {
                    "objective": loss_sum / weight_sum,
                    "train_loss": train_loss,
                    "train_accuracy": train_accuracy,
                    "val_loss": val_loss,
                    "val_accuracy": val_accuracy,
                }
            )
            if val_loss >= lowest:
                cuts += 1
            lowest = min(lowest, val_loss)
        outcomes.append(Outcome(state, rates, records))
    return outcomes


@dataclass(frozen=True, eq=False)
class Both:
    """The outcomes of the plain loop and of the real one.

    Attributes:
        by_hand: of each seed.
        found: likewise.
        unsaved: states and last records of `run_unsaved`.
        stats: the real pixel statistics.
        train: the rows that are trained on.
    """

    by_hand: list[Outcome]
    found: list[Outcome]
    unsaved: tuple[list[TrainState], list[Record]]
    stats: PixelStats
    train: np.ndarray


@pytest.fixture(scope="module", params=["labels", "votes", "drawn"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    kind: Kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    config = CONFIG
    if kind != "labels":
        votes = folder / "fer2013new.csv"
        write_votes(votes)
        config = replace(CONFIG, labels=LabelsConfig(source="ferplus", mode=kind, ferplus=str(votes)))
    prepared = prepare(config, EXAMPLES)
    examples, split = prepared.examples, prepared.split
    programs = make_programs(config, examples, split, targets=prepared.targets)
    job = make_job(config, SEEDS, examples, split, programs)
    taken: list[np.ndarray] = []

    def begin() -> list[Replica]:
        return [
            Replica(seed, folder / str(seed), programs.init(jax_key(seed, Stream.INIT))) for seed in SEEDS
        ]

    def train(states: Any, recipes: Any, rates: np.ndarray, side_px: int, frozen_blocks: int) -> Any:
        taken.append(rates)
        return job.stepper.train(states, recipes, rates, side_px, frozen_blocks)

    saved, unsaved = begin(), begin()
    watched = replace(job, stepper=job.stepper._replace(train=train))
    run_epochs(
        watched,
        saved,
        clock=itertools.count().__next__,
        signals=[],
        on_step=lambda *_: None,
        on_epoch=lambda _: None,
    )
    rates = np.concatenate(taken, axis=1)
    last = run_unsaved(job, unsaved, on_step=lambda *_: None, on_selected=lambda _: None)
    return Both(
        by_hand=train_by_hand(kind),
        found=[
            Outcome(replica.state, own.tolist(), replica.progress.history)
            for replica, own in zip(saved, rates, strict=True)
        ],
        unsaved=([replica.state for replica in unsaved], last),
        stats=job.pixel_stats,
        train=split.train,
    )


def assert_states_equal(found: TrainState, wanted: TrainState) -> None:
    """Compare all leaves up to rounding: learning rates of the two loops may differ in the last bit."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), found, wanted)


def pairs(both: Both) -> Sequence[tuple[Outcome, Outcome]]:
    return list(zip(both.found, both.by_hand, strict=True))


def test_pixel_statistics_are_those_of_the_training_rows(both: Both) -> None:
    assert both.stats == pytest.approx(stats_by_hand(both.train), rel=1e-12)
    everything = EXAMPLES.images.astype(np.float64)
    assert both.stats.mean < everything.mean() - 10


def test_the_learning_rates_are_those_by_hand(both: Both) -> None:
    for found, wanted in pairs(both):
        np.testing.assert_allclose(found.rates, wanted.rates, rtol=1e-6)
    first, second = (outcome.rates for outcome in both.by_hand)
    assert first != second, "the seeds should have cuts of their own, or the test shows nothing"


def test_the_objectives_are_those_by_hand(both: Both) -> None:
    for found, wanted in pairs(both):
        objectives = [record["objective"] for record in wanted.records]
        assert [record["objective"] for record in found.records] == pytest.approx(objectives, rel=1e-4)


def test_the_measured_results_are_those_by_hand(both: Both) -> None:
    for found, wanted in pairs(both):
        for record, by_hand in zip(found.records, wanted.records, strict=True):
            assert {name: record[name] for name in by_hand} == pytest.approx(by_hand, rel=1e-4)


def test_the_states_are_those_by_hand(both: Both) -> None:
    for found, wanted in pairs(both):
        assert_states_equal(found.state, wanted.state)


def test_a_run_that_saves_nothing_has_the_same_outcome(both: Both) -> None:
    states, records = both.unsaved
    for state, record, wanted in zip(states, records, both.by_hand, strict=True):
        assert_states_equal(state, wanted.state)
        by_hand = wanted.records[-1]
        assert {name: record[name] for name in by_hand} == pytest.approx(by_hand, rel=1e-4)
