"""What a comparison of runs tells people: the table of the ladder, which differences are real, what changed.

Every function is pure: the content of `compare.json` in, text or tables out. Accuracies come in as ratios
(0..1) and go out in percent.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fer_jax.report.markdown import SYNTHETIC_NOTICE, mean_and_spread
from fer_jax.text import Table, align, escape, to_markdown

Json = dict[str, Any]

CONTENTS: Final = {
    "ladder": "The runs",
    "differences": "Which differences are real",
    "curves": "Curves",
    "gaps": "Gaps",
    "changes": "What changed",
    "reproduce": "How it was measured",
}
"""Id -> heading of each section."""

TABLE_NOTE: Final = (
    "Accuracies in percent, of images without augmentation in evaluation mode. One seed: with Wilson's 95 % "
    "interval, over the choice of images; several: mean ± standard deviation over the seeds. Gap: train − "
    "val, in points. MACs: multiply-accumulates for one image. Best epoch: that of the highest validation "
    "accuracy."
)
SPEED_NOTE: Final = (
    "Images a second in training, and seconds of an epoch with its measuring: medians, without the first "
    "epoch, which compiles."
)
NOTEBOOK_NOTE: Final = "Notebook: train / val / test; a dash where it does not say."

_MOST_CHANGES: Final = 3
"""How many settings a cell of the table names."""


def title(result: Json) -> str:
    """Name a comparison: its first and last run."""
    labels = [run["label"] for run in result["runs"]]
    if len(labels) == 2:
        return f"{labels[0]} and {labels[1]}"
    return f"{len(labels)} runs: {labels[0]} to {labels[-1]}"


def verdict(result: Json) -> list[str]:
    """Say which differences are real, in sentences.

    Args:
        result: the content of `compare.json`.
    """
    pairs, images = result["pairs"], f"the {result['images']:,} images of {result['part']}"
    real, open_ = [p for p in pairs if p["is_real"]], [p for p in pairs if not p["is_real"]]
    if len(pairs) == 1:
        is_real = "is real" if real else "is not shown to be real"
        said = [f"The difference in accuracy on {images} {is_real}: {_told(result, pairs[0])}."]
    else:
        said = [f"{len(real)} of {len(pairs)} differences in accuracy on {images} are shown to be real."]
        if open_:
            said.append(f"Not shown to be real: {'; '.join(_told(result, pair) for pair in open_)}.")
    correction = "" if len(pairs) == 1 else ", corrected for all pairs (Holm)"
    said.append(
        "Real: more than the luck of these images explains, by McNemar's exact test (two-sided)"
        f"{correction}, at {100 * result['level']:g} %."
    )
    return said + _seed_sentences(result)


def _seed_sentences(result: Json) -> list[str]:
    """Say what the seeds add: the test knows two networks, not what another seed would have made of them."""
    said = []
    for is_real, are_apart, words in (
        (True, False, "Real for the tested networks, yet the seeds of the two overlap"),
        (
            False,
            True,
            "Not shown for the tested networks, yet every seed of one beats all of the other",
        ),
    ):
        pairs = [p for p in result["pairs"] if (p["is_real"], p["are_seeds_apart"]) == (is_real, are_apart)]
        if pairs:
            said.append(f"{words}: {'; '.join(_names(result, pair) for pair in pairs)}.")
    single = [run["label"] for run in result["runs"] if len(run["seeds"]) == 1]
    if len(single) == len(result["runs"]):
        said.append("Each run has one seed: how far another seed would move it is not known.")
    elif single:
        each = "" if len(single) == 1 else " each"
        said.append(f"{_list(single)}: one seed{each}; how far another would move the figures is not known.")
    return said


def _names(result: Json, pair: Json) -> str:
    first, second = (result["runs"][pair[name]]["label"] for name in ("first", "second"))
    return f"{first} → {second}"


def _told(result: Json, pair: Json) -> str:
    return f"{_names(result, pair)} {signed(100 * pair['difference'])} points, {p_text(pair['p_holm'])}"


def steps(result: Json) -> list[str]:
    """Say for each run what it gained over the one before, a sentence each."""
    said = []
    for pair in result["pairs"]:
        if pair["second"] != pair["first"] + 1:
            continue
        change = result["runs"][pair["second"]]["change"]
        ends = f"95 % interval {signed(100 * pair['low'])} to {signed(100 * pair['high'])}"
        is_real = "real" if pair["is_real"] else "not shown to be real"
        points = signed(100 * pair["difference"])
        said.append(f"{_names(result, pair)} ({change}): {points} points, {ends}; {is_real}.")
    return said


def main_table(result: Json) -> Table:
    """Lay out all runs, a line each; the notebook's figures beside them where it has some."""
    parts = result["parts"]
    has_notebook = any(run["notebook"] for run in result["runs"])
    head = ["run", "what changed", *(["notebook"] if has_notebook else []), *parts, "gap"]
    speeds = ["img/s", "s an epoch"] if result["has_speed"] else []
    rows = [[*head, "seeds", "parameters", "MACs", *speeds, "best epoch"]]
    for run in result["runs"]:
        told = run["notebook"] or {}
        notebook = " / ".join(told.get(part) or "–" for part in ("train", "val", "test"))
        rows.append(
            [
                run["label"],
                run["change"],
                *([notebook] if has_notebook else []),
                *(accuracy(run, part) for part in parts),
                mean_and_spread(run["gap"]),
                str(len(run["seeds"])),
                f"{run['parameters']:,}",
                f"{run['macs'] / 1e6:.1f} M",
                *([f"{run['images_per_second']:,.0f}", f"{run['seconds_per_epoch']:.1f}"] if speeds else []),
                f"{_range([seed['best_epoch'] for seed in run['seeds']])} of {run['epochs']}",
            ]
        )
    return rows


