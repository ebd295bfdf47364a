"""The tables of accuracies: of all tiers, the README's short one, and that of the released weights."""

import re
import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.accuracy.tiers import PART, TIERS
from benchmarks.harness import bench
from fer_jax.files import read_json
from fer_jax.metrics.scores import tells_copies_apart, wilson_interval
from fer_jax.release import card as release_card
from fer_jax.runs import sources
from fer_jax.text import Table, mean_and_spread, to_markdown

SHORT_TIERS: Final = ("best", "ferplus", "mid", "speedrun20", "tiny80", "tiny-distilled")
"""Tiers in the README's short table, in its order."""
MEASURED: Final = r"^Measured: [^\n]*(?:\n(?![A-Z]\w+: )[^\n]+)*"
"""The paragraph of a config's docstring that `list_measured` writes."""


COPY_FREE: Final = "without copies"
NOT_MEASURED: Final = "not measured"

Counted = Literal["correct", "ensemble_correct"]
"""The counts of a row: of each seed, or of the seeds as an ensemble."""


def table(results: dict[str, Any]) -> str:
    """Return the table in Markdown, with a row per tier, and the views that were measured.

    Below it stand the accuracies without copies of training images, of the tiers where they were counted.
    """
    columns = _list_columns(results)
    rows: Table = [
        [
            "network",
            "labels",
            "images",
            "parameters",
            "M MACs",
            "epochs",
            "minutes",
            "seeds",
            *(head for head, _, _ in columns),
            "best epoch chosen on the test images, single view",
        ]
    ]
    for row in results["results"]:
        total = row["total"]
        minutes = statistics.median(row["seconds"]) / 60
        rows.append(
            [
                _describe(row) + _from_teachers(row),
                row["labels"],
                f"{total:,}",
                f"{row['parameters']:,}",
                f"{row['macs'] / 1e6:.0f}",
                f"{row['epochs']}, {row['select']}",
                f"{minutes:.0f}",
                str(len(row["seeds"])),
                *(_accuracy(row, field, choice) for _, field, choice in columns),
                "–" if row["oracle_correct"] is None else _in_percent(row["oracle_correct"], total),
            ]
        )
    machines = sorted({machine for row in results["results"] for machine in row["machines"]})
    copies = " or ".join(sorted({f"{row['copies_of_training_images']:,}" for row in results["results"]}))
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy in percent on the images of {PART} that have such a label: mean ± standard deviation over "
        "seeds, or, for a single number, its 95 % Wilson interval in brackets; expect intervals about that "
        f"wide everywhere. {copies} of these images are exact copies of training images, as FER2013 was "
        "released. Trained on Training only. Epochs: how many, and which epoch's weights are measured. With "
        "`last`, no epoch was chosen on these images, but recipes were changed after earlier attempts had "
        "been measured on them. The last column is the best epoch chosen on the test images themselves, as "
        "papers report it that select there. Minutes: for one seed, the median; approximate where runs "
        f"shared a machine. Trained on {'; '.join(machines)}.{_copy_free_table(results)}"
    )


def _list_columns(results: dict[str, Any]) -> list[tuple[str, Counted, str]]:
    """List the columns of accuracies: head, what is counted, and the views."""
    views = dict.fromkeys(choice for row in results["results"] for choice in row["correct"])
    each: list[tuple[str, Counted, str]] = [(_name_views(choice), "correct", choice) for choice in views]
    return each + [
        (f"ensemble, {_name_views(choice)}", "ensemble_correct", choice)
        for choice in views
        if choice != "single"
    ]


def _copy_free_table(results: dict[str, Any]) -> str:
    """Return the table without copies; empty where none were counted, as by an older program."""
    counted = [_without_copies(row) for row in results["results"] if _tells_copies_apart(row)]
    if not counted:
        return ""
    columns = _list_columns({"results": counted})
    rows: Table = [["network", "labels", "images", *(head for head, _, _ in columns)]]
    rows += [
        [
            _describe(row) + _from_teachers(row),
            row["labels"],
            f"{row['total']:,}",
            *(_accuracy(row, field, choice) for _, field, choice in columns),
        ]
        for row in counted
    ]
    return (
        "\n\nThe same without the copies of training images, where these were counted:\n\n"
        f"{to_markdown(rows, left_columns=1)}"
    )


