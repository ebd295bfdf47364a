"""Tables of text: rows of cells to aligned lines for the terminal, and to Markdown."""

import json
from typing import Any

Table = list[list[str]]
"""Rows of as many cells each; the first row is the head."""


def align(rows: Table) -> str:
    """Pad every column to its widest cell: the first to the left, the others to the right.

    >>> print(align([["seed", "val"], ["0", "9.5"], ["10", "10"]]))
    seed  val
    0     9.5
    10     10
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        for row in rows
    ]
    return "\n".join("  ".join(line) for line in lines)


def to_markdown(rows: Table, *, left_columns: int) -> str:
    """Write a table in Markdown; all columns but the first `left_columns` stand to the right."""
    rules = ["---" if column < left_columns else "---:" for column in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rules, *rows[1:]])


def escape(text: str) -> str:
    """Make a text fit for a cell in Markdown: a bar would end the cell."""
    return text.replace("|", "\\|")


def describe_value(value: Any) -> str:
    """Write a value of the config; of a list only its length.

    >>> describe_value(0.5), describe_value("best"), describe_value([{}, {}])
    ('0.5', 'best', '2 blocks')
    """
    if isinstance(value, list):
        return f"{len(value)} block{'s' if len(value) > 1 else ''}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def percent(value: float | None, digits: int = 1) -> str:
    """Write a ratio (0..1) as percent; None, a ratio without a denominator, as a dash.

    >>> percent(0.6147).split()
    ['61.5', '%']
    """
    return "–" if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def ratio(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed count of decimals; None as a dash.

    >>> ratio(-0.5)
    '−0.500'
    """
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def thousands(value: int) -> str:
    """Write a whole number with a comma at every third digit.

    >>> thousands(28709)
    '28,709'
    """
    return f"{value:,}"


def figure(value: Any) -> str:
    """Write a value of JSON: a number with four digits at most, any other as it is.

    >>> figure(0.123456), figure(28709), figure(None), figure(True)
    ('0.1235', '28,709', '–', 'True')
    """
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return thousands(value)
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else json.dumps(value)


def signed(points: float) -> str:
    """Write a difference in points with its sign.

    >>> signed(-1.25), signed(7.3)
    ('−1.2', '+7.3')
    """
    return f"{points:+.1f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Write seconds in the units that people use.

    >>> duration(16.2), duration(427.8), duration(3725)
    ('16 s', '7 min 8 s', '1 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