def accuracy(run: Json, part: str) -> str:
    """Write a run's accuracy on a part in percent, with its interval (one seed) or spread (several).

    >>> counts = {"correct": 8, "total": 10, "low": 0.4902, "high": 0.9433}
    >>> accuracy({"seeds": [{"parts": {"val": counts}}]}, "val")
    '80.0 (49.0 – 94.3)'
    """
    counts = [seed["parts"][part] for seed in run["seeds"] if part in seed["parts"]]
    if not counts:
        return "–"
    text = mean_and_spread([100 * each["correct"] / each["total"] for each in counts])
    if len(counts) > 1:
        return text
    return f"{text} ({100 * counts[0]['low']:.1f} – {100 * counts[0]['high']:.1f})"


def pairs_table(result: Json) -> Table:
    """Lay out McNemar's test of each pair of runs."""
    head = ["runs", "only the first right", "only the second", "difference, points", "95 % interval"]
    rows = [[*head, "p", "p (Holm)", "real", "seeds"]]
    for pair in result["pairs"]:
        apart = {None: "–", True: "apart", False: "overlap"}[pair["are_seeds_apart"]]
        rows.append(
            [
                _names(result, pair),
                f"{pair['only_first']:,}",
                f"{pair['only_second']:,}",
                signed(100 * pair["difference"]),
                f"{signed(100 * pair['low'])} to {signed(100 * pair['high'])}",
                p_number(pair["p"]),
                p_number(pair["p_holm"]),
                "yes" if pair["is_real"] else "not shown",
                apart,
            ]
        )
    return rows


def pairs_note(result: Json) -> str:
    """Explain the table of pairs."""
    one = all(len(run["seeds"]) == 1 for run in result["runs"])
    tested = "" if one else " The first seed of each run is tested."
    return (
        "Difference: accuracy of the second − accuracy of the first, on the same images, with Agresti and "
        "Min's interval for the pair alone. p: McNemar's exact test, two-sided; Holm: corrected for the "
        "number of pairs, so that a pair whose interval leaves out 0 may yet not be shown to be real. "
        f"Seeds: whether every seed of the one is better than every seed of the other.{tested} The test is "
        "about these networks and other images like these; the seeds are about other networks."
    )


def changes_table(result: Json) -> Table:
    """Lay out the settings that each run has otherwise than the one before it; empty where there are none."""
    rows = [[run["label"], *change] for run in result["runs"] for change in run["changes"]]
    return [["run", "setting", "run before", "this run"], *rows] if rows else []


def changes_in_words(changes: Sequence[Sequence[str]]) -> str:
    """Write the first few changed settings as one text.

    >>> changes_in_words([["train.epochs", "3", "6"]])
    'train.epochs 3 → 6'
    """
    named = [f"{field} {old} → {new}" for field, old, new in changes[:_MOST_CHANGES]]
    more = len(changes) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "") if named else "nothing in the config"


def terminal(result: Json) -> str:
    """Lay out the table for the terminal, without the words, and the verdict below it."""
    table = main_table(result)
    shown = [place for place, head in enumerate(table[0]) if not head.startswith(("what", "notebook"))]
    lines = align([[row[place] for place in shown] for row in table])
    return "\n".join([lines, "", *verdict(result), "", *(f"- {step}" for step in steps(result))])


def facts(result: Json) -> list[tuple[str, str]]:
    """List on what and where the runs were made and measured, as name and value."""
    return [
        ("data", result["data"]["description"]),
        ("data SHA-256", result["data"]["sha256"]),
        ("compared on", f"{result['images']:,} images of {result['part']}, labels of {result['labels']}"),
        ("weights", _by_run(result, "selection")),
        ("machine", _by_run(result, "machine")),
        ("versions", _by_run(result, "versions")),
    ]


