"""The long ablation: its changes are options, gains by hand, its table by hand, and one tiny run of it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy.long_ablation import __main__ as long_ablation
from benchmarks.accuracy.long_ablation.ingredients import INGREDIENTS
from benchmarks.accuracy.long_ablation.paired import count_moved, measure_gain
from fer_jax import cli
from fer_jax.data.synthetic import draw_examples
from fer_jax.files import read_json, read_json_lines, write_json
from fer_jax.train.__main__ import TrainCommand

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = """
from fer_jax.config import Config, ConvBlock, ModelConfig, SplitConfig, TrainConfig

config = Config(
    name="small",
    split=SplitConfig(protocol="official"),
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0),
    train=TrainConfig(batch_size=16, select="last"),
)
"""


def test_every_ingredient_changes_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    configs = {}
    for name, (_, words) in INGREDIENTS.items():
        argv = ["--config", "configs/tiny.py", *words.split()]
        configs[name] = cli.parse(TrainCommand, argv, prog="train").settings
    assert len(set(configs.values())) == len(configs)


def test_gains_are_paired_by_seed_and_image() -> None:
    before = np.array([[True, False, False, True], [True, False, True, True]])
    after = np.array([[True, True, True, False], [True, True, False, False]])
    # By image: both seeds stay right; both become right; one does, one no longer; both no longer.
    assert count_moved(before, after) == [1, 0, 2, 0, 1]
    mean, error = measure_gain([0, 4, 88, 6, 2])
    gains = np.repeat([-1, -0.5, 0, 0.5, 1], [0, 4, 88, 6, 2])
    assert mean == pytest.approx(100 * gains.mean())
    assert error == pytest.approx(100 * gains.std() / len(gains) ** 0.5)


def row(name: str, correct: list[int], moved: list[int], seconds: list[float]) -> dict[str, Any]:
    counted = {"total": 1000, "moved": moved, "moved_by_views": [0, 0, 980, 20, 0]}
    views = {"single": [400, 420], "flip": correct, "flip-zooms": [500, 500]}
    few = {"total": 100, "moved": [0, 0, 90, 10, 0], "moved_by_views": [0, 0, 100, 0, 0]}
    return {
        "name": name,
        "change": f"the change of {name}",
        "epochs": 60,
        "seconds_per_epoch": seconds,
        "train": {"correct": [500, 700], "total": 1000},
        "all": counted | {"correct": views},
        "copy_free": few | {"correct": {choice: [40, 50] for choice in views}},
    }


def test_the_table_by_hand(tmp_path: Path) -> None:
    page, results = tmp_path / "ablation.md", tmp_path / "out.json"
    page.write_text("<!-- long-ablation -->\n<!-- /long-ablation -->\n")
    rows = [
        row("base", [400, 420], [0, 0, 1000, 0, 0], [2, 2]),
        row("better", [440, 460], [0, 0, 920, 80, 0], [3, 5]),
    ]
    shared = {"machine": "a machine", "seeds": [0, 1], "settings": {"part": "PublicTest"}}
    write_json(results, {**shared, "results": rows})
    assert long_ablation.main(["write", "--results", str(results), "--pages", str(page)]) == 0
    lines = page.read_text().splitlines()
    # 80 of 1,000 images gain one of two seeds: 4 points, and their deviation is 0.5 sqrt(0.08 × 0.92).
    assert lines[4] == (
        "| the change of better | 60.0 ± 14.1 | 41.0 ± 1.4 | 45.0 ± 1.4 | 50.0 ± 0.0 | +4.00 ± 0.43 "
        "| 45.0 ± 7.1 | +5.00 ± 1.50 | +0.00 ± 0.00 | 2.00 × |"
    )
    assert "on the 100 of the 1,000 images that are no exact copies" in lines[6]


def test_a_tiny_one_is_trained_and_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(long_ablation, "INGREDIENTS", {"base": ("a base", ""), "same": ("no change", "")})
    base, data, runs = tmp_path / "small.py", tmp_path / "fer2013.csv", tmp_path / "runs"
    base.write_text(SMALL)
    faces = draw_examples(seed=0, examples=70)
    usages = ["PublicTest" if place % 4 == 0 else "Training" for place in range(len(faces))]
    # One image of PublicTest is a copy of a training image.
    faces.images[0] = faces.images[1]
    pixels = [" ".join(map(str, image.ravel())) for image in faces.images]
    lines = (",".join(map(str, each)) for each in zip(faces.labels, pixels, usages, strict=True))
    data.write_text("\n".join(["emotion,pixels,Usage", *lines]))
    shared = ["--config", str(base), "--epochs", "2", "--data", str(data)]
    shared += ["--runs", str(runs), "--results", str(tmp_path / "out.json")]
    both = [*shared, "--ingredients", "same"]
    assert long_ablation.main(["train", *both, "--minutes", "0"]) == 6
    assert "base-seed0, same-seed0, base-seed1, same-seed1; call again" in capsys.readouterr().out
    assert long_ablation.main(["train", *shared, "--ingredients", "base", "--lanes", "2"]) == 0
    for seed in ("seed0", "seed1"):
        assert long_ablation.main(["collect", *both]) == 4
        assert f"same-{seed}" in capsys.readouterr().err
        shutil.copytree(runs / f"base-{seed}", runs / f"same-{seed}")
    assert long_ablation.main(["collect", *both]) == 0
    content = read_json(tmp_path / "out.json")
    found, same = content["results"]
    assert [found["name"], same["name"]] == ["base", "same"] and content["seeds"] == [0, 1]
    assert found["all"]["total"] == 18 and found["copy_free"]["total"] == 17
    assert same["all"] == found["all"] and same["all"]["moved"] == [0, 0, 18, 0, 0]
    log = read_json_lines(runs / "base-seed1" / "log.jsonl")
    assert found["all"]["correct"]["single"][1] == round(18 * log[-1]["val_accuracy"])


def test_what_cannot_be_compared_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in (
        (["--ingredients", "magic"], "--ingredients magic: unknown; the ingredients are base, "),
        (["--seeds", "1"], "--seeds is 1; it must be at least 2"),
        ([], "--data is missing"),
    ):
        assert long_ablation.main(["train", *words]) == 2
        assert wanted in capsys.readouterr().err
