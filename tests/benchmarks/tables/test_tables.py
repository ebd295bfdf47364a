"""The speed tables and plot from tiny made-up files, and the pages against the committed ones."""

import doctest
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import arena, bench
from benchmarks.harness import sections as readme
from benchmarks.tables import __main__ as tables
from benchmarks.tables import parts as tables_parts
from benchmarks.tables import user as tables_user
from fer_jax.errors import RunError

PICTURE = "../images/speed.png"
FACTS = {"peak_rss_mib": 1000.4, "peak_device_mib": None}


def write(folder: Path, name: str, results: list[dict[str, Any]], **more: Any) -> None:
    content: dict[str, Any] = {
        "date": "2001-02-03T04:05:06+00:00",
        "machine": "a machine, 2 cores",
        "device": "CPU",
        "versions": {"jax": "0.1", "torch": "0.2"},
        "settings": {"config": {"name": "run6"}, "data": "train.csv", "examples": 8000, "batch_size": 100},
        "results": results,
    }
    (folder / f"{name}.json").write_text(json.dumps({**content, **more}))


def row(name: str, samples_s: list[list[float]], **more: Any) -> dict[str, Any]:
    facts = {**FACTS, **more.pop("facts", {})}
    return arena.to_row(arena.Result(name, facts, samples_s)) | {"title": f"title of {name}", **more}


def step_row(name: str, samples_s: list[list[float]], **more: Any) -> dict[str, Any]:
    rate = 100 / arena.median_s(arena.Result(name, {}, samples_s))
    return row(name, samples_s, what="train", images_per_s=rate, **{"share_of_peak": 0.5, **more})


def gemm_row(dtype: str, seconds: float) -> dict[str, Any]:
    facts = {"dtype": dtype, "size": 1000}
    return row(f"gemm jax {dtype}", [[seconds], [seconds]], what="train", facts=facts)


def lines_of(text: str) -> dict[str, list[str]]:
    """Read a table's lines by their first cell; a line without one goes by the first and its second cell."""
    found, first = {}, ""
    for line in text.splitlines():
        if line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            first = cells[0] or first
            found[cells[0] or f"{first} / {cells[1]}"] = cells[1:]
    return found


def lines_from(folder: Path) -> dict[str, list[str]]:
    return lines_of(tables.section(tables.read(folder), PICTURE))


def write_steps(folder: Path) -> None:
    rows = [
        step_row("jax", [[0.1, 0.2, 0.1], [0.1, 0.1, 0.05]]),
        step_row("torch-users", [[0.4, 0.4, 0.4], [0.4, 0.4, 0.4]], share_of_peak=None),
        step_row("torch", [[0.2, 0.2, 0.2], [0.15, 0.15, 0.15]]),
        gemm_row("float32", 0.02),
        {**step_row("jax", [[9.0], [9.0]]), "what": "eval"},
    ]
    write(folder, "step-run6", rows)


def test_the_train_step_by_hand(tmp_path: Path) -> None:
    write_steps(tmp_path)
    text = tables.section(tables.read(tmp_path), PICTURE)
    lines = lines_of(text)
    # 2 · 1000³ operations in 20 ms.
    assert "**Train step of the run 6 net**, 100 images; GEMM peak 100 GFLOP/s" in text
    assert lines["title of jax"] == ["100 (50..200)", "1,000", "50 %", "1.75 × (1.50..2.00)", "1,000"]
    assert lines["title of torch"] == ["175 (150..200)", "571", "50 %", "1.00 ×", "1,000"]
    assert lines["title of torch-users"][2] == "not measured"
    assert not any("gemm" in line for line in lines)
    assert "**Train step of the VGG-like net**: not measured." in text
    assert text.startswith(f"![The train step in JAX and in PyTorch]({PICTURE})")


def test_without_pytorch_there_is_no_ratio(tmp_path: Path) -> None:
    write(tmp_path, "step-other", [step_row("jax", [[0.1]], facts={"peak_device_mib": 7.0})])
    lines = lines_from(tmp_path)
    assert lines["title of jax"] == ["100", "1,000", "50 %", "not measured", "7"]


