"""The text of a comparison: the table of runs, which differences are significant, and what changed.

`result` is the content of `compare.json`. Accuracies are ratios (0..1) in it, and percent in the text.
"""

from collections.abc import Sequence
from typing import Final

from fer_jax.config.data import OWN_PARTS
from fer_jax.files import Json
from fer_jax.metrics.scores import tells_copies_apart
from fer_jax.text import (
    MISSING,
    Table,
    align,
    counted,
    decimal,
    interval,
    join,
    mean_and_spread,
    signed,
    thousands,
)

TABLE_NOTE: Final = (
    "Accuracies in percent, in evaluation mode on images without augmentation. One seed: with Wilson's 95 % "
    "interval, over the choice of images; several seeds: mean ± standard deviation. Gap: train − val, in "
    "points, with its 95 % interval or its spread. MACs: multiply-accumulates per image. Best epoch: the one "
    "with the highest validation accuracy."
)
SPEED_NOTE: Final = (
    "Images per second in training, and seconds per epoch including evaluation: medians, without the first "
    "epoch, which compiles."
)
NOTEBOOK_NOTE: Final = (
    "Notebook: train / val / test, beside the runs that rebuild it unchanged on the same 28,709 rows; a dash "
    "if it gives no number."
)
COPIES_NOTE: Final = "Without copies: without the images that are exact copies of the run's training images"
SOME_SEEDS_NOTE: Final = "; of several seeds only those that the differences are tested with"

SCORES: Final = ("loss", "balanced_accuracy", "macro_f1")
"""Metrics besides accuracy that a table of the runs has."""

_MOST_CHANGES: Final = 3
"""How many settings a sentence lists; the table of what changed lists all."""


def title(result: Json) -> str:
    """Return the title: the first and the last run."""
    labels = [run["label"] for run in result["runs"]]
    if len(labels) == 2:
        return f"{labels[0]} and {labels[1]}"
    return f"{len(labels)} runs: {labels[0]} to {labels[-1]}"


def verdict(result: Json) -> list[str]:
    """Write in sentences which differences are significant."""
    pairs, images = result["pairs"], f"the {thousands(result['images'])} images of {result['part']}"
    real, others = [p for p in pairs if p["is_real"]], [p for p in pairs if not p["is_real"]]
    if len(pairs) == 1:
        is_real = "is significant" if real else "is not significant"
        said = [f"The difference in accuracy on {images} {is_real}: {_describe_pair(result, pairs[0])}."]
    else:
        are = "is" if len(real) == 1 else "are"
        said = [f"{len(real)} of {len(pairs)} differences in accuracy on {images} {are} significant."]
        if others:
            said.append(f"Not significant: {'; '.join(_describe_pair(result, pair) for pair in others)}.")
    correction = "" if len(pairs) == 1 else ", corrected for the number of pairs by Holm"
    said.append(
        "Significant: the choice of images alone would rarely give such a difference (McNemar's exact test, "
        f"two-sided{correction}, at the {100 * result['level']:g} % level)."
    )
    return said + _seed_sentences(result)


def _seed_sentences(result: Json) -> list[str]:
    """Write what the seeds add: the test compares two networks, and knows nothing about other seeds."""
    said = []
    for is_real, are_apart, words in (
        (True, False, "Significant for the tested networks, but the seeds of the two runs overlap"),
        (
            False,
            True,
            "Not significant for the tested networks, but every seed of one beats all of the other",
        ),
    ):
        pairs = [p for p in result["pairs"] if (p["is_real"], p["are_seeds_apart"]) == (is_real, are_apart)]
        if pairs:
            said.append(f"{words}: {'; '.join(_names(result, pair) for pair in pairs)}.")
    single = [run["label"] for run in result["runs"] if len(run["seeds"]) == 1]
    if len(single) == len(result["runs"]):
        said.append("Each run has one seed: the spread between seeds is unknown.")
    elif single:
        each = "has" if len(single) == 1 else "have"
        said.append(f"{join(single)} {each} one seed: the spread between seeds is unknown.")
    return said


def _names(result: Json, pair: Json) -> str:
    first, second = (result["runs"][pair[name]]["label"] for name in ("first", "second"))
    return f"{first} → {second}"


def _describe_pair(result: Json, pair: Json) -> str:
    return f"{_names(result, pair)} {signed(100 * pair['difference'])} points, {p_text(pair['p_holm'])}"


