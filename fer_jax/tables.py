"""Tables of text: rows of cells to aligned lines for the terminal, and to Markdown."""

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