def test_the_epoch_by_hand(tmp_path: Path) -> None:
    rows = [
        row("jax", [[2.0, 4.0], [3.0, 3.0]]),
        row("torch-users-0", [[9.0, 9.0], [9.0, 9.0]]),
        row("torch-users-cv2-2", [[6.0, 6.0], [8.0, 10.0]]),
        row("torch-tuned-bf16-0", [[3.0, 3.0], [3.0, 3.0]]),
    ]
    extra = {"share_of_the_epoch_that_is_augmentation": [0.01, 0.03], "epoch_over_its_device_steps": [1.04]}
    write(tmp_path, "epoch-run6", rows, **extra)
    lines = lines_from(tmp_path)
    # Of PyTorch as users run it the fastest, which is not the first.
    wanted = ["title of torch-users-cv2-2", "3.00 s (2.00..4.00)", "7.00 s (6.00..10.00)"]
    what = "one epoch of run6, train.csv"
    assert lines[what] == [*wanted, "2.50 × (2.00..3.00)"]
    assert lines[f"{what} / PyTorch tuned"][2] == "not measured"
    assert lines[f"{what} / title of torch-tuned-bf16-0"][1:] == ["", "3.00 s", "1.00 ×"]
    assert lines["share of that epoch spent on augmentation"][1] == "2.0 % (1.0..3.0)"
    assert lines["that epoch / the sum of its device steps"][1] == "1.040 ×"


def test_the_input_path_counts_turns(tmp_path: Path) -> None:
    rows = [
        row("apply", [[0.001], [0.001]]),
        row("batch-float", [[0.01, 0.01], [0.02, 0.02]]),
        # A loader that works ahead: every other batch is there at once. Its rate is no faster for that.
        row("cv2-loader-2", [[0.0, 0.1], [0.0, 0.1]]),
        row("cv2", [[0.2, 0.2], [0.2, 0.2]]),
    ]
    write(tmp_path, "host-run6", rows, settings={"config": "run6", "batch_size": 100, "examples": 4096})
    lines = lines_from(tmp_path)
    what = "the input pipeline of run6, 4,096 synthetic faces"
    wanted = ["title of cv2-loader-2", "7,500 img/s (5,000..10,000)", "2,000 img/s"]
    assert lines[what] == [*wanted, "3.75 × (2.50..5.00)"]
    assert lines[f"{what} / PIL"][2] == "not measured"


def test_the_start_by_hand(tmp_path: Path) -> None:
    seconds = {"help": 0.5, "ours-first": 8.0, "ours": 4.0, "ours-compiled": 2.0, "torch": 6.0}
    rows = [row(name, [[each], [each], [each]]) for name, each in seconds.items()]
    # Programs keep the title at one of two places.
    for each in rows:
        each["facts"]["title"] = each.pop("title")
    write(tmp_path, "startup-run6", rows)
    lines = lines_from(tmp_path)
    assert lines["`--help`"] == ["", "0.500 s", "", ""]
    assert lines["from launch to the first step of run6, train.csv, cold start"][1] == "8.00 s"
    assert lines["the same, data cached"] == ["title of torch", "4.00 s", "6.00 s", "1.50 ×"]
    assert lines["the same, data and compiled programs cached"] == [
        "title of torch",
        "2.00 s",
        "6.00 s",
        "3.00 ×",
    ]


def test_one_image_by_hand(tmp_path: Path) -> None:
    samples = [[0.001, 0.002, 0.003, 0.004, 0.1]]
    rows = [
        row("jax", [[0.009] * 5], batch_size=1),
        row("jax-ahead", samples, batch_size=1),
        row("onnx", [[0.0015] * 5], batch_size=1),
        row("onnx", [[0.00001] * 5], batch_size=128),
    ]
    write(tmp_path, "latency-run6", rows, settings={"config": {"name": "run6"}})
    lines = lines_from(tmp_path)
    what = "one image of run6: title of jax-ahead (quartiles)"
    assert lines[what] == ["PyTorch", "3.00 ms (2.00..4.00)", "not measured", ""]
    assert lines[f"{what} / title of onnx"] == ["title of onnx", "", "1.50 ms", "0.50 ×"]