def steps(result: Json) -> list[str]:
    """Write for each run how its accuracy differs from the previous one's, a sentence each."""
    said = []
    for pair in result["pairs"]:
        if pair["second"] != pair["first"] + 1:
            continue
        change = result["runs"][pair["second"]]["change"]
        is_real = "significant" if pair["is_real"] else "not significant"
        points = signed(100 * pair["difference"])
        ends = f"95 % interval {_ends(pair)}"
        said.append(f"{_names(result, pair)} ({change}): {points} points, {ends}; {is_real}.")
    return said


def main_table(result: Json) -> Table:
    """Lay out all runs, one row each, with the numbers of the notebook if it has any."""
    parts = result["parts"]
    has_notebook = any(run["notebook"] for run in result["runs"])
    without = [f"{result['part']} without copies"] if has_copies(result) else []
    head = ["run", "what changed", *(["notebook"] if has_notebook else []), *parts, *without, "gap"]
    speeds = ["img/s", "s / epoch"] if result["has_speed"] else []
    rows = [[*head, "seeds", "parameters", "MACs", *speeds, "best epoch"]]
    for run in result["runs"]:
        told = run["notebook"] or {}
        notebook = " / ".join(told.get(part) or MISSING for part in OWN_PARTS)
        rows.append(
            [
                run["label"],
                run["change"],
                *([notebook] if has_notebook else []),
                *(accuracy(run, part) for part in parts),
                *([copy_free_accuracy(run, result["part"])] if without else []),
                gap(run),
                str(len(run["seeds"])),
                thousands(run["parameters"]),
                f"{decimal(run['macs'] / 1e6, digits=1)} M",
                *(
                    [thousands(round(run["images_per_second"])), decimal(run["seconds_per_epoch"], digits=1)]
                    if speeds
                    else []
                ),
                f"{_range([seed['best_epoch'] for seed in run['seeds']])} of {run['epochs']}",
            ]
        )
    return rows


def accuracy(run: Json, part: str) -> str:
    """Write a run's accuracy on a part in percent, with its interval (one seed) or spread (several seeds).

    >>> counts = {"correct": 8, "total": 10, "low": 0.4902, "high": 0.9433}
    >>> accuracy({"seeds": [{"parts": {"val": counts}}]}, "val")
    '80.0 (49.0 – 94.3)'
    """
    counts = [seed["parts"][part] for seed in run["seeds"] if part in seed["parts"]]
    if not counts:
        return MISSING
    text = mean_and_spread([100 * each["correct"] / each["total"] for each in counts])
    if len(counts) > 1:
        return text
    return f"{text} ({interval([counts[0]['low'], counts[0]['high']], scale=100, digits=1)})"


def has_copies(result: Json) -> bool:
    """Whether some of the images that the pairs are tested on are copies of training images."""
    parts = [seed["parts"].get(result["part"], {}) for run in result["runs"] for seed in run["seeds"]]
    return any(map(tells_copies_apart, parts))


def copy_free_accuracy(run: Json, part: str) -> str:
    """Write the accuracy without copies of training images, of the seeds that were evaluated for the pairs.

    >>> counts = {"correct": 6, "total": 8, "accuracy": 0.75, "accuracy_low": 0.41, "accuracy_high": 0.93}
    >>> copy_free_accuracy({"seeds": [{"parts": {"val": {"copy_free": counts}}}]}, "val")
    '75.0 (6 of 8)'
    """
    every = [seed["parts"].get(part, {}).get("copy_free") for seed in run["seeds"]]
    found = [each for each in every if each is not None]
    if not found:
        return MISSING
    text = mean_and_spread([100 * each["accuracy"] for each in found])
    if len(found) > 1:
        return text
    return f"{text} ({thousands(found[0]['correct'])} of {thousands(found[0]['total'])})"


def gap(run: Json) -> str:
    """Write train − val in points, with its interval (one seed) or spread (several seeds).

    >>> gap({"gap": [7.25], "gap_ends": [[5.0, 9.5]]})
    '+7.2 (+5.0 to +9.5)'
    """
    values = run["gap"]
    if len(values) == 1:
        low, high = run["gap_ends"][0]
        return f"{signed(values[0])} ({signed(low)} to {signed(high)})"
    sign = "+" if sum(values) > 0 else ""
    return sign + mean_and_spread(values)


def is_gap_unclear(run: Json) -> bool:
    """Whether the gap of no seed can be told from 0."""
    return all(low <= 0 <= high for low, high in run["gap_ends"])


def unclear_gaps(result: Json) -> str:
    """Name the runs whose gap cannot be told from 0, in a sentence; empty if there are none."""
    labels = [run["label"] for run in result["runs"] if is_gap_unclear(run)]
    if not labels:
        return ""
    are = "gap of {} is" if len(labels) == 1 else "gaps of {} are"
    return f"The {are.format(join(labels))} not distinguishable from 0."


