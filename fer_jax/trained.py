"""A trained run, read back from its folder: the selected weights, its data, and what they predict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax import checkpoint, fer2013, released, run_folder, run_record
from fer_jax.command import with_data
from fer_jax.config import BadRow, Config, LabelsConfig
from fer_jax.config_file import Json
from fer_jax.data.batch import in_order
from fer_jax.data.examples import Examples
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.split import image_hashes
from fer_jax.errors import DataError, RunError
from fer_jax.models.cnn import LAST_LAYER
from fer_jax.models.table import make_model
from fer_jax.optimizer import make_optimizer
from fer_jax.pixels import PixelStats, standardise
from fer_jax.randomness import Stream, jax_key
from fer_jax.state import TrainState, begin_average, init_state

OWN_PARTS: Final = ("train", "val", "test")
"""The parts of a run's own split."""


@dataclass(frozen=True)
class Trained:
    """A run's selected weights and its record.

    Attributes:
        folder: the run's.
        config: of the run, with `data` as asked for.
        labels: to measure it by: those that it was trained on, or what `label_sets.choose` says.
        facts: the content of `run.json`.
        saved: `train`, `val`, `test` rows int64 and `train_hashes` uint64, see `run_record.read_split`.
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

    In the place of checkpoints there may be released weights, see `run_folder.is_light`.

    Args:
        folder: the run's.
        data: another file to read later with `load_data`; None for the one it was trained on.
        on_bad_row: what a malformed row of it does; None for what the config says.

    Raises:
        FerJaxError: the folder or its checkpoints cannot be used.
    """
    config = with_data(run_record.read_config(folder), data, on_bad_row)
    facts, saved = run_record.read_facts(folder), run_record.read_split(folder)
    model = make_model(config.model, config.device)
    # Its shapes are enough: to draw weights that are thrown away takes seconds.
    template = jax.eval_shape(
        lambda key: begin_average(init_state(key, model, make_optimizer(config.optimizer)), config.average),
        jax_key(0, Stream.INIT),
    )
    if run_folder.is_light(folder):
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
    others = (name for name in (checkpoint.BEST, checkpoint.LAST, checkpoint.PREVIOUS) if name != wanted)
    good, damaged = checkpoint.find_good(folder / "checkpoints", (wanted, *others))
    predictor, meta = checkpoint.restore_predictor(template, good), checkpoint.read_meta(good)
    return {
        "params": predictor["params"],
        "batch_stats": predictor["batch_stats"],
        "pixel_stats": PixelStats(meta["pixel_mean"], meta["pixel_std"]),
        "checkpoint": {"name": good.name, "step": meta["step"]},
        "notes": tuple(f"note: {message}; using {good.name}" for message in damaged),
    }


def _read_light(folder: Path, template: TrainState, facts: Json) -> Json:
    """Read the same from released weights that stand in for the checkpoints."""
    card, variables = released.read_variables(folder, run_folder.LIGHT, template.predictor)
    path = folder / f"{run_folder.LIGHT}.json"
    try:
        stats, training = released.read_stats(card), card["training"]
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


def choose_rows(examples: Examples, trained: Trained, part: str) -> np.ndarray:
    """Choose the rows of a part.

    Args:
        examples: the data to measure on.
        trained: whose split counts.
        part: "train", "val" or "test" of that split, "PublicTest" or "PrivateTest" (the usage), or "all".

    Returns:
        int64 [N], N >= 1, labelled rows.

    Raises:
        DataError: the data has no such rows, or is not the data that the run's split is of.
    """
    if part in OWN_PARTS:
        trained_on = trained.facts["data"]
        if examples.sha256 != trained_on["sha256"]:
            raise DataError(
                f"{part} is a part of the data that the run was trained on ({trained_on['description']}), "
                f"and this is {examples.description}; leave out --data, or use --split PublicTest, "
                "PrivateTest or all"
            )
        return _keep_labelled(examples, trained.saved[part], part)
    return choose_usage(examples, part)


def choose_usage(examples: Examples, part: str) -> np.ndarray:
    """Choose the rows of a usage, whatever run they are for.

    Args:
        examples: the data to measure on.
        part: "PublicTest" or "PrivateTest" (the usage), or "all".

    Returns:
        int64 [N], N >= 1, labelled rows.

    Raises:
        DataError: the data has no such rows.
    """
    if part == "all":
        return _keep_labelled(examples, np.arange(len(examples)), part)
    rows = np.flatnonzero(examples.usages == fer2013.USAGES.index(part))
    return _keep_labelled(examples, rows, part)


def _keep_labelled(examples: Examples, rows: np.ndarray, part: str) -> np.ndarray:
    rows = rows[examples.labels[rows] != fer2013.UNLABELLED]
    if not len(rows):
        raise DataError(
            f"{examples.description}: it has no labelled rows of {part}; "
            "give a file that has them with --data, or choose another --split"
        )
    return rows


def find_copies(runs: Sequence[Trained], images: np.ndarray) -> np.ndarray:
    """Find the images that are exact copies of images that one of some runs was trained on.

    Args:
        runs: whose training images count.
        images: uint8 [N, 48, 48, 1].

    Returns:
        bool [N].
    """
    return np.isin(image_hashes(images), np.concatenate([run.saved["train_hashes"] for run in runs]))


def predict(trained: Trained, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run the network over images in evaluation mode.

    Args:
        trained: the weights.
        images: uint8 [N, 48, 48, 1], N >= 1.

    Returns:
        Logits float32 [N, C] and the last features float32 [N, D]: what the last layer sees, with the
        head `classes` the mean over the places.
    """
    variables = {"params": trained.params, "batch_stats": trained.batch_stats}
    batches = [
        _predict_batch(trained.model, trained.pixel_stats, variables, images[rows])
        for rows, _ in in_order(np.arange(len(images)), trained.config.train.eval_batch_size)
    ]
    logits, features = (
        np.concatenate([np.asarray(x) for x in parts]) for parts in zip(*batches, strict=True)
    )
    return logits[: len(images)], features[: len(images)]


@partial(jax.jit, static_argnums=(0, 1))
def _predict_batch(
    model: nn.Module, pixel_stats: PixelStats, variables: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    seen: list[jax.Array] = []

    def watch(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.module.name == LAST_LAYER and context.method_name == "__call__":
            seen.append(args[0])
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        logits: Any = model.apply(variables, standardise(jnp.asarray(images), pixel_stats), is_training=False)
    features = seen[0].mean(axis=(1, 2)) if seen[0].ndim == 4 else seen[0]
    return logits, features.astype(jnp.float32)
