"""One door for names, files and runs: what is found, and what is suggested."""

from pathlib import Path

import pytest

from fer_jax.errors import ConfigError, RunError
from fer_jax.runs import sources
from fer_jax.runs.sources import Members, Released, find, find_all


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


def test_the_members_of_an_ensemble_are_found_each_once(here: Path) -> None:
    Path("mine.json").touch()
    Path("kept").mkdir()
    for seed in (0, 1):
        for suffix in (".json", ".safetensors"):
            Path(f"kept/best-seed{seed}{suffix}").touch()
    both = [Released(Path("kept"), f"best-seed{seed}") for seed in (0, 1)]
    assert find_all(sorted(Path("kept").glob("best-*"))) == Members(both, [])
    assert find_all(["kept", "kept/best-seed1.safetensors"]) == Members(both, [])
    assert find_all(["kept/best-seed1.json"]) == Members(both[1:], []), "a card stands for its weights"
    assert find_all(["mine.json", "mine.safetensors", "best"]).weights == [
        Released(Path(), "mine"),
        Released(sources.WEIGHTS, "best"),
    ]
    run = Path("runs/run4-seed0")
    assert find_all(["runs", run, here / run]) == Members([], [run])
    with pytest.raises(ConfigError, match=r"^mine are released weights, and runs/run4-seed0 is a run; both"):
        find_all(["mine.safetensors", "runs"])
    Path("kept/best-seed1.safetensors").unlink()
    with pytest.raises(RunError, match=r"there is no run, no weights file .*'kept/best-seed1\.json'"):
        find_all(["kept/best-seed1.json"])


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


def test_the_home_of_an_unknown_user_is_not_there(here: Path) -> None:
    with pytest.raises(RunError, match="there is no run, no weights file"):
        find("~nobody-of-this-name/run")


def test_what_is_there_is_listed(here: Path) -> None:
    with pytest.raises(RunError, match=r"one of best, ferplus, mid, tiny, tiny80$"):
        find("nothing like it")
