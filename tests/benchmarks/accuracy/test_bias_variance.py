"""The table of bias and variance: measured at tiny size, and written by hand-made numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import bias_variance
from benchmarks.harness import bench
from benchmarks.harness import sections as readme
from fer_jax.compare.notebook import NOTEBOOK
from fer_jax.errors import RunError

pytestmark = pytest.mark.usefixtures("quick_compile")


def made(name: str, **changes: Any) -> dict[str, Any]:
    spread = dict.fromkeys(("loss", "bias", "variance"), 0.01)
    result = {
        "name": name,
        "part": "val",
        "images": 1000,
        "width": 0.25,
        "train_images": 400,
        "seeds": [0, 1],
        "resamples": [1, 2],
        "split_sha256": "a",
        "machine": "a machine",
        "losses": {
            "zero_one": {"loss": 0.5, "bias": 0.4, "variance": 0.1, "spread": spread},
            "brier": {"loss": 0.6, "bias": 0.35, "variance": 0.25, "spread": None},
        },
        "brier_variance": {"seed": 0.05, "data": 0.2},
        "noise": {"zero_one": 0.2, "label_is_not_majority": 0.3},
        "lanes": [{"train_accuracy": 0.6}, {"train_accuracy": 0.8}],
        "config": {"train": {"batch_size": 32}},
    }
    return result | changes


def write_all(folder: Path, **changes: Any) -> None:
    for name in NOTEBOOK:
        content = made(name, **(changes if name == "run7" else {}))
        (folder / f"bias_variance-{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_the_table_by_hand(tmp_path: Path) -> None:
    write_all(tmp_path)
    page = tmp_path / "ladder.md"
    page.write_text("<!-- bias-variance -->\n<!-- /bias-variance -->\n", encoding="utf-8")
    assert bias_variance.main(["write", "--results", str(tmp_path), "--pages", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    row = "| run7 | 70.0 | 50.0 ± 1.0 | 40.0 ± 1.0 | 10.0 ± 1.0 | 0.20 | 0.600 | 0.350 | 0.250 | 0.20 |"
    assert row in text
    assert "in 20.0 % of their votes" in text and "not their majority on 30.0 % of the images" in text


def test_results_of_two_scales_are_refused(tmp_path: Path) -> None:
    write_all(tmp_path, width=0.5)
    with pytest.raises(RunError, match=r"run7\.json: width differs"):
        bias_variance.read(tmp_path)
    (tmp_path / "bias_variance-run3.json").unlink()
    with pytest.raises(RunError, match=r"run3\.json is missing"):
        bias_variance.read(tmp_path)


def test_a_run_is_measured_on_the_scale_asked_for_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FER_JAX_DATA", raising=False)
    scale = "--runs run1 --seeds 2 --resamples 1 --width 0.1 --examples 256 --batch-size 16"
    words = ["measure", *scale.split(), "--results", str(tmp_path), "--work", str(tmp_path / "work")]
    assert bias_variance.main(words) == 0
    result = json.loads((tmp_path / "bias_variance-run1.json").read_text(encoding="utf-8"))
    assert (result["width"], result["train_images"], len(result["lanes"])) == (0.1, 256, 2)
    assert result["config"]["train"]["batch_size"] == 16
    assert str(tmp_path) not in json.dumps(result)
    assert bias_variance.main(words) == 0
    assert "exists; delete it" in capfd.readouterr().out


def test_the_page_says_what_the_committed_results_say() -> None:
    if not (bench.RESULTS / "bias_variance-run1.json").exists():
        pytest.skip("bias and variance of the runs have not been measured")
    text = readme.read_section(readme.PAGES, bias_variance.SECTION)
    assert text == bias_variance.table(bias_variance.read(bench.RESULTS)), (
        "run python -m benchmarks.accuracy.bias_variance write"
    )
