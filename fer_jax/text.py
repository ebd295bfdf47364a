"""Text: numbers in words, rows of cells as aligned lines for the terminal or as Markdown."""

import json
import statistics
from collections.abc import Sequence
from typing import Any, Final

Table = list[list[str]]
"""Rows with the same number of cells; the first row is the head."""

MISSING: Final = "–"
"""What stands for a number that does not exist, such as a ratio without a denominator."""


def align(rows: Table) -> str:
    """Pad each column to its widest cell; the first column is left-aligned, the others right-aligned.

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
    """Write a table in Markdown; all columns after the first `left_columns` are right-aligned."""
    rules = ["---" if column < left_columns else "---:" for column in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rules, *rows[1:]])


def escape(text: str) -> str:
    """Escape the bars in a cell of a Markdown table."""
    return text.replace("|", "\\|")


def join(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    >>> join(["run5"]), join(["run5", "run6", "run7"])
    ('run5', 'run5, run6 and run7')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def decimal(value: float | None, *, digits: int = 3, missing: str = MISSING) -> str:
    """Write a number with a fixed number of decimals.

    >>> decimal(-0.5), decimal(None)
    ('−0.500', '–')
    """
    return missing if value is None else _minus(f"{value:.{digits}f}")


def percent(ratio: float | None, *, digits: int = 1, missing: str = MISSING) -> str:
    """Write a ratio (0..1) in percent.

    >>> percent(0.6147), percent(0.6147, digits=2), percent(None)
    ('61.5 %', '61.47 %', '–')
    """
    return missing if ratio is None else f"{decimal(100 * ratio, digits=digits)} %"


def confidence(probability: float) -> str:
    """Write a probability in percent; no network is certain, so 0.9997 is not 100 %.

    >>> confidence(0.987), confidence(0.9997)
    ('98.7 %', '> 99.9 %')
    """
    return percent(probability) if probability < 0.9995 else "> 99.9 %"


def signed(value: float, *, digits: int = 1) -> str:
    """Write a difference with its sign.

    >>> signed(-1.25), signed(7.3)
    ('−1.2', '+7.3')
    """
    return _minus(f"{value:+.{digits}f}")


def interval(
    ends: Sequence[float] | None, *, scale: float = 1, digits: int = 3, missing: str = MISSING
) -> str:
    """Write an interval; `scale` multiplies both ends, 100 for ratios in percent.

    >>> interval([0.4, 0.6], scale=100, digits=1), interval(None)
    ('40.0 – 60.0', '–')
    """
    return missing if ends is None else " – ".join(decimal(scale * end, digits=digits) for end in ends)


def mean_and_spread(values: Sequence[float], *, digits: int = 1) -> str:
    """Write mean ± sample standard deviation; a single value has no spread.

    >>> mean_and_spread([42.0, 44.0]), mean_and_spread([42.0])
    ('43.0 ± 1.4', '42.0')
    """
    mean = decimal(statistics.mean(values), digits=digits)
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def thousands(value: int) -> str:
    """Write an integer with a comma after every third digit.

    >>> thousands(28709)
    '28,709'
    """
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    """Write how many there are of something, with the noun in the plural unless there is one.

    >>> counted(1, "epoch"), counted(28709, "image")
    ('1 epoch', '28,709 images')
    """
    return f"{thousands(value)} {noun}{'' if value == 1 else 's'}"


def number(value: Any) -> str:
    """Write a JSON value: a float with four significant digits, anything else in full.

    >>> number(0.123456), number(28709), number(None), number(True)
    ('0.1235', '28,709', '–', 'True')
    """
    if value is None:
        return MISSING
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return thousands(value)
    return _minus(f"{value:.4g}") if isinstance(value, float) else json.dumps(value)


def duration(seconds: float) -> str:
    """Write a time in hours, minutes and seconds.

    >>> duration(16.2), duration(427.8), duration(3725)
    ('16 s', '7 min 8 s', '1 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def describe_value(value: Any) -> str:
    """Write the value of a config field; of a list only its length.

    >>> describe_value(0.5), describe_value("best"), describe_value(None), describe_value([{}, {}])
    ('0.5', 'best', 'none', '2 blocks')
    """
    if isinstance(value, list):
        return counted(len(value), "block")
    if value is None:
        return "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _minus(text: str) -> str:
    return text.replace("-", "−")
