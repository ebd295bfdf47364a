"""Pages of the docs checked again: each section between two marks is what its program writes from its JSON.

The programs are in `benchmarks/`, which is part of the source tree and not of the package.
"""

import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import fer_jax
from fer_jax.errors import ConfigError, DataError, FerJaxError
from fer_jax.files import read_json
from fer_jax.text import counted, join
from fer_jax.verify import provenance
from fer_jax.verify.checks import Check, judge

ROOT: Final = Path(fer_jax.__file__).parents[1]
"""The source tree, where there is one."""

_MARK: Final = re.compile(r"^<!-- (/?)([\w-]+) -->$", re.M)
_NUMBER: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")
_PICTURE: Final = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
_SAID: Final = "uncommitted changes"
"""What a section has to say of a JSON file that no commit holds the code of."""


def check(pages: Sequence[Path]) -> Iterator[Check]:
    """Check Markdown files of the source tree, and all below folders.

    Raises:
        ConfigError: there is no source tree, or a page is of another one.
        DataError: a folder has nothing to check.
    """
    claims = load_claims()
    files = sorted({path for page in pages for path in _list_files(page)}, key=str)
    for path in files:
        if not path.resolve().is_relative_to(ROOT):
            raise ConfigError(f"{path} is not of {ROOT}, whose programs write the pages; give a page of it")
    for folder in (page for page in pages if page.is_dir()):
        if not any(_MARK.search(_read(path)) for path in files if path.is_relative_to(folder)):
            raise DataError(
                f"{folder} has nothing to check: it is no run, for it has no run.json, and no page in it "
                "has a section that a program writes; give a run, or pages such as README.md"
            )
    sections = claims.list_sections()
    shown: dict[Path, list[str]] = {}
    for path in files:
        yield from _check_page(path, sections, shown, is_named=path in pages)
    exceptions = provenance.read_exceptions(claims.EXCEPTIONS)
    commits = provenance.list_commits(ROOT)
    names = {file: file.relative_to(ROOT).as_posix() for file in shown}
    for file, name in names.items():
        content = read_json(file)
        yield from provenance.check(name, content, commits, exceptions)
        yield from _check_said(name, content, shown[file])
    yield from provenance.check_needed(exceptions, list(names.values()))


def _list_files(page: Path) -> Iterator[Path]:
    """List the Markdown files of a folder, without those of environments, caches and packages."""
    if not page.is_dir():
        yield page
        return
    for path in page.rglob("*.md"):
        folders = path.relative_to(page).parts[:-1]
        if not any(folder.startswith(".") or folder == "node_modules" for folder in folders):
            yield path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; wanted a page in Markdown, saved as UTF-8") from None


def load_claims() -> Any:
    """Import `benchmarks.tables.claims` of the source tree that this fer_jax is of.

    Raises:
        ConfigError: this fer_jax was installed without one.
    """
    if not (ROOT / "benchmarks" / "tables" / "claims.py").is_file():
        raise ConfigError(
            "pages are checked with the programs of the source tree, and this fer_jax was installed without "
            "it; run `python -m fer_jax.verify README.md` in a checkout"
        )
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    claims = importlib.import_module("benchmarks.tables.claims")
    if not Path(str(claims.__file__)).resolve().is_relative_to(ROOT):
        raise ConfigError(f"{claims.__file__} is not of {ROOT}; run the command in {ROOT}")
    return claims


def _check_page(
    path: Path, sections: dict[str, Any], shown: dict[Path, list[str]], *, is_named: bool
) -> Iterator[Check]:
    """Check the sections of a page; `shown` gets the texts that show each JSON."""
    subject, text = path.resolve().relative_to(ROOT).as_posix(), _read(path)
    marks = [(match[1], match[2], match.end(), match.start()) for match in _MARK.finditer(text)]
    openings = [mark for mark in marks if not mark[0]]
    for at, (slash, name, _, _) in enumerate(marks):
        if slash and not any(name == each[1] for each in marks[:at] if not each[0]):
            yield Check(subject, name, "DIFFERS", f"the section has no <!-- {name} --> before its end")
    if not marks and is_named:
        yield Check(subject, "figures", "not checked", "no section of this page is written by a program")
    for _, name, end, _ in openings:
        closing = next((mark for mark in marks if mark[0] and mark[1] == name and mark[3] >= end), None)
        if closing is None:
            yield Check(subject, name, "DIFFERS", f"the section has no <!-- /{name} -->")
            continue
        yield from _check_section(subject, name, text[end : closing[3]].strip("\n"), sections, shown)


def _check_section(
    subject: str, name: str, text: str, sections: dict[str, Any], shown: dict[Path, list[str]]
) -> Iterator[Check]:
    if not text:
        yield Check(subject, name, "not checked", "the section is empty: nothing is claimed")
        return
    if name not in sections:
        why = "no program writes this section: add it to benchmarks/tables/claims.py, or take out its marks"
        yield Check(subject, name, "DIFFERS", why)
        return
    section = sections[name]
    names = [file.relative_to(ROOT).name for file in section.files]
    files = join(names) if names else "no file"  # A list of what is not measured yet needs none.
    try:
        written = section.write().strip("\n")
    except (FerJaxError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        why = str(error) if isinstance(error, FerJaxError) else f"{error!r} in it"
        yield Check(subject, name, "DIFFERS", f"{files} cannot be read: {why}")
        return
    for file in section.files:
        if file.exists():  # A section without it says that nothing was measured.
            shown.setdefault(file, []).append(text)
    detail = f"{counted(len(_NUMBER.findall(text)), 'figure')} of {files}"
    if text != written:
        detail = f"{files} gives another text; {_find_first_difference(text, written)}"
    yield judge(subject, name, is_same=text == written, detail=detail)
    for picture in _PICTURE.findall(text):
        yield Check(subject, picture, "not checked", "a picture is drawn from the same files")


def _find_first_difference(text: str, written: str) -> str:
    """Show the first line in which a section is not what its program writes, from the first other word on."""
    lines, others = text.split("\n"), written.split("\n")
    for number, (line, other) in enumerate(zip(lines, others, strict=False), 1):
        if line != other:
            words, wanted = line.split(" "), other.split(" ")
            pairs = zip(words, wanted, strict=False)
            first = next((k for k, pair in enumerate(pairs) if pair[0] != pair[1]), 0)
            came, want = (" ".join(each[max(0, first - 2) : first + 3]) for each in (words, wanted))
            return f"line {number} says {came!r}, wanted {want!r}"
    return f"it has {len(lines)} lines, wanted {len(others)}"


def _check_said(name: str, content: Any, texts: Sequence[str]) -> Iterator[Check]:
    """Check that each text that shows figures from uncommitted changes says so."""
    if any(str(each).endswith("-dirty") for each in provenance.find_all(content, "git")):
        is_said = all(_SAID in text and Path(name).stem in text for text in texts)
        detail = f"each section that shows it says that it was made with {_SAID}"
        if not is_said:
            detail = f"a section that shows it does not say that it was made with {_SAID}"
        yield judge(name, "said on the page", is_same=is_said, detail=detail)