def _by_run(result: Json, name: str) -> str:
    """Say a fact of all runs: once where all share it, else by run."""
    values: dict[str, list[str]] = {}
    for run in result["runs"]:
        values.setdefault(run[name], []).append(run["label"])
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{_list(labels)}: {value}" for value, labels in values.items())


def markdown(result: Json, pictures: Mapping[str, str]) -> str:
    """Write a comparison as Markdown.

    Args:
        result: the content of `compare.json`.
        pictures: `accuracies`, `tests`, `curves` and `gaps` -> file name beside the text.

    Returns:
        Text without any path but those in `result["command"]`.
    """
    warning = [f"> [!WARNING]\n> {SYNTHETIC_NOTICE}"] if result["data"]["is_synthetic"] else []
    changed = changes_table(result)
    left = 3 if any(run["notebook"] for run in result["runs"]) else 2
    sections = [
        f"# {title(result)}",
        *warning,
        " ".join(verdict(result)),
        f"## {CONTENTS['ladder']}\n\n{_markdown_table(main_table(result), left)}\n\n{table_note(result)}\n\n"
        f"![Accuracy of each run and part, with its spread]({pictures['accuracies']})",
        f"## {CONTENTS['differences']}\n\n" + "\n".join(f"- {escape(step)}" for step in steps(result)),
        f"![Difference in accuracy of each pair of runs]({pictures['tests']})",
        f"{_markdown_table(pairs_table(result), 1)}\n\n{pairs_note(result)}",
        f"## {CONTENTS['curves']}\n\n![Accuracy of all runs over the epochs]({pictures['curves']})",
        curves_note(),
        f"## {CONTENTS['gaps']}\n\n![Training and validation accuracy of each run]({pictures['gaps']})",
    ]
    if changed:
        sections.append(f"## {CONTENTS['changes']}\n\n{_markdown_table(changed, 4)}")
    listed = "\n".join(f"- {name}: {escape(value)}" for name, value in facts(result))
    sections.append(f"## {CONTENTS['reproduce']}\n\n{listed}\n\n```\n{result['command']}\n```")
    return "\n\n".join(sections) + "\n"


def _markdown_table(rows: Table, left_columns: int) -> str:
    return to_markdown([[escape(cell) for cell in row] for row in rows], left_columns=left_columns)


def table_note(result: Json) -> str:
    """Explain the main table."""
    has_notebook = any(run["notebook"] for run in result["runs"])
    together = [run["label"] for run in result["runs"] if run["seeds_together"] > 1]
    notes = [TABLE_NOTE, *([SPEED_NOTE] if result["has_speed"] else [])]
    notes += [NOTEBOOK_NOTE] if has_notebook else []
    if together and result["has_speed"]:
        notes.append(f"Several seeds of {_list(together)} were trained together: speed and time are of all.")
    return " ".join(notes)


def curves_note() -> str:
    """Explain the curves."""
    return (
        "Measured after each epoch in evaluation mode, without augmentation; train on a fixed subset of the "
        "training images. A line is the mean over a run's seeds, its band goes from the lowest seed to the "
        "highest."
    )


def page_content(result: Json) -> Json:
    """Gather what the template of the page shows, but the pictures."""
    table = main_table(result)
    # Side by side they are wider than a screen.
    cost = table[0].index("parameters")
    has_changes = bool(changes_table(result))
    return {
        "title": title(result),
        "contents": {key: words for key, words in CONTENTS.items() if key != "changes" or has_changes},
        "is_synthetic": result["data"]["is_synthetic"],
        "verdict": verdict(result),
        "steps": steps(result),
        "accuracies": [row[:cost] for row in table],
        "costs": [[row[0], *row[cost:]] for row in table],
        "table_note": table_note(result),
        "pairs": pairs_table(result),
        "pairs_note": pairs_note(result),
        "curves_note": curves_note(),
        "changes": changes_table(result),
        "facts": facts(result),
        "command": result["command"],
        "has_notebook": any(run["notebook"] for run in result["runs"]),
    }


def p_text(p: float) -> str:
    """Write a p-value.

    >>> p_text(0.0384), p_text(1e-9)
    ('p = 0.038', 'p < 0.001')
    """
    number = p_number(p)
    return f"p {number}" if number.startswith("<") else f"p = {number}"


def p_number(p: float) -> str:
    """Write a p-value without its letter; what is too small for three decimals as a bound."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def signed(points: float) -> str:
    """Write a difference in points with its sign.

    >>> signed(-1.25), signed(7.3)
    ('−1.2', '+7.3')
    """
    return f"{points:+.1f}".replace("-", "−")


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} – {high}"


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
