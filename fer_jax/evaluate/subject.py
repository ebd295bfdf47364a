"""What is measured: the networks that the command line names, and the data that they are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax.config.data import DataConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.errors import ConfigError
from fer_jax.evaluate.options import EvaluateOptions
from fer_jax.inference import weights
from fer_jax.inference.labels import Labelling
from fer_jax.inference.predictor import Predictor
from fer_jax.inference.rows import OWN_PARTS, choose_common_rows, choose_usage
from fer_jax.inference.run_weights import Trained, load, load_data, load_finished
from fer_jax.inference.weights import Classifier
from fer_jax.runs import location, record
from fer_jax.runtime import compile_cache

_SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class Subject:
    """The networks that are measured as one, by the mean of their logits.

    Attributes:
        runs: one, or several for an ensemble; none if released weights are measured.
        weights: the released weights.
    """

    runs: list[Trained]
    weights: Classifier | None

    @property
    def members(self) -> Sequence[Predictor]:
        """The networks; a single one is an ensemble of one."""
        return self.runs if self.weights is None else [self.weights]

    @property
    def names(self) -> list[str]:
        """Of the members, for messages."""
        return [str(run.folder) for run in self.runs] if self.weights is None else [self.weights.name]

    @property
    def only_run(self) -> Trained | None:
        """The run, if a single one is measured."""
        return self.runs[0] if len(self.runs) == 1 else None


def load_subject(console: Console, options: EvaluateOptions) -> Subject:
    """Read the networks that the options name.

    Raises:
        FerJaxError: a user error: the command line, a run's folder or the weights.
    """
    named = [path for path in options.runs if _are_weights(path)]
    if named:
        return Subject([], _read_weights(named[0], options))
    # A single folder may hold several runs; if it is none at all, reading it says so.
    is_run = len(options.runs) == 1 and (options.runs[0] / "config.json").is_file()
    folders = list(options.runs) if is_run else location.find_folders(options.runs)
    if any(record.read_config(folder).device.compile_cache for folder in folders):
        console.print(compile_cache.keep_compiled())
    if len(folders) > 1:
        return Subject([load_finished(each, options.data, options.on_bad_row) for each in folders], None)
    if options.out is not None:
        raise ConfigError("--out is for several runs; the results of one run are written into its folder")
    return Subject([load(folders[0], options.data, options.on_bad_row)], None)


def _are_weights(path: Path) -> bool:
    """Whether a path means released weights: a file of them, or the name of some in the package."""
    return path.suffix == _SUFFIX or (not path.exists() and str(path) in weights.list_names(weights.WEIGHTS))


def _read_weights(path: Path, options: EvaluateOptions) -> Classifier:
    if len(options.runs) > 1:
        raise ConfigError(f"{path} are released weights, which are measured alone; name nothing else")
    if options.split in OWN_PARTS:
        raise ConfigError(
            f"--split {options.split} is a part of a run's own split, and released weights have no run; "
            "give --split PublicTest, PrivateTest or all"
        )
    return weights.read(path.parent if path.suffix == _SUFFIX else weights.WEIGHTS, path.stem)


def load_subject_data(subject: Subject, options: EvaluateOptions) -> Examples:
    """Load the data to measure on.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    if subject.runs:
        return load_data(subject.runs[0], is_other_file=options.data is not None)
    path = None if options.data is None else str(options.data)
    # With this source there are no synthetic images: only a file will do.
    return load_examples(DataConfig(path=path, source="kaggle", on_bad_row=options.on_bad_row or "stop"))


def choose_subject_rows(subject: Subject, examples: Examples, part: str) -> np.ndarray:
    """Choose the rows of a part, int64 [N], N >= 1.

    Raises:
        FerJaxError: the data has no such rows, or the runs' splits differ.
    """
    return choose_common_rows(examples, subject.runs, part) if subject.runs else choose_usage(examples, part)


def choose_stem(subject: Subject, labelling: Labelling, options: EvaluateOptions) -> Path | None:
    """Choose the folder and the start of the names of the files to write; None if nothing is written."""
    part = options.split
    if subject.weights is not None:
        suffix = f"_{options.labels}" if options.labels else ""
        name = f"evaluate_{subject.weights.name}_{part}{suffix}"
        return None if options.out is None else options.out / name
    first = subject.runs[0].folder
    if subject.only_run is not None:
        return first / f"evaluate_{part}{labelling.suffix}"
    folder = options.out or first.resolve().parent
    return folder / f"ensemble_{part}{labelling.suffix}"
