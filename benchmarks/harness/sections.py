"""The places in README.md and in the configs where programs write measured figures.

A section stands between `<!-- NAME -->` and `<!-- /NAME -->`; nobody writes there by hand.
"""

import re
from pathlib import Path

from fer_jax.errors import RunError
from fer_jax.files import write_text


def write_section(readme: Path, name: str, text: str) -> None:
    """Put a text between the two marks of a section, in place of what stood there.

    Raises:
        RunError: the file has not exactly one such section.
    """
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = ".*".join(map(re.escape, marks))
    write_text(readme, swap(readme, pattern, f"{marks[0]}\n{text}\n{marks[1]}"))


def read_section(readme: Path, name: str) -> str | None:
    """Give the text between the marks of a section; None where there are none."""
    content = readme.read_text(encoding="utf-8")
    found = re.search(f"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", content, flags=re.S)
    return found[1] if found else None


def swap(path: Path, pattern: str, text: str) -> str:
    """Put a text in the one place of a file that looks like a pattern.

    Args:
        path: the file, which is only read.
        pattern: a regular expression; `.` is also the end of a line, `^` the start of each line.
        text: taken as it is.

    Returns:
        The file's new content.

    Raises:
        RunError: there is no such place, or more than one.
    """
    swapped, count = re.subn(pattern, lambda _: text, path.read_text(encoding="utf-8"), flags=re.S | re.M)
    if count != 1:
        raise RunError(f"{path} has {count} places like {pattern!r}; wanted one to write the results in")
    return swapped
