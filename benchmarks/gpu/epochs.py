"""Is the optimizer what an epoch of `best` waits for? Its training steps with SGD, our Muon and Optax's.

Optax's has a piece of its own: XLA autotunes its many small products one by one, for a minute or more.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import jax
import optax
import optax.contrib

from benchmarks.gpu.session import Content, Session
from benchmarks.gpu.trainings import make_config
from benchmarks.harness import arena
from benchmarks.throughput.steps_alone import prepare
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.data.load import load_examples
from fer_jax.data.split import split_examples
from fer_jax.engine.muon import is_matrix
from fer_jax.engine.optimizer import make_optimizer

ROUNDS: Final = 5
PLAIN: Final = "sgd"
OURS: Final = "muon"
"""The row with the optimizer that trainings use."""
OPTAX: Final = "muon of Optax"
SGD: Final = OptimizerConfig(name="sgd", momentum=0.9, nesterov=True, weight_decay=0.05)
COEFFICIENTS: Final = ((3.4445, -4.775, 2.0315),) * 5
RMS: Final = 0.2


def measure(session: Session) -> Content:
    """Measure an epoch's training steps with SGD and our Muon."""
    return _take_turns(session, (PLAIN, OURS))


def measure_optax(session: Session) -> Content:
    """Measure an epoch's training steps with our Muon and Optax's."""
    return _take_turns(session, (OURS, OPTAX))


def _take_turns(session: Session, names: Sequence[str]) -> Content:
    """Measure an epoch's training steps, without its evaluation, with each optimizer, in turns.

    A first epoch is faster where an earlier call has compiled its programs.
    """
    config = make_config(session, "best", {})
    examples = load_examples(config.data)
    split = split_examples(examples, config.split)
    optimizers = {
        PLAIN: make_optimizer(SGD),
        OURS: make_optimizer(config.optimizer),
        OPTAX: make_optax_muon(config),
    }
    epochs: dict[str, Callable[[], None]] = {}
    first_s = {}
    for name in names:
        started = time.perf_counter()
        epochs[name] = prepare(config, examples, split, optimizers[name], is_measured=False)
        epochs[name]()
        first_s[name] = time.perf_counter() - started
    samples: dict[str, list[list[float]]] = {name: [] for name in epochs}
    for _ in range(2 if session.is_tiny else ROUNDS):
        for name, take_epoch in epochs.items():
            started = time.perf_counter()
            take_epoch()
            samples[name].append([time.perf_counter() - started])
    rows = [
        arena.to_row(arena.Result(name, {"first_epoch_s": first_s[name]}, each))
        for name, each in samples.items()
    ]
    steps = len(split.train) // config.train.batch_size
    return Content(rows, {"config": to_json(config), "steps": steps})


def epoch_s(session: Session) -> float | None:
    """Return the seconds of an epoch's training steps with our Muon; None if they are not measured."""
    content = session.find("epochs")
    rows = [] if content is None else content["results"]
    found = [row["spread_s"]["median"] for row in rows if row["name"] == OURS]
    return found[0] if found else None


def make_optax_muon(config: Config) -> optax.GradientTransformation:
    """Make Optax's Muon, matrix after matrix in float32, for learning rate 1: what is compared with ours.

    It moves the matrices that ours moves, and Adam the rest.
    """

    def number(path: Any, leaf: Any) -> optax.contrib.MuonDimensionNumbers | None:
        if not is_matrix([each.key for each in path], leaf.shape):
            return None
        return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

    def kernels(params: optax.Params) -> optax.Params:
        return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)

    muon = optax.contrib.muon(
        -1.0,
        ns_coeffs=COEFFICIENTS,
        beta=config.optimizer.momentum,
        consistent_rms=RMS,
        muon_weight_dimension_numbers=lambda params: jax.tree_util.tree_map_with_path(number, params),
    )
    return optax.chain(muon, optax.add_decayed_weights(config.optimizer.weight_decay, mask=kernels))


def with_sgd(config: Config) -> Config:
    """Return a config as both libraries can take its step: SGD, no mixing, no averaging, no skipping."""
    return replace(
        config,
        # PyTorch's kernel has the penalty in it; decoupled decay would be a further launch for each kernel.
        optimizer=replace(SGD, weight_decay=0.0, l2=SGD.weight_decay),
        mix=type(config.mix)(),
        average=type(config.average)(),
        model=replace(config.model, skip_rate=0.0),
        train=replace(config.train, small_epochs=0),
    )
