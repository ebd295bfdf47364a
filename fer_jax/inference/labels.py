"""By whose labels networks are measured: FER2013's, or the majority of FER+'s votes.

With FER+, only the rows count for which the official rule gives a label, see `data.targets`: for a network of
seven classes the rule for seven, which leaves out the rows that contempt wins. FER2013 has no contempt: by
its labels, that answer of a network of eight classes is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import LABEL_WORDS, OWN_PARTS, BadRow, Fit, LabelsConfig, LabelSource
from fer_jax.data.examples import Examples, number_labels
from fer_jax.data.load import load_examples
from fer_jax.data.targets import limit_classes, load_targets
from fer_jax.errors import ConfigError, DataError
from fer_jax.files import Json
from fer_jax.inference.predictor import Predictor
from fer_jax.inference.weights import Classifier
from fer_jax.runs import sources
from fer_jax.runtime.progress import NOBODY, Listener


@dataclass(frozen=True)
class Labelling:
    """By whose labels networks are measured.

    Attributes:
        config: `source` and the file of votes; `keep` is that of the training.
        names: of the networks' C classes.
        is_own: they were trained on the labels of the same source.
    """

    config: LabelsConfig
    names: tuple[str, ...]
    is_own: bool

    @property
    def words(self) -> str:
        """The source, for people."""
        return LABEL_WORDS[self.config.source]

    @property
    def suffix(self) -> str:
        """The source, for the end of a file's name; empty for the labels of the training."""
        return "" if self.is_own else f"_{self.config.source}"


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The rows of a part that have a label.

    Attributes:
        examples: the data; by FER+ `fer2013.UNLABELLED` stands where the votes decide nothing.
        rows: int64 [N], N >= 1.
        facts: for JSON: `labels`, the source, and `undecided_rows`, how many of the part are left out.
        notes: lines for people; none where FER2013's labels are those of the training.
    """

    examples: Examples
    rows: np.ndarray
    facts: Json
    notes: list[str]

    @property
    def images(self) -> np.ndarray:
        """Of the rows, uint8 [N, 48, 48, 1]."""
        return self.examples.images[self.rows]

    @property
    def labels(self) -> np.ndarray:
        """Of the rows, int32 [N], 0..C-1."""
        return self.examples.labels[self.rows]


def choose(members: Sequence[Predictor], source: LabelSource | None, ferplus: Path | None) -> Labelling:
    """Choose the labels that networks, all with the same classes, are measured by.

    Args:
        members: at least one network.
        source: whose labels; None for those that they were trained on.
        ferplus: FER+'s file of votes; None for the one that a run's config names.

    Raises:
        ConfigError: their classes differ; they were trained on different labels and `source` names none; or
            FER+ has no votes for their classes.
    """
    own = [member.own_labels for member in members]
    sources = list(dict.fromkeys(each.source for each in own))
    if source is None and len(sources) > 1:
        both = " and of ".join(LABEL_WORDS[each] for each in sources)
        raise ConfigError(
            f"the runs were trained on the labels of {both}; choose those to measure by: --labels fer2013 "
            "or --labels ferplus"
        )
    names = _find_names(members)
    if not fer2013.are_known(names) and (source == "ferplus" or ferplus is not None):
        raise ConfigError(
            f"FER+ has no votes for the classes {', '.join(names)}; leave out --ferplus and --labels ferplus"
        )
    chosen = source or sources[0]
    named = [each.ferplus for each in own if each.ferplus is not None]
    votes = str(ferplus) if ferplus is not None else next(iter(named), None)
    return Labelling(replace(own[0], source=chosen, ferplus=votes), names, is_own=sources == [chosen])


def _find_names(members: Sequence[Predictor]) -> tuple[str, ...]:
    """Find the names of the classes that the networks share.

    Raises:
        ConfigError: they differ.
    """
    names = list(dict.fromkeys(member.network.names for member in members))
    if len(names) > 1:
        first, other = (", ".join(each) for each in names[:2])
        raise ConfigError(
            f"one network has the classes {first}, and another {other}; name networks with the same classes "
            "in the same order"
        )
    return names[0]


def load_for(
    classifier: Classifier,
    path: Path | None,
    on_bad_row: BadRow | None,
    *,
    fit: Fit | None = None,
    class_map: str | None = None,
    listener: Listener = NOBODY,
) -> Examples:
    """Load a file to measure released weights on, as the data of their training was loaded.

    Args:
        classifier: the weights, with their card.
        path: the file; None to look for one.
        on_bad_row: what a malformed row does; by default it is an error.
        fit: how pictures become 48 × 48 gray; by default as in the training.
        class_map: which label is which class; likewise.
        listener: hears how far it is, see `load_examples`.

    Raises:
        FerJaxError: there is no file, it cannot be read, or its labels are not of the network's classes.
    """
    config = sources.choose_data(classifier.card, path, on_bad_row, fit=fit, class_map=class_map)
    return number_labels(load_examples(config, listener=listener), classifier.network.names)


def relabel(labelling: Labelling, examples: Examples) -> Examples:
    """Give all rows of some data the labels to measure by; `fer2013.UNLABELLED` where FER+ decides nothing.

    Raises:
        FerJaxError: the votes cannot be read, or are not of this data.
    """
    if examples.is_own and labelling.config.source == "ferplus":
        raise ConfigError(
            "FER+ has votes on FER2013's images alone, and these are pictures of your own; measure by their "
            "labels: --labels fer2013"
        )
    targets = load_targets(labelling.config, examples, classes=limit_classes(len(labelling.names)))
    return examples if targets is None else replace(examples, labels=targets.labels)


def label_rows(labelling: Labelling, examples: Examples, rows: np.ndarray, *, part: str) -> LabelledRows:
    """Give the rows of a part the labels to measure by, and leave out those without one.

    Raises:
        FerJaxError: the votes cannot be read, are not of this data, or decide no row of the part.
    """
    labelled = relabel(labelling, examples)
    kept = rows[labelled.labels[rows] != fer2013.UNLABELLED]
    if not len(kept):
        raise DataError(
            f"FER+ decides none of the {len(rows):,} rows of {part}; choose another --split, or "
            "--labels fer2013"
        )
    facts = {"labels": labelling.config.source, "undecided_rows": len(rows) - len(kept)}
    notes = [] if examples.is_own else _list_notes(labelling, len(kept), len(rows), part)
    return LabelledRows(labelled, kept, facts, notes)


def _list_notes(labelling: Labelling, kept: int, rows: int, part: str) -> list[str]:
    """Note whose labels a part is measured by and what follows from that."""
    is_seven = len(labelling.names) == fer2013.CLASS_COUNT
    if labelling.config.source == "ferplus":
        lines = [f"labels     FER+: its votes decide {kept:,} of {rows:,} rows of {part}"]
        left_out = "note: the network has seven classes: rows that contempt wins are left out"
        return lines + [left_out] * is_seven
    if labelling.is_own:
        return []
    lines = ["labels     FER2013"]
    if not is_seven:
        lines.append(f"note: FER2013 has no {labelling.names[-1]}: that answer counts as wrong")
    if part in OWN_PARTS and not (part == "train" and labelling.config.keep == "voted"):
        lines.append(f"note: {part} of this run holds only rows that FER+ decides")
    return lines
