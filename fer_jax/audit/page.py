"""The page of an audit, `audit.html`: numbers, tables, and the images in doubt (pictures of the data)."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from fer_jax.audit import not_faces, text
from fer_jax.audit.plots import add_precision, plot_precision
from fer_jax.audit.rules import AuditFindings, groups_of, list_label_errors
from fer_jax.data.groups import near_copies
from fer_jax.data.readers.ferplus import CHOICES
from fer_jax.data.rows.drop_list import Line
from fer_jax.files import Json
from fer_jax.report import html
from fer_jax.report.charts import Chart, make_chart
from fer_jax.report.plots import write_png
from fer_jax.text import percent

PRECISION: Final = "precision.png"
"""Name of the plot in the audit's folder."""

MAX_FACES: Final = 60
"""How many faces, or groups of faces, a section shows at most."""

OPEN_FACES: Final = 8
"""How many of them are not folded."""

Face = dict[str, Any]
"""A face on the page: `png` (bytes), `alt`, its `label`, and `words`, the lines under it."""


def write(out: Path, findings: AuditFindings, figures: Json, lines: Sequence[Line]) -> None:
    """Write the page and, if there are votes, the plot of the list's precision.

    The images come from `findings`; `figures` is the content of audit.json, `lines` that of audit.csv.
    """
    is_checked = figures["votes"] is not None
    if is_checked:
        write_png(plot_precision(figures["votes"]), out / PRECISION)
    contents = {
        "short": "In short",
        "act": "What to do",
        "labels": "Likely label errors",
        "votes": "What the annotators say",
        "copies": "Copies",
        "mixed": "Copies with several labels",
        "near": "Near copies",
        "faces": "No face",
        "made": "How it was made",
    }
    html.write_page(
        "audit.html.j2",
        out / "audit.html",
        title="Audit of " + Path(figures["data"]["description"].split(": ")[0]).name,
        contents=contents,
        is_synthetic=figures["data"]["is_synthetic"],
        figures=figures,
        sentences=text.sentences(figures),
        copies_rows=text.copies_table(figures["copies"]),
        between_rows=text.between_table(figures["copies"]),
        reasons_rows=text.reasons_table(figures["lines"]),
        joint_rows=text.joint_table(figures["label_errors"]),
        votes_rows=text.votes_table(figures["votes"]),
        precision=_precision_chart(figures["votes"]) if is_checked else None,
        mixed=_mixed_groups(findings, lines),
        near=_near_pairs(findings),
        no_faces=_no_faces(findings),
        errors=_label_errors(findings),
        most=MAX_FACES,
        open_faces=OPEN_FACES,
        rules={
            "bits": near_copies.MAX_DISTANCE_BITS,
            "shift": near_copies.MAX_SHIFT_PX,
            "correlation": near_copies.MIN_CORRELATION,
            "flat": not_faces.FLAT_DEVIATION,
            "eigenfaces": not_faces.EIGENFACES,
            "outlier": not_faces.OUTLIER_DEVIATIONS,
        },
    )


def _precision_chart(votes: Json) -> Chart:
    listed, everything = votes["listed"]["disputed"], votes["all"]["disputed"]
    alt = (
        f"Disputed share among the first k rows of the list: {percent(listed['share'])} of all "
        f"{listed['of']:,} listed rows, against {percent(everything['share'])} of all rows."
    )
    return make_chart(
        "How often the annotators dispute the first k rows of the list",
        "with 95 % interval; dashed: all rows",
        lambda figure: add_precision(figure.add_subplot(), votes),
        alt=alt,
        size=(6.4, 3.6),
    )


def _face(findings: AuditFindings, row: int, words: Iterable[str]) -> Face:
    buffer = io.BytesIO()
    Image.fromarray(findings.examples.images[row, :, :, 0]).save(buffer, format="PNG", optimize=True)
    label = findings.examples.names[findings.examples.labels[row]]
    lines = [f"row {row}", *words, *_votes_in_words(findings, row)]
    alt = f"the image of row {row}, labelled {label}"
    return {"png": buffer.getvalue(), "alt": alt, "label": label, "words": lines}


def _votes_in_words(findings: AuditFindings, row: int) -> list[str]:
    """List what the annotators chose, the most frequent first."""
    if findings.votes is None:
        return []
    counts = findings.votes.counts[row]
    chosen = [f"{counts[i]} {CHOICES[i]}" for i in np.argsort(-counts, kind="stable") if counts[i]]
    return ["votes: " + ", ".join(chosen)]


def _mixed_groups(findings: AuditFindings, lines: Sequence[Line]) -> list[list[Face]]:
    """Show the groups of exact copies with several labels, and whether each row is kept."""
    line_of_row = {line.row: line for line in lines}
    labels = findings.examples.labels
    groups = [g for g in groups_of(findings.copies.exact) if len(np.unique(labels[g])) > 1]
    return [
        [_face(findings, row, [line_of_row[row].action]) for row in g.tolist()] for g in groups[:MAX_FACES]
    ]


def _near_pairs(findings: AuditFindings) -> list[list[Face]]:
    """Show the least similar pairs of near copies, which are the first that may be wrong."""
    pairs = findings.copies.pairs
    shown = []
    for i in np.argsort(pairs.correlation, kind="stable")[:MAX_FACES]:
        words = [f"correlation {pairs.correlation[i]:.3f}", f"{pairs.distance_bits[i]} bits apart"]
        words += ["mirrored"] if pairs.is_mirrored[i] else []
        first, second = int(pairs.first[i]), int(pairs.second[i])
        shown.append([_face(findings, first, []), _face(findings, second, words)])
    return shown


def _no_faces(findings: AuditFindings) -> list[Face]:
    """Show the images that the annotators refuse (without votes: the strange ones), then the flat ones."""
    found, votes = findings.not_faces, findings.votes
    is_odd = found.is_strange if votes is None else votes.is_no_face()
    odd = np.flatnonzero(is_odd & ~found.is_flat)
    odd = odd[np.argsort(-found.distance[odd], kind="stable")]
    rows = np.concatenate([odd, np.flatnonzero(found.is_flat)])[:MAX_FACES]
    return [_face(findings, row, [f"distance {found.distance[row]:.2f}"]) for row in rows.tolist()]


def _label_errors(findings: AuditFindings) -> list[Face]:
    """Show the first rows of the list of likely label errors."""
    if findings.confident is None or findings.probabilities is None:
        return []
    faces = []
    for row in list_label_errors(findings)[:MAX_FACES].tolist():
        likely = findings.confident.likely[row]
        share = f"{100 * findings.probabilities[row, likely]:.0f}\N{NO-BREAK SPACE}%"
        faces.append(_face(findings, row, [f"likely {findings.examples.names[likely]}, {share}"]))
    return faces
