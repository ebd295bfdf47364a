"""The corruption campaign: at tiny size, and a fault that it has to see."""

import json
from pathlib import Path

import pytest

from benchmarks.reliability import corruption
from fer_jax.runs import checkpoint

FEW = ("--truncations", "2", "--flips", "2", "--all-bad", "2", "--restores", "100", "--no-commands")


def test_all_kinds_of_damage_are_tried_and_found(tmp_path: Path) -> None:
    out = tmp_path / "corruption.json"
    assert corruption.main([*FEW, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    tried = {row["damage"]: row["tried"] for row in content["results"]}
    files = tried["file missing"]
    assert files > 8
    assert tried["truncated"] <= 3 * files and tried["one bit flipped"] == 2 * files
    assert tried["all three"] == 2 and tried["two files swapped"] > files
    assert content["failures"] == [] and not any(row["failed"] for row in content["results"])


def test_damage_that_is_not_found_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checkpoint.find_damage
    monkeypatch.setattr(
        checkpoint,
        "find_damage",
        lambda folder: None if folder.name == "last" and folder.exists() else found(folder),
    )
    out = tmp_path / "corruption.json"
    assert corruption.main([*FEW, "--all-bad", "0", "--out", str(out)]) == 1
    failures = json.loads(out.read_text())["failures"]
    assert any(line.startswith("one bit flipped: manifest.json") for line in failures)
    assert all("last was used" in line for line in failures)
