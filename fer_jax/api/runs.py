"""Train, open and use runs from Python: the work of `train` and `evaluate` as functions and objects."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np
from matplotlib.figure import Figure

from fer_jax.api import display
from fer_jax.api.invocation import describe_training
from fer_jax.api.scores import Scores
from fer_jax.config import overrides
from fer_jax.config.checks import check_choice, check_ranges
from fer_jax.config.data import LabelSource, Part
from fer_jax.config.files import check_types, load_config
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, RunError
from fer_jax.evaluate import predictions
from fer_jax.evaluate import run as evaluate_run
from fer_jax.evaluate.options import EvaluateOptions
from fer_jax.files import Json, expand_home, read_json_lines
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference.classifiers import load_run
from fer_jax.inference.weights import Classifier
from fer_jax.metrics.history import keep_measured
from fer_jax.metrics.saved import read_history, read_metrics
from fer_jax.metrics.scores import list_names
from fer_jax.report import terminal
from fer_jax.report.plots import plot_confusion, plot_curves
from fer_jax.runs import record as runs_record
from fer_jax.runs import tables
from fer_jax.runs.location import find_folders
from fer_jax.runs.record import RunRecord
from fer_jax.text import Table, interval, percent, thousands
from fer_jax.train import run as train_work
from fer_jax.train.__main__ import MAX_SEEDS

if TYPE_CHECKING:
    import pandas as pd

    from fer_jax.api.comparisons import Comparison

KINDS: Final = ("curves", "confusion")
"""The plots of `Run.plot`."""


class Interrupted(KeyboardInterrupt):
    """Training was interrupted; every run of it is saved.

    Attributes:
        folder: of the run, or the common one of several.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self.folder = folder
        super().__init__(
            f"interrupted, and saved in {folder}. To go on, call the same function with the same config, "
            f"run_dir={str(folder)!r} and resume=True; fer_jax.open_run shows how far it is"
        )

    def _render_traceback_(self) -> list[str]:
        """Show the message in a notebook, without the calls that led here."""
        return [f"Interrupted: {self}"]


