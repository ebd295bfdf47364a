"""The program `audit` behind its command line: from a data file to a page, figures and a list to act on."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax import fer2013
from fer_jax.audit import confident_learning, cross_validation, near_copies, not_faces, page
from fer_jax.audit.cross_validation import CrossValidated
from fer_jax.audit.near_copies import Copies
from fer_jax.audit.rules import (
    REASONS,
    Findings,
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
from fer_jax.errors import DataError
from fer_jax.files import Json, write_json, write_text
from fer_jax.report import terminal
from fer_jax.runtime import cpu, machine
from fer_jax.text import align

AUDITS = Path("audit")


def audit(
    config: Config,
    *,
    votes_path: Path | None,
    folds: int,
    out: Path | None,
    work: Path | None,
    invocation: str,
    clock: Callable[[], float],
) -> None:
    """Look through the data, show what is found, and write audit.html, audit.json and audit.csv.

    Args:
        config: `data` says which data; the rest, how the networks are trained that search for label errors.
        votes_path: FER+'s fer2013new.csv; None for none.
        folds: how many such networks; 0 searches for no label errors.
        out: the folder to write; None for `audit/NAME`.
        work: the folder of finished folds; None for `work` in `out`.
        invocation: the command line, for the record.
        clock: seconds from any start.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    cpu.tune_cpu()
    path = find_file(config.data)
    out = out or AUDITS / (path.stem if path else "synthetic")
    out.mkdir(parents=True, exist_ok=True)
    console.print(f"audit -> {out}", style="bold")
    if path is None:
        terminal.show_notice(console, is_chosen=config.data.source == "synthetic")
    findings, crossed, seconds = _look(console, config, votes_path, folds, work or out / "work", clock)
    lines = make_lines(findings)
    examples, parts = findings.examples, findings.parts
    data = {"description": examples.description, "sha256": examples.sha256, "is_synthetic": path is None}
    figures = {
        "command": invocation,
        "data": data,
        "ferplus": None if votes_path is None else str(votes_path),
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
    console: Console,
    config: Config,
    votes_path: Path | None,
    folds: int,
    work: Path,
    clock: Callable[[], float],
) -> tuple[Findings, CrossValidated | None, dict[str, float]]:
    """Find all there is to find, and say how many seconds each search took."""
    times = [clock()]
    examples = load_examples(config.data)
    terminal.show_data(console, examples)
    if (examples.labels == fer2013.UNLABELLED).any():
        raise DataError(
            f"{examples.description}: some rows have no label, and an audit is about labels; "
            "use train.csv or fer2013.csv"
        )
    votes = _read_votes(votes_path, examples)
    parts = choose_parts(examples, config.split)
    times.append(clock())
    copies = _find_copies(console, examples)
    times.append(clock())
    strange = not_faces.find_not_faces(examples.images)
    times.append(clock())
    seconds = dict(zip(("load", "copies", "not_faces"), np.diff(times).tolist(), strict=True))
    if not folds:
        return Findings(examples, parts, copies, strange, votes, None, None), None, seconds
    console.print(f"labels     {folds} networks of {config.name}, {config.train.epochs} epochs each")
    crossed = cross_validation.cross_validate(
        console, config, examples, copies.near, folds=folds, work=work, clock=clock
    )
    found = confident_learning.find_label_errors(crossed.probabilities, examples.labels)
    findings = Findings(examples, parts, copies, strange, votes, crossed.probabilities, found)
    return findings, crossed, seconds | {"label_errors": crossed.seconds}


def _read_votes(path: Path | None, examples: Examples) -> ferplus.Votes | None:
    if path is None:
        return None
    votes = ferplus.read(path)
    return ferplus.match(
        votes, examples.labels, examples.usages, where=f"{path} and {examples.description.split(': ')[0]}"
    )


def _find_copies(console: Console, examples: Examples) -> Copies:
    """Find the copies behind a progress bar."""
    bar = terminal.make_bar(console)
    with bar:
        task = bar.add_task("looking for copies", speed="")

        def on_step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return near_copies.find_copies(examples.images, on_step=on_step)


def _count_not_faces(findings: Findings) -> Json:
    """Count what the rules find, and how the rule for data without votes does where there are votes."""
    found, votes = findings.not_faces, findings.votes
    refused = None if votes is None else votes.is_no_face()
    return {
        "flat": int(found.is_flat.sum()),
        "strange": int(found.is_strange.sum()),
        "refused_by_annotators": None if refused is None else int(refused.sum()),
        "refused_and_flat": None if refused is None else int((refused & found.is_flat).sum()),
        "refused_and_strange": None if refused is None else int((refused & found.is_strange).sum()),
    }


def _describe_label_errors(findings: Findings, config: Config, crossed: CrossValidated | None) -> Json | None:
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
    """Show the figures on the terminal."""
    console.print()
    console.print(align(page.copies_table(figures["copies"])))
    for line in page.sentences(figures):
        console.print(line)
    console.print()
    console.print(align(page.reasons_table(figures["lines"])))
    times = ", ".join(f"{name.replace('_', ' ')} {took:.1f} s" for name, took in figures["seconds"].items())
    console.print(f"{figures['machine']}: {times}")
