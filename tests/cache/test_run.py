"""The command that shows and clears the cache folder."""

import os
import time
from pathlib import Path

import filelock
import pytest

from fer_jax.cache import __main__ as cache_command
from fer_jax.cache.kinds import KINDS, Kind
from fer_jax.cache.run import clear, find_kept

HASH = "0123456789abcdef" * 2
OURS: dict[Kind, tuple[str, ...]] = {
    "images": (
        *(f"examples/{HASH}.{end}" for end in ("json", "images.npy", "labels.npy", "usages.npy")),
        f"files/{HASH}.json",
        f"tfds/{HASH}{HASH}/fer_rows/1.0.0/features.json",
    ),
    "answers": (
        f"answers/{HASH}.npz",
        f"answers/{HASH}-view12.npz",
        f"answers/.{HASH}.npz.01234567.tmp",
    ),
    "programs": ("xla/old-cache", "xla/0123/jit-cache", "xla/0123/.checked", f"xla_flags/{HASH}"),
}
THEIRS = (
    "examples/mine.npy",
    "files/letter.json",
    "xla/notes.txt",
    "tfds/mnist/data",
    "answers.txt",
    "a/b-cache",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a cache folder with a file of every name, ten bytes each, among files of the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FER_JAX_CACHE", str(folder))
    for name in (*THEIRS, *(name for names in OURS.values() for name in names)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
        os.utime(path, (0, 0))
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_what_is_kept_is_shown_by_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = find_kept(folder, now=time.time())
    for kind, names in OURS.items():
        assert {path.relative_to(folder).as_posix() for path in kept[kind].paths} == set(names)
        assert kept[kind].size == 10 * len(names)
    before = names_in(folder)
    assert cache_command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"kept in {folder}"
    assert [line.split()[:2] for line in lines[2:]] == [[kind, str(len(OURS[kind]))] for kind in KINDS]
    assert names_in(folder) == before


def test_only_what_fer_jax_has_made_is_deleted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "their-cache").touch()
    (folder / "xla" / "link").symlink_to(elsewhere)
    (folder / "answers" / f"{HASH[::-1]}.npz").symlink_to(elsewhere / "their-cache")
    assert cache_command.main(["clear", "--kind", "answers", "images"]) == 0
    assert names_in(folder) == {*THEIRS, *OURS["programs"], f"tfds/{HASH}{HASH}.lock"}
    assert cache_command.main(["clear", "--quiet"]) == 0
    assert names_in(folder) >= set(THEIRS) and not names_in(folder) & set(OURS["programs"])
    assert (elsewhere / "their-cache").exists()
    # Where a running program will go on to write.
    assert (folder / "xla" / "0123").is_dir() and (folder / "examples").is_dir()
    assert not (folder / "tfds" / f"{HASH}{HASH}").exists()


def test_a_whole_kind_that_is_elsewhere_stays(folder: Path) -> None:
    (folder / "answers").rename(folder.parent / "other-disk")
    (folder / "answers").symlink_to(folder.parent / "other-disk")
    assert clear(folder, KINDS, now=0.0)["answers"].paths == []
    assert (folder.parent / "other-disk" / f"{HASH}.npz").exists()


def test_what_another_program_uses_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data set that is being read, and a file that is being written."""
    data_set = folder / "tfds" / f"{HASH}{HASH}"
    being_written = folder / "answers" / f".{HASH}.npz.01234567.tmp"
    being_written.touch()
    with filelock.FileLock(f"{data_set}.lock"):
        assert cache_command.main(["clear"]) == 4
    assert f"not deleted: {data_set}: another program is reading it" in capsys.readouterr().err
    assert (data_set / "fer_rows" / "1.0.0" / "features.json").exists() and being_written.exists()
    assert not (folder / "examples" / f"{HASH}.json").exists()


def test_an_empty_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "missing"))
    assert cache_command.main([]) == cache_command.main(["clear"]) == 0
    assert not (tmp_path / "missing").exists()
