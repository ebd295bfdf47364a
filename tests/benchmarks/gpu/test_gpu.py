"""The whole program at tiny size on the CPU: its pieces, what they write, and that a second call keeps it."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import decision
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import recipes
from benchmarks.gpu.kernels import Event, summarise
from benchmarks.gpu.pieces import list_pieces
from fer_jax.files import read_json
from fer_jax.inference import weights

pytestmark = pytest.mark.usefixtures("quick_compile")

STARTED = ("clock", "clock-autotuned", "clock-several", "epoch-run6")
"""Pieces that start whole programs: tens of seconds. `--tiny` without --pieces runs them too."""
LIKE_OTHERS = (
    *("steps-run6", "steps-vgg", "steps-autotuned"),
    *("steps-best-float32", "steps-run6-float32", "steps-vgg-float32"),
    *("plain-seed0", "plain-seed1", "scores-plain"),
)
"""Pieces with the code of another one."""


def test_the_whole_program_works_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decision, "SEEDS", 1)
    monkeypatch.setattr(recipes, "SECOND", ("second-seed0",))
    monkeypatch.setattr(recipes, "FERPLUS", ("ferplus-seed0",))
    names = [piece.name for piece in list_pieces() if piece.name not in STARTED + LIKE_OTHERS]
    words = ["--tiny", "--out", str(tmp_path / "out"), "--minutes", "60", "--pieces", *names]
    assert gpu.main(words) == 0
    stand = {row["name"]: row for row in read_json(tmp_path / "out" / "pieces.json")["pieces"]}
    ruled_out = {name for name, row in stand.items() if row["status"] == "ruled out"}
    assert ruled_out == {"best-seed1", "best-seed2", "best-seed3"}
    assert stand["best-seed3"]["reason"] == "the rules say 1 seed"
    found = {
        name: read_json(tmp_path / "out" / f"gpu-{name}.json")
        for name in names
        if stand[name]["status"] == "done"
    }
    assert all(each["is_tiny"] for each in found.values())
    check_results(found, tmp_path / "out")
    assert gpu.main(words) == 0
    again = read_json(tmp_path / "out" / "pieces.json")["pieces"]
    assert {row["status"] for row in again} == {"kept", "ruled out"}


def check_results(found: dict[str, Any], out: Path) -> None:
    """Check what the pieces say about each other."""
    assert found["bits"]["are_two_runs_equal"] and found["bits"]["is_resumed_equal"]
    optimizers = [row["name"] for name in ("epochs", "epochs-optax") for row in found[name]["results"]]
    assert optimizers == ["sgd", "muon", "muon", "muon of Optax"]
    arms = found["decision"]["results"]
    assert found["decision"]["decision"]["recipe"] in [arm["name"] for arm in arms] == ["best", "best100"]
    assert {arm["total"] for arm in arms} == {found["holdout-old"]["results"][0]["arm"]["total"]}
    titles = [row["name"] for row in found["steps-best"]["results"]]
    assert titles[0] == "JAX, fast, bfloat16" and titles[-1] == "JAX, fast, bfloat16, Muon"
    assert found["kernels"]["results"][0]["kernels"], found["kernels"]["results"][0]["problem"]
    assert found["bank"]["results"][0]["teachers"] == ["best-seed0"]
    taught = found["second-seed0"]["results"][0]["config"]["distill"]
    assert taught["bank"].endswith("best.safetensors") and taught["views"] == 2
    rows = found["scores-second"]["results"]
    assert {tuple(row["networks"]) for row in rows} == {
        ("second-seed0",),
        ("second-seed0", "best-seed0"),
    }
    assert {row["views"] for row in rows} == {"single", "flip", "flip-zooms"}
    assert all(row["copy_free"]["total"] + row["copies_of_training_images"] == row["total"] for row in rows)
    by = {(row["labels"], row["total"]) for row in found["scores-ferplus"]["results"]}
    assert by == {("FER2013", 32), ("FER+ majority", 32)}
    card = weights.read(out / "weights", "second-seed0").card
    assert card["tensors"]["dtype"] == "float16"
    figures = [(row["views"], row["correct"]) for row in rows if row["networks"] == ["second-seed0"]]
    assert [(each["views"], each["correct"]) for each in card["figures"]] == figures


def test_kernels_are_added_up_by_name() -> None:
    found = summarise([Event("a", 1e6, "dot.1"), Event("b", 3e6, None), Event("a", 1e6, "dot.2")])
    rows = [(row["kernel"], row["share"], row["calls_per_step"]) for row in found["kernels"]]
    assert rows == [("b", 0.6, 0.1), ("a", 0.4, 0.2)]
    assert found["kernels"][1]["operations"] == ["dot.1", "dot.2"]
