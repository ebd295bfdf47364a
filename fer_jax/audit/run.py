"""The work of `audit`: from a data file to a page, numbers and a list of rows to drop."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Console

from fer_jax import fer2013
from fer_jax.audit import confident_learning, cross_validation, not_faces, page, text
from fer_jax.audit.cross_validation import CrossValidated
from fer_jax.audit.rules import (
    REASONS,
    AuditFindings,
    check_by_votes,
    choose_parts,
    count_copies,
    list_dropped_errors,
    list_label_errors,
    make_lines,
)
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.groups import near_copies
from fer_jax.data.load import complete, load_examples
from fer_jax.data.location import find_file, name_data
from fer_jax.data.readers import ferplus
from fer_jax.data.rows import drop_list
from fer_jax.data.rows.drop_list import Line
from fer_jax.data.targets import refuse_votes_on_others
from fer_jax.engine.loop import Clock
from fer_jax.errors import DataError, RunError
from fer_jax.files import Json, read_json, write_json, write_text
from fer_jax.report import terminal
from fer_jax.runs.results import refuse_other
from fer_jax.runtime import cpu, machine
from fer_jax.text import align, counted

if TYPE_CHECKING:
    from fer_jax.audit.__main__ import AuditCommand

AUDITS: Final = Path("audit")
RESULT: Final = "audit.json"
LIST: Final = "audit.csv"


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
    out = options.out or AUDITS / name_data(config.data)
    console.print(f"audit -> {out}", style="bold")
    _refuse_edited(out, may_replace=options.overwrite)
    if path is None:
        terminal.show_notice(console, is_chosen=config.data.source == "synthetic")
    findings, crossed, seconds = _look(console, options, config, out, clock)
    lines = make_lines(findings)
    listed = drop_list.to_csv(lines, findings.examples.sha256)
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
        "list_sha256": hashlib.sha256(listed.encode()).hexdigest(),
        "machine": machine.describe_cpu(),
        "device": machine.describe_device(),
        "seconds": seconds,
    }
    _show(console, figures)
    write_text(out / LIST, listed)
    write_json(out / RESULT, figures)
    page.write(out, findings, figures, lines)
    console.print(f"written to {out}: audit.html, audit.json, audit.csv")


def _refuse_edited(out: Path, *, may_replace: bool) -> None:
    """Refuse to replace a list that was edited after it was written.

    Raises:
        RunError: it was, and `may_replace` is False.
    """
    if may_replace or not ((out / LIST).exists() and (out / RESULT).exists()):
        return
    why = "was edited since the audit wrote it"
    try:
        written = read_json(out / RESULT).get("list_sha256")
    except (RunError, AttributeError):
        written, why = "", f"may have been edited, for {RESULT} beside it is damaged"
    if written not in (None, hashlib.sha256((out / LIST).read_bytes()).hexdigest()):
        raise RunError(f"{out / LIST} {why}; move it away, give another --out, or --overwrite to replace it")


def _refuse_other_audit(out: Path, options: "AuditCommand", config: Config, examples: Examples) -> None:
    """Refuse to replace the audit of other data, or what other networks or the votes told about it."""
    votes = None if options.ferplus is None else str(options.ferplus)
    networks = {"folds": options.folds, "config": config.name, "epochs": config.train.total_epochs}
    inputs: Json = {"data.sha256": examples.sha256, "ferplus": votes}
    inputs |= {f"label_errors.{name}": value if options.folds else None for name, value in networks.items()}
    refuse_other(out / RESULT, inputs, may_replace=options.overwrite)


def _look(
    console: Console, options: "AuditCommand", config: Config, out: Path, clock: Clock
) -> tuple[AuditFindings, CrossValidated | None, dict[str, float]]:
    """Run every search; returns the findings, what the networks predict, and the seconds of each search."""
    times = [clock()]
    with terminal.show_steps(console, terminal.READING, None) as steps:
        examples = load_examples(config.data, listener=steps)
    terminal.show_data(console, examples)
    config, examples = complete(config, examples)
    _refuse_other_audit(out, options, config, examples)
    if (examples.labels == fer2013.UNLABELLED).any():
        raise DataError(
            f"{examples.description}: some rows have no label, and an audit checks labels; "
            "use train.csv or fer2013.csv"
        )
    if options.ferplus is not None:
        refuse_votes_on_others(examples, config.model.names)
    votes = _read_votes(options.ferplus, examples)
    parts = choose_parts(examples, config.split)
    times.append(clock())
    with terminal.show_steps(console, "searching for copies", None) as steps:
        copies = near_copies.find_copies(examples.images, on_step=steps.move)
    times.append(clock())
    with terminal.show_steps(console, "searching for images without a face", None):
        strange = not_faces.find_not_faces(examples.images)
    times.append(clock())
    seconds = dict(zip(("load", "copies", "not_faces"), np.diff(times).tolist(), strict=True))
    folds = options.folds
    if not folds:
        return AuditFindings(examples, parts, copies, strange, votes, None, None), None, seconds
    epochs = counted(config.train.total_epochs, "epoch")
    console.print(f"labels     {folds} networks of {config.name}, {epochs} each")
    crossed = cross_validation.cross_validate(
        console,
        config,
        examples,
        copies.near,
        folds=folds,
        work=options.work_dir or out / "work",
        clock=clock,
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
    names = findings.examples.names
    rows, counts = list_label_errors(findings), class_counts(labels, classes=len(names))
    dropped = list_dropped_errors(findings)
    estimate = confident_learning.estimate_joint(found.joint, np.array(counts))
    return {
        "config": config.name,
        "epochs": config.train.total_epochs,
        "seed": config.train.seed,
        "classes": list(names),
        "folds": int(crossed.folds.max()) + 1,
        "correct": findings.correct,
        "total": len(labels),
        "thresholds": [
            float(each) if count else None for each, count in zip(found.thresholds, counts, strict=True)
        ],
        "confident_joint": found.joint.tolist(),
        "estimated_wrong_share": float(1 - np.trace(estimate)),
        "listed": len(rows),
        "rows": rows.tolist(),
        "dropped": len(dropped),
        "estimated_precision": {
            "listed": _mean(findings.wrong[rows]),
            "dropped": _mean(findings.wrong[dropped]),
        },
        "assumed_wrong_share": confident_learning.ASSUMED_WRONG,
        "are_networks_good": findings.are_networks_good,
        "warning": None if findings.are_networks_good else text.warn(findings.correct, len(labels)),
        "seconds": crossed.seconds,
        "folds_read_back": crossed.kept,
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


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
    warning = figures["label_errors"] and figures["label_errors"]["warning"]
    if warning:
        console.print(f"warning: {warning}", style="bold red")
    console.print()
    console.print(align(text.reasons_table(figures["lines"])))
    times = ", ".join(f"{name.replace('_', ' ')} {took:.1f} s" for name, took in figures["seconds"].items())
    console.print(f"{figures['machine']}: {times}")