def pairs_table(result: Json) -> Table:
    """Lay out McNemar's test of each pair of runs."""
    head = ["runs", "only the first right", "only the second right", "difference, points", "95 % interval"]
    rows = [[*head, "p", "p (Holm)", "significant", "seeds"]]
    for pair in result["pairs"]:
        apart = {None: MISSING, True: "apart", False: "overlap"}[pair["are_seeds_apart"]]
        rows.append(
            [
                _names(result, pair),
                thousands(pair["only_first"]),
                thousands(pair["only_second"]),
                signed(100 * pair["difference"]),
                _ends(pair),
                p_number(pair["p"]),
                p_number(pair["p_holm"]),
                "yes" if pair["is_real"] else "no",
                apart,
            ]
        )
    return rows


def _ends(pair: Json) -> str:
    return f"{signed(100 * pair['low'])} to {signed(100 * pair['high'])}"


def pairs_note(result: Json) -> str:
    """Explain the table of pairs."""
    one = all(len(run["seeds"]) == 1 for run in result["runs"])
    tested = "" if one else " The first seed of each run is tested."
    return (
        "Difference: accuracy of the second run − accuracy of the first on the same images, with Agresti and "
        "Min's interval for this pair alone. p: McNemar's exact test, two-sided; Holm: corrected for the "
        "number of pairs, so a pair may not be significant although its interval excludes 0. Seeds: whether "
        f"every seed of one run is better than every seed of the other.{tested} The test is about these "
        "networks on other images; the seeds are about other networks."
    )


def changes_table(result: Json) -> Table:
    """Lay out the settings in which each run differs from the previous one; empty if there are none."""
    rows = [[run["label"], *change] for run in result["runs"] for change in run["changes"]]
    return [["run", "setting", "previous run", "this run"], *rows] if rows else []


def step_tables(result: Json) -> list[Json]:
    """List what each run changed: `title`, `words` (the notebook's, if it has any) and the table `rows`."""
    return [
        {
            "title": f"{run['before']} → {run['label']}",
            "words": "" if run["change"] == changes_in_words(run["changes"]) else run["change"],
            "rows": [["setting", run["before"], run["label"]], *run["changes"]],
        }
        for run in result["runs"]
        if run["changes"]
    ]


def changes_in_words(changes: Sequence[Sequence[str]]) -> str:
    """Write the changed settings as one text, or only their number if they are many.

    >>> changes_in_words([["train.epochs", "3", "6"]]), changes_in_words([["a", "1", "2"]] * 4)
    ('train.epochs 3 → 6', '4 settings')
    """
    if len(changes) > _MOST_CHANGES:
        return counted(len(changes), "setting")
    return ", ".join(f"{field} {old} → {new}" for field, old, new in changes) or "no setting"


def terminal(result: Json) -> str:
    """Lay out the table for the terminal, without the columns of words, and the verdict."""
    table = main_table(result)
    shown = [place for place, head in enumerate(table[0]) if not head.startswith(("what", "notebook"))]
    lines = align([[row[place] for place in shown] for row in table])
    gaps = unclear_gaps(result)
    return "\n".join(
        [lines, "", *verdict(result), *([gaps] if gaps else []), "", *(f"- {step}" for step in steps(result))]
    )


def table_note(result: Json) -> str:
    """Explain the main table."""
    has_notebook = any(run["notebook"] for run in result["runs"])
    together = [run["label"] for run in result["runs"] if run["seeds_together"] > 1]
    notes = [TABLE_NOTE, *([SPEED_NOTE] if result["has_speed"] else [])]
    notes += [NOTEBOOK_NOTE] if has_notebook else []
    if has_copies(result):
        notes.append(f"{COPIES_NOTE}{SOME_SEEDS_NOTE if result['part'] in OWN_PARTS else ''}.")
    if together and result["has_speed"]:
        notes.append(
            f"The seeds of {join(together)} were trained together: speed and time are for all of them."
        )
    return " ".join(notes)


def p_text(p: float) -> str:
    """Write a p-value.

    >>> p_text(0.0384), p_text(1e-9)
    ('p = 0.038', 'p < 0.001')
    """
    number = p_number(p)
    return f"p {number}" if number.startswith("<") else f"p = {number}"


def p_number(p: float) -> str:
    """Write a p-value without the letter; one too small for three decimals as a bound."""
    return decimal(p) if p >= 0.001 else "< 0.001"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} – {high}"