@dataclass(frozen=True, eq=False)
class Run:
    """A run, read from its folder; finished or not.

    Attributes:
        folder: of the run.
        config: of the run.
        record: what is known about it: data, machine, versions, times, the content of `run.json`.
    """

    folder: Path
    config: Config = field(repr=False)
    record: RunRecord = field(repr=False)

    @property
    def title(self) -> str:
        """Name and seed, for people."""
        return f"{self.config.name}, seed {self.record.seed}"

    @property
    def is_finished(self) -> bool:
        """Whether it was trained to its last epoch and measured."""
        return self.record.finished is not None

    @property
    def log(self) -> "pd.DataFrame":
        """A row for each epoch, see `fer_jax.runs.tables.read_log`."""
        return tables.read_log(self.folder)

    @property
    def metrics(self) -> "pd.DataFrame":
        """A row for each part that was measured at the end, see `fer_jax.runs.tables.read_metrics`.

        Raises:
            RunError: the run is not finished.
        """
        self._check_finished("metrics")
        return tables.read_metrics(self.folder)

    @property
    def evaluations(self) -> "pd.DataFrame":
        """A row for each saved evaluation, see `fer_jax.runs.tables.read_evaluations`."""
        return tables.read_evaluations(self.folder)

    @cached_property
    def classifier(self) -> Classifier:
        """Its selected weights, ready to predict; if it is not finished, with a warning, those so far."""
        return load_run(self.folder)

    def predict(
        self, images: Any, *, views: ViewChoice = "single", abstain_below: float | None = None
    ) -> np.ndarray:
        """Predict the expressions of faces, see `Classifier.predict`: probabilities float32 [N, C]."""
        return self.classifier.predict(images, views=views, abstain_below=abstain_below)

    def plot(self, kind: str = "curves", *, part: str = "val") -> Figure:
        """Draw the learning curves, or the confusion matrix of a part as it was measured at the end.

        Args:
            kind: one of `KINDS`.
            part: of the confusion matrix: "train", "val" or "test".

        Raises:
            ConfigError: there is no such plot or part.
            RunError: the run has no measured epoch, or is not finished.
        """
        if kind == "confusion":
            metrics = self._read_metrics()
            if not isinstance(part, str) or part not in metrics:
                raise ConfigError(f"{self.folder} has no part {part!r}; wanted one of {', '.join(metrics)}")
            confusion, names = np.array(metrics[part]["confusion"]), list_names(metrics[part])
            return plot_confusion(confusion, names, title=f"{self.title}: {part}")
        if kind != "curves":
            raise ConfigError(f"there is no plot {kind!r} of a run; wanted one of {', '.join(KINDS)}")
        history = read_history(self.folder)
        seen = keep_measured(history)
        if not seen:
            raise RunError(f"{self.folder} has no measured epoch to draw; train on with resume=True")
        measured = self.record.measured_epoch or seen[-1]["epoch"]
        return plot_curves(history, title=self.title, measured_epoch=measured)

    def evaluate(
        self,
        part: Part = "val",
        *,
        data: str | Path | None = None,
        views: ViewChoice = "single",
        labels: LabelSource | None = None,
        ferplus: str | Path | None = None,
        robustness: bool = False,
        save: bool = False,
        overwrite: bool = False,
    ) -> Scores:
        """Measure the selected weights on a part of the data, as the command `evaluate` does.

        Args:
            part: "train", "val" or "test" of the run's split; "PublicTest" or "PrivateTest"; or "all".
            data: another file to measure on; None for the one that the run was trained on.
            views: test-time augmentation, as `evaluate --help` explains.
            labels: whose labels; None for those that it was trained on.
            ferplus: FER+'s file of votes.
            robustness: measure accuracy under corruptions too, 46 more passes.
            save: write the result and its pictures into the run's folder and onto its page, as the command
                does; otherwise nothing is written.
            overwrite: replace a saved result of the same name that is of other data, runs or views.

        Raises:
            FerJaxError: the data or the run's folder cannot be used.
        """
        check_choice("part", part, get_args(Part))
        check_choice("views", views, get_args(ViewChoice))
        if labels is not None:
            check_choice("labels", labels, get_args(LabelSource), others=", or None")
        options = EvaluateOptions(
            runs=(self.folder,),
            data=_as_path(data),
            split=part,
            labels=labels,
            ferplus=_as_path(ferplus),
            views=views,
            robustness=robustness,
            # What is not written replaces nothing.
            overwrite=overwrite or not save,
        )
        console = terminal.make_console()
        evaluation, result = evaluate_run.measure_part(console, options)
        if save:
            evaluate_run.write(console, evaluation, result, options)
        table = predictions.make_table(
            evaluation.rows, evaluation.logits, evaluation.names, evaluation.is_copy
        )
        return Scores(f"{self.title}: {part}", result, table)

    def compare(self, *others: "Run | str | Path", part: Part = "val") -> "Comparison":
        """Compare this run with others, see `fer_jax.compare_runs`."""
        from fer_jax.api.comparisons import compare_runs

        return compare_runs([self, *others], part=part)

    def _read_metrics(self) -> Json:
        self._check_finished("metrics")
        return read_metrics(self.folder)

    def _check_finished(self, what: str) -> None:
        if not self.is_finished:
            raise RunError(f"{self.folder} is not finished and has no {what} yet; train on with resume=True")

    def _repr_html_(self) -> str:
        epochs, planned = len(read_json_lines(self.folder / "log.jsonl")), self.config.train.total_epochs
        state = "finished" if self.is_finished else "not finished; train on with resume=True"
        lines = [
            f"{state}, {epochs} of {planned} epochs; {self.record.parameters or 0:,} parameters",
            f"data: {self.record.data.description}",
            f"folder: {self.folder}",
        ]
        rows: Table = [["part", "accuracy", "95 % interval", "correct", "of", "balanced", "macro F1"]]
        for part, each in (self._read_metrics() if self.is_finished else {}).items():
            ends = interval([each["accuracy_low"], each["accuracy_high"]], scale=100, digits=1)
            counts = [thousands(each[name]) for name in ("correct", "total")]
            ratios = [percent(each[name]) for name in ("balanced_accuracy", "macro_f1")]
            rows.append([part, percent(each["accuracy"]), ends, *counts, *ratios])
        return display.block(f"Run {self.title}", lines, rows if self.is_finished else None)


