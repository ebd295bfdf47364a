"""A trained run, read back from its folder: the selected weights, the record, and the data."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_jax.config.data import BadRow, LabelsConfig
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, number_labels
from fer_jax.data.load import load_examples
from fer_jax.errors import DataError, RunError
from fer_jax.files import Json
from fer_jax.images.standardise import PixelStats
from fer_jax.inference import weights
from fer_jax.inference.predictor import Network, describe_variables, make_predicting_model
from fer_jax.runs import checkpoint, inputs
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import record as runs_record
from fer_jax.runs.record import RunRecord
from fer_jax.runtime.progress import NOBODY, Listener


@dataclass(frozen=True, eq=False)
class Trained:
    """A run's selected weights and its record.

    Attributes:
        config: of the run; its `data` names the file to measure on.
        saved: `train`, `val`, `test` rows int64 and `train_hashes` uint64, see `runs.record.read_split`.
        network: its weights; the averaged ones if the run averages them.
        checkpoint: `name` and `step` of the checkpoint that the weights come from.
        notes: a line for each damaged checkpoint that was skipped, and one where the run is not finished.
    """

    folder: Path
    config: Config
    record: RunRecord
    saved: dict[str, np.ndarray]
    network: Network
    checkpoint: Json
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Name and seed, for people."""
        return f"{self.config.name}, seed {self.record.seed}"

    @property
    def own_labels(self) -> LabelsConfig:
        """The labels that it was trained on."""
        return self.config.labels


def load(folder: Path, data: Path | None, on_bad_row: BadRow | None) -> Trained:
    """Read a run's folder: the weights that its config selects, or the next good ones.

    Released weights may stand in for the checkpoints, see `runs.folder.is_weights_only`.

    Args:
        folder: the run's.
        data: another file to read later with `load_data`; None for the one that it was trained on.
        on_bad_row: what a malformed row of that file does; None for what the config says.

    Raises:
        FerJaxError: the folder or its checkpoints cannot be used.
    """
    config = with_data(runs_record.read_config(folder), data, on_bad_row)
    record = runs_record.read_record(folder)
    model = make_predicting_model(config.model)
    template = describe_variables(model)
    variables, stats, mark, notes = (
        _read_weights(folder, template, record)
        if runs_folder.is_weights_only(folder)
        else _read_checkpoint(folder, template, config)
    )
    if record.finished is None:
        notes = (*notes, f"note: the run is not finished; these are its weights after {mark['step']:,} steps")
    return Trained(
        folder=folder,
        config=config,
        record=record,
        saved=runs_record.read_split(folder),
        network=Network(model, config.model.names, variables, stats),
        checkpoint=mark,
        notes=notes,
    )


Read = tuple[dict[str, Any], PixelStats, Json, tuple[str, ...]]
"""Variables, pixel statistics, `name` and `step` of the checkpoint, notes."""


def _read_checkpoint(folder: Path, template: dict[str, Any], config: Config) -> Read:
    """Read the weights from the checkpoint that the config selects, or from the next good one."""
    wanted, names = config.train.select, (checkpoint.BEST, checkpoint.LAST, checkpoint.PREVIOUS)
    others = (name for name in names if name != wanted)
    good, damaged = checkpoint.find_good(folder / "checkpoints", (wanted, *others))
    meta = checkpoint.read_meta(good)
    if config.average.is_on:
        average = {"params": template["params"], "batch_stats": template.get("batch_stats", {})}
        variables = checkpoint.restore({"average": average}, good, parts=("average",))["average"]
    else:
        variables = checkpoint.restore(template, good, parts=("params", "batch_stats"))
    return (
        variables,
        PixelStats(meta["pixel_mean"], meta["pixel_std"]),
        {"name": good.name, "step": meta["step"]},
        tuple(f"note: {message}; using {good.name}" for message in damaged),
    )


def _read_weights(folder: Path, template: dict[str, Any], record: RunRecord) -> Read:
    """Read the weights from released ones that stand in for the checkpoints."""
    card, variables = weights.read_variables(folder, runs_folder.WEIGHTS_ONLY, template)
    wanted = (record.finished, record.seed, record.data.sha256)
    if (card.finished, card.seed, card.data_sha256) != wanted:
        raise RunError(
            f"{folder / runs_folder.WEIGHTS_ONLY}.json is of another run: of seed {card.seed}, "
            f"finished {card.finished}, and run.json says seed {record.seed}, finished "
            f"{record.finished}; copy the weights of this run into its folder"
        )
    return variables, card.pixel_stats, card.checkpoint, ()


def load_finished(folder: Path, data: Path | None, on_bad_row: BadRow | None) -> Trained:
    """Read the folder of a finished run, and only the weights that it selected; see `load`.

    Raises:
        RunError: the run is not finished, or the checkpoint of these weights is damaged.
        FerJaxError: as `load`.
    """
    inputs.read_finished(folder)
    trained = load(folder, data, on_bad_row)
    if trained.notes:
        raise RunError(f"{folder}: {trained.notes[0]}, which is not what the run selected; train again")
    return trained


def load_data(trained: Trained, *, is_other_file: bool, listener: Listener = NOBODY) -> Examples:
    """Load the file asked for, or the data that the run was trained on, synthetic or not.

    `listener` hears how far it is, see `load_examples`.

    Raises:
        DataError: it is not there, is not what the run was trained on, or has classes that the run lacks.
    """
    config, trained_on, names = trained.config, trained.record.data, trained.network.names
    if is_other_file:
        return number_labels(load_examples(config.data, listener=listener), names)
    examples = load_examples(inputs.find_trained_on(config.data, trained_on), listener=listener)
    if examples.sha256 != trained_on.sha256:
        if trained_on.is_synthetic:
            raise DataError(
                f"the run was trained on {trained_on.description}, which this version of fer_jax draws "
                f"otherwise (SHA-256 {examples.sha256[:12]}, not {trained_on.sha256[:12]}); train again, or "
                "name a file to measure on with --data"
            )
        raise DataError(
            f"the run was trained on {trained_on.description}, and {examples.description} was found; "
            "give the file to measure on with --data"
        )
    return number_labels(examples, names)


def load_own_data(trained: Trained) -> Examples:
    """Load the data that the run was trained on, whatever other file was asked for.

    Raises:
        DataError: it is not there.
    """
    config = runs_record.read_config(trained.folder)
    return load_data(replace(trained, config=config), is_other_file=False)
