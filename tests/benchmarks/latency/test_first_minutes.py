"""The benchmark of a new user's first commands: at tiny size, and what its results have to be."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, read_section
from benchmarks.latency import first_minutes
from fer_jax.files import read_json

TINY = (
    *("--config", "configs/run1.py", "--data.synthetic-examples", "140"),
    *("--model.blocks.0.features", "2", "--model.blocks.0.pool", "--model.dense-features", "4"),
    *("--train.batch-size", "16", "--train.epochs", "1"),
)

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_a_command_is_timed_its_accuracy_read_and_both_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = first_minutes.Command("fer_jax.train", TINY, "--run-dir")
    monkeypatch.setitem(first_minutes.COMMANDS, "train", tiny)
    out, page = tmp_path / "out.json", tmp_path / "page.md"
    page.write_text("<!-- first-minutes -->\n<!-- /first-minutes -->\n")
    assert first_minutes.main(["measure", "--commands", "train", "--results", str(out)]) == 0
    assert first_minutes.main(["write", "--results", str(out), "--pages", str(page)]) == 0
    (row,) = json.loads(out.read_text())["results"]
    (figures,) = row["facts"]["runs"]
    assert row["samples_s"] == [[figures["total_s"]]]
    assert figures["processor_s"] > 0.5
    assert 0 <= figures["test_accuracy"] <= 1
    assert "python -m fer_jax.train" in page.read_text()


def test_the_first_network_passes_70_percent_and_the_page_says_what_was_measured() -> None:
    content: dict[str, Any] = read_json(bench.RESULTS / "first_minutes.json")
    rows = {row["name"]: row["facts"]["runs"] for row in content["results"]}
    assert min(run["test_accuracy"] for run in rows["train"]) > 0.7
    # What two cores need if they have nothing else to do; the seconds depend on what else is running.
    for name, most_s in (("train", 120), ("check", 60), ("check-quick", 60)):
        assert all(run["processor_s"] / 2 < most_s for run in rows[name]), name
    assert read_section(PAGES, first_minutes.SECTION) == first_minutes.table(content)
