"""The work of `audit`: from a data file to a page, numbers and a list of rows to drop."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from fer_jax import fer2013
from fer_jax.audit import confident_learning, cross_validation, near_copies, not_faces, page, text
from fer_jax.audit.cross_validation import CrossValidated
from fer_jax.audit.rules import (
    REASONS,
    AuditFindings,
    check_by_votes,
    choose_parts,
    count_copies,
    list_label_errors,
    make_lines,
)
from fer_jax.config.run import Config
from fer_jax.data import drop_list
from fer_jax.data.drop_list import Line
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.readers import ferplus
from fer_jax.engine.loop import Clock
from fer_jax.errors import DataError
from fer_jax.files import Json, write_json, write_text
from fer_jax.report import terminal
from fer_jax.runtime import cpu, machine
from fer_jax.text import align

if TYPE_CHECKING:
    from fer_jax.audit.__main__ import AuditCommand

AUDITS = Path("audit")


def audit(options: "AuditCommand", config: Config, *, invocation: str, clock: Clock) -> None:
    """Search the data for errors, show what is found, and write audit.html, audit.json and audit.csv.

    Args:
        options: of the command.
        config: `data` names the data; the rest is how the networks that search for label errors train.
        invocation: the command line, for the record.
        clock: seconds from any start.

    Raises:
        FerJaxError: a user error in the config or the data.
    """
    console = terminal.make_console()
    cpu.tune_cpu()
    path = find_file(config.data)
    out = options.out or AUDITS / (path.stem if path else "synthetic")
    console.print(f"audit -> {out}", style="bold")
    if path is None:
        terminal.show_notice(console, is_chosen=config.data.source == "synthetic")
    findings, crossed, seconds = _look(console, options, config, options.work_dir or out / "work", clock)
    lines = make_lines(findings)
    examples, parts = findings.examples, findings.parts
    figures = {
        "command": invocation,
        "data": examples.facts,
        "ferplus": None if options.ferplus is None else str(options.ferplus),
        "parts": {"kind": parts.kind, "names": list(parts.names)},
        "copies": count_copies(findings),
        "not_faces": _count_not_faces(findings),
        "label_errors": _describe_label_errors(findings, config, crossed),
        "votes": check_by_votes(findings),
        "lines": _count_lines(lines),
        "machine": machine.describe_cpu(),
        "device": machine.describe_device(),
        "seconds": seconds,
    }
    _show(console, figures)
    write_text(out / "audit.csv", drop_list.to_csv(lines, examples.sha256))
    write_json(out / "audit.json", figures)
    page.write(out, findings, figures, lines)
    console.print(f"written to {out}: audit.html, audit.json, audit.csv")


def _look(
    console: Console, options: "AuditCommand", config: Config, work: Path, clock: Clock
) -> tuple[AuditFindings, CrossValidated | None, dict[str, float]]:
    """Run every search; returns the findings, what the networks predict, and the seconds of each search."""
    times = [clock()]
    with terminal.show_steps(console, "reading the data", None):
        examples = load_examples(config.data)
    terminal.show_data(console, examples)
    if (examples.labels == fer2013.UNLABELLED).any():
        raise DataError(
            f"{examples.description}: some rows have no label, and an audit checks labels; "
            "use train.csv or fer2013.csv"
        )
    votes = _read_votes(options.ferplus, examples)
    parts = choose_parts(examples, config.split)
    times.append(clock())
    with terminal.show_progress(console, "searching for copies") as on_step:
        copies = near_copies.find_copies(examples.images, on_step=on_step)
    times.append(clock())
    with terminal.show_steps(console, "searching for images without a face", None):
        strange = not_faces.find_not_faces(examples.images)
    times.append(clock())
    seconds = dict(zip(("load", "copies", "not_faces"), np.diff(times).tolist(), strict=True))
    folds = options.folds
    if not folds:
        return AuditFindings(examples, parts, copies, strange, votes, None, None), None, seconds
    console.print(f"labels     {folds} networks of {config.name}, {config.train.epochs} epochs each")
    crossed = cross_validation.cross_validate(
        console, config, examples, copies.near, folds=folds, work=work, clock=clock
    )
    found = confident_learning.find_label_errors(crossed.probabilities, examples.labels)
    findings = AuditFindings(examples, parts, copies, strange, votes, crossed.probabilities, found)
    return findings, crossed, seconds | {"label_errors": crossed.seconds}


def _read_votes(path: Path | None, examples: Examples) -> ferplus.Votes | None:
    if path is None:
        return None
    votes = ferplus.read(path)
    return ferplus.match(
        votes, examples.labels, examples.usages, where=f"{path} and {examples.description.split(': ')[0]}"
    )


def _count_not_faces(findings: AuditFindings) -> Json:
    """Count what the rules find and, if there are votes, how the rule for data without votes would do."""
    found, votes = findings.not_faces, findings.votes
    counts = {"flat": found.is_flat, "strange": found.is_strange}
    refused = None if votes is None else votes.is_no_face()
    both = {
        f"refused_and_{name}": None if refused is None else refused & each for name, each in counts.items()
    }
    counted = counts | {"refused_by_annotators": refused} | both
    return {name: None if each is None else int(each.sum()) for name, each in counted.items()}


def _describe_label_errors(
    findings: AuditFindings, config: Config, crossed: CrossValidated | None
) -> Json | None:
    found, labels = findings.confident, findings.examples.labels
    if found is None or crossed is None:
        return None
    rows, counts = list_label_errors(findings), class_counts(labels)
    correct = int((crossed.probabilities.argmax(axis=1) == labels).sum())
    estimate = confident_learning.estimate_joint(found.joint, np.array(counts))
    return {
        "config": config.name,
        "epochs": config.train.epochs,
        "seed": config.train.seed,
        "folds": int(crossed.folds.max()) + 1,
        "correct": correct,
        "total": len(labels),
        "thresholds": [
            float(each) if count else None for each, count in zip(found.thresholds, counts, strict=True)
        ],
        "confident_joint": found.joint.tolist(),
        "estimated_wrong_share": float(1 - np.trace(estimate)),
        "listed": len(rows),
        "rows": rows.tolist(),
        "seconds": crossed.seconds,
        "folds_read_back": crossed.kept,
    }


def _count_lines(lines: list[Line]) -> Json:
    reasons = Counter(reason for line in lines for reason in line.reason.split("; "))
    actions = Counter(line.action for line in lines)
    return {
        "listed": len(lines),
        "keep": actions["keep"],
        "drop": actions["drop"],
        "reasons": {reason: reasons[reason] for reason in REASONS if reasons[reason]},
    }


def _show(console: Console, figures: Json) -> None:
    """Print the content of audit.json."""
    console.print()
    console.print(align(text.copies_table(figures["copies"])))
    for line in text.sentences(figures):
        console.print(line)
    console.print()
    console.print(align(text.reasons_table(figures["lines"])))
    times = ", ".join(f"{name.replace('_', ' ')} {took:.1f} s" for name, took in figures["seconds"].items())
    console.print(f"{figures['machine']}: {times}")
