"""A comparison as Markdown and as a page: one description, rendered twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fer_jax.compare import charts, text
from fer_jax.compare.plots import largest_difference
from fer_jax.files import Json
from fer_jax.report.html import write_page
from fer_jax.report.markdown import SYNTHETIC_NOTICE
from fer_jax.text import Table, escape, join, signed, thousands, to_markdown

CONTENTS: Final = {
    "ladder": "The runs",
    "differences": "Which differences are significant",
    "changes": "What changed",
    "curves": "Curves",
    "gaps": "Gaps",
    "reproduce": "How it was measured",
}
"""Id -> heading of each section."""

CURVES_NOTE: Final = (
    "Measured in evaluation mode, without augmentation; train on a fixed subset of the "
    "training images. A line is the mean over the seeds of a run, the band its range from the lowest to the "
    "highest seed."
)


def markdown(result: Json, pictures: Mapping[str, str]) -> str:
    """Write a comparison as Markdown.

    Args:
        result: the content of `compare.json`.
        pictures: `accuracies`, `tests`, `curves` and `gaps` -> file name beside the text.

    Returns:
        Text that has no path except those in `result["command"]`.
    """
    content = _describe(result)
    heading = {key: f"## {words}" for key, words in content["contents"].items()}
    left = 3 if content["has_notebook"] else 2
    sections = [
        f"# {content['title']}",
        *([f"> [!WARNING]\n> {SYNTHETIC_NOTICE}"] if content["is_synthetic"] else []),
        " ".join(content["verdict"]),
        f"{heading['ladder']}\n\n{_table(text.main_table(result), left)}\n\n{content['table_note']}\n\n"
        f"![Accuracy of each run and part, with its spread]({pictures['accuracies']})",
        f"{heading['differences']}\n\n" + "\n".join(f"- {escape(step)}" for step in content["steps"]),
        f"![Difference in accuracy of each pair of runs]({pictures['tests']})",
        f"{_table(content['pairs'], 1)}\n\n{content['pairs_note']}",
        *([f"{heading['changes']}\n\n{_table(changes, 4)}"] if (changes := content["changes"]) else []),
        f"{heading['curves']}\n\n![Accuracy of all runs over the epochs]({pictures['curves']})",
        content["curves_note"],
        f"{heading['gaps']}\n\n![Training and validation accuracy of each run]({pictures['gaps']})",
        *([content["gaps_note"]] if content["gaps_note"] else []),
    ]
    facts = "\n".join(f"- {name}: {escape(value)}" for name, value in content["facts"])
    sections.append(f"{heading['reproduce']}\n\n{facts}\n\n```\n{content['command']}\n```")
    return "\n\n".join(sections) + "\n"


def write_html(result: Json, path: Path) -> None:
    """Write a comparison as a page, replaced atomically; `result` is the content of `compare.json`."""
    write_page(
        "ladder.html.j2",
        path,
        accuracy=charts.accuracy_chart(result),
        curves=charts.curve_charts(result),
        gaps=charts.gap_charts(result),
        differences=_difference_cells(result) if len(result["runs"]) > 2 else None,
        changed=text.step_tables(result),
        **_describe(result),
    )


def _difference_cells(result: Json) -> Json:
    """Lay out the differences of all pairs: a row for each run after the first, a column for the others."""
    labels, most = [run["label"] for run in result["runs"]], largest_difference(result["pairs"])
    rows: list[list[Json | None]] = [[None] * (len(labels) - 1) for _ in labels[1:]]
    for pair in result["pairs"]:
        points = 100 * pair["difference"]
        rows[pair["second"] - 1][pair["first"]] = {
            "points": signed(points),
            "p": text.p_text(pair["p_holm"]),
            "share": abs(points) / most,
            "kind": ("less" if points < 0 else "") if pair["is_real"] else "unclear",
        }
    return {"columns": labels[:-1], "rows": list(zip(labels[1:], rows, strict=True))}


def _describe(result: Json) -> Json:
    """Gather what both show, except the pictures."""
    table, changes = text.main_table(result), text.changes_table(result)
    # In one table they would be wider than a screen, and what changed has a section of its own.
    cost = table[0].index("parameters")
    return {
        "title": text.title(result),
        "contents": {key: words for key, words in CONTENTS.items() if key != "changes" or changes},
        "is_synthetic": result["data"]["is_synthetic"],
        "verdict": text.verdict(result),
        "steps": text.steps(result),
        "accuracies": [[row[0], *(_unbroken(cell) for cell in row[2:cost])] for row in table],
        "costs": [[row[0], *row[cost:]] for row in table],
        "table_note": text.table_note(result),
        "pairs": text.pairs_table(result),
        "pairs_note": text.pairs_note(result),
        "curves_note": CURVES_NOTE,
        "gaps_note": text.unclear_gaps(result),
        "changes": changes,
        "facts": _facts(result),
        "command": result["command"],
        "has_notebook": any(run["notebook"] for run in result["runs"]),
    }


def _unbroken(cell: str) -> str:
    return cell.replace(" ", "\N{NO-BREAK SPACE}")


def _facts(result: Json) -> list[tuple[str, str]]:
    """List the data and the machines of the runs, as name and value."""
    return [
        ("data", result["data"]["description"]),
        ("data SHA-256", result["data"]["sha256"]),
        (
            "compared on",
            f"{thousands(result['images'])} images of {result['part']}, labels of {result['labels']}",
        ),
        ("weights", _by_run(result, "selection")),
        ("machine", _by_run(result, "machine")),
        ("versions", _by_run(result, "versions")),
    ]


def _by_run(result: Json, name: str) -> str:
    """Write a fact of all runs: once if they share it, otherwise by run."""
    values: dict[str, list[str]] = {}
    for run in result["runs"]:
        values.setdefault(run[name], []).append(run["label"])
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{join(labels)}: {value}" for value, labels in values.items())


def _table(rows: Table, left_columns: int) -> str:
    return to_markdown([[escape(cell) for cell in row] for row in rows], left_columns=left_columns)
