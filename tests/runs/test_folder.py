"""Run folders: numbered, held by one process at a time, and written whole or not at all."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fer_jax.errors import RunError
from fer_jax.files import json_line, read_json, read_json_lines, write_json
from fer_jax.runs import folder as runs_folder
from fer_jax.runtime.disk import lock

if sys.platform != "win32":
    import fcntl

HOLD = """
import sys, time
from pathlib import Path
from fer_jax.runs.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def assert_refused(folder: Path, message: str) -> None:
    with pytest.raises(RunError, match=re.escape(message)), runs_folder.locked(folder):
        pass


def test_the_lock_is_refused_while_another_process_holds_it_and_free_once_that_was_killed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "runs" / "a"
    words = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout and holder.stdout.readline() == "held\n"
            assert_refused(folder, f"another run is writing in {folder} (process {holder.pid} on ")
        finally:
            holder.kill()
    with runs_folder.locked(folder):
        assert_refused(folder, "another run")
    with pytest.raises(ZeroDivisionError), runs_folder.locked(folder):
        raise ZeroDivisionError
    with runs_folder.locked(folder):
        pass


def no_flock(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.mark.skipif(sys.platform == "win32", reason="the locks of Windows work everywhere")
def test_without_locks_of_the_system_two_live_runs_are_kept_apart_and_a_killed_one_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_flock)
    hold = HOLD.replace(
        "\nwith", "\nimport fcntl, os\ndef no(*_): raise OSError(38, 'no')\nfcntl.flock = no\nwith"
    )
    words = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout and holder.stdout.readline() == "held\n"
            assert_refused(tmp_path, f"another run is writing in {tmp_path} (process {holder.pid} on ")
            assert_refused(tmp_path, f"if that machine is gone, delete {tmp_path / lock.OWNER}")
        finally:
            holder.kill()
        # Not waited for yet: a killed process that is still listed blocks nobody.
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        with runs_folder.locked(tmp_path):
            assert_refused(tmp_path, f"(process {os.getpid()} on ")
    with runs_folder.locked(tmp_path):
        pass
    assert not (tmp_path / lock.OWNER).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="what the system tells of a process differs")
@pytest.mark.parametrize(
    ("change", "is_free"),
    [
        ({}, False),
        ({"started": "1"}, True),  # A later process has the number.
        ({"pid": 2**22 + 1}, True),
        ({"system": "another-start pid:[4026531836]"}, True),
        ({"pid": "x"}, True),
        ({"pid": 10**30}, True),
        ({"host": "elsewhere"}, False),
    ],
)
def test_a_record_counts_as_long_as_its_process_may_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], *, is_free: bool
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_flock)
    with runs_folder.locked(tmp_path):
        owner = read_json(tmp_path / lock.OWNER)
    write_json(tmp_path / lock.OWNER, owner | change)
    if is_free:
        with runs_folder.locked(tmp_path):
            assert read_json(tmp_path / lock.OWNER)["pid"] == os.getpid()
    else:
        assert_refused(tmp_path, "another run is writing")
    (tmp_path / lock.OWNER).write_text("{")
    with runs_folder.locked(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ps")
def test_the_start_of_a_process_is_told_in_one_language_and_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ps = tmp_path / "ps"
    ps.write_text('#!/bin/sh\necho "$LC_ALL $TZ $4"\n')
    ps.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert lock._started(17) == "C UTC0 17"


def test_on_windows_no_process_is_asked_with_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runs_folder.locked(tmp_path):
        owner = lock.Owner(**read_json(tmp_path / lock.OWNER))
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("os.kill(pid, 0) sends Ctrl-C there"))
    monkeypatch.setattr(os, "name", "nt")
    assert lock._is_alive(owner) is None


def test_a_folder_into_which_nothing_was_written_is_removed_again(tmp_path: Path) -> None:
    with runs_folder.locked(tmp_path / "a"):
        assert (tmp_path / "a").is_dir()
    assert not (tmp_path / "a").exists()
    with runs_folder.locked(tmp_path / "a"):
        (tmp_path / "a" / "run.json").touch()
    with runs_folder.locked(tmp_path / "a"):
        pass
    assert (tmp_path / "a" / "run.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the locks of Windows work everywhere")
def test_the_record_of_a_process_that_comes_while_the_folder_is_removed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_flock)
    record = tmp_path / "a" / lock.OWNER

    def take(folder: Path) -> None:
        write_json(record, owner | {"pid": owner["pid"] + 1})
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    monkeypatch.setattr(Path, "rmdir", take)
    with runs_folder.locked(tmp_path / "a"):
        owner = read_json(record)
    assert read_json(record)["pid"] == owner["pid"] + 1


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert_refused(path, f"the folder {path} cannot be used: ")


def test_folders_are_numbered_and_the_newest_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"there is no run runs/a\.b-seed1 to resume"):
        runs_folder.newest_folders(["a.b-seed1"])
    made = []
    for _ in range(11):
        made += runs_folder.new_folders(["a.b-seed1"])
        made[-1].mkdir(parents=True)
        (made[-1] / "run.json").touch()
    assert [path.name for path in made[:3]] == ["a.b-seed1", "a.b-seed1-2", "a.b-seed1-3"]
    for other in ("a.b-seed10-99", "a.b-seed1-99x", "x-a.b-seed1-99", "aXb-seed1-99", "a.b-seed1-"):
        (tmp_path / "runs" / other).mkdir()
        (tmp_path / "runs" / other / "run.json").touch()
    (tmp_path / "runs" / "a.b-seed1-12").mkdir()
    assert runs_folder.newest_folders(["a.b-seed1"]) == made[-1:]
    assert runs_folder.newest_folders(["a.b-seed10"])[0].name == "a.b-seed10-99"
    several = ["a.b-seeds1-10", "a.b-seed1", "a.b-seed10"]
    new = runs_folder.new_folders(several)
    assert [path.name for path in new] == [f"{name}-12" for name in several]
    new[0].mkdir()
    (new[0] / "run.json").touch()
    assert runs_folder.newest_folders(several) == new


def test_json_comes_back_and_what_json_lacks_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = {"ä": [1, 2.5, None, {"b": "×"}]}
    write_json(path, content)
    assert read_json(path) == content
    for bad in (float("nan"), float("inf"), {1, 2}, path):
        with pytest.raises((TypeError, ValueError)):
            write_json(path, {"fine": 1, "bad": bad})
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_line(float("nan"))
    assert read_json(path) == content
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_lines_of_json_come_back(tmp_path: Path) -> None:
    records = [{"a": 1}, {"a": "line\nbreak \u2028 and more"}]
    (tmp_path / "log.jsonl").write_text("".join(map(json_line, records)), encoding="utf-8")
    assert read_json_lines(tmp_path / "log.jsonl") == records


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{tmp_path}/run.json is missing: .* not the folder of a run"):
        read_json(tmp_path / "run.json")
    for content in (b"{", b"", b"\xff\xfe"):
        (tmp_path / "run.json").write_bytes(content)
        with pytest.raises(RunError, match=f"{tmp_path}/run.json cannot be read: .*; restore it"):
            read_json(tmp_path / "run.json")
