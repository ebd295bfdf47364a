"""Files: a write that fails leaves the old file, and damage is refused in words."""

import errno
import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_jax.errors import DiskError, RunError
from fer_jax.files import (
    append_text,
    json_line,
    keep_array,
    read_array,
    read_json,
    read_json_lines,
    remove_temporaries,
    replacing,
    suggest_path,
    write_array,
    write_json,
    write_text,
)


def test_what_a_killed_write_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".run.json.0123abcd.tmp", "run.json", ".lock", ".notes.tmp"):
        (tmp_path / name).write_text("")
    remove_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", ".lock", ".notes.tmp"}
    with replacing(tmp_path / "killed.json") as new:
        new.write_text("half")
        remove_temporaries(tmp_path)
        assert not new.exists()  # Its name is one that is removed.
        new.write_text("whole")


@pytest.mark.parametrize("letter", ["a", "笑", "😀"])
def test_the_longest_name_is_written(letter: str, tmp_path: Path) -> None:
    path = tmp_path / (letter * (250 // len(letter.encode())) + ".txt")
    write_text(path, "whole")
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as new:
            new.write_text("half")
            assert path.read_text() == "old" and new.parent == path.parent
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


CURES = {"ENOSPC": "free some", "EFBIG": "raise the limit", "EROFS": "make the disk", "ESTALE": "mount the"}


@pytest.mark.parametrize("name", [name for name in CURES if hasattr(errno, name)])
def test_a_disk_that_refuses_is_named_with_its_free_space_and_a_cure(tmp_path: Path, name: str) -> None:
    number = getattr(errno, name)
    path = tmp_path / "a.txt"
    write_text(path, "old")
    wanted = (
        rf"{path} cannot be written: {os.strerror(number)} \([\d,.]+ MB are free on its disk\); {CURES[name]}"
    )
    with pytest.raises(DiskError, match=wanted) as caught, replacing(path) as new:
        new.write_text("half")
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value, OSError) and caught.value.errno == number
    assert caught.value.exit_code == 4
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_that_does_not_fit_is_not_there(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "log.jsonl"
    append_text(path, "first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(DiskError, match=r"log\.jsonl cannot be written: File too large"):
            append_text(path, "second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "first\n"
    append_text(path, "second\n")
    assert path.read_text() == "first\nsecond\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot sync a folder")
def test_a_file_is_on_the_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    replace = Path.replace

    def sync(descriptor: int) -> None:
        calls.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")

    def rename(path: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    write_text(tmp_path / "a.txt", "new")
    assert calls == ["sync file", "rename", "sync folder"]


def test_a_text_has_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    """Windows would end its lines with CR LF, and a checkpoint's manifest would not be the one written."""
    write_text(tmp_path / "a.txt", "ä\n")
    assert (tmp_path / "a.txt").read_bytes() == "ä\n".encode()
    # So Python names a file of a system whose names are no UTF-8.
    write_text(tmp_path / "a.txt", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "a.txt").read_bytes().startswith(b"caf\\")


def test_what_is_there_is_not_suggested(tmp_path: Path) -> None:
    assert suggest_path(tmp_path) == ""
    assert suggest_path(tmp_path.parent / f"{tmp_path.name}s") == f"; did you mean {str(tmp_path)!r}?"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it is a pipe or a device"):
        write_json(pipe, {})
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]
    with pytest.raises(OSError, match="it is a folder"):
        write_json(tmp_path, {})


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        assert first != second
        first.touch()
        second.touch()


def test_arrays_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_array(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    assert read_array("answers/a") is None
    keep_array("answers/a", array)
    np.testing.assert_array_equal(read_array("answers/a"), array)
    kept = tmp_path / "cache" / "answers" / "a.npz"
    kept.write_bytes(kept.read_bytes()[:-30])
    assert read_array("answers/a") is None
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "a.npy" / "below a file"))
    keep_array("answers/a", array)
    assert read_array("answers/a") is None


def test_json_has_no_nan_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, None]})
    assert read_json(path) == {"a": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path) == {"a": [1, None]}
    path.write_text("{")
    with pytest.raises(RunError, match=r"a\.json cannot be read: .*; restore it, or train again"):
        read_json(path)
    with pytest.raises(RunError, match=r"b\.json is missing; restore it, or make it again"):
        read_json(tmp_path / "b.json")
    lines = tmp_path / "a.jsonl"
    lines.write_text(json_line({"a": 1}) + json_line({"b": 2}))
    assert read_json_lines(lines) == [{"a": 1}, {"b": 2}]
    assert json.loads(json_line("x")) == "x"
