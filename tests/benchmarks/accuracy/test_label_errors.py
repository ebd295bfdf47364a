"""The benchmark of the list of label errors, at a tiny size, and the table on its page."""

from pathlib import Path

import pytest

from benchmarks.accuracy import label_errors
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, find_page
from fer_jax.files import read_json

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_planted_errors_are_counted_and_the_page_is_written(tmp_path: Path) -> None:
    page, out = tmp_path / "a.md", tmp_path / "a.json"
    page.write_text("<!-- label_errors -->\n<!-- /label_errors -->\n")
    words = ["--examples", "140", "--epochs", "1", "--out", str(out), "--pages", str(page)]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine").touch()
    assert label_errors.main([*words, "--work", str(tmp_path / "work")]) == 0
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["mine"]
    (row,) = read_json(out)["results"]
    assert row["total"] == 140 and 5 < row["planted"] < 25
    assert row["probable"]["rows"] <= row["listed"]["rows"]
    written = page.read_text()
    page.write_text("<!-- label_errors -->\n<!-- /label_errors -->\n")
    assert label_errors.main([*words, "--redraw"]) == 0
    assert page.read_text() == written and "140 synthetic faces, 10 % of them" in written


def test_the_page_says_what_the_json_says() -> None:
    table = label_errors.table(read_json(bench.RESULTS / "label_errors.json"))
    assert table in find_page(PAGES, label_errors.SECTION).read_text()
