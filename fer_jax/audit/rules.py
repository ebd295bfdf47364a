"""From an audit's findings to numbers, and to a line for each row in doubt.

Pure functions of arrays. `make_lines` has the rules for what is kept and what is dropped.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.audit import confident_learning
from fer_jax.audit.confident_learning import Confident
from fer_jax.audit.not_faces import NotFaces
from fer_jax.config.data import SplitConfig
from fer_jax.data.examples import Examples
from fer_jax.data.groups.near_copies import Copies
from fer_jax.data.readers.ferplus import UNDECIDED, Votes
from fer_jax.data.rows.drop_list import Line
from fer_jax.data.split import split_examples
from fer_jax.files import Json
from fer_jax.metrics.scores import wilson_interval

FLAT, NO_FACE, STRANGE = "flat image", "no face by the votes", "strange image"
EXACT, MIXED = "exact copy", "exact copies with several labels"
NEAR, NEAR_MIXED = "near copy", "near copies with several labels"
LEAK = "copy in another part"
LABEL_ERROR = "likely label error"

MIN_CORRECT: Final = 0.5
"""Share of unseen rows that networks have to predict correctly before a label is dropped on their word."""
MIN_WRONG: Final = 0.5
"""Probability of being wrong, see `confident_learning.estimate_wrong`, from which on a label is dropped."""

REASONS: Final = (FLAT, NO_FACE, STRANGE, EXACT, MIXED, NEAR, NEAR_MIXED, LEAK, LABEL_ERROR)
"""Why a row may be listed."""


class Parts(NamedTuple):
    """The parts of the data, which should have no image in common; networks train on the first.

    Attributes:
        kind: "usages", or "seed split" or "holdout split" if the data has Training rows only.
        names: of the parts.
        of_row: int64 [N], index into the names; -1 for a row of no part.
    """

    kind: str
    names: tuple[str, ...]
    of_row: np.ndarray


@dataclass(frozen=True, eq=False)
class AuditFindings:
    """What an audit found in N rows.

    Attributes:
        examples: the data.
        parts: of the data.
        copies: exact and near ones.
        not_faces: flat and strange images.
        votes: those of FER+, row by row; None if not given.
        probabilities: float64 [N, C], out of sample; None if label errors were not searched for.
        confident: the result of confident learning on them.
    """

    examples: Examples
    parts: Parts
    copies: Copies
    not_faces: NotFaces
    votes: Votes | None
    probabilities: np.ndarray | None
    confident: Confident | None

    @cached_property
    def wrong(self) -> np.ndarray:
        """How probable it is that each label is wrong, float64 [N]; 0 where this was not searched for."""
        labels = self.examples.labels
        if self.probabilities is None:
            return np.zeros(len(labels))
        return confident_learning.estimate_wrong(self.probabilities, labels)

    @property
    def correct(self) -> int:
        """How many rows the networks predict correctly."""
        if self.probabilities is None:
            return 0
        return int((self.probabilities.argmax(axis=1) == self.examples.labels).sum())

    @property
    def are_networks_good(self) -> bool:
        """Whether the networks know enough to question a label."""
        return self.correct >= MIN_CORRECT * len(self.examples)


def choose_parts(examples: Examples, config: SplitConfig) -> Parts:
    """Take the usages as parts; if there is only one, the parts of the config's split.

    Raises:
        DataError: the data has no labels, or is too small to split.
    """
    present = [usage for usage in range(len(fer2013.USAGES)) if (examples.usages == usage).any()]
    of_row = np.full(len(examples), -1, np.int64)
    if len(present) > 1:
        for number, usage in enumerate(present):
            of_row[examples.usages == usage] = number
        return Parts("usages", tuple(examples.usage_names[usage] for usage in present), of_row)
    parts = {name: rows for name, rows in split_examples(examples, config).parts.items() if len(rows)}
    for number, rows in enumerate(parts.values()):
        of_row[rows] = number
    return Parts(f"{config.protocol} split", tuple(parts), of_row)


def groups_of(names: np.ndarray) -> list[np.ndarray]:
    """List the rows, ascending, of each group of two rows or more.

    >>> [rows.tolist() for rows in groups_of(np.array([0, 1, 0, 3, 1]))]
    [[0, 2], [1, 4]]
    """
    order = np.argsort(names, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(names[order])) + 1)
    return [rows for rows in pieces if len(rows) > 1]


def count_copies(findings: AuditFindings) -> Json:
    """Count the copies in all the data, within each part, and between every two parts.

    Returns:
        `all` and `within` (part -> counts) with `rows`, `different_images`, and for `exact` and for `near`
        (exact and near together) the `groups` of two rows or more, the `rows` in them, and the
        `groups_with_several_labels`; `between`: for every two `parts`, the groups that they share and the
        rows of each part in such groups.
    """
    copies, labels, parts = findings.copies, findings.examples.labels, findings.parts
    names = {"exact": copies.exact, "near": copies.near}

    def count(rows: np.ndarray) -> Json:
        counts: Json = {"rows": len(rows), "different_images": len(np.unique(copies.exact[rows]))}
        return counts | {kind: _count_groups(groups[rows], labels[rows]) for kind, groups in names.items()}

    rows_of = [np.flatnonzero(parts.of_row == number) for number in range(len(parts.names))]
    between = []
    for second in range(len(rows_of)):
        for first in range(second):
            shared: Json = {"parts": [parts.names[first], parts.names[second]]}
            for kind, groups in names.items():
                ours, theirs = groups[rows_of[first]], groups[rows_of[second]]
                common = np.intersect1d(ours, theirs)
                rows = [int(np.isin(each, common).sum()) for each in (ours, theirs)]
                shared[kind] = {"groups": len(common), "rows": rows}
            between.append(shared)
    return {
        "all": count(np.arange(len(labels))),
        "within": {name: count(rows) for name, rows in zip(parts.names, rows_of, strict=True)},
        "between": between,
        "near_pairs": len(copies.pairs.first),
        "mirrored_pairs": int(copies.pairs.is_mirrored.sum()),
    }


def _count_groups(groups: np.ndarray, labels: np.ndarray) -> Json:
    together = groups_of(groups)
    return {
        "groups": len(together),
        "rows": sum(len(rows) for rows in together),
        "groups_with_several_labels": sum(len(np.unique(labels[rows])) > 1 for rows in together),
    }


def list_label_errors(findings: AuditFindings) -> np.ndarray:
    """List the rows that confident learning flags and that show a face: int64 [F], the worst first."""
    if findings.confident is None:
        return np.empty(0, np.int64)
    flagged = findings.confident.flagged
    return flagged[~_shows_no_face(findings)[flagged]]


def list_dropped_errors(findings: AuditFindings) -> np.ndarray:
    """List the likely label errors that are marked drop: int64 [F], the worst first.

    Where the annotators' votes have a majority, it decides. Elsewhere the networks do, if they are good
    enough, about labels that are more likely wrong than right.
    """
    rows = list_label_errors(findings)
    is_dropped = findings.are_networks_good & (findings.wrong >= MIN_WRONG)
    if findings.votes is not None:
        majority = findings.votes.majority()
        is_dropped = np.where(majority == UNDECIDED, is_dropped, majority != findings.examples.labels)
    return rows[is_dropped[rows]]


def _shows_no_face(findings: AuditFindings) -> np.ndarray:
    """Whether there is nothing to label, bool [N]: flat images, and those that the annotators refuse."""
    refused = False if findings.votes is None else findings.votes.is_no_face()
    return findings.not_faces.is_flat | refused


def check_by_votes(findings: AuditFindings) -> Json | None:
    """Compare the list of label errors with the annotators' votes.

    The votes added no row to the list. They took from it the rows that show no face by them, which are
    counted in `all` and may be disputed there: this favours the list a little.

    A row is disputed if the votes' majority is another expression than the label, and overruled if that
    majority is more than half of the votes. An undecided row is neither.

    Returns:
        For the `listed` and for `all` rows the shares that are `disputed` and `overruled`; of the listed,
        how often the votes' majority is the suggested label (`suggestion_confirmed`); which share of all
        disputed rows is listed (`found`); `first`: the disputed share of the first k of the list. A share has
        `rows`, `of`, `share` and the Wilson interval `low`, `high`. None without votes or without a list.
    """
    rows = list_label_errors(findings)
    if findings.votes is None or findings.confident is None or not len(rows):
        return None
    majority, labels = findings.votes.majority(), findings.examples.labels
    is_disputed = (majority != UNDECIDED) & (majority != labels)
    is_overruled = is_disputed & findings.votes.is_absolute()
    is_listed = np.isin(np.arange(len(labels)), rows)
    sizes = np.unique(np.geomspace(min(10, len(rows)), len(rows), 40).round().astype(np.int64))
    return {
        "listed": {
            "disputed": _share(is_disputed[rows]),
            "overruled": _share(is_overruled[rows]),
            "suggestion_confirmed": _share((majority == findings.confident.likely)[rows]),
        },
        "all": {"disputed": _share(is_disputed), "overruled": _share(is_overruled)},
        "found": _share(is_listed[is_disputed]) if is_disputed.any() else None,
        "first": [{"k": int(size)} | _share(is_disputed[rows[:size]]) for size in sizes],
    }


def _share(is_hit: np.ndarray) -> dict[str, Any]:
    hits, total = int(is_hit.sum()), len(is_hit)
    low, high = wilson_interval(hits, total)
    return {"rows": hits, "of": total, "share": hits / total, "low": low, "high": high}


@dataclass
class _Mark:
    """What the rules have found about one row so far."""

    reasons: list[str] = field(default_factory=list)
    is_dropped: bool = False
    suggested: int | None = None
    confidence: float | None = None


_Marks = defaultdict[int, _Mark]


def make_lines(findings: AuditFindings) -> list[Line]:
    """Decide about every row in doubt.

    - Flat images and those that at least half of the annotators call no face are dropped. Strange ones (a
      rule for data without votes) are listed and kept.
    - One of several exact copies is kept, if possible one outside the training part.
    - If exact copies have different labels, the votes of all of them decide, or without votes the most
      frequent label. Rows with another label are dropped; all of them if there is a tie.
    - Near copies are listed and kept.
    - A row of the first part with an exact or near copy in another part is dropped, since it would leak.
    - Likely label errors are dropped if the votes' majority is another expression. Without a majority they
      are dropped if they are more likely wrong than right, and only if the networks are good enough.

    Returns:
        Lines in the order of the rows.
    """
    marks: _Marks = defaultdict(_Mark)
    _mark_not_faces(findings, marks)
    _mark_exact_copies(findings, marks)
    _mark_near_copies(findings, marks)
    _mark_label_errors(findings, marks)
    examples, near = findings.examples, findings.copies.near
    group_size = np.bincount(near, minlength=len(near))
    return [
        Line(
            row=row,
            usage=_name(examples.usage_names, int(examples.usages[row])) or "",
            label=examples.names[examples.labels[row]],
            reason="; ".join(mark.reasons),
            group=int(near[row]) if group_size[near[row]] > 1 else None,
            suggested=_name(examples.names, mark.suggested),
            confidence=mark.confidence,
            action="drop" if mark.is_dropped else "keep",
        )
        for row, mark in sorted(marks.items())
    ]


def _name(names: tuple[str, ...], number: int | None) -> str | None:
    return None if number is None or number < 0 else names[number]


def _mark_not_faces(findings: AuditFindings, marks: _Marks) -> None:
    found, votes = findings.not_faces, findings.votes
    refused = np.zeros_like(found.is_flat) if votes is None else votes.is_no_face()
    strange = found.is_strange if votes is None else np.zeros_like(found.is_flat)
    for is_found, reason in ((found.is_flat, FLAT), (refused, NO_FACE), (strange, STRANGE)):
        for row in np.flatnonzero(is_found).tolist():
            marks[row].reasons.append(reason)
            marks[row].is_dropped |= reason != STRANGE


def _mark_exact_copies(findings: AuditFindings, marks: _Marks) -> None:
    all_labels = findings.examples.labels
    for rows in groups_of(findings.copies.exact):
        labels = all_labels[rows]
        is_mixed = len(np.unique(labels)) > 1
        agreed, confidence = _agree(findings, rows) if is_mixed else (int(labels[0]), None)
        good = rows[labels == agreed]
        outside = good[findings.parts.of_row[good] > 0]
        kept = (*outside, *good, None)[0]
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            marks[row].reasons.append(MIXED if is_mixed else EXACT)
            marks[row].is_dropped |= row != kept
            if is_mixed and agreed is not None and label != agreed:
                marks[row].suggested, marks[row].confidence = agreed, confidence


def _agree(findings: AuditFindings, rows: np.ndarray) -> tuple[int | None, float | None]:
    """Find the label of exact copies that have several, and its share of the votes; None if undecided."""
    if findings.votes is not None:
        counts = findings.votes.counts[rows].sum(axis=0, keepdims=True)
        votes = Votes(counts, findings.votes.usages[rows[:1]])
        label = int(votes.majority()[0])
        return (None, None) if label == UNDECIDED else (label, float(votes.seven()[0, label] / counts.sum()))
    ranked = Counter(findings.examples.labels[rows].tolist()).most_common()
    if ranked[0][1] == ranked[1][1]:
        return None, None
    return ranked[0][0], ranked[0][1] / len(rows)


def _mark_near_copies(findings: AuditFindings, marks: _Marks) -> None:
    exact, labels, part = findings.copies.exact, findings.examples.labels, findings.parts.of_row
    for rows in groups_of(findings.copies.near):
        is_leaking = bool((part[rows] > 0).any())
        is_near = len(np.unique(exact[rows])) > 1
        reason = NEAR_MIXED if len(np.unique(labels[rows])) > 1 else NEAR
        for row in rows.tolist():
            if is_near:
                marks[row].reasons.append(reason)
            if is_leaking and part[row] == 0:
                marks[row].reasons.append(LEAK)
                marks[row].is_dropped = True


def _mark_label_errors(findings: AuditFindings, marks: _Marks) -> None:
    if findings.confident is None or findings.probabilities is None:
        return
    dropped = set(list_dropped_errors(findings).tolist())
    for row in list_label_errors(findings).tolist():
        mark, likely = marks[row], int(findings.confident.likely[row])
        mark.reasons.append(LABEL_ERROR)
        mark.is_dropped |= row in dropped
        if mark.suggested is None:
            mark.suggested, mark.confidence = likely, float(findings.probabilities[row, likely])
