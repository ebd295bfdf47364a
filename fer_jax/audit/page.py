"""The page of an audit, `audit.html`: figures, tables and faces in doubt (pictures of the data)."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, PercentFormatter, StrMethodFormatter
from PIL import Image

from fer_jax import fer2013
from fer_jax.audit import near_copies, not_faces
from fer_jax.audit.rules import Findings, groups_of, list_label_errors
from fer_jax.data.drop_list import Line
from fer_jax.data.readers.ferplus import CHOICES
from fer_jax.files import Json
from fer_jax.report import html
from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, write_png
from fer_jax.text import Table

PRECISION: Final = "precision.png"
"""Name of the plot in the audit's folder."""

MAX_FACES: Final = 60
"""Most faces, or groups of faces, that a section shows."""

Face = dict[str, Any]
"""A face on the page: `png`, its bytes, `alt`, its `label` and `words`, the lines under it."""


def write(out: Path, findings: Findings, figures: Json, lines: Sequence[Line]) -> None:
    """Write the page and, where there are votes, the plot of the list's precision.

    Args:
        out: the audit's folder.
        findings: for the faces.
        figures: the content of audit.json.
        lines: the content of audit.csv.
    """
    is_checked = figures["votes"] is not None
    if is_checked:
        plot_precision(figures["votes"], out / PRECISION)
    contents = {
        "short": "In short",
        "copies": "Copies",
        "mixed": "Copies with several labels",
        "near": "Near copies",
        "faces": "No face",
        "labels": "Likely label errors",
        "votes": "What the annotators say",
        "act": "What to do",
    }
    html.write_page(
        "audit.html.j2",
        out / "audit.html",
        title="Audit of " + Path(figures["data"]["description"].split(": ")[0]).name,
        contents=contents,
        is_synthetic=figures["data"]["is_synthetic"],
        figures=figures,
        sentences=sentences(figures),
        copies_rows=copies_table(figures["copies"]),
        between_rows=between_table(figures["copies"]),
        reasons_rows=reasons_table(figures["lines"]),
        joint_rows=joint_table(figures["label_errors"]),
        votes_rows=votes_table(figures["votes"]),
        precision=out / PRECISION if is_checked else None,
        mixed=_mixed_groups(findings, lines),
        near=_near_pairs(findings),
        no_faces=_no_faces(findings),
        errors=_label_errors(findings),
        most=MAX_FACES,
        rules={
            "bits": near_copies.MAX_DISTANCE_BITS,
            "shift": near_copies.MAX_SHIFT_PX,
            "correlation": near_copies.MIN_CORRELATION,
            "flat": not_faces.FLAT_DEVIATION,
            "eigenfaces": not_faces.EIGENFACES,
            "outlier": not_faces.OUTLIER_DEVIATIONS,
        },
    )


def copies_table(copies: Json) -> Table:
    """Lay out the copies within each part.

    Args:
        copies: what `count_copies` returns.
    """
    head = ["part", "rows", "different"]
    for kind in ("exact", "near"):
        head += [f"{kind} groups", "their rows", "with several labels"]
    rows = [head]
    for name, counts in (copies["within"] | {"all": copies["all"]}).items():
        row = [name, f"{counts['rows']:,}", f"{counts['different_images']:,}"]
        for kind in ("exact", "near"):
            row += [
                f"{counts[kind][figure]:,}" for figure in ("groups", "rows", "groups_with_several_labels")
            ]
        rows.append(row)
    return rows


def between_table(copies: Json) -> Table:
    """Lay out the copies between two parts; arguments as of `copies_table`."""
    rows = [["parts", "exact groups", "their rows", "near groups", "their rows"]]
    for shared in copies["between"]:
        row = [" and ".join(shared["parts"])]
        for kind in ("exact", "near"):
            counts = [f"{count:,}" for count in shared[kind]["rows"]]
            row += [f"{shared[kind]['groups']:,}", " and ".join(counts)]
        rows.append(row)
    return rows


