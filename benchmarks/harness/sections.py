"""The sections of README.md, docs/ and the configs that the benchmarks write.

A section lies between `<!-- NAME -->` and `<!-- /NAME -->` on exactly one page, and is never edited by hand.
To move it to another page, move its two marks.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import bench
from benchmarks.tables.user import NOT_MEASURED
from fer_jax.errors import RunError
from fer_jax.files import read_json, write_text

PAGES: Final = (bench.ROOT / "README.md", bench.ROOT / "docs")
"""Where sections are searched: Markdown files, and folders with all Markdown files below them."""


def find_page(pages: Sequence[Path], name: str) -> Path:
    """Return the page that contains a section.

    Args:
        pages: Markdown files, or folders of them.
        name: of the section.

    Raises:
        RunError: no page, or more than one, has the section's first mark.
    """
    files = [path for page in pages for path in (sorted(page.rglob("*.md")) if page.is_dir() else [page])]
    found = [path for path in files if f"<!-- {name} -->" in path.read_text(encoding="utf-8")]
    if len(found) != 1:
        searched = ", ".join(map(str, pages))
        raise RunError(
            f"{len(found)} pages in {searched} have a section <!-- {name} -->; exactly one page must have it"
        )
    return found[0]


def write_or_tell(results: Path, file: str, write: Callable[[Any], str]) -> str:
    """Write the text of a section from a JSON, `file` without .json; one without its JSON says so."""
    path = results / f"{file}.json"
    return write(read_json(path)) if path.exists() else f"{NOT_MEASURED.capitalize()}."


def write_section(pages: Sequence[Path], name: str, text: str) -> Path:
    """Replace the text between the two marks of a section.

    Args:
        pages: as in `find_page`.
        name: of the section.
        text: Markdown.

    Returns:
        The page that was written.

    Raises:
        RunError: not exactly one page has the section.
    """
    page = find_page(pages, name)
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = ".*".join(map(re.escape, marks))
    write_text(page, swap(page, pattern, f"{marks[0]}\n{text}\n{marks[1]}"))
    return page


def read_section(pages: Sequence[Path], name: str) -> str | None:
    """Read the text between the marks of a section; None if the closing mark is missing.

    Raises:
        RunError: not exactly one page has the section.
    """
    content = find_page(pages, name).read_text(encoding="utf-8")
    found = re.search(f"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", content, flags=re.S)
    return found[1] if found else None


def swap(path: Path, pattern: str, text: str) -> str:
    """Replace the only match of a pattern in a file's text.

    Args:
        path: the file; it is only read.
        pattern: a regular expression; `.` also matches newlines, `^` the start of each line.
        text: the replacement, taken literally.

    Returns:
        The file's new content.

    Raises:
        RunError: the pattern matches nowhere, or more than once.
    """
    swapped, count = re.subn(pattern, lambda _: text, path.read_text(encoding="utf-8"), flags=re.S | re.M)
    if count != 1:
        raise RunError(
            f"{path} has {count} places that match {pattern!r}; there must be exactly one to replace"
        )
    return swapped
