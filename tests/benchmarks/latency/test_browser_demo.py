"""The benchmark of the browser demo: what was measured, and that the guide says it; tests/web runs it."""

from pathlib import Path

import pytest

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, read_section
from benchmarks.latency import browser_demo
from fer_jax.files import read_json


def test_nearly_all_frames_of_the_camera_have_a_face_and_the_guide_says_what_was_measured() -> None:
    content = read_json(bench.RESULTS / "browser-demo.json")
    cameras = [row for row in content["results"] if "frames_with_a_face" in row]
    assert len(cameras) == 2
    for row in cameras:
        assert row["frames_with_a_face"] >= 0.95 * content["settings"]["frames"], row["name"]
    assert read_section(PAGES, browser_demo.SECTION) == browser_demo.to_text(content)


def test_a_folder_without_a_demo_says_how_to_build_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert browser_demo.main(["measure", "--demo", str(tmp_path)]) == 4
    assert "is no demo; build it with `python -m web --no-serve`" in capsys.readouterr().err
    assert browser_demo.main(["draw", "--rounds", "1"]) == 2
