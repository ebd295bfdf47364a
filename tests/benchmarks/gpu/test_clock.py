"""The environment of the programs that the clock starts, which run nothing here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.accuracy import time_to_accuracy
from benchmarks.gpu import clock
from benchmarks.gpu.session import Session
from benchmarks.harness import timeline


def test_a_warm_training_finds_the_programs_of_the_cold_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XLA's flags are part of a kept program's key, and a later process replaces the choices."""
    seen: list[tuple[str, str, str]] = []

    def train(options: Any, console: Console, environment: Mapping[str, str]) -> list[dict[str, Any]]:
        training, measuring = environment["XLA_FLAGS"], os.environ.get("XLA_FLAGS", "")
        seen.append((os.environ["FER_JAX_CACHE"], training, measuring))
        flag, _, path = training.split()[-1].partition("=")
        if flag == clock.DUMP:
            Path(path).write_text(f"choice {len(seen)}")
        return [{}]

    monkeypatch.setattr(time_to_accuracy, "train", train)
    monkeypatch.setattr(timeline, "call", lambda *words: "")
    session = Session(None, None, tmp_path, True, "", Console(quiet=True), None, source="source")
    content = clock.measure(session)
    assert seen[0] == seen[1] and clock.DUMP in seen[0][1] and clock.DUMP not in seen[0][2]
    assert [row["name"] for row in content.results] == ["cold", "warm"]
    (file,) = content.files
    assert (tmp_path / file).read_text() == "choice 1"
    clock.measure_autotuned(session)
    assert str(tmp_path / file) in seen[2][1] and str(tmp_path / file) not in seen[2][2]