def test_eight_seeds_by_hand(tmp_path: Path) -> None:
    rows = [
        {**row("seeds 1", [[1.0], [2.0]]), "what": "seeds", "value": 1},
        {**row("seeds 8", [[7.0], [20.0]]), "what": "seeds", "value": 8},
        {"what": "devices", "value": 1, "unit": None},
        {**row("batch 8", [[9.0], [9.0]]), "what": "batch", "value": 8},
    ]
    write(tmp_path, "scaling-run6", rows, settings={"config": {"name": "run6"}, "examples": 4000})
    lines = lines_from(tmp_path)
    cells = lines["an epoch of 8 replicas (seeds trained together) of run6, 4,000 synthetic faces"]
    assert cells == ["one seed, 8 times", "13.5 s (7.0..20.0)", "12.0 s (8.0..16.0)", "0.97 × (0.80..1.14)"]


def test_seconds_to_an_accuracy_by_hand(tmp_path: Path) -> None:
    def run(name: str, seed: int, *seconds: float | None) -> dict[str, Any]:
        reached = [{"percent": each, "seconds": s} for each, s in zip((50, 60, 70), seconds, strict=True)]
        return {"name": name, "seed": seed, "reached": reached}

    rows = [run("jax", 0, 10, 20, None), run("torch-users", 0, 30, None, None)]
    rows += [run("jax", 1, 20, None, None), run("torch-users", 1, 40, 90, None)]
    settings = {
        "config": {"name": "run7"},
        "data": "train.csv",
        "examples": 8,
        "targets_percent": [50, 60, 70],
    }
    for row, correct, seconds in ((rows[0], 3, 90.0), (rows[2], 2, 80.0)):
        row["viewed"] = {"views": "flip", "seconds": seconds, "correct": correct, "total": 4}
    write(tmp_path, "time_to_accuracy-run7", rows, settings=settings)
    lines = lines_from(tmp_path)
    cells = lines["to the end of training, evaluated with flip TTA: 62.5 % (50.0..75.0)"]
    assert cells == ["", "85.0 s (80.0..90.0)", "", ""]
    users = "PyTorch as users run it"
    cells = lines["to 50 % validation accuracy of run7, train.csv, 2 seeds, from process start"]
    assert cells == [users, "15.0 s (10.0..20.0)", "35.0 s (30.0..40.0)", "2.50 × (2.00..3.00)"]
    # Of different seeds: no ratio.
    assert lines["to 60 % validation accuracy"] == [users, "20.0 s, 1 of 2 seeds", "90.0 s, 1 of 2 seeds", ""]
    assert lines["to 70 % validation accuracy"] == [users, "not reached", "not reached", ""]


def test_runs_that_found_compiled_programs_have_lines_of_their_own(tmp_path: Path) -> None:
    def run(seconds: float, is_warm: bool) -> dict[str, Any]:
        reached = [{"percent": 70, "seconds": seconds}]
        return {"name": "jax", "seed": 0, "reached": reached, "found_compiled_programs": is_warm}

    settings = {"config": {"name": "best"}, "data": "a.csv", "examples": 8, "targets_percent": [70]}
    write(tmp_path, "time_to_accuracy-best", [run(90, False), run(30, True)], settings=settings)
    lines, what = lines_from(tmp_path), "to 70 % validation accuracy of best, a.csv"
    assert lines[f"{what}, 1 seed, from process start"][1] == "90.0 s"
    assert lines[f"{what}, compiled programs cached, 1 seed, from process start"][1] == "30.0 s"


def test_what_has_no_file_was_not_measured(tmp_path: Path) -> None:
    text = tables.section(tables.read(tmp_path), PICTURE)
    lines = lines_of(text)
    for what in ("one epoch", "the input pipeline", "`--help`", "one image (quartiles)"):
        assert lines[what] == ["", "not measured", "", ""]
    assert lines["to 50, 55, 60, 65, 70 % validation accuracy"][1] == "not measured"
    assert lines["an epoch of 8 replicas (seeds trained together)"][1] == "not measured"
    assert text.count("**: not measured.") == len(tables.NETS) and "png" not in text


