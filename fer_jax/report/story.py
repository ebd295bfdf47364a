"""The story of a run: the files of its folder, read once, for `report.md` and `report.html` alike."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from fer_jax.config.changes import list_settings
from fer_jax.config.data import HOLDOUT_NOTE
from fer_jax.config.files import from_json
from fer_jax.config.run import Config
from fer_jax.errors import RunError
from fer_jax.files import Json, read_json
from fer_jax.images.views import CHOICES, suffix_of
from fer_jax.metrics import saved
from fer_jax.metrics.history import best_epoch_note
from fer_jax.metrics.scores import difference_interval, tells_copies_apart
from fer_jax.text import MISSING, Table, counted, duration, join, percent, signed, thousands

PARTS: Final = {
    "val": "Validation",
    "test": "Test",
    "train": "Training",
    "PublicTest": "PublicTest",
    "PrivateTest": "PrivateTest",
    "all": "All rows of the file",
}
"""Part -> its title, in the order in which parts are shown."""

SCORES_NOTE: Final = (
    "Balanced accuracy: mean recall of the classes. Macro F1: mean F1 of the classes. Loss: plain "
    "cross-entropy in nats."
)
RESULT_NOTE: Final = (
    "Interval: Wilson's, over the choice of images only; another training seed changes the results too. "
    f"{SCORES_NOTE}"
)
CURVES_NOTE: Final = (
    "Train and val are measured in evaluation mode on images without augmentation, so neither dropout nor "
    "augmentation hides the gap. The objective is the training loss, with augmentation, dropout, label "
    "smoothing and class weights where the run uses them. The dashed line marks the epoch whose weights are "
    "the result."
)
REPRODUCE_NOTE: Final = (
    "The data and the split are the same if their SHA-256 are. Bit-identical results need the same versions "
    "on the same kind of machine; elsewhere expect the same results up to the spread between seeds."
)
NO_LAYERS: Final = "The layers are not listed: the run was trained by an older fer_jax."


class Gap(NamedTuple):
    """Train − val accuracy, in points: its value and 95 % interval as text, and what it means."""

    words: str
    ends: str
    includes_zero: bool
    meaning: str


Layers = Sequence[tuple[str, Sequence[int], int, int]]
"""Layers of a network: name, output shape, parameters, multiply-accumulates."""


@dataclass(frozen=True)
class Story:
    """What a run's folder holds.

    Attributes:
        folder: of the run.
        config: content of `config.json`.
        run: content of `run.json`.
        metrics: content of `metrics.json`, part -> what `metrics.scores.summarise` gives; empty before the
            run has finished.
        history: one record per epoch; may be empty.
        evaluations: part -> content of `evaluate_PART.json`, of the parts that `evaluate` has measured with
            the weights that the run has now.
        stems: part -> the names of these files, without their ends.
        sheets: part -> content of `evaluate_PART_faces.json`.
        diagnosis: content of `diagnosis.json`; None without one, or if the run has been trained on since.
    """

    folder: Path
    config: Config
    run: Json
    metrics: Json
    history: list[Json]
    evaluations: dict[str, Json]
    stems: dict[str, str]
    sheets: dict[str, Json]
    diagnosis: Json | None

    @property
    def title(self) -> str:
        """Name and seed of the run."""
        return f"{self.config.name}, seed {self.run['seed']}"

    @property
    def is_synthetic(self) -> bool:
        """Whether the run was trained on synthetic faces."""
        return bool(self.run["data"]["is_synthetic"])

    @property
    def gap(self) -> Gap:
        """Train − val accuracy of a finished run."""
        return describe_gap(self.metrics["train"], self.metrics["val"])

    @property
    def gap_note(self) -> str:
        """The gap in a sentence."""
        gap = self.gap
        return f"The gap train − val is {gap.words} points, 95 % interval {gap.ends}: {gap.meaning}."

    def find_copy_free(self, part: str) -> Json | None:
        """Find the accuracy of a part without copies of training images, as `evaluate` measured it.

        Returns:
            None if it is the same as with them, is not known, or is of another accuracy than in `metrics`.
        """
        found, counts = self.evaluations.get(part, {}), self.metrics[part]
        is_same = all(found.get(name) == counts[name] for name in ("correct", "total"))
        return found["copy_free"] if is_same and tells_copies_apart(found) else None

    @property
    def weights_sentence(self) -> str:
        """Which epoch is reported, and how it compares with the best one on val."""
        words = f"The weights are those of {self.weights_note}."
        if not self.history:
            return words
        is_selected = self.config.train.select == "best"
        measured_epoch = self.run["measured_epoch"]
        note = best_epoch_note(self.history, measured_epoch=measured_epoch, is_selected=is_selected)
        return f"{words} {note}"

    @property
    def weights_note(self) -> str | None:
        """Which weights are the result; None before the run has finished."""
        if "selection" not in self.run:
            return None
        return f"epoch {self.run['measured_epoch']} of {len(self.history)}: {self.run['selection']}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Where and when the run was trained, as name and value."""
        run = self.run
        facts = [("machine", run["machine"]), ("device", run["device"]), ("started", _time(run["started"]))]
        if run["finished"]:
            facts.append(("finished", _time(run["finished"])))
        if "seconds_total" in run:
            together = run.get("seeds_together", 1)
            of_all = f", for {together} seeds trained together" if together > 1 else ""
            each = f"{run['seconds_per_epoch']:.1f} s per epoch (median)"
            facts.append(("training", f"{duration(run['seconds_total'])}; {each}{of_all}"))
        if run.get("ancestor"):
            ancestor = run["ancestor"]
            facts.append(("start", f"{ancestor['words']}; trained on {ancestor['training']['data']}"))
        for each in run.get("extensions", []):
            facts.append(("extended", extension_note(each)))
        if run.get("stopped_early") is not None:
            facts.append(("early stopping", early_stop_note(self.config, run["stopped_early"])))
        return facts + ([("weights", self.weights_note)] if self.weights_note else [])

    @property
    def identity(self) -> list[tuple[str, str]]:
        """What must be the same for the same bits, as name and value."""
        run = self.run
        facts = [("data SHA-256", run["data"]["sha256"]), ("split SHA-256", run["split"]["sha256"])]
        if "last_state_sha256" in run:
            facts.append(("weights SHA-256", f"{run['last_state_sha256']} (after the last epoch)"))
        versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
        commit = run["git"] or f"none: {run.get('git_missing') or 'not run from a git checkout'}"
        return [*facts, ("git commit", commit), ("versions", versions)]

    @property
    def split_note(self) -> str:
        """The sizes of the parts, and how many of their images are copies of training images."""
        split = self.run["split"]
        sizes = ", ".join(f"{part} {thousands(size)}" for part, size in split["sizes"].items())
        copies = split["copies_of_training_images"]
        counted = ", ".join(f"{thousands(count)} in {part}" for part, count in copies.items())
        note = f"{sizes} images. Exact copies of training images: {counted}."
        if self.config.split.protocol == "holdout":
            note += f" Here {HOLDOUT_NOTE}."
        if any(copies.values()):
            note += " Such images are not a fair test. The accuracy without them is measured by evaluate."
        near = split.get("near_copies_of_training_images")
        if near is not None:
            note += (
                f" Near copies: {', '.join(f'{thousands(count)} in {part}' for part, count in near.items())}."
            )
        for part, missing in (split.get("missing_classes") or {}).items():
            note += f" No {join(missing)} in {part}."
        if split.get("dropped"):
            rows, path = thousands(split["dropped"]["rows"]), split["dropped"]["list"]
            note += f" Left out of train: {rows} rows that {path} marks drop."
        return note

    @property
    def settings(self) -> Table:
        """The config fields that are not at their default; empty if there are none."""
        return list_settings(self.config)

    @property
    def layers(self) -> Table:
        """The layers of the network; empty for a run of an older fer_jax, which did not record them."""
        return layer_rows(self.run["layers"]) if "layers" in self.run else []

    @property
    def class_counts(self) -> Table:
        """How many images of each class each part has, and the class's fraction of train."""
        parts = list(self.metrics)
        rows = [["class", *parts, "of train"]]
        for index, of_train in enumerate(self.metrics["train"]["per_class"]):
            counts = [self.metrics[part]["per_class"][index]["count"] for part in parts]
            fraction = of_train["count"] / self.metrics["train"]["total"]
            rows.append([of_train["label"], *map(thousands, counts), percent(fraction)])
        return [
            *rows,
            ["all", *(thousands(self.metrics[part]["total"]) for part in parts), percent(1, digits=0)],
        ]

    @property
    def diagnose_command(self) -> str:
        """The command that diagnoses the run."""
        return shlex.join(["python", "-m", "fer_jax.diagnose", str(self.folder)])

    @property
    def study_option(self) -> str:
        """The option that gives `diagnose` the measured bias and variance of this config."""
        return f"--bias-variance runs/bias_variance-{self.config.name}.json"

    def evaluate_command(self, part: str) -> str:
        """Write the command that measures a part, in the same way as the last time."""
        figures, trained_on = self.evaluations.get(part, {}), self.run["data"]["sha256"]
        words = ["python", "-m", "fer_jax.evaluate", str(self.folder), "--split", part]
        choices = [choice for choice, names in CHOICES.items() if list(names) == figures.get("views")]
        if choices and choices[0] != "single":
            words += ["--views", choices[0]]
        if figures.get("data", {}).get("sha256", trained_on) != trained_on:
            words += ["--data", "FILE"]
        return shlex.join(words)

    def reproduce_commands(self) -> list[str]:
        """List the commands that train, measure and diagnose the run again."""
        recorded = self.run["git"] or ""
        commit = recorded.removesuffix("-dirty")
        lines = [f"git checkout {commit}"] if commit else []
        if commit != recorded:
            lines.append("# plus the changes that were not committed")
        lines += [self.run["command"], *map(self.evaluate_command, self.evaluations)]
        if self.diagnosis is not None:
            study = f" {self.study_option}" if self.diagnosis["decomposition"] else ""
            lines.append(f"{self.diagnose_command}{study}")
        return lines