def reasons_table(lines: Json) -> Table:
    """Lay out how many rows are listed for which reason.

    Args:
        lines: `listed`, `keep`, `drop` and `reasons` (reason -> rows).
    """
    rows = [["reason", "rows"], *([reason, f"{count:,}"] for reason, count in lines["reasons"].items())]
    totals = {"listed, some for several reasons": "listed", "of them to keep": "keep", "to drop": "drop"}
    return [*rows, *([words, f"{lines[name]:,}"] for words, name in totals.items())]


def joint_table(label_errors: Json | None) -> Table | None:
    """Lay out the confident joint: given labels by likely ones."""
    if label_errors is None:
        return None
    rows = [["given \\ likely", *fer2013.LABELS]]
    for label, counts in zip(fer2013.LABELS, label_errors["confident_joint"], strict=True):
        rows.append([label, *(f"{count:,}" for count in counts)])
    return rows


def votes_table(votes: Json | None) -> Table | None:
    """Lay out the check of the list against the votes; None where there is none."""
    if votes is None:
        return None
    rows = [["", "rows", "of", "share", "95 % interval"]]
    listed, everything = votes["listed"], votes["all"]
    shares = {
        "listed rows that are disputed": listed["disputed"],
        "all rows that are disputed": everything["disputed"],
        "listed rows that are overruled": listed["overruled"],
        "all rows that are overruled": everything["overruled"],
        "listed rows whose suggested label is the votes' majority": listed["suggestion_confirmed"],
        "disputed rows that are listed": votes["found"],
    }
    for words, share in shares.items():
        if share is not None:
            numbers = [f"{share['rows']:,}", f"{share['of']:,}", f"{100 * share['share']:.1f} %"]
            rows.append([words, *numbers, f"{100 * share['low']:.1f} – {100 * share['high']:.1f}"])
    return rows


def sentences(figures: Json) -> list[str]:
    """Say the main findings, one a line.

    Args:
        figures: the content of audit.json.
    """
    copies, not_face = figures["copies"], figures["not_faces"]
    lines = []
    for name, counts in copies["within"].items():
        exact = counts["exact"]
        lines.append(
            f"{name}: {counts['different_images']:,} different images among {counts['rows']:,} rows; "
            f"{exact['rows']:,} rows stand in {exact['groups']:,} groups of exact copies; groups with "
            f"several labels: {exact['groups_with_several_labels']:,}"
        )
    shared = sum(each["exact"]["groups"] for each in copies["between"])
    near = sum(each["near"]["groups"] for each in copies["between"])
    lines.append(f"Between parts: {shared:,} images shared exactly, {near:,} groups of exact or near copies")
    refused = not_face["refused_by_annotators"]
    words = (
        f"{not_face['strange']:,} strange images"
        if refused is None
        else f"{refused:,} refused by the annotators"
    )
    lines.append(f"No face: {not_face['flat']:,} flat images, {words}")
    errors = figures["label_errors"]
    if errors is not None:
        lines.append(
            f"Labels: {errors['listed']:,} of {errors['total']:,} are likely errors; estimated share of "
            f"wrong labels {100 * errors['estimated_wrong_share']:.1f} % (the networks are right on "
            f"{errors['correct']:,} unseen rows)"
        )
    votes = figures["votes"]
    if votes is not None:
        listed, everything = votes["listed"]["disputed"], votes["all"]["disputed"]
        lines.append(
            f"Annotators: their majority disputes {listed['rows']:,} of the {listed['of']:,} listed labels "
            f"({_percents(listed)}), against {_percents(everything)} of all"
        )
    return lines


def _percents(share: Json) -> str:
    return f"{100 * share['share']:.1f} %, {100 * share['low']:.1f} to {100 * share['high']:.1f}"