def test_the_places_and_dates_are_told(tmp_path: Path) -> None:
    write_steps(tmp_path)
    place = "a machine, 2 cores; jax 0.1, torch 0.2; 2001-02-03"
    assert tables.section(tables.read(tmp_path), PICTURE).endswith(f"library.\n\n{place}.")
    write(tmp_path, "epoch-run6", [row("jax", [[1.0]])], date="2001-02-05T00:00:00+00:00")
    assert tables.section(tables.read(tmp_path), PICTURE).endswith(f"{place} to 2001-02-05.")
    write(tmp_path, "host-a", [], device="CUDA big", versions={"jax": "0.3"}, settings={})
    text = tables.section(tables.read(tmp_path), PICTURE)
    assert f"epoch-run6, step-run6: {place} to 2001-02-05." in text
    assert text.endswith("host-a: CUDA big, a machine, 2 cores; jax 0.3, torch not installed; 2001-02-03.")


def test_page_and_plot_are_written_twice_alike(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    write_steps(results)
    write(results, "ladder", [])
    page, plot = tmp_path / "pages" / "speed.md", tmp_path / "images" / "speed.png"
    page.parent.mkdir()
    empty = "".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in tables.PARTS)
    page.write_text(f"before\n<!-- speed -->\n<!-- /speed -->\nafter\n{empty}", encoding="utf-8")
    words = ["--results", str(results), "--pages", str(page.parent), "--plot", str(plot)]
    found = []
    for _ in range(2):
        assert tables.main(words) == 0
        found.append((page.read_text(encoding="utf-8"), plot.read_bytes()))
    assert found[0] == found[1]
    text = readme.read_section([page], "speed")
    assert text == tables.section(tables.read(results), PICTURE)
    parts = "".join(f"<!-- {name} -->\nNot measured.\n<!-- /{name} -->\n" for name in tables.PARTS)
    assert found[0][0] == f"before\n<!-- speed -->\n{text}\n<!-- /speed -->\nafter\n{parts}"


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "speed.md"
    page.write_text("no marks")
    words = ["--results", str(tmp_path), "--pages", str(page.parent), "--plot", str(tmp_path / "a.png")]
    assert tables.main(words) == RunError.exit_code
    assert "0 pages" in capsys.readouterr().err
    page.write_text("<!-- speed -->\n<!-- /speed -->\n")
    write(tmp_path, "epoch-run6", [{"name": "jax"}])
    assert tables.main(words) == RunError.exit_code
    assert "measure again" in capsys.readouterr().err


def test_the_examples_hold() -> None:
    assert doctest.testmod(tables_user).failed == 0


def test_the_pages_say_what_the_committed_results_say() -> None:
    contents = tables.read(bench.RESULTS)
    text = readme.read_section(readme.PAGES, tables.SECTION)
    if not text and not contents:
        pytest.skip("nothing is measured yet: there are no speed tables")
    assert text == tables.section(contents, PICTURE), "run python -m benchmarks.tables"
    for name, part in tables.write_parts(bench.RESULTS).items():
        assert readme.read_section(readme.PAGES, name) == part, "run python -m benchmarks.tables"


def test_the_table_of_parts_by_hand() -> None:
    convolution = ("convolution", "convolution by input", "convolution by kernel")
    product = ("product", "product by input", "product by kernel")
    parts = (*convolution, "rest", "rest gradient", *product, "update")
    one = dict.fromkeys(parts, 0.002)
    total = {"parts_s": one, "bounds_s": dict.fromkeys(parts, 0.001), "sum_s": 0.018, "bound_s": 0.009}
    content = {
        "totals": {"JAX": total | {"step_s": 0.02}, "PyTorch": total | {"step_s": 0.03}},
        "settings": {"config": {"name": "run6"}},
        "peak_flop_per_s": 4e11,
        "bandwidth_byte_per_s": 3e10,
        "machine": "a machine",
        "date": "2026-01-02T03:04:05+00:00",
    }
    text = tables_parts.roofline_table(content)
    assert "| dense layers and their gradients | 6.0 | 6.0 | 3.0 |" in text
    assert "| **the whole step** | **20.0** | **30.0** |  |" in text
    assert "400 GFLOP/s and bytes at 30 GB/s" in text