def _tells_copies_apart(row: dict[str, Any]) -> bool:
    """Whether the correct ones among the copies were counted; a JSON of an older program lacks that."""
    return "correct_copies" in row


def _name_views(choice: str) -> str:
    return "single view" if choice == "single" else f"{choice} TTA"


def _accuracy(row: dict[str, Any], field: Counted, choice: str) -> str:
    """Write the accuracy of the seeds, or of their ensemble, in some views."""
    if field == "ensemble_correct" and len(row["seeds"]) < 2:
        return "–"
    return _in_percent(_as_list(row[field][choice]), row["total"]) if choice in row[field] else NOT_MEASURED


def _without_copies(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as counted on the images alone that are no copies of training images."""
    fields: tuple[Counted, ...] = ("correct", "ensemble_correct")
    counts = {
        field: {
            choice: [
                every - copies
                for every, copies in zip(
                    _as_list(correct), _as_list(row[f"{field}_copies"][choice]), strict=True
                )
            ]
            for choice, correct in row[field].items()
        }
        for field in fields
    }
    return row | counts | {"total": row["total"] - row["copies_of_training_images"]}


def _as_list(counts: int | list[int]) -> list[int]:
    return counts if isinstance(counts, list) else [counts]


def _in_percent(correct: Sequence[int], total: int) -> str:
    """Format several counts as mean and spread, a single one with its interval."""
    if len(correct) > 1:
        return mean_and_spread([100 * each / total for each in correct])
    low, high = wilson_interval(correct[0], total)
    return f"{100 * correct[0] / total:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _describe(row: dict[str, Any]) -> str:
    """Return the description of a row's tier; the JSON's if the tier no longer exists."""
    tier = TIERS.get(row["name"])
    return tier.words if tier else row["words"]


def _from_teachers(row: dict[str, Any]) -> str:
    if not row["teachers"]:
        return ""
    note = ", whose epochs were chosen on these images" if row["are_teachers_selected"] else ""
    return f" from {', '.join(row['teachers'])}{note}"


def short_table(results: dict[str, Any]) -> str:
    """Return the README's table: a row for each of `SHORT_TIERS`, on the labels it was trained on.

    The accuracies without copies of training images are in it where they were counted for all of them.
    """
    by_name = {row["name"]: row for row in reversed(results["results"])}
    shown = {name: by_name[name] for name in SHORT_TIERS if name in by_name}
    has_copy_free = all(map(_tells_copies_apart, shown.values()))
    heads = ["single view", COPY_FREE, "flip TTA", COPY_FREE][:: 1 if has_copy_free else 2]
    rows: Table = [["network", "parameters", "labels", "seeds", *heads, "training, one seed", "on"]]
    for name, row in shown.items():
        sides = [row, _without_copies(row)] if has_copy_free else [row]
        cells = [_accuracy(side, "correct", views) for views in ("single", "flip") for side in sides]
        rows.append(
            [
                f"[`{Path(TIERS[name].config).stem}`]({TIERS[name].config})",
                f"{row['parameters']:,}",
                row["labels"],
                str(len(row["seeds"])),
                *cells,
                _duration(statistics.median(row["seconds"])),
                "; ".join(shorten_machine(machine) for machine in row["machines"]),
            ]
        )
    return to_markdown(rows, left_columns=1)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def shorten_machine(machine: str) -> str:
    """Shorten a machine's name.

    >>> shorten_machine("AMD EPYC (family 25, model 1), 1 cores")
    'AMD EPYC, 1 core'
    >>> shorten_machine("GPU NVIDIA H100 80GB HBM3 with Intel(R) Xeon(R) Processor, 16 cores")
    'NVIDIA H100 80GB HBM3'
    """
    device = machine.split(" with ")[0].removeprefix("GPU ")
    return re.sub(r", 1 cores$", ", 1 core", re.sub(r" \(family [^)]*\)", "", device))


def list_measured(results: dict[str, Any], folder: Path) -> dict[Path, str]:
    """Write the results of each tier as the paragraph `Measured:` of its config's docstring, by its file."""
    sentences: dict[Path, list[str]] = {}
    for row in {row["name"]: row for row in reversed(results["results"])}.values():
        if row["name"] not in TIERS:
            continue
        single, flip = (_accuracy(row, "correct", views) for views in ("single", "flip"))
        copies = ""
        if _tells_copies_apart(row):
            others = (_accuracy(_without_copies(row), "correct", views) for views in ("single", "flip"))
            copies = f", without copies of training images {' and '.join(others)}"
        seeds = "one seed" if len(row["seeds"]) == 1 else f"mean ± sd of {len(row['seeds'])} seeds"
        sentences.setdefault(folder / Path(TIERS[row["name"]].config).name, []).append(
            f"{single} percent on {PART} by {row['labels']}'s labels, {flip} with flip TTA{copies}"
            f"{', distilled' + _from_teachers(row) if row['teachers'] else ''} ({seeds}; the {row['select']} "
            f"epoch{', with no selection' if row['select'] == 'last' else ''})"
        )
    return {
        path: textwrap.fill(f"Measured: {'; '.join(each)}.", width=110, break_on_hyphens=False)
        for path, each in sentences.items()
    }


def weights_table(folder: Path) -> str:
    """Return the table of the released weights on PublicTest, from their cards: a row per choice of views."""
    kinds = ("FER2013", "FER+ majority")
    rows: Table = [["weights", "parameters", "KB", "trained as", "views", *(f"by {kind}" for kind in kinds)]]
    dirty = []
    for name in sources.list_names(folder):
        card = read_json(folder / f"{name}.json")
        if bench.has_uncommitted(card["training"]):
            dirty.append(f"`{name}` (on commit {card['training']['git'].removesuffix('-dirty')})")
        teachers = release_card.name_teachers(card["training"].get("teachers"))
        trained_as = f"`{card['config']['name']}`, seed {card['training']['seeds']['train']}"
        trained_as += f", distilled from {', '.join(teachers)}" if teachers else ""
        measured = [figures for figures in card["figures"] if figures["part"] == PART]
        for views in dict.fromkeys(figures["views"] for figures in measured):
            by = {figures["labels"]: figures for figures in measured if figures["views"] == views}
            cells = [_format_accuracy(by[kind]) if kind in by else "–" for kind in kinds]
            size = f"{card['tensors']['bytes'] / 1000:,.0f}"
            rows.append([f"`{name}`", f"{card['parameters']:,}", size, trained_as, views, *cells])
    return (
        f"{to_markdown(rows, left_columns=1)}\n\nMeasured on {PART}, from the weights as they are stored; in "
        "brackets the counts and a 95 % interval. FER+ majority: only images whose votes have a majority for "
        "one of the classes that the network knows. Without copies: only images that are no exact copies of "
        "training images, where that was counted."
        + (f" Trained with uncommitted changes, which no commit holds: {', '.join(dirty)}." if dirty else "")
    )


def _format_accuracy(figures: dict[str, Any]) -> str:
    accuracy, low, high = (f"{100 * figures[key]:.1f}" for key in ("accuracy", "low", "high"))
    cell = f"{accuracy} % ({figures['correct']:,} of {figures['total']:,}; {low} to {high})"
    if not tells_copies_apart(figures):
        return cell
    rest = figures["copy_free"]
    return f"{cell}; without copies {100 * rest['accuracy']:.1f} % ({rest['correct']:,} of {rest['total']:,})"
