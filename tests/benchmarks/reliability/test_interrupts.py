"""The campaign of interruptions: at tiny size, and what it takes for a failure."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.reliability import interrupts
from benchmarks.reliability.interrupts import Try, count, find_damage
from fer_jax.__main__ import VERBS


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_command_is_interrupted_and_a_second_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "_prepare", lambda work: (work / "base").mkdir(parents=True))
    monkeypatch.setattr(interrupts, "START_TRIES", 1)
    monkeypatch.setitem(interrupts.COMMANDS, "configs", "configs")
    words = ["--commands", "configs", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out.json")]
    assert interrupts.main([*words, "--tries", "1"]) == 0
    assert interrupts.main([*words, "--tries", "2"]) == 0
    content = json.loads((tmp_path / "out.json").read_text())
    (row,) = content["results"]
    assert (row["tried"], row["failed"], content["failures"]) == (2, 0, [])
    assert row["at_work"] + row["in_python_start"] + row["at_end"] == 2
    assert 0 < content["python_start_s"] < 5
    assert len((tmp_path / "work" / "tries.jsonl").read_text().splitlines()) == 3
    assert interrupts.main([*words, "--seed", "1"]) == 4, "another campaign"


def test_every_command_is_tried() -> None:
    assert set(interrupts.COMMANDS) >= set(VERBS) - {"configs"}


def test_damage_is_seen(tmp_path: Path) -> None:
    assert find_damage(tmp_path) == []
    (tmp_path / "good.json").write_text("{}\n")
    (tmp_path / "half.json").write_text("{")
    (tmp_path / "page.html").write_text("<html>")
    (tmp_path / "half.png").write_bytes(b"\x89PNG")
    (tmp_path / ".a.json.0123.tmp").touch()
    (tmp_path / "checkpoints" / "last.new").mkdir(parents=True)
    found = find_damage(tmp_path)
    assert [line.split()[0] for line in found] == [
        ".a.json.0123.tmp", "checkpoints/last.new", "half.json", "half.png", "page.html",
    ]  # fmt: skip


def test_tries_are_counted_by_their_moment() -> None:
    tries = [
        Try("check", 0, "SIGINT", 0.01, "start", 130, 0.0, []),
        Try("check", 1, "SIGINT", 1.0, "work", 130, 0.5, []),
        Try("check", 2, "SIGTERM", 2.0, "work", 139, 1.5, ["status 139"]),
    ]
    assert count("check", tries) == {
        "command": "check",
        "tried": 3,
        "at_work": 2,
        "in_python_start": 1,
        "at_end": 0,
        "failed": 1,
        "median_s": 1.0,
        "slowest_s": 1.5,
    }
