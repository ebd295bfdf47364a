"""By whose labels trained runs are measured: FER2013's, or the majority of FER+'s votes.

By FER+ only the rows count that the official rule decides, see `data.targets`: for a network of seven classes
by the rule of seven, which leaves out the rows that contempt wins. FER2013 knows no contempt: by its labels
that answer of a network of eight classes is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import LabelSource
from fer_jax.data.examples import Examples
from fer_jax.data.targets import load_targets
from fer_jax.errors import ConfigError, DataError
from fer_jax.fer2013 import names_of
from fer_jax.files import Json
from fer_jax.inference.rows import OWN_PARTS
from fer_jax.inference.run_weights import Trained

WORDS: Final = {"fer2013": "FER2013", "ferplus": "FER+"}


@dataclass(frozen=True)
class Measured:
    """What a run is measured on.

    Attributes:
        examples: the data; by FER+'s labels `fer2013.UNLABELLED` stands where the votes decide nothing.
        rows: int64 [N], N >= 1, of the part, with a label.
        facts: for JSON: `labels`, whose they are, and `undecided_rows`, how many of the part are left out.
        notes: lines for people; none for a run on FER2013's labels that is measured by them.
    """

    examples: Examples
    rows: np.ndarray
    facts: Json
    notes: list[str]


def choose(runs: Sequence[Trained], source: LabelSource | None, ferplus: Path | None) -> list[Trained]:
    """Choose the labels that runs are measured by.

    Args:
        runs: at least one, as `inference.run_weights.load` gives them.
        source: whose labels; None for those that the runs were trained on.
        ferplus: FER+'s file of votes; None for the one that a run's config names.

    Returns:
        The runs; their `labels` says what to measure by.

    Raises:
        ConfigError: the runs were trained on different labels and none are named; or a file of votes is, and
            the labels are FER2013's.
    """
    own = list(dict.fromkeys(run.config.labels.source for run in runs))
    if source is None and len(own) > 1:
        raise ConfigError(
            f"the runs were trained on the labels of {' and of '.join(WORDS[each] for each in own)}; say by "
            "which to measure them: --labels fer2013 or --labels ferplus"
        )
    asked = source or own[0]
    check_votes(asked, ferplus)
    named = [run.config.labels.ferplus for run in runs if run.config.labels.ferplus is not None]
    file = str(ferplus) if ferplus is not None else next(iter(named), None)
    labels = replace(runs[0].config.labels, source=asked, ferplus=file)
    return [replace(run, labels=labels) for run in runs]


def check_votes(source: LabelSource, ferplus: Path | None) -> None:
    """Check that a file of votes is given only where it counts.

    Raises:
        ConfigError: the labels are FER2013's.
    """
    if ferplus is not None and source != "ferplus":
        raise ConfigError("--ferplus names votes, and the labels are FER2013's; give --labels ferplus too")


def relabel(trained: Trained, examples: Examples) -> Examples:
    """Give all rows of some data the labels that a run is measured by.

    Args:
        trained: from `choose`.
        examples: with FER2013's labels.

    Returns:
        The examples; by FER+'s labels `fer2013.UNLABELLED` stands where the votes decide nothing.

    Raises:
        FerJaxError: the votes cannot be read, or are not of this data.
    """
    targets = load_targets(trained.labels, examples, classes=trained.config.model.classes)
    return examples if targets is None else replace(examples, labels=targets.labels)


def measure_by(trained: Trained, examples: Examples, rows: np.ndarray, *, part: str) -> Measured:
    """Give a part of some data the labels that a run is measured by.

    Args:
        trained: from `choose`.
        examples: with FER2013's labels.
        rows: int64 [N], N >= 1, of the part.
        part: its name.

    Raises:
        FerJaxError: the votes cannot be read, are not of this data, or decide no row of the part.
    """
    labelled = relabel(trained, examples)
    kept = rows[labelled.labels[rows] != fer2013.UNLABELLED]
    if not len(kept):
        raise DataError(
            f"FER+ decides none of the {len(rows):,} rows of {part}; choose another --split, or "
            "--labels fer2013"
        )
    facts = {"labels": trained.labels.source, "undecided_rows": len(rows) - len(kept)}
    return Measured(labelled, kept, facts, _list_notes(trained, kept=len(kept), rows=len(rows), part=part))


def is_own(trained: Trained) -> bool:
    """Say whether a run is measured by the labels it was trained on."""
    return trained.labels.source == trained.config.labels.source


def suffix(runs: Sequence[Trained]) -> str:
    """Name other labels than the runs' own, for the end of a file's name; nothing for their own."""
    return "" if all(map(is_own, runs)) else f"_{runs[0].labels.source}"


def _list_notes(trained: Trained, *, kept: int, rows: int, part: str) -> list[str]:
    """Say by which labels a part is measured, and what follows from that; nothing where all is FER2013's."""
    source, classes = trained.labels.source, trained.config.model.classes
    is_seven = classes == fer2013.CLASS_COUNT
    if source == "ferplus":
        said = [f"labels     FER+: its votes decide {kept:,} of {rows:,} rows of {part}"]
        left_out = "note: the network tells seven classes apart: rows that contempt wins are left out"
        return said + [left_out] * is_seven
    if is_own(trained):
        return []
    said = ["labels     FER2013"]
    if not is_seven:
        said.append(f"note: FER2013 knows no {names_of(classes)[-1]}: that answer counts as wrong")
    if part in OWN_PARTS and not (part == "train" and trained.config.labels.keep == "voted"):
        said.append(f"note: {part} of this run holds only rows that FER+ decides")
    return said
