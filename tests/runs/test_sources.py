"""One door for names, files and runs: what is found, and what is suggested."""

from pathlib import Path

import pytest

from fer_jax.errors import RunError
from fer_jax.runs import sources
from fer_jax.runs.sources import Released, find


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, one of them with the name of released weights, and weights of the user's own."""
    monkeypatch.chdir(tmp_path)
    for folder in (Path("runs/run4-seed0"), Path("tiny")):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    Path("runs/run4-seed0/run.json").write_text(
        '{"command": "", "started": "", "finished": null, "resumed": [], "machine": "", "device": "", '
        '"tuning": [], "xla_flags": "", "versions": {}, "git": null, "seed": 0, "data": {"description": "", '
        '"sha256": "", "is_synthetic": true}, "split": {"sha256": "", "sizes": {}, '
        '"copies_of_training_images": {}}}'
    )
    Path("tiny/run.json").write_text(Path("runs/run4-seed0/run.json").read_text())
    Path("mine.safetensors").touch()
    Path("mid").mkdir()
    return tmp_path


def test_a_name_a_file_and_a_run_are_found(here: Path) -> None:
    assert find("best") == Released(sources.WEIGHTS, "best")
    assert find("mine.safetensors") == Released(Path(), "mine")
    assert find("runs/run4-seed0") == find(Path("runs")) == [Path("runs/run4-seed0")]
    assert find("tiny") == [Path("tiny")], "a run of this name comes first"
    assert find("mid") == Released(sources.WEIGHTS, "mid"), "an empty folder is no run"


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("runs/run4-seed", "runs/run4-seed0"),
        ("run4-seed0", "runs/run4-seed0"),
        ("run/run4-seed0", "runs/run4-seed0"),
        ("bests", "best"),
        ("mine.safetensor", "mine.safetensors"),
    ],
)
def test_a_near_miss_is_suggested(here: Path, named: str, meant: str) -> None:
    with pytest.raises(RunError, match=f"'{named}'.*did you mean '{meant}'"):
        find(named)


def test_what_is_there_is_listed(here: Path) -> None:
    with pytest.raises(RunError, match=r"one of best, ferplus, mid, tiny$"):
        find("nothing like it")
