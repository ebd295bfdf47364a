"""The benchmark of what an accuracy means, on a few synthetic faces, and the tables on its page."""

from pathlib import Path

import pytest

from benchmarks.accuracy import ceiling
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, find_page
from fer_jax import fer2013
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.data.synthetic import draw_examples
from fer_jax.files import read_json

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_a_network_is_measured_and_the_page_is_written(tmp_path: Path) -> None:
    faces = draw_examples(seed=0, examples=70)
    data, votes, page, out = (tmp_path / name for name in ("fer2013.csv", "votes.csv", "a.md", "a.json"))
    rows, choices = ["emotion,pixels,Usage"], [",".join(HEADER)]
    for label, image, usage in zip(faces.labels, faces.images, faces.usages, strict=True):
        rows.append(f"{label},{' '.join(map(str, image.ravel()))},{fer2013.USAGES[usage]}")
        counts = {CHOICE_OF_LABEL[label]: 9, "NF": 1}
        choices.append(",".join([fer2013.USAGES[usage], "", *(str(counts.get(each, 0)) for each in CHOICES)]))
    data.write_text("\n".join(rows))
    votes.write_text("\n".join(choices))
    page.write_text("<!-- ceiling -->\n<!-- /ceiling -->\n")
    words = ["--networks", "tiny", "--data", str(data), "--out", str(out), "--pages", str(page)]
    assert ceiling.main([*words, "--ferplus", str(votes)]) == 0
    results = read_json(out)["results"]
    assert [(row["labels"], row["views"], row["total"]) for row in results] == [
        ("fer2013", "single", 7),
        ("fer2013", "flip", 7),
    ]
    for row in results:
        # Its training images are not in these data, and FER+'s majority is the label.
        assert row["copy_free"] is None and row["copies"] is None
        assert row["raters"]["rater"]["accuracy"] == pytest.approx(0.9)
        assert row["raters"]["network"]["expected_correct"] == pytest.approx(row["correct"])
        assert [each["answered"] for each in row["most_certain"]] == [7, 7, 6, 5, 4]
    written = page.read_text()
    page.write_text("<!-- ceiling -->\n<!-- /ceiling -->\n")
    assert ceiling.main([*words, "--redraw"]) == 0
    assert page.read_text() == written and "90.0 % (6.3)" in written


def test_the_page_says_what_the_json_says() -> None:
    content = read_json(bench.RESULTS / "ceiling.json")
    assert ceiling.table(content) in find_page(PAGES, ceiling.SECTION).read_text()
    for row in content["results"]:
        without, copies = row["copy_free"], row["copies"]
        for name in ("correct", "total"):
            assert row[name] == without[name] + copies[name]
