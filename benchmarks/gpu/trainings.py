"""Trainings in this process, by the engine of `fer_jax.train`, and their weights in float16.

A training is resumed from its checkpoint if the session's folder `runs/` has one of the same source, and
skipped if its weights are there. `weights/NAME-seedS.safetensors` and its card are all that has to come back.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu import tiny
from benchmarks.gpu.session import Content, OutOfTimeError, Session
from benchmarks.harness import bench
from fer_jax.config import overrides
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config
from fer_jax.engine.loop import Clock
from fer_jax.errors import DivergedError
from fer_jax.files import read_json, read_json_lines
from fer_jax.inference import run_weights, weights
from fer_jax.inference.run_weights import Trained
from fer_jax.release import card as release_card
from fer_jax.release import run as release_run
from fer_jax.runtime.signals import StopError
from fer_jax.train import run as train_run

QUIET: Final = {"train.select": "last", "train.trackers": []}
"""Changes of every training here."""


def make_config(session: Session, name: str, changes: Mapping[str, Any]) -> Config:
    """Make the config of a training: a file of `configs/`, changed; at tiny size shrunk.

    Args:
        session: its data, and its size.
        name: of the config.
        changes: dotted name of a field -> its value.
    """
    config = load_config(bench.ROOT / "configs" / f"{name}.py")
    if session.is_tiny:
        config = tiny.shrink(config)
        changes = {
            key: min(value, tiny.EPOCHS) if key.startswith("train.") and key.endswith("epochs") else value
            for key, value in changes.items()
        }
    if config.labels.source == "ferplus":
        changes = {**changes, "labels.ferplus": str(session.ferplus)}
    settings = {**QUIET, **_shorten_decay(config, changes), **changes}
    config = overrides.apply(config, settings, where="benchmarks.gpu")
    return overrides.with_data(config, session.data, None)


def _shorten_decay(config: Config, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change that a shorter training needs: its decay has to fit in after the warm-up."""
    optimizer = config.optimizer
    if optimizer.schedule != "trapezoid" or "train.epochs" not in changes:
        return {}
    most = changes["train.epochs"] - optimizer.warmup_epochs
    return {"optimizer.cooldown_epochs": min(optimizer.cooldown_epochs, most)}


def train(session: Session, folder: Path, config: Config, *, clock: Clock = time.perf_counter) -> Path:
    """Train a config to its end, from its last checkpoint on, and return its folder.

    Args:
        session: what is told when the time is up.
        folder: of the run; a finished one is left as it is.
        config: of the run, with its seed.
        clock: for the log.

    Raises:
        OutOfTimeError: the time is up; a checkpoint is saved.
        StopError: a signal came; a checkpoint is saved.
    """
    record = folder / "run.json"
    if record.exists() and read_json(record)["finished"]:
        return folder
    outcome = train_run.train(
        config,
        seeds=1,
        run_dir=folder,
        is_resumed=record.exists(),
        invocation=f"{session.command}  # {config.name}, seed {config.train.seed}",
        clock=clock,
    )
    if outcome.stopped_by is not None:
        raise OutOfTimeError if session.has_rung else StopError(outcome.stopped_by)
    return folder


def describe(folder: Path) -> dict[str, Any]:
    """Describe a finished run, for JSON: its settings, seconds of each epoch, and results."""
    run = read_json(folder / "run.json")
    log = read_json_lines(folder / "log.jsonl")
    return {
        "name": folder.name,
        "config": read_json(folder / "config.json"),
        "seed": run["seed"],
        "seconds": run["seconds_total"],
        "seconds_per_epoch": run["seconds_per_epoch"],
        "last_state_sha256": run["last_state_sha256"],
        "log": log,
        "train_metrics": read_json(folder / "metrics.json")["train"],
    }


def keep_weights(session: Session, trained: Trained, name: str) -> dict[str, Any]:
    """Write the weights of a run in float16, with their card, without figures so far; describe the file."""
    tensors = weights.pack(trained.network.variables, dtype="float16")
    card = release_run.describe(trained, tensors, name=name, dtype="float16")
    folder = session.out / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    release_run.write(folder, name, tensors, card)
    return dict(card["tensors"])


def train_and_keep(session: Session, name: str, config: Config) -> Content:
    """Train a config, and keep its weights as `weights/NAME.safetensors`: the content of a piece.

    One whose loss does not stay finite has no weights; trained again, it would end so again.
    """
    settings = {"config": to_json(config)}
    try:
        folder = train(session, session.runs / name, config)
    except DivergedError as error:
        return Content([{"name": name, "diverged": str(error)}], settings)
    trained = run_weights.load_finished(folder, None, None)
    row = describe(trained.folder) | {
        "weights": keep_weights(session, trained, name),
        "role": release_card.role_of("PublicTest", trained.config, trained.record),
    }
    files = [f"weights/{name}{ending}" for ending in (".safetensors", ".json")]
    return Content([row], settings, files=files)


def find_weights(session: Session) -> list[Path]:
    """List the weights of this session's finished trainings, from the same source."""
    files = sorted((session.out / "weights").glob("*.safetensors"))
    found = {file: session.find(file.stem) for file in files}
    # A training that diverged has a result and no weights: a file of its name is an older one.
    return [file for file, each in found.items() if each and f"weights/{file.name}" in each["files"]]
