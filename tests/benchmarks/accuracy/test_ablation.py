"""The ablation: its changes are changes of the base, its table by hand, and one tiny run of it."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import ablation
from fer_jax import cli
from fer_jax.files import read_json, write_json
from fer_jax.train.__main__ import TrainCommand

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = """
from fer_jax.config import Config, ConvBlock, DataConfig, ModelConfig, TrainConfig

config = Config(
    name="small",
    data=DataConfig(source="synthetic", synthetic_examples=100),
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0),
    train=TrainConfig(epochs=1, batch_size=32, select="last"),
)
"""


def parse(words: str) -> TrainCommand:
    argv = ["--config", "benchmarks/nets/ablation.py", *words.split()]
    return cli.parse(TrainCommand, argv, prog="train")


def test_every_ingredient_changes_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    configs = {name: parse(words).settings for name, (_, words) in ablation.INGREDIENTS.items()}
    assert len(set(configs.values())) == len(configs)


def row(name: str, correct: list[int], seconds: float) -> dict[str, Any]:
    return {
        "name": name,
        "change": f"the change of {name}",
        "correct": correct,
        "total": 1000,
        "train_accuracy": [0.5, 0.7],
        "seconds_per_epoch": seconds,
        "parameters": 1234,
        "epochs": 3,
        "images": 60,
    }


def test_the_table_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, results = tmp_path / "ablation.md", tmp_path / "ablation.json"
    page.write_text("<!-- ablation -->\n<!-- /ablation -->\n")
    rows = [row("base", [400, 420], 2), row("worse", [390, 410], 2), row("better", [410, 450], 3)]
    write_json(results, {"machine": "a machine", "seeds": [0, 1], "results": rows})
    assert ablation.main(["write", "--results", str(results), "--pages", str(page)]) == 0
    lines = page.read_text().splitlines()
    # Gains of 1 and 3 points: mean 2, standard error 1.
    assert lines[4] == ("| the change of better | 60.0 ± 14.1 | 43.0 ± 2.8 | +2.00 | +2.0 | 1.50 × | 1,234 |")
    # Both seeds lose one point: no spread, so no errors to count in.
    assert lines[5] == "| the change of worse | 60.0 ± 14.1 | 40.0 ± 1.4 | -1.00 |  | 1.00 × | 1,234 |"
    write_json(results, {"seeds": [0], "results": [{"name": "another benchmark's"}]})
    assert ablation.main(["write", "--results", str(results), "--pages", str(page)]) == 4
    assert "ablation.json does not have the benchmarks' present format" in capsys.readouterr().err


@pytest.mark.usefixtures("trainings_in_process")
def test_a_tiny_ablation_is_trained_and_collected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    base = tmp_path / "small.py"
    base.write_text(SMALL)
    shared = ["--config", str(base), "--ingredients", "base", "self-distillation", "--seeds", "2"]
    shared += ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "out.json")]
    assert ablation.main(["collect", *shared]) == 4
    assert "has no finished base; train it with" in capsys.readouterr().err
    assert ablation.main(["train", *shared]) == 0
    assert ablation.main(["train", *shared, "--seeds", "3"]) == 4
    assert "base was trained with the seeds 0, 1 instead of 0, 1, 2; name" in capsys.readouterr().err
    assert ablation.main(["train", *shared, "--minutes", "-1"]) == 2
    assert "--minutes is -1; it must be 0 or more" in capsys.readouterr().err
    assert ablation.main(["collect", *shared]) == 0
    content = read_json(tmp_path / "out.json")
    assert [each["name"] for each in content["results"]] == ["base", "self-distillation"]
    assert content["settings"]["config"]["name"] == "small" and "ablation collect" in content["command"]
    assert content["seeds"] == [0, 1] and content["results"][0]["total"] == 28
    assert all(len(each["correct"]) == 2 for each in content["results"])


def test_an_unknown_ingredient_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ablation.main(["train", "--ingredients", "magic"]) == 2
    assert "--ingredients magic: unknown; the ingredients are base, " in capsys.readouterr().err
