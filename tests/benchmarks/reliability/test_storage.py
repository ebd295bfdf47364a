"""The storage campaign: on a few kinds of files, and faults that it has to see."""

import contextlib
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no limit to the size of a file", allow_module_level=True)

from benchmarks.reliability.storage import try_kind
from benchmarks.reliability.storage_kinds import Kind, list_kinds
from fer_jax.files import write_text

# Kinds that do not compute: the children are forked from a process in which JAX may have.
CHEAP = ("log", "run record", "cache of answers", "release", "table, JSON", "drawn copy, JPEG")


@pytest.mark.parametrize("name", CHEAP)
def test_a_file_that_does_not_fit_is_refused_in_one_line_and_the_old_one_stays(
    tmp_path: Path, name: str
) -> None:
    kind = list_kinds(tmp_path)[name]
    row, failures = try_kind(name, kind, "EFBIG", tmp_path / "home", None, 2)
    assert failures == []
    outcome = "done_without" if kind.is_spared else "refused"
    assert row[outcome] == row["tried"] == 2


def write_in_place(folder: Path, version: int) -> None:
    (folder / "a.txt").write_text(f"{version}" * 1000)


def write_apart(folder: Path, version: int) -> None:
    write_text(folder / "a.txt", f"{version}" * 600)
    write_text(folder / "b.txt", f"{version}" * 1000)


def write_silently(folder: Path, version: int) -> None:
    with contextlib.suppress(OSError):
        write_text(folder / "a.txt", f"{version}" * 1000)


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (write_in_place, "neither old nor new: a.txt"),
        (write_apart, "some files are old and some new"),
        (write_silently, "status 0, and the new version is not there"),
    ],
)
def test_faults_are_seen(tmp_path: Path, write: object, wanted: str) -> None:
    kind = Kind(write=write, are_together=True)  # type: ignore[arg-type]
    _, failures = try_kind("bad", kind, "EFBIG", tmp_path / "home", None, 4)
    assert any(wanted in line for line in failures), failures
