"""The benchmark of exported files, on a few synthetic faces, and the table on its page."""

from pathlib import Path

import pytest

from benchmarks.accuracy import exports
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, find_page
from fer_jax import fer2013
from fer_jax.data.synthetic import draw_examples
from fer_jax.files import read_json

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_every_form_is_compared_and_the_page_is_written(tmp_path: Path) -> None:
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="needs fer-jax[export]")
    faces = draw_examples(seed=0, examples=140)
    rows = (
        f"{label},{' '.join(map(str, image.ravel()))},{fer2013.USAGES[usage]}"
        for label, image, usage in zip(faces.labels, faces.images, faces.usages, strict=True)
    )
    data, page, out = (tmp_path / name for name in ("fer2013.csv", "a.md", "a.json"))
    data.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    page.write_text("<!-- exports -->\n<!-- /exports -->\n")
    words = ["--networks", "tiny", "--data", str(data), "--out", str(out), "--pages", str(page)]
    assert exports.main(words) == 0
    results = read_json(out)["results"]
    assert [row["form"] for row in results] == list(exports.FORMS)
    assert [row["compared"]["changed"] for row in results[:3]] == [0, 0, 0]
    assert {row["compared"]["faces"] for row in results} == {14}
    written = page.read_text()
    page.write_text("<!-- exports -->\n<!-- /exports -->\n")
    assert exports.main([*words, "--redraw"]) == 0
    assert page.read_text() == written and "Calibrated on 112 Training faces" in written


def test_the_page_says_what_the_json_says_and_the_files_are_as_good_as_the_networks() -> None:
    content = read_json(bench.RESULTS / "exports.json")
    assert exports.table(content) in find_page(PAGES, exports.SECTION).read_text()
    assert {row["name"] for row in content["results"]} == {"tiny", "mid", "best", "ferplus"}
    for row in content["results"]:
        compared = row["compared"]
        assert compared["faces"] == 3589
        if row["form"] == "int8":
            lost = (compared["correct"]["network"] - compared["correct"]["export"]) / compared["total"]
            assert lost <= 0.003, row["name"]
        elif row["form"] != "int8-default":
            assert compared["changed"] == 0 and compared["largest_difference"] < 1e-4, row["name"]