def open_run(folder: str | Path) -> Run:
    """Open the folder of a run, finished or not.

    Raises:
        RunError: there is no such run, it is damaged, or the folder holds several.
    """
    runs = open_runs(folder)
    if len(runs) > 1:
        names = ", ".join(str(run.folder) for run in runs)
        raise RunError(f"{folder} holds {len(runs)} runs, {names}: open one, or all with fer_jax.open_runs")
    return runs[0]


def open_runs(*folders: str | Path) -> list[Run]:
    """Open runs: each folder is a run's, the common one of several seeds, or one that holds runs.

    Raises:
        RunError: there is no such folder, or one is without a run.
    """
    found = find_folders([expand_home(folder) for folder in folders])
    return [Run(each, runs_record.read_config(each), runs_record.read_record(each)) for each in found]


def train_run(
    config: Config | str | Path,
    *,
    data: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
) -> Run:
    """Train a network, measure it, and write its run folder, as the command `train` does.

    Args:
        config: a `fer_jax.config.Config`, or what `--config` takes: a file, or a name such as "run6".
        data: Kaggle's CSV, a .zip or a folder of images; None for what the config says. Without a file it
            trains on synthetic faces, with a notice.
        settings: changes to the config, dotted name of a field -> its value, such as {"train.epochs": 3}.
        run_dir: folder to write; None for a new one, runs/NAME-seedS.
        resume: resume the run in `run_dir`, or the newest one of this name and seed.

    Returns:
        The finished run.

    Raises:
        FerJaxError: a user error in config, data or run folder.
        Interrupted: a KeyboardInterrupt (in a notebook: the kernel was interrupted); the run is saved.
    """
    final = _make_config(config, data, settings)
    return open_run(_train(config, final, seeds=1, run_dir=_as_path(run_dir), is_resumed=resume))


def train_seeds(
    config: Config | str | Path,
    *,
    seeds: int,
    data: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
) -> list[Run]:
    """Train several seeds together, from the config's on; the rest as for `train_run`.

    Returns:
        The finished runs. Their common report, mean and spread, is in `run_dir`, or in runs/NAME-seedsA-B.

    Raises:
        FerJaxError: as `train_run`.
        Interrupted: as `train_run`; all of them are saved at the same step.
    """
    check_ranges({"seeds": (seeds, 1, MAX_SEEDS)})
    final = _make_config(config, data, settings)
    return open_runs(_train(config, final, seeds=int(seeds), run_dir=_as_path(run_dir), is_resumed=resume))


def _make_config(
    config: Config | str | Path, data: str | Path | None, settings: Mapping[str, Any] | None
) -> Config:
    loaded = check_types(config, where="config") if isinstance(config, Config) else load_config(config)
    changed = overrides.apply(loaded, settings, where="settings") if settings else loaded
    return overrides.with_data(changed, _as_path(data), None)


def _train(
    named: Config | str | Path, config: Config, *, seeds: int, run_dir: Path | None, is_resumed: bool
) -> Path:
    outcome = train_work.train(
        config,
        seeds=seeds,
        run_dir=run_dir,
        is_resumed=is_resumed,
        invocation=describe_training(named, config, seeds=seeds, run_dir=run_dir),
        clock=time.perf_counter,
    )
    if outcome.stopped_by == signal.SIGINT:
        raise Interrupted(outcome.home)
    if outcome.stopped_by is not None:
        # Now that the run is saved, the signal does what it would have done without us.
        signal.raise_signal(outcome.stopped_by)
    return outcome.home


def _as_path(path: str | Path | None) -> Path | None:
    return None if path is None else expand_home(path)
