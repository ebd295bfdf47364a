"""What the benchmark programs share: folders that they may empty, and what names the source."""

from pathlib import Path

import pytest

from benchmarks.harness import bench
from fer_jax.errors import RunError


def test_only_a_work_folder_of_its_own_is_emptied(tmp_path: Path) -> None:
    work = tmp_path / "work"
    for _ in range(2):
        bench.empty_work_folder("--work", work)
        assert [path.name for path in work.iterdir()] == [".benchmark"]
        (work / "old").touch()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run").touch()
    with pytest.raises(RunError, match=r"--work is .*runs, which holds other files; name a new folder"):
        bench.empty_work_folder("--work", tmp_path / "runs")
    assert (tmp_path / "runs" / "run").exists()


def test_changed_sources_have_no_name_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for commit, is_kept in (("abc", True), ("abc-dirty", False), (None, False)):
        monkeypatch.setattr("fer_jax.runtime.machine.git_commit", lambda commit=commit: commit)
        assert (bench.source_key() == bench.source_key()) == is_kept
