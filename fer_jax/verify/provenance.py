"""Where a committed JSON came from: its command, its machine, and a commit of this repository."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fer_jax.errors import RunError
from fer_jax.files import Json, read_json
from fer_jax.text import join
from fer_jax.verify.checks import Check

FIELDS: Final = ("command", "machine", "versions", "git")
OF_A_CARD: Final = ("config", "machine", "versions", "git")
"""A card has no command: the config, with `make train` or `train --config`, is what repeats it."""


@dataclass(frozen=True)
class KnownException:
    """What a committed file lacks, and why that is known; see `Exceptions`."""

    file: str
    what: str
    reason: str


@dataclass
class Exceptions:
    """The committed list of what JSON files lack; `used` are those that were met."""

    known: list[KnownException]
    used: set[KnownException] = field(default_factory=set)

    def find(self, file: str, what: str) -> KnownException | None:
        """Find the exception of a file, and remember that it is needed."""
        found = next((each for each in self.known if (each.file, each.what) == (file, what)), None)
        if found is not None:
            self.used.add(found)
        return found


def read_exceptions(path: Path) -> Exceptions:
    """Read the list of exceptions; none where there is no such file.

    Raises:
        RunError: it is damaged.
    """
    if not path.exists():
        return Exceptions([])
    try:
        return Exceptions([KnownException(**each) for each in read_json(path)])
    except TypeError as error:
        raise RunError(f"{path}: wanted a list of objects with file, what and reason: {error}") from None


def list_commits(root: Path) -> frozenset[str] | str:
    """List the commits of this repository's history, hex; the reason in words where that is not possible."""
    if not (root / ".git").exists():
        return f"{root} is no git checkout"
    words = ["git", "-C", str(root), "rev-list", "HEAD"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"git cannot be run: {error.strerror}"
    if done.returncode:
        return f"git does not list the commits: {done.stderr.strip().splitlines()[0]}"
    if (root / ".git" / "shallow").exists():
        return "this is a shallow clone, without most of the history"
    return frozenset(done.stdout.split())


def check(file: str, content: Json, commits: frozenset[str] | str, exceptions: Exceptions) -> Iterator[Check]:
    """Check that a JSON file says its command, machine and versions, and comes from commits of the history.

    Args:
        file: its path in the repository.
        content: of the file.
        commits: from `list_commits`.
        exceptions: what is known.
    """
    names = OF_A_CARD if "tensors" in content else FIELDS
    # A commit that is null says that there was none, which is another problem.
    missing = [name for name in names if not any(name == "git" or each for each in find_all(content, name))]
    for name in missing:
        yield _refuse(file, name, f"it does not say its {name}", exceptions)
    wrong = 0
    found = list(dict.fromkeys(str(commit) for commit in find_all(content, "git")))
    for commit in found:
        problem = _find_problem(commit, commits)
        if problem:
            wrong += 1
            yield _refuse(file, f"git {commit}", problem, exceptions)
    if missing or wrong:
        return
    if isinstance(commits, str):
        yield Check(file, "commits", "not checked", f"{join(found)}: {commits}")
    else:
        yield Check(file, "origin", "ok", f"{join(names[:-1])}; commit {join(found)}")


def _find_problem(commit: str, commits: frozenset[str] | str) -> str:
    """Say what is wrong with the commit that a file names; empty: nothing."""
    if commit == "None":
        return "no commit: it was not measured in a git checkout"
    if commit.endswith("-dirty"):
        return "measured with uncommitted changes, which no commit holds: commit them and measure again"
    if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        return "this is no commit's hash"
    if isinstance(commits, str) or any(each.startswith(commit) for each in commits):
        return ""
    return "this commit is not in the history of this repository: measure again from one that is"


def _refuse(file: str, what: str, problem: str, exceptions: Exceptions) -> Check:
    known = exceptions.find(file, what)
    if known is not None:
        return Check(file, what, "exception", known.reason)
    return Check(file, what, "DIFFERS", problem)


def find_all(content: Any, name: str) -> Iterator[Any]:
    """Find the values of a field anywhere in JSON.

    >>> list(find_all({"git": "a", "rows": [{"git": "b"}]}, "git"))
    ['a', 'b']
    """
    if isinstance(content, dict):
        for key, value in content.items():
            if key == name:
                yield value
            else:
                yield from find_all(value, name)
    elif isinstance(content, list):
        for each in content:
            yield from find_all(each, name)


def check_needed(exceptions: Exceptions, files: Sequence[str]) -> Iterator[Check]:
    """Check that each exception of some files, which were checked, is still needed."""
    for each in exceptions.known:
        if each.file in files and each not in exceptions.used:
            detail = f"the exception for {each.what} is no longer needed: take it out of the list"
            yield Check(each.file, each.what, "DIFFERS", detail)
