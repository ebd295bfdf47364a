"""How results show themselves in a notebook: a heading, lines, and a table."""

from collections.abc import Sequence
from html import escape

from fer_jax.text import Table


def block(title: str, lines: Sequence[str], rows: Table | None) -> str:
    """Write a heading, lines of text and a table, whose first row is its head, as HTML; text is escaped."""
    parts = [f"<strong>{escape(title)}</strong>", *(f"<div>{escape(line)}</div>" for line in lines)]
    return "<div>" + "".join(parts) + ("" if rows is None else _table(rows)) + "</div>"


def _table(rows: Table) -> str:
    head = "".join(_cell("th", cell, column) for column, cell in enumerate(rows[0]))
    lines = ("".join(_cell("td", cell, column) for column, cell in enumerate(row)) for row in rows[1:])
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(tag: str, text: str, column: int) -> str:
    """Write a cell: words are on the left, in the first column, and numbers on the right."""
    side = "right" if column else "left"
    return f'<{tag} style="text-align: {side}; padding: 0.1em 0.75em">{escape(text)}</{tag}>'
