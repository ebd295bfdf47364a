"""Pictures of one's own, from a folder of colour JPEGs to a network that is used, by the commands alone."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from benchmarks.photos.own_pictures import CLASSES, draw_folder
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.predict import __main__ as predict
from fer_jax.release import __main__ as release
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

TINY = """
from fer_jax.config import *

config = Config(
    name="tiny_own",
    data=DataConfig(fit="resize", class_map="folders"),
    model=ModelConfig(blocks=(ConvBlock(features=4, pool=True),), head="mean", dense_features=0),
    train=TrainConfig(epochs=2, batch_size=8),
)
"""


def test_own_pictures_are_trained_evaluated_released_used_and_fine_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_folder(Path("my_faces"), pictures=60, seed=0)
    Path("tiny_own.py").write_text(TINY)
    words = ["--config", "tiny_own.py", "--data", "my_faces"]
    assert train.main([*words, "--run-dir", "runs/mine"]) == 0
    printed = capsys.readouterr().out
    assert "60 pictures of your own: anger 12, calm 12, fright 12, joy 12, sorrow 12" in printed
    assert "  train          40        8        8        8        8        8" in printed
    assert "  near copies of training images: 0 of val and 0 of test" in printed

    assert evaluate.main(["runs/mine", "--split", "test", "--no-robustness"]) == 0
    assert release.main(["runs/mine", "--name", "mine"]) == 0
    card = json.loads(Path("mine.json").read_text())
    assert card["labels"] == list(CLASSES)
    assert {each["part"] for each in card["figures"]} == {"train", "val", "test"}

    photos = ["my_faces/joy", "--weights", "mine.safetensors", "--no-detector", "--csv", "faces.csv"]
    assert predict.main(photos) == 0
    with Path("faces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert [name for name in rows[0] if name.startswith("p_") and "smooth" not in name] == [
        f"p_{name}" for name in CLASSES
    ]

    # Other classes, of which two have the same names, from the released weights.
    shutil.copytree("my_faces/joy", "others/joy")
    shutil.copytree("my_faces/calm", "others/calm")
    shutil.copytree("my_faces/anger", "others/rage")
    capsys.readouterr()
    start = ["--init.weights", "mine.safetensors", "--run-dir", "runs/tuned"]
    assert train.main(["--config", "tiny_own.py", "--data", "others", *start]) == 0
    assert "starts from mine" in capsys.readouterr().out
    run = json.loads(Path("runs/tuned/run.json").read_text())
    assert run["split"]["sizes"] == {"train": 24, "val": 6, "test": 6}
    assert json.loads(Path("runs/tuned/config.json").read_text())["model"]["class_names"] == [
        "calm",
        "joy",
        "rage",
    ]
