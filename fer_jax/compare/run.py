"""Comparing runs: from their folders to a table, tests of their differences, and a page."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax.compare import notebook, page, plots, records, text
from fer_jax.compare.entries import Entry, SeedRun, check_comparable, describe_labels, group, read_run
from fer_jax.config.changes import NOT_THE_METHOD, list_changes
from fer_jax.config.data import OWN_PARTS, BadRow
from fer_jax.data.examples import Examples
from fer_jax.files import Json, write_json, write_text
from fer_jax.inference import labels
from fer_jax.inference.predictor import predict
from fer_jax.inference.rows import choose_rows, find_trained_on
from fer_jax.inference.run_weights import load, load_data
from fer_jax.metrics.history import keep_measured
from fer_jax.metrics.paired import LEVEL, count_discordant, difference_interval, holm, mcnemar
from fer_jax.metrics.scores import copy_free, wilson_interval
from fer_jax.metrics.scores import difference_interval as gap_interval
from fer_jax.report import terminal
from fer_jax.report.plots import write_png
from fer_jax.runs.location import find_folders
from fer_jax.runtime import cpu


@dataclass(frozen=True, eq=False)
class Measured:
    """Which of the same images the runs classify correctly.

    Attributes:
        examples: the data.
        is_right: for each entry, for each seed that was evaluated (at least the first): bool [N].
        copy_free: for the same seeds the accuracy without copies of their training images, see
            `metrics.scores.copy_free`.
    """

    examples: Examples
    is_right: list[list[np.ndarray]]
    copy_free: list[list[Json | None]]


def compare_runs(
    paths: Sequence[Path],
    data: Path | None,
    *,
    part: str,
    on_bad_row: BadRow | None,
    has_speed: bool,
    out: Path,
    name: str,
    csv: Path | None,
    invocation: str,
) -> None:
    """Compare runs on the same images, and show and write the result.

    Args:
        paths: see `runs.location.find_folders`.
        data: another file to compare on; None for the data that the runs were trained on.
        part: see `inference.rows.choose_rows`.
        on_bad_row: what to do with a malformed row; None for the setting of the first run.
        has_speed: whether to show the speed of training.
        out: the folder to write to, made if need be.
        name: of the files.
        csv: a file for the table of runs; None for none.
        invocation: the command line, for the record.

    Raises:
        FerJaxError: a user error in runs or data.
    """
    console = terminal.make_console()
    result = compare(
        console,
        paths,
        data,
        part=part,
        on_bad_row=on_bad_row,
        has_speed=has_speed,
        invocation=invocation,
    )
    written = write(result, out, name)
    console.print(text.terminal(result))
    console.print(f"written to {out}: {', '.join(written)}")
    if csv is not None:
        write_csv(result, csv)
        console.print(f"the table of runs: {csv}")


def compare(
    console: Console,
    paths: Sequence[Path],
    data: Path | None,
    *,
    part: str,
    on_bad_row: BadRow | None,
    has_speed: bool,
    invocation: str,
) -> Json:
    """Compare runs on the same images; the arguments are those of `compare_runs`.

    Returns:
        The content of `compare.json`.

    Raises:
        FerJaxError: a user error in runs or data.
    """
    entries = group([read_run(folder) for folder in find_folders(paths)])
    check_comparable(entries, part)
    cpu.tune_cpu()
    if entries[0].config.device.compile_cache:
        terminal.keep_compiled(console)
    measured = measure(console, entries, data, on_bad_row, part)
    return gather(entries, measured, part=part, invocation=invocation) | {"has_speed": has_speed}


def write(result: Json, out: Path, name: str) -> list[str]:
    """Write a comparison into a folder, made if need be: text, page, JSON and plots; returns their names."""
    pictures = draw(result, out, name)
    write_json(out / f"{name}.json", result)
    write_text(out / f"{name}.md", page.markdown(result, pictures))
    page.write_html(result, out / f"{name}.html")
    return [f"{name}.md", f"{name}.html", f"{name}.json", *pictures.values()]


def write_csv(result: Json, path: Path) -> None:
    """Write the table of runs, `records.list_records`, as CSV."""
    import pandas as pd  # Only needed here, and slow to import.

    write_text(path, pd.DataFrame(records.list_records(result)).to_csv(index=False))


def measure(
    console: Console, entries: Sequence[Entry], data: Path | None, on_bad_row: BadRow | None, part: str
) -> Measured:
    """Classify the images of a part with each run.

    The pairs are tested with the first seed of each entry; the other seeds are evaluated only on a part that
    their folders have no results for. The labels are those the runs were trained on.

    Raises:
        DataError: the data is missing, or has no such part.
        RunError: a run's checkpoints cannot be used.
    """
    first = load(entries[0].seeds[0].folder, data, on_bad_row)
    with terminal.show_steps(console, terminal.READING, None) as steps:
        examples = load_data(first, is_other_file=data is not None, listener=steps)
    terminal.show_data(console, examples)
    # All runs have the same labels; FER+ votes are read once.
    labelling = labels.choose([first], None, None)
    asked = labels.label_rows(labelling, examples, choose_rows(examples, first, part), part=part)
    labelled = asked.examples
    for note in asked.notes:
        console.print(note, style="yellow")
    is_right: list[list[np.ndarray]] = []
    without: list[list[Json | None]] = []
    needed = [entry.seeds[:1] if part in OWN_PARTS else entry.seeds for entry in entries]
    with terminal.show_steps(console, "predicting", sum(map(len, needed))) as advance:
        for runs in needed:
            is_right.append([])
            without.append([])
            for run in runs:
                trained = load(run.folder, data, on_bad_row)
                rows = choose_rows(labelled, trained, part)
                logits, _ = predict(trained.network, labelled.images[rows], advance=advance)
                is_right[-1].append(logits.argmax(axis=1) == labelled.labels[rows])
                is_copy = find_trained_on([trained], labelled.hashes[rows])
                without[-1].append(copy_free(is_right[-1][-1], is_copy))
                for note in (*trained.notes, *_changed_since(run, part, is_right[-1][-1])):
                    console.print(f"{run.folder}: {note}", style="yellow")
    return Measured(examples, is_right, without)


def _changed_since(run: SeedRun, part: str, is_right: np.ndarray) -> list[str]:
    """Return a note if a run does not score what it did at the end of training."""
    before, now = run.metrics.get(part, {}).get("correct"), int(is_right.sum())
    # Training also counted train rows with undecided votes, which are left out here.
    if before in (None, now) or run.metrics[part]["total"] != len(is_right):
        return []
    return [f"note: right on {now:,} images of {part}, but on {before:,} at the end of training"]


def gather(entries: Sequence[Entry], measured: Measured, *, part: str, invocation: str) -> Json:
    """Gather the content of `compare.json`.

    Args:
        entries: of the same data and split.
        measured: which images they classify correctly.
        part: of these images.
        invocation: the command line, for the record.
    """
    is_right = measured.is_right
    is_synthetic = entries[0].seeds[0].record.data.is_synthetic
    befores = [None, *entries[:-1]]
    runs = [
        describe_entry(entry, before, part, rights, without)
        for entry, before, rights, without in zip(entries, befores, is_right, measured.copy_free, strict=True)
    ]
    there = {each for run in runs for seed in run["seeds"] for each in seed["parts"]}
    known = [each for each in OWN_PARTS if each in there]
    return {
        "part": part,
        "parts": [*known, *([part] if part not in OWN_PARTS else [])],
        "images": len(is_right[0][0]),
        "labels": describe_labels(entries[0].seeds[0]),
        "data": {
            "description": measured.examples.contents,
            "sha256": measured.examples.sha256,
            "is_synthetic": is_synthetic,
        },
        "level": LEVEL,
        "runs": runs,
        "pairs": compare_pairs([rights[0] for rights in is_right], runs, part),
        "command": invocation,
    }


def describe_entry(
    entry: Entry,
    before: Entry | None,
    part: str,
    is_right: Sequence[np.ndarray],
    without: Sequence[Json | None],
) -> Json:
    """Describe an entry and its seeds, ready for JSON.

    Args:
        entry: the config and its runs.
        before: the entry above it in the table.
        part: of the images that were classified.
        is_right: for each seed that was evaluated: bool [N].
        without: for each of them its accuracy without copies of training images.

    Returns:
        `label`, `before` (the label above it, or None), `change` (words) and `changes` (rows of setting,
        before, now), `class_names`, `notebook` (None, or part -> percent as text), `parameters`, `macs`,
        `epochs`, `images_per_second`, `seconds_per_epoch`, `gap` and `gap_ends` (of each seed, in points:
        train − val and its 95 % interval), `selection`, `machine`, `versions`, `seeds_together`, and
        `seeds`: `seed`, `folder` (name), `git`, `parts` (part -> `correct`, `total`, `low`, `high` and, if
        training measured it, `loss`, `balanced_accuracy`, `macro_f1`; for `part` and a seed that was
        evaluated also `copy_free`), `best_epoch`, `history` (of the epochs that were measured).
    """
    first = entry.seeds[0].record
    words, told = _read_notebook(entry, before)
    changes = [] if before is None else list_changes(before.config, entry.config, ignored=NOT_THE_METHOD)
    if words is None:
        words = "first run" if before is None else text.changes_in_words(changes)
    # The first epoch includes compilation; use it only if there is no other.
    timed = [record for run in entry.seeds for record in run.history[1:] or run.history]
    gaps = [run.metrics["train"]["accuracy"] - run.metrics["val"]["accuracy"] for run in entry.seeds]
    counts = [
        [(run.metrics[each]["correct"], run.metrics[each]["total"]) for each in ("train", "val")]
        for run in entry.seeds
    ]
    return {
        "label": entry.label,
        "before": None if before is None else before.label,
        "change": words,
        "changes": changes,
        "class_names": list(entry.config.model.names),
        "notebook": told,
        "parameters": first.parameters,
        "macs": first.macs,
        "epochs": entry.config.train.total_epochs,
        "images_per_second": statistics.median(record["images_per_second"] for record in timed),
        "seconds_per_epoch": statistics.median(record["seconds"] for record in timed),
        "gap": [100 * gap for gap in gaps],
        "gap_ends": [[100 * end for end in gap_interval(*each)] for each in counts],
        "selection": first.selection,
        "machine": f"{first.machine}; {first.device}",
        "versions": ", ".join(f"{package} {version}" for package, version in first.versions.items()),
        "seeds_together": first.seeds_together,
        "seeds": [
            _describe_seed(run, part, right, found)
            for run, right, found in zip_longest(entry.seeds, is_right, without)
        ],
    }


def _read_notebook(entry: Entry, before: Entry | None) -> tuple[str | None, dict[str, str | None] | None]:
    """Return what the notebook says of a run: its change, and its accuracies in percent; None without."""
    name = notebook.name_of(entry)
    if name is None:
        return None, None
    words, told = notebook.NOTEBOOK[name]
    # The notebook describes the step from its own previous run.
    names = [None, *notebook.NOTEBOOK]
    is_next = names[names.index(name) - 1] == (before and notebook.name_of(before))
    return words if is_next else None, told if any(told.values()) else None


def _describe_seed(run: SeedRun, part: str, is_right: np.ndarray | None, without: Json | None) -> Json:
    counts = {name: (figures["correct"], figures["total"]) for name, figures in run.metrics.items()}
    if part not in counts and is_right is not None:
        counts[part] = (int(is_right.sum()), len(is_right))
    parts = {}
    for name, (correct, total) in counts.items():
        low, high = wilson_interval(correct, total)
        scores = {key: run.metrics[name][key] for key in text.SCORES if key in run.metrics.get(name, {})}
        parts[name] = {"correct": correct, "total": total, "low": low, "high": high, **scores}
    if is_right is not None:
        parts[part]["copy_free"] = without
    # The first of equals: later epochs did not improve on it.
    measured = keep_measured(run.history)
    best = max(measured, key=lambda record: record["val_accuracy"])
    names = ("epoch", "train_accuracy", "val_accuracy")
    return {
        "seed": run.config.train.seed,
        "folder": run.folder.name,
        "git": run.record.git,
        "parts": parts,
        "best_epoch": best["epoch"],
        "history": {name: [record[name] for record in measured] for name in names},
    }


def compare_pairs(is_right: Sequence[np.ndarray], runs: Sequence[Json], part: str) -> list[Json]:
    """Test the difference of each pair of runs on the same images.

    Args:
        is_right: for each run, of its first seed: bool [N].
        runs: what `describe_entry` returns for each.
        part: of the images.

    Returns:
        For each pair `first` and `second` (their numbers, the first before the second), `only_first` and
        `only_second` (images), `difference` (second − first, −1..1) with `low` and `high`, `p`, `p_holm`,
        `is_real` (significant), and `are_seeds_apart`: whether every seed of one is better than every seed of
        the other; None if one has a single seed.
    """
    numbers = list(combinations(range(len(is_right)), 2))
    counts = [count_discordant(is_right[first], is_right[second]) for first, second in numbers]
    p_values = [mcnemar(each) for each in counts]
    pairs = []
    for (first, second), each, p, corrected in zip(numbers, counts, p_values, holm(p_values), strict=True):
        low, high = difference_interval(each)
        pairs.append(
            {
                "first": first,
                "second": second,
                "only_first": each.only_first,
                "only_second": each.only_second,
                "difference": each.difference,
                "low": low,
                "high": high,
                "p": p,
                "p_holm": corrected,
                "is_real": corrected < LEVEL,
                "are_seeds_apart": _are_apart(runs[first], runs[second], part),
            }
        )
    return pairs


def _are_apart(first: Json, second: Json, part: str) -> bool | None:
    ours, theirs = (
        [seed["parts"][part]["correct"] / seed["parts"][part]["total"] for seed in run["seeds"]]
        for run in (first, second)
    )
    if min(len(ours), len(theirs)) < 2:
        return None
    return max(ours) < min(theirs) or max(theirs) < min(ours)


def draw(result: Json, out: Path, name: str) -> dict[str, str]:
    """Draw the plots of a comparison; return plot -> file name."""
    files = {kind: f"{name}_{kind}.png" for kind in plots.KINDS}
    for kind, file in files.items():
        write_png(plots.plot(result, kind), out / file)
    return files
