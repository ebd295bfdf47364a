"""The benchmark of a new user's first commands: at tiny size, and what its results have to be."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, read_section
from benchmarks.latency import first_minutes

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
    page, words = tmp_path / "page.md", ["--commands", "train", "--results", str(tmp_path)]
    page.write_text(
        "".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in ("first-minutes", "first-run"))
    )
    assert first_minutes.main(["measure", *words]) == 0
    assert first_minutes.main(["write", *words, "--pages", str(page)]) == 0
    content = json.loads((tmp_path / "first_minutes-train.json").read_text())
    (figures,) = content["results"]
    assert figures["processor_s"] > 0.5
    assert 0 <= figures["test_accuracy"] <= 1
    written = page.read_text()
    assert f"| `python -m fer_jax.train --config configs/run1.py {TINY[2]}" in written
    # How to get the data is left out, and nothing else.
    assert "SYNTHETIC FACES" in written and "kaggle" not in written
    assert content["printed"][-1] in written


def test_a_missing_result_says_how_to_measure_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert first_minutes.main(["write", "--results", str(tmp_path)]) == 4
    assert "first_minutes measure --commands train" in capsys.readouterr().err


def test_the_first_network_passes_70_percent_and_the_pages_say_what_was_measured() -> None:
    contents = first_minutes.read(bench.RESULTS, tuple(first_minutes.COMMANDS))
    figures = {name: content["results"][0] for name, content in contents.items()}
    assert figures["train"]["test_accuracy"] > 0.7
    for name, most_s in (("train", 120), ("check", 60), ("check-quick", 60)):
        assert figures[name]["total_s"] < most_s, name
    for section, text in first_minutes.write_sections(contents).items():
        assert read_section(PAGES, section) == text, section
