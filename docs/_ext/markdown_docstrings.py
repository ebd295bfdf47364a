"""Docstrings as Sphinx wants them: fer_jax writes them in Markdown, autodoc reads reStructuredText.

Code in single backticks is the same to both with `default_role = "code"`; what is left is converted here.
"""

import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``.+?``|`[^`]+`)")
_MARKUP = re.compile(r"[|*]|_(?=\W|$)")
_RULE = re.compile(r"\|(?: *:?-+:? *\|)+")
_INDENT = " " * 4


def to_rst(lines: list[str]) -> list[str]:
    r"""Convert the lines of a docstring to reStructuredText; Google's sections stay for napoleon.

    >>> to_rst(["The `draw_*` of a * |b|:", "", "    $ rm *", "", "Done."])
    ['The `draw_*` of a \\* \\|b\\|:', '', '::', '', '    $ rm *', '', 'Done.']
    """
    done: list[str] = []
    last_text, is_code = "", False
    for line in lines:
        is_indented = line.startswith(_INDENT)
        # A paragraph, and behind an empty line something indented: code, in Markdown.
        if is_indented and not is_code and done and not done[-1] and last_text and last_text[0] not in " -*":
            done += ["::", ""]
            is_code = True
        is_code = is_code and (is_indented or not line)
        done.append(line if is_code or line.lstrip().startswith(">>>") else _escape(line))
        last_text = line or last_text
    return list(_convert_tables(done))


def _escape(line: str) -> str:
    """Escape what is text in Markdown and markup in reStructuredText, outside of code."""
    if line.startswith("|"):
        return line
    parts = _CODE.split(line)
    return "".join(part if part.startswith("`") else _MARKUP.sub(r"\\\g<0>", part) for part in parts)


def _convert_tables(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            yield line
            continue
        if _RULE.fullmatch(line):
            continue
        if number == 0 or not lines[number - 1].startswith("|"):
            yield from (".. list-table::", "   :header-rows: 1", "")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        yield from (f"   {'*' if place == 0 else ' '} - {cell}" for place, cell in enumerate(cells))


def convert(app: Sphinx, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    """Convert a docstring in place; autodoc calls this for each."""
    lines[:] = to_rst(lines)
    if what in ("attribute", "data", "property"):
        # Napoleon would take what stands before a colon in the first line for the attribute's type.
        lines.insert(0, "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx, ahead of napoleon."""
    app.connect("autodoc-process-docstring", convert, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
