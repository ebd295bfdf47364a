from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with its own cache beside it and no variable set."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FER_JAX_DATA", raising=False)
    return tmp_path / "work"