def plot_precision(votes: Json, path: Path) -> None:
    """Draw how many of the first k listed rows the annotators dispute; 1440 × 720 pixels.

    Args:
        votes: what `check_by_votes` returns.
        path: the PNG to write.
    """
    k = [each["k"] for each in votes["first"]]
    base = votes["all"]["disputed"]["share"]
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(9, 4.5), dpi=160, layout="constrained")
        axes = figure.add_subplot()
        low, share, high = (
            [100 * each[name] for each in votes["first"]] for name in ("low", "share", "high")
        )
        axes.fill_between(k, low, high, color=TRAIN_COLOUR, alpha=0.2, linewidth=0)
        axes.plot(k, share, color=TRAIN_COLOUR, marker="o" if len(k) == 1 else "")
        axes.axhline(100 * base, color=QUIET_COLOUR, linestyle=(0, (4, 3)))
        axes.text(k[0], 100 * base + 1.5, f"all rows: {100 * base:.1f} %", color=QUIET_COLOUR)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.4)))
        axes.set_ylim(0, 103)
        axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        axes.set_title("Rows that the annotators dispute among the first k of the list, with 95 % interval")
        axes.set_xlabel("first k rows of the list, the worst first")
        axes.set_ylabel("disputed rows (%)")
        write_png(figure, path)


def _face(findings: Findings, row: int, words: Iterable[str]) -> Face:
    buffer = io.BytesIO()
    Image.fromarray(findings.examples.images[row, :, :, 0]).save(buffer, format="PNG", optimize=True)
    label = fer2013.LABELS[findings.examples.labels[row]]
    lines = [f"row {row:,}", *words, *_votes_in_words(findings, row)]
    alt = f"the image of row {row}, labelled {label}"
    return {"png": buffer.getvalue(), "alt": alt, "label": label, "words": lines}


def _votes_in_words(findings: Findings, row: int) -> list[str]:
    """Say what the annotators chose, the most frequent first."""
    if findings.votes is None:
        return []
    counts = findings.votes.counts[row]
    chosen = [f"{counts[i]} {CHOICES[i]}" for i in np.argsort(-counts, kind="stable") if counts[i]]
    return ["votes: " + ", ".join(chosen)]


def _mixed_groups(findings: Findings, lines: Sequence[Line]) -> list[list[Face]]:
    """Show the groups of exact copies with several labels: the image of each row, and what becomes of it."""
    line_of_row = {line.row: line for line in lines}
    labels = findings.examples.labels
    groups = [g for g in groups_of(findings.copies.exact) if len(np.unique(labels[g])) > 1]
    return [
        [_face(findings, row, [line_of_row[row].action]) for row in g.tolist()] for g in groups[:MAX_FACES]
    ]


def _near_pairs(findings: Findings) -> list[list[Face]]:
    """Show the pairs of near copies that are the least alike: where the rule would err first."""
    pairs = findings.copies.pairs
    shown = []
    for i in np.argsort(pairs.correlation, kind="stable")[:MAX_FACES]:
        words = [f"correlation {pairs.correlation[i]:.3f}", f"{pairs.distance_bits[i]} bits apart"]
        words += ["mirrored"] if pairs.is_mirrored[i] else []
        first, second = int(pairs.first[i]), int(pairs.second[i])
        shown.append([_face(findings, first, []), _face(findings, second, words)])
    return shown


def _no_faces(findings: Findings) -> list[Face]:
    """Show images that the annotators refuse or, without votes, strange ones, and then the flat ones."""
    found, votes = findings.not_faces, findings.votes
    is_odd = found.is_strange if votes is None else votes.is_no_face()
    odd = np.flatnonzero(is_odd & ~found.is_flat)
    odd = odd[np.argsort(-found.distance[odd], kind="stable")]
    rows = np.concatenate([odd, np.flatnonzero(found.is_flat)])[:MAX_FACES]
    return [_face(findings, row, [f"distance {found.distance[row]:.2f}"]) for row in rows.tolist()]


def _label_errors(findings: Findings) -> list[Face]:
    """Show the first rows of the list."""
    if findings.confident is None or findings.probabilities is None:
        return []
    faces = []
    for row in list_label_errors(findings)[:MAX_FACES].tolist():
        likely = findings.confident.likely[row]
        words = [f"rather {fer2013.LABELS[likely]}, {100 * findings.probabilities[row, likely]:.0f} %"]
        faces.append(_face(findings, row, words))
    return faces
