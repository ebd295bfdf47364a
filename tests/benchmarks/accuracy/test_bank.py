"""The program that writes a bank, with a tiny teacher."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.accuracy import bank as program
from fer_jax.data.synthetic import draw_examples
from fer_jax.files import read_json, write_json
from fer_jax.runs import bank

pytestmark = pytest.mark.usefixtures("quick_compile")

WORDS = ("--config", "run6", "--data.source", "synthetic", "--data.synthetic-examples", "140")


def test_a_bank_is_written_and_says_who_answered(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "bank.safetensors"
    words = [*WORDS, "--out", str(out)]
    assert program.main(words) == 2
    assert "a bank holds what distill.teachers answer to" in capsys.readouterr().err
    words += ["--distill.views", "2", "--distill.teachers"]
    assert program.main([*words, "tinny"]) == 4 and not out.exists()
    assert program.main([*words, str(tiny_run)]) == 0
    assert f"{out}: tiny-run on 2 views of" in capsys.readouterr().out
    found, _ = bank.read(out)
    assert found.answers.shape == (2, read_json(tiny_run / "run.json")["split"]["sizes"]["train"], 7)
    assert found.made["compute_dtype"] == "float32" and found.augment.shift_probability > 0


def test_a_bank_of_ones_own_pictures_has_their_classes(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    names, faces = tuple("abcdefg"), draw_examples(seed=9, examples=35)
    for row, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        (tmp_path / "faces" / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / "faces" / names[label] / f"{row}.png")
    teacher, out = tmp_path / "mine", tmp_path / "bank.safetensors"
    shutil.copytree(tiny_run, teacher)
    config = read_json(teacher / "config.json")
    config["model"]["class_names"] = list(names)
    write_json(teacher / "config.json", config)
    words = ["--config", "own", "--data", str(tmp_path / "faces"), "--out", str(out)]
    assert program.main([*words, "--distill.views", "1", "--distill.teachers", str(teacher)]) == 0
    assert bank.read(out)[0].names == names
