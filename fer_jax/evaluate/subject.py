"""What is measured: the networks that the command line names, and the data that they are measured on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from fer_jax.config.overrides import with_data
from fer_jax.data.examples import Examples
from fer_jax.errors import ConfigError
from fer_jax.evaluate.options import EvaluateOptions
from fer_jax.files import Json, reading
from fer_jax.images.views import CHOICES, suffix_of
from fer_jax.inference import weights
from fer_jax.inference.labels import Labelling, load_for
from fer_jax.inference.predictor import Predictor
from fer_jax.inference.rows import choose_common_rows, choose_usage
from fer_jax.inference.run_weights import Trained, load, load_data, load_finished
from fer_jax.inference.weights import Classifier
from fer_jax.report import terminal
from fer_jax.runs import record, sources
from fer_jax.runs.results import refuse_other
from fer_jax.runs.sources import Released

_MOST_LETTERS: Final = 120
"""Of the names of an ensemble's members in a file's name, which may have 255."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The networks that are measured as one, by the mean of their logits.

    Attributes:
        runs: one, or several for an ensemble; none if released weights are measured.
        weights: the released weights; likewise.
    """

    runs: list[Trained]
    weights: list[Classifier]

    @property
    def members(self) -> Sequence[Predictor]:
        """The networks; a single one is an ensemble of one."""
        return self.runs or self.weights

    @property
    def names(self) -> list[str]:
        """Of the members, for messages."""
        return [str(run.folder) for run in self.runs] or [each.name for each in self.weights]

    @property
    def only_run(self) -> Trained | None:
        """The run, if a single one is measured."""
        return self.runs[0] if len(self.runs) == 1 else None


def load_subject(console: Console, options: EvaluateOptions) -> Subject:
    """Read the networks that the options name.

    Raises:
        FerJaxError: a user error: the command line, a run's folder or the weights.
    """
    released, folders = sources.find_all(options.runs)
    if released:
        terminal.keep_compiled(console)
        return Subject([], _read_different(released))
    if any(record.read_config(folder).device.compile_cache for folder in folders):
        terminal.keep_compiled(console)
    read = load_finished if len(folders) > 1 else load
    runs = [read(each, options.data, options.on_bad_row) for each in folders]
    return Subject([_read_as(each, options) for each in runs], [])


def _read_as(trained: Trained, options: EvaluateOptions) -> Trained:
    """Let the options say how the pictures of other data are read."""
    config = with_data(trained.config, None, None, fit=options.fit, class_map=options.class_map)
    return replace(trained, config=config)


def _read_different(released: Sequence[Released]) -> list[Classifier]:
    """Read released weights, and refuse some that are there twice: they would count twice in the mean.

    Raises:
        ConfigError: two are the same.
        RunError: a file is missing or damaged.
    """
    read: dict[str, tuple[Released, Classifier]] = {}
    for each in released:
        classifier = weights.read(each.folder, each.name)
        with reading(each.folder / f"{each.name}.json"):
            sha256 = describe_weights(classifier)["weights"]["sha256"]
        if sha256 in read:
            other = read[sha256][0]
            raise ConfigError(
                f"{each.folder / each.name} holds the same weights as {other.folder / other.name}; name one"
            )
        read[sha256] = each, classifier
    return [classifier for _, classifier in read.values()]


def describe_weights(classifier: Classifier) -> Json:
    """Describe released weights, for JSON."""
    card = classifier.card
    return {
        "weights": {"name": card["name"], "sha256": card["tensors"]["sha256"]},
        "name": card["config"]["name"],
        "seed": card["training"]["seeds"]["train"],
    }


def load_subject_data(console: Console, subject: Subject, options: EvaluateOptions) -> Examples:
    """Load the data to measure on, and show how far it is.

    Raises:
        ConfigError: options for pictures are given, and it has rows of pixels.
        DataError: it is not there, or cannot be read.
    """
    with terminal.show_steps(console, terminal.READING, None) as steps:
        if subject.runs:
            is_other_file = options.data is not None
            examples = load_data(subject.runs[0], is_other_file=is_other_file, listener=steps)
        else:
            examples = load_for(
                subject.weights[0],
                options.data,
                options.on_bad_row,
                fit=options.fit,
                class_map=options.class_map,
                listener=steps,
            )
    is_plain = options.fit in (None, "refuse") and options.class_map in (None, "fer2013")
    if not (examples.is_own or is_plain):
        raise ConfigError(
            f"--fit and --class-map are for pictures of your own, and {examples.source} has FER2013's rows "
            "of pixels; leave them out"
        )
    return examples


def choose_subject_rows(subject: Subject, examples: Examples, part: str) -> np.ndarray:
    """Choose the rows of a part, int64 [N], N >= 1.

    Raises:
        FerJaxError: the data has no such rows, or the runs' splits differ.
    """
    return choose_common_rows(examples, subject.runs, part) if subject.runs else choose_usage(examples, part)


def choose_stem(subject: Subject, labelling: Labelling, options: EvaluateOptions) -> Path | None:
    """Choose the folder and the start of the names of the files to write; None if nothing is written.

    The name carries the networks (but for a single run, in whose folder it is), the part, the views and the
    labels.
    """
    views = suffix_of(options.views)
    if subject.weights:
        labels = f"_{options.labels}" if options.labels else ""
        kind = "evaluate" if len(subject.weights) == 1 else "ensemble"
        name = f"{kind}_{_name_together(subject.names)}_{options.split}{views}{labels}"
        return None if options.out is None else options.out / name
    first, name = subject.runs[0].folder, f"{options.split}{views}{labelling.suffix}"
    if subject.only_run is not None:
        return first / f"evaluate_{name}"
    folder = options.out or first.resolve().parent
    names = [run.folder.resolve().name for run in subject.runs]
    return folder / f"ensemble_{_name_together(names)}_{name}"


def _name_together(names: Sequence[str]) -> str:
    """Name the members of an ensemble; many by the first one and a hash of all."""
    together = "+".join(names)
    if len(names) == 1 or len(together) <= _MOST_LETTERS:
        return together
    return f"{names[0]}+{len(names) - 1}-others-{hashlib.sha256(together.encode()).hexdigest()[:8]}"


def refuse_other_result(
    subject: Subject, labelling: Labelling, options: EvaluateOptions, examples: Examples
) -> None:
    """Refuse to replace a result of the same name that was made from something else.

    Raises:
        RunError: there is one, and `--overwrite` was not given.
    """
    stem = choose_stem(subject, labelling, options)
    if stem is None:
        return
    inputs: Json = {"data.sha256": examples.sha256, "views": list(CHOICES[options.views])}
    sha256 = [each.card["tensors"]["sha256"] for each in subject.weights]
    if len(sha256) == 1:
        inputs["weights.sha256"] = sha256[0]
    elif sha256:
        inputs["members.weights.sha256"] = sha256
    elif subject.only_run is None:
        inputs["members.finished"] = [run.record.finished for run in subject.runs]
    refuse_other(stem.with_name(f"{stem.name}.json"), inputs, may_replace=options.overwrite)
