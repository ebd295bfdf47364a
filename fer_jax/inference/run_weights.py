"""A trained run, read back from its folder: the selected weights, its data, and what they predict."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from fer_jax.config.data import BadRow, LabelsConfig
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.load import find_file, load_examples
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, begin_average, init_state
from fer_jax.errors import DataError, RunError
from fer_jax.files import Json
from fer_jax.images.standardise import PixelStats
from fer_jax.inference import weights
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs import checkpoint as runs_checkpoint
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import record


@dataclass(frozen=True)
class Trained:
    """A run's selected weights and its record.

    Attributes:
        folder: the run's.
        config: of the run, with `data` as asked for.
        labels: to measure it by: those that it was trained on, or what `inference.labels.choose` says.
        facts: the content of `run.json`.
        saved: `train`, `val`, `test` rows int64 and `train_hashes` uint64, see `runs.record.read_split`.
        model: the network.
        params: its weights; the averaged ones where the run averages.
        batch_stats: the statistics that go with them.
        pixel_stats: of its training images.
        checkpoint: `name` and `step` of the checkpoint the weights come from.
        notes: a line for each damaged checkpoint that was passed over.
    """

    folder: Path
    config: Config
    labels: LabelsConfig
    facts: Json
    saved: dict[str, np.ndarray]
    model: nn.Module
    params: Any
    batch_stats: Any
    pixel_stats: PixelStats
    checkpoint: Json
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Name and seed, for people."""
        return f"{self.config.name}, seed {self.facts['seed']}"


def load(folder: Path, data: Path | None, on_bad_row: BadRow | None) -> Trained:
    """Read a run's folder: the weights that its config selects, or the next good ones.

    In the place of checkpoints there may be released weights, see `runs.folder.is_light`.

    Args:
        folder: the run's.
        data: another file to read later with `load_data`; None for the one it was trained on.
        on_bad_row: what a malformed row of it does; None for what the config says.

    Raises:
        FerJaxError: the folder or its checkpoints cannot be used.
    """
    config = with_data(record.read_config(folder), data, on_bad_row)
    facts, saved = record.read_facts(folder), record.read_split(folder)
    model = make_model(config.model, config.device)
    # Its shapes are enough: to draw weights that are thrown away takes seconds.
    template = jax.eval_shape(
        lambda key: begin_average(init_state(key, model, make_optimizer(config.optimizer)), config.average),
        jax_key(0, Stream.INIT),
    )
    if runs_folder.is_light(folder):
        read = _read_light(folder, template, facts)
    else:
        read = _read_checkpoint(folder, template, wanted=config.train.select)
    return Trained(
        folder=folder,
        config=config,
        labels=config.labels,
        facts=facts,
        saved=saved,
        model=model,
        **read,
    )


def _read_checkpoint(folder: Path, template: TrainState, *, wanted: str) -> Json:
    """Read the weights' part of a `Trained` from a checkpoint, or the next good one."""
    others = (
        name
        for name in (runs_checkpoint.BEST, runs_checkpoint.LAST, runs_checkpoint.PREVIOUS)
        if name != wanted
    )
    good, damaged = runs_checkpoint.find_good(folder / "checkpoints", (wanted, *others))
    predictor, meta = runs_checkpoint.restore_predictor(template, good), runs_checkpoint.read_meta(good)
    return {
        "params": predictor["params"],
        "batch_stats": predictor["batch_stats"],
        "pixel_stats": PixelStats(meta["pixel_mean"], meta["pixel_std"]),
        "checkpoint": {"name": good.name, "step": meta["step"]},
        "notes": tuple(f"note: {message}; using {good.name}" for message in damaged),
    }


def _read_light(folder: Path, template: TrainState, facts: Json) -> Json:
    """Read the same from released weights that stand in for the checkpoints."""
    card, variables = weights.read_variables(folder, runs_folder.LIGHT, template.predictor)
    path = folder / f"{runs_folder.LIGHT}.json"
    try:
        stats, training = weights.read_stats(card), card["training"]
        mark, finished = training["selection"]["checkpoint"], training["finished"]
        seed, data = training["seeds"]["train"], training["data_sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: the card is damaged: {error!r} in it; copy it anew") from None
    if (finished, seed, data) != (facts["finished"], facts["seed"], facts["data"]["sha256"]):
        raise RunError(
            f"{path} is of another run: of seed {seed}, finished {finished}, and run.json says seed "
            f"{facts['seed']}, finished {facts['finished']}; copy the weights of this run into its folder"
        )
    return {
        "params": variables["params"],
        "batch_stats": variables.get("batch_stats", {}),
        "pixel_stats": stats,
        "checkpoint": mark,
        "notes": (),
    }


def load_finished(folder: Path, data: Path | None, on_bad_row: BadRow | None) -> Trained:
    """Read the folder of a finished run, with the very weights that it selected; see `load`.

    Raises:
        RunError: the run is not finished, or the checkpoint of these weights is damaged.
        FerJaxError: as `load`.
    """
    trained = load(folder, data, on_bad_row)
    if not trained.facts["finished"]:
        raise RunError(f"{folder} is not finished; go on with it (train --resume) first")
    if trained.notes:
        raise RunError(f"{folder}: {trained.notes[0]}, which is not what the run selected; train again")
    return trained


def load_data(trained: Trained, *, is_other_file: bool) -> Examples:
    """Load the file asked for, or what the run was trained on: synthetic faces too.

    Raises:
        DataError: it is not there, or not what the run was trained on.
    """
    config, facts = trained.config, trained.facts
    if is_other_file:
        return load_examples(config.data)
    trained_on = facts["data"]["description"]
    if facts["data"]["is_synthetic"]:
        config = replace(config, data=replace(config.data, source="synthetic"))
    elif find_file(config.data) is None:
        raise DataError(
            f"no FER2013 file was found, and the run was trained on {trained_on}; give it with --data"
        )
    examples = load_examples(config.data)
    if examples.sha256 != facts["data"]["sha256"]:
        raise DataError(
            f"the run was trained on {trained_on}, and found was {examples.description}; "
            "give the file to measure on with --data"
        )
    return examples