def gather(folder: Path) -> Story:
    """Read a run's folder.

    Args:
        folder: of one run. `run.json` and `config.json` must be there; any other file may be missing.

    Raises:
        RunError: `run.json` or `config.json` is missing, or a file is damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    log, config = folder / "log.jsonl", folder / "config.json"
    run, history = read_json(folder / "run.json"), saved.read_history(folder) if log.exists() else []
    if history and run.get("measured_epoch") not in (None, *(each["epoch"] for each in history)):
        raise RunError(f"{folder}/run.json is damaged: measured_epoch is no epoch of {log}; restore it")
    stems, evaluations = {}, {}
    for part in PARTS:
        for stem in _list_evaluations(folder, part):
            figures = saved.read_figures(folder / f"{stem}.json")
            if not _is_old(figures, run, history):
                stems[part], evaluations[part] = stem, figures
                break
    diagnosis = _read_if_there(folder / "diagnosis.json")
    if diagnosis is not None and diagnosis.get("epochs", len(history)) != len(history):
        diagnosis = None
    return Story(
        folder=folder,
        run=run,
        config=from_json(Config, read_json(config), where=str(config)),
        metrics=saved.read_metrics(folder) if (folder / "metrics.json").exists() else {},
        history=history,
        evaluations=evaluations,
        stems=stems,
        sheets={part: _read_if_there(folder / f"{stem}_faces.json") or {} for part, stem in stems.items()},
        diagnosis=diagnosis,
    )


def _is_old(figures: Json, run: Json, history: Sequence[Json]) -> bool:
    """Whether `evaluate` has measured earlier weights than a finished run has: it was resumed since."""
    measured = run.get("measured_epoch")
    step = next((each.get("step") for each in history if each["epoch"] == measured), None)
    mark = figures.get("checkpoint")
    return step is not None and isinstance(mark, dict) and mark.get("step", step) < step


def _list_evaluations(folder: Path, part: str) -> list[str]:
    """List what `evaluate` wrote about a part: in a single view, then in other views."""
    stems = (f"evaluate_{part}{suffix_of(choice)}" for choice in CHOICES)
    return [stem for stem in stems if (folder / f"{stem}.json").exists()]


def layer_rows(layers: Layers) -> Table:
    """List the layers of a network with their totals.

    Args:
        layers: what `models.summary.list_layers` returns, or the same from JSON.
    """
    rows = [["layer", "output", "parameters", "MACs"]]
    for name, shape, parameters, macs in layers:
        rows.append(
            [name, " × ".join(map(str, shape)), thousands(parameters), thousands(macs) if macs else MISSING]
        )
    totals = [sum(layer[2] for layer in layers), sum(layer[3] for layer in layers)]
    return [*rows, ["total", "", *map(thousands, totals)]]


def extension_note(extension: Json) -> str:
    """Say which epochs an extension has added, and by which rule; see `RunRecord`.

    >>> extension_note({"from_epoch": 4, "to_epoch": 4, "rule": "as before"})
    'by epoch 4: as before'
    """
    first, last = extension["from_epoch"], extension["to_epoch"]
    epochs = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    return f"by {epochs}: {extension['rule']}"


def early_stop_note(config: Config, epoch: int) -> str:
    """Say after which epoch, from 1, early stopping ended a run.

    >>> from fer_jax.config.training import TrainConfig
    >>> config = Config(name="a", train=TrainConfig(epochs=9, patience_epochs=2))
    >>> early_stop_note(config, 5)
    'stopped early, after epoch 5 of 9: no better validation accuracy for 2 epochs'
    >>> early_stop_note(config, 9)
    'not stopped early, since epoch 9 is the last: no better validation accuracy for 2 epochs'
    """
    why = f"no better validation accuracy for {counted(config.train.patience_epochs, 'epoch')}"
    if epoch == config.train.total_epochs:
        return f"not stopped early, since epoch {epoch} is the last: {why}"
    return f"stopped early, after epoch {epoch} of {config.train.total_epochs}: {why}"


def describe_gap(train: Json, val: Json) -> Gap:
    """Describe how much better a network is on its training images.

    Args:
        train: `correct` and `total` of the training part.
        val: the same of the validation part.

    >>> describe_gap({"correct": 90, "total": 100}, {"correct": 60, "total": 100})[:3]
    ('+30.0', '+18.3 to +40.8', False)
    """
    first, second = ((part["correct"], part["total"]) for part in (train, val))
    points = 100 * (first[0] / first[1] - second[0] / second[1])
    low, high = (100 * end for end in difference_interval(first, second))
    includes_zero = low <= 0 <= high
    if includes_zero:
        meaning = "not distinguishable from 0"
    elif points > 0:
        meaning = "what the network knows about its training images but cannot carry over to new ones"
    else:
        meaning = "it is no better on the images it was trained on"
    return Gap(signed(points), f"{signed(low)} to {signed(high)}", includes_zero, meaning)


def _read_if_there(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _time(iso: str) -> str:
    return f"{iso[:16].replace('T', ' ')} UTC"
