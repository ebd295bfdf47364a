"""TFLite: the program that is handed over to the converter, what is refused, and the table on the page."""

from pathlib import Path

import pytest

import fer_jax
from benchmarks.accuracy import tflite
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, find_page
from fer_jax.files import read_json


def test_the_program_takes_one_face_and_holds_the_weights() -> None:
    program = tflite.write_program(fer_jax.load("tiny").network)
    assert "@main(%arg0: tensor<1x48x48x1xui8>" in program and "tensor<3x3x1x16xf32>" in program


def test_an_environment_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tflite.main(["--out", str(tmp_path / "a.json")]) == 2
    assert "--python is missing" in capsys.readouterr().err
    assert tflite.main(["--python", str(tmp_path / "none"), "--out", str(tmp_path / "a.json")]) == 4
    assert "none cannot be run: No such file" in capsys.readouterr().err


def test_the_page_says_what_the_json_says() -> None:
    content = read_json(bench.RESULTS / "tflite.json")
    assert tflite.table(content) in find_page(PAGES, tflite.SECTION).read_text()
    assert [row["compared"]["changed"] for row in content["results"]] == [0, 0, 0, 0]
