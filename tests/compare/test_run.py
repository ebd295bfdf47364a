"""The program `compare` on tiny runs of synthetic faces: its figures, its files, and what it refuses."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from fer_jax.compare import __main__ as compare
from fer_jax.compare import notebook, page, plots
from fer_jax.compare import text as compare_text
from fer_jax.compare.entries import Entry, SeedRun, group
from fer_jax.compare.notebook import NOTEBOOK
from fer_jax.compare.run import describe_entry
from fer_jax.config.files import load_config
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.errors import RunError
from fer_jax.fer2013 import CLASS_COUNTS
from fer_jax.report.plots import write_png
from fer_jax.runs.location import find_common_folder
from fer_jax.runs.record import DataRecord, RunRecord, SplitRecord
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(__file__).parents[2]
SMALL = (
    *("--config", str(ROOT / "configs" / "run1.py"), "--train.epochs", "2", "--train.batch-size", "16"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "280"),
    *("--model.blocks.0.features", "2", "--model.dense-features", "4"),
)
PICTURES = ("accuracies", "tests", "curves", "gaps")


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def rewrite(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(read(path) | fields))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one config, trained together, and one of another that learns faster."""
    folder = tmp_path_factory.mktemp("runs")
    assert train.main([*SMALL, "--seeds", "2", "--run-dir", str(folder / "slow")]) == 0
    faster = ("--name", "fast", "--optimizer.peak-rate", "0.05", "--train.epochs", "4")
    assert train.main([*SMALL, *faster, "--run-dir", str(folder / "fast")]) == 0
    return folder


@pytest.fixture(scope="module")
def compared(runs: Path) -> Any:
    assert compare.main([str(runs / "slow"), str(runs / "fast")]) == 0
    return read(runs / "compare.json")


def test_seeds_are_one_line_and_every_figure_is_that_of_the_runs(runs: Path, compared: Any) -> None:
    slow, fast = compared["runs"]
    assert [slow["label"], fast["label"]] == ["run1", "fast"]
    assert [[seed["seed"] for seed in run["seeds"]] for run in (slow, fast)] == [[0, 1], [0]]
    for run, folders in ((slow, ("slow/seed0", "slow/seed1")), (fast, ("fast",))):
        for seed, folder in zip(run["seeds"], folders, strict=True):
            figures = read(runs / folder / "metrics.json")
            for part in ("train", "val", "test"):
                assert seed["parts"][part]["correct"] == figures[part]["correct"]
                assert seed["parts"][part]["high"] == pytest.approx(figures[part]["accuracy_high"])
            history = [json.loads(line) for line in (runs / folder / "log.jsonl").read_text().splitlines()]
            best = max(record["val_accuracy"] for record in history)
            assert history[seed["best_epoch"] - 1]["val_accuracy"] == best
    assert slow["parameters"] == read(runs / "slow" / "seed1" / "run.json")["parameters"]
    assert fast["changes"] == [["optimizer.peak_rate", "0.01", "0.05"], ["train.epochs", "2", "4"]]
    assert slow["notebook"] is None  # Its figures are not about synthetic faces.


def test_the_pair_is_counted_on_the_images_of_the_first_seeds(runs: Path, compared: Any) -> None:
    (pair,) = compared["pairs"]
    slow, fast = (read(runs / name / "metrics.json")["val"] for name in ("slow/seed0", "fast"))
    assert compared["images"] == slow["total"]
    assert pair["only_second"] - pair["only_first"] == fast["correct"] - slow["correct"]
    assert pair["only_first"] + pair["only_second"] <= slow["total"]
    assert pair["low"] < pair["difference"] < pair["high"]
    assert pair["p"] == pair["p_holm"]
    assert pair["is_real"] == (pair["p"] < 0.05)
    assert pair["are_seeds_apart"] is None


def test_another_part_of_a_folder_goes_where_it_is_told(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "docs"
    assert compare.main([str(runs), "--split", "test", "--out", str(out), "--name", "ladder"]) == 0
    printed = capsys.readouterr().out
    assert "note: right on" not in printed
    assert {path.name for path in out.iterdir()} == {
        *("ladder.md", "ladder.html", "ladder.json"),
        *(f"ladder_{name}.png" for name in PICTURES),
    }
    result = read(out / "ladder.json")
    # By name, and each seed once.
    assert [(run["label"], len(run["seeds"])) for run in result["runs"]] == [("fast", 1), ("run1", 2)]
    assert result["images"] == read(runs / "fast" / "metrics.json")["test"]["total"]
    for name in PICTURES:
        assert min(size_of(out / f"ladder_{name}.png")) > 300
    text = (out / "ladder.md").read_text()
    assert all(f"(ladder_{name}.png)" in text for name in PICTURES)
    assert "SYNTHETIC FACES" in text
    assert str(tmp_path) not in text and str(runs.parent) not in text
    assert text.rstrip().endswith("--split test --out docs --name ladder\n```")
    for line in compare_text.verdict(result):
        assert line in text and line in printed
    page = (out / "ladder.html").read_text()
    assert page.count("<svg") == 3 + len(result["runs"])  # Accuracies, two of curves, and each run's gap.
    assert "SYNTHETIC FACES" in page and "Which differences are significant" in page


def test_all_rows_are_predicted_by_every_seed(runs: Path, tmp_path: Path) -> None:
    table = tmp_path / "tables" / "runs.csv"
    assert compare.main([str(runs), "--split", "all", "--out", str(tmp_path), "--csv", str(table)]) == 0
    result = read(tmp_path / "compare.json")
    rows = pd.read_csv(table)
    assert rows[["run", "seed", "part"]].values.tolist() == [
        [run, seed, part]
        for run, seed in (("fast", 0), ("run1", 0), ("run1", 1))
        for part in ("train", "val", "test", "all")
    ]
    val = read(runs / "fast" / "metrics.json")["val"]
    first = rows[(rows.run == "fast") & (rows.part == "val")].iloc[0]
    for name in ("correct", "total", "accuracy", "accuracy_low", "accuracy_high", "loss", "macro_f1"):
        assert first[name] == pytest.approx(val[name])
    assert rows[rows.part == "all"].loss.isna().all() and (rows.images_per_second > 0).all()
    assert result["images"] == 280
    assert result["parts"] == ["train", "val", "test", "all"]
    for run in result["runs"]:
        for seed in run["seeds"]:
            whole, train = seed["parts"]["all"], seed["parts"]["train"]
            for count in ("total", "correct"):
                assert whole["copy_free"][count] == whole[count] - train[count]
            known = {part: seed["parts"][part]["correct"] for part in result["parts"]}
            # The split leaves no row out here, so the parts add up to all.
            total = sum(seed["parts"][part]["total"] for part in ("train", "val", "test"))
            if total == 280:
                assert known["all"] == known["train"] + known["val"] + known["test"]
            assert seed["parts"]["all"]["total"] == 280


@pytest.fixture
def copies(runs: Path, tmp_path: Path) -> Path:
    """Copy two of the runs, to be spoilt; without their checkpoints."""
    for name, folder in (("slow", runs / "slow" / "seed0"), ("fast", runs / "fast")):
        shutil.copytree(folder, tmp_path / name, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    return tmp_path


def refuse(capsys: pytest.CaptureFixture[str], *words: Path | str) -> tuple[int, str]:
    status, err = compare.main([str(word) for word in words]), capsys.readouterr().err
    assert err.count("error:") == 1 and "Traceback" not in err
    return status, err


def test_it_refuses_less_than_two_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, err = refuse(capsys)
    assert (status, "no run was named" in err) == (2, True)
    status, err = refuse(capsys, runs / "slow")
    assert status == 4
    assert "only run1 (seed 0, 1)" in err and "name another" in err
    status, err = refuse(capsys, runs / "fast", runs / "fast")
    assert (status, "fast (seed 0)" in err) == (4, True)


def test_it_refuses_folders_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, err = refuse(capsys, tmp_path)
    assert (status, f"{tmp_path} holds no run" in err) == (4, True)
    status, err = refuse(capsys, tmp_path / "nowhere")
    assert (status, "there is no folder" in err) == (4, True)


def test_it_refuses_a_run_that_is_not_finished(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(copies / "fast" / "run.json", finished=None)
    status, err = refuse(capsys, copies)
    assert status == 4
    assert f"{copies / 'fast'} is not finished" in err and "--resume" in err


def test_it_refuses_a_damaged_run_before_anything_is_predicted(
    copies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, log = copies / "fast" / "metrics.json", copies / "fast" / "log.jsonl"
    good, epochs = read(metrics), log.read_text()
    val = good["val"]
    for content, field in (
        ({}, "train"),
        (good | {"val": {name: val[name] for name in val if name != "loss"}}, "val.loss"),
        (good | {"val": val | {"accuracy": "high"}}, "val.accuracy"),
        (good | {"val": val | {"per_class": [7]}}, "val.per_class"),
        ([], ""),
    ):
        metrics.write_text(json.dumps(content))
        status, err = refuse(capsys, copies)
        assert (status, f"{metrics} is damaged" in err, field in err) == (4, True, True)
    metrics.write_text(json.dumps(good))
    log.write_text(epochs.replace('"val_loss"', '"loss"', 1))
    status, err = refuse(capsys, copies)
    assert (status, f'{log}, line 1, is damaged: missing value for field "val_loss"' in err) == (4, True)


def test_it_refuses_other_data(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = read(copies / "slow" / "run.json")["data"]
    rewrite(copies / "slow" / "run.json", data=data | {"sha256": "0" * 64})
    status, err = refuse(capsys, copies)
    assert status == 4
    assert f"{copies / 'slow'} was trained on other data than {copies / 'fast'}" in err


def test_it_refuses_another_split(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(copies / "slow" / "split.npz") as parts:
        rows = dict(parts)
    # What was trained on may differ; what is compared may not.
    rows |= {"train": rows["train"][:-5], "test": rows["test"][::-1]}
    np.savez(copies / "slow" / "split.npz", **rows)
    status, err = refuse(capsys, copies)
    assert status == 4
    assert "another split" in err and "their test images differ" in err


def test_it_replaces_no_table_unasked(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "old.csv"
    table.write_text("old")
    status, err = refuse(capsys, runs, "--out", tmp_path, "--csv", table)
    assert (status, "old.csv exists; give --overwrite to replace it, or another --csv" in err) == (4, True)
    words = ("--data", table, "--split", "all", "--overwrite")
    status, err = refuse(capsys, runs, "--out", tmp_path, "--csv", table, *words)
    assert (status, "old.csv is a source, and would be replaced" in err) == (4, True)
    status, err = refuse(capsys, runs, "--csv", runs / "fast" / "run.json", "--overwrite")
    assert (status, "run.json is in " in err, "a source, and would be replaced" in err) == (4, True, True)
    assert [each.name for each in tmp_path.iterdir()] == ["old.csv"] and table.read_text() == "old"


def test_it_refuses_a_name_with_a_folder(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, err = refuse(capsys, runs, "--name", "docs/ladder")
    assert (status, "--out" in err) == (2, True)


RECORD = RunRecord(
    command="",
    started="",
    finished=None,
    resumed=[],
    data=DataRecord("", "", is_synthetic=True),
    split=SplitRecord("", {}, {}),
    machine="",
    device="",
    tuning=[],
    xla_flags="",
    versions={},
    git=None,
    seed=0,
)


def make_run(name: str, seed: int, folder: str, *, rate: float) -> SeedRun:
    config = Config(name=name, optimizer=OptimizerConfig(peak_rate=rate))
    config = replace(config, train=replace(config.train, seed=seed))
    return SeedRun(folder=Path(folder), config=config, record=RECORD, metrics={}, history=[])


def test_runs_go_together_by_config_and_labels_tell_them_apart() -> None:
    runs = [
        make_run("run6", 1, "runs/run6-seed1", rate=0.1),
        make_run("run6", 0, "runs/run6-seed0", rate=0.1),
        make_run("run7", 0, "runs/run7-seed0", rate=0.2),
        make_run("run6", 0, "runs/run6-seed0-2", rate=0.3),
        make_run("run7", 0, "runs/run7-seed0-2", rate=0.2),  # The same again is no further seed.
        make_run("run7", 1, "runs/run7-seed1", rate=0.2),
        make_run("run8", 0, "runs/run8-seed0", rate=0.2),
    ]
    entries = group(runs)
    assert [[run.folder.name for run in entry.seeds] for entry in entries] == [
        ["run6-seed0", "run6-seed1"],
        ["run7-seed0", "run7-seed1"],
        ["run6-seed0-2"],
        ["run7-seed0-2"],
        ["run8-seed0"],
    ]
    labels = [entry.label for entry in entries]
    assert labels == ["run6-seed0", "run7-seed0", "run6-seed0-2", "run7-seed0-2", "run8"]


def test_the_notebooks_words_are_those_of_its_own_step() -> None:
    entries = {name: make_ladder_entry(name) for name in ("run5", "run6", "run7")}

    def change(before: str | None, name: str) -> str:
        told = entries[before] if before else None
        return str(describe_entry(entries[name], told, "val", [], [])["change"])

    assert change("run5", "run6") == NOTEBOOK["run6"][0]
    assert change("run5", "run7").endswith(" settings")
    assert change("run7", "run6").endswith(" settings")
    assert change(None, "run6") == "first run"


def make_ladder_entry(name: str, **train_changes: Any) -> Entry:
    """Make a run of the ladder on Kaggle's data, with two seeds."""
    config = load_config(ROOT / "configs" / f"{name}.py")
    config = replace(config, train=replace(config.train, **train_changes))
    counts = CLASS_COUNTS["Training"]
    metrics = {
        part: {"accuracy": 0.5, "correct": 5, "total": 10} | {"per_class": [{"count": each} for each in some]}
        for part, some in (("train", [count - 10 for count in counts]), ("val", [10] * len(counts)))
    }
    record = dict.fromkeys(("epoch", "images_per_second", "seconds", "train_accuracy", "val_accuracy"), 1)
    real = replace(RECORD, data=replace(RECORD.data, is_synthetic=False))
    first = SeedRun(folder=Path(name), config=config, record=real, metrics=metrics, history=[record])
    return Entry(name, [first, replace(first, config=replace(config, train=replace(config.train, seed=1)))])


def test_the_notebooks_figures_are_shown_beside_its_own_runs_only() -> None:
    run6 = make_ladder_entry("run6")
    assert notebook.name_of(run6) == "run6"
    assert describe_entry(run6, None, "val", [], [])["notebook"] == NOTEBOOK["run6"][1]
    # Another length, fewer images, another name, synthetic faces, other data.
    assert notebook.name_of(make_ladder_entry("run6", epochs=4)) is None
    assert notebook.name_of(make_ladder_entry("run6", max_examples=3000)) is None
    assert notebook.name_of(make_ladder_entry("vgg")) is None
    assert notebook.name_of(Entry("run6", [replace(run6.seeds[0], record=RECORD)])) is None
    fewer = {part: run6.seeds[0].metrics[part] for part in ("train",)}
    assert notebook.name_of(Entry("run6", [run6.seeds[0], replace(run6.seeds[1], metrics=fewer)])) is None


def make_entry(label: str, correct: list[int], *, epochs: int, total: int = 1000) -> dict[str, Any]:
    """Make what `compare.run.describe_entry` gives; its seeds are right on so many images of a part."""
    seeds = []
    for seed, right in enumerate(correct):
        counts = {"correct": right, "total": total, "low": right / total - 0.03, "high": right / total + 0.03}
        rise = [right / total * (epoch + 1) / epochs for epoch in range(epochs)]
        history = {"epoch": [*range(1, epochs + 1)], "train_accuracy": rise, "val_accuracy": rise}
        parts = dict.fromkeys(("train", "val", "test"), counts)
        seeds.append({"seed": seed, "parts": parts, "best_epoch": epochs - seed, "history": history})
    notebook = NOTEBOOK[label][1]
    return {
        "label": label,
        "before": None,
        "change": NOTEBOOK[label][0],
        "changes": [["optimizer.peak_rate", "0.1", "0.2"]],
        "notebook": notebook if any(notebook.values()) else None,
        "parameters": 1_274_599,
        "macs": 23_078_656,
        "epochs": epochs,
        "images_per_second": 1420.9,
        "seconds_per_epoch": 14.15,
        "gap": [7.0] * len(seeds),
        "gap_ends": [[5.0, 9.0]] * len(seeds),
        "selection": "the last, with no selection",
        "machine": "a machine; CPU",
        "versions": "python 3.11.7",
        "seeds_together": 1,
        "seeds": seeds,
    }


def make_result() -> dict[str, Any]:
    def pair(first: int, second: int, difference: float, p: float, are_apart: bool | None) -> dict[str, Any]:
        return {
            "first": first,
            "second": second,
            "only_first": 10,
            "only_second": 20,
            "difference": difference,
            "low": difference - 0.02,
            "high": difference + 0.02,
            "p": p,
            "p_holm": p,
            "is_real": p < 0.05,
            "are_seeds_apart": are_apart,
        }

    return {
        "part": "val",
        "parts": ["train", "val", "test"],
        "images": 4306,
        "labels": "FER2013",
        "data": {"description": "train.csv", "sha256": "5" * 64, "is_synthetic": False},
        "level": 0.05,
        "runs": [
            make_entry("run5", [530, 540], epochs=6),
            make_entry("run6", [470], epochs=6),
            make_entry("run7", [600, 620, 610], epochs=30),
        ],
        "pairs": [
            pair(0, 1, -0.06, 1e-9, None),
            pair(0, 2, 0.07, 1e-9, False),
            pair(1, 2, 0.13, 0.0812, True),
        ],
        "command": "python -m fer_jax.compare runs",
        "has_speed": True,
    }


def test_the_verdict_says_which_differences_are_real_and_what_seeds_say() -> None:
    said = compare_text.verdict(make_result())
    assert said == [
        "2 of 3 differences in accuracy on the 4,306 images of val are significant.",
        "Not significant: run6 → run7 +13.0 points, p = 0.081.",
        "Significant: the choice of images alone would rarely give such a difference (McNemar's exact test, "
        "two-sided, corrected for the number of pairs by Holm, at the 5 % level).",
        "Significant for the tested networks, but the seeds of the two runs overlap: run5 → run7.",
        "Not significant for the tested networks, but every seed of one beats all of the other: run6 → run7.",
        "run6 has one seed: the spread between seeds is unknown.",
    ]
    assert compare_text.steps(make_result()) == [
        "run5 → run6 (augmentation on top): −6.0 points, 95 % interval −8.0 to −4.0; significant.",
        "run6 → run7 (less dropout, label smoothing, class weights): +13.0 points, 95 % interval +11.0 to "
        "+15.0; not significant.",
    ]


def test_the_table_has_intervals_spreads_and_the_notebook() -> None:
    head, run5, run6, run7 = compare_text.main_table(make_result())
    cells = dict(zip(head, run5, strict=True))
    assert (cells["notebook"], cells["val"]) == ("≈ 56 / ≤ 51 / –", "53.5 ± 0.7")
    assert (cells["seeds"], cells["best epoch"]) == ("2", "5 – 6 of 6")
    assert (cells["parameters"], cells["MACs"], cells["img/s"]) == ("1,274,599", "23.1 M", "1,421")
    cells = dict(zip(head, run6, strict=True))
    assert (cells["val"], cells["gap"], cells["best epoch"]) == (
        "47.0 (44.0 – 50.0)",
        "+7.0 (+5.0 to +9.0)",
        "6 of 6",
    )
    assert dict(zip(head, run7, strict=True))["notebook"] == "– / – / –"
    assert "Images per second" in compare_text.table_note(make_result())
    silent = make_result() | {"has_speed": False}
    assert set(head) - set(compare_text.main_table(silent)[0]) == {"img/s", "s / epoch"}
    assert "Images per second" not in compare_text.table_note(silent)


def test_runs_without_a_folder_in_common_want_one(tmp_path: Path) -> None:
    assert find_common_folder([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == tmp_path.resolve()
    for folders in ([Path("/a/run"), Path("/b/run")], [Path("/a"), Path("/b")]):
        with pytest.raises(
            RunError, match="no folder of their own in common; name one to write into with --out"
        ):
            find_common_folder(folders)


def test_the_markdown_escapes_what_would_end_a_cell() -> None:
    result = make_result()
    result["runs"][1]["change"] = "a | b"
    text = page.markdown(result, {name: f"{name}.png" for name in PICTURES})
    assert "a \\| b" in text and "| a | b |" not in text


@pytest.mark.parametrize("gap_ends", [[1.0, 3.0], [-1.0, 2.0]])
def test_each_section_is_under_its_heading(gap_ends: list[float]) -> None:
    result = make_result()
    result["runs"][1] |= {"before": "run5", "changes": [["field", "0", "1"]]}
    for run in result["runs"]:
        run["gap_ends"] = [gap_ends] * 3
    text = page.markdown(result, {name: f"{name}.png" for name in PICTURES})
    assert re.findall("^## (.*)$", text, re.MULTILINE) == list(page.CONTENTS.values())
    tests = text.split("## Which differences are significant")[1].split("## What changed")[0]
    assert "tests.png" in tests and "McNemar" in tests


def test_a_page_has_every_change_and_difference(
    tmp_path: Path, find_faults: Callable[[str], list[str]]
) -> None:
    result = make_result()
    result["runs"][1] |= {"before": "run5", "changes": [[f"field{place}", "0", "1"] for place in range(20)]}
    result["runs"][2]["gap_ends"] = [[-1.0, 2.0], [-2.0, 1.0], [-1.5, 1.5]]
    page.write_html(result, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert find_faults(text) == []
    assert all(f">field{place}<" in text for place in range(20))
    assert "The gap of run7 is not distinguishable from 0." in text
    # 6, 7 and 13 points, of which the last is the largest and not significant.
    assert re.findall(r'class="share (\w*)" style="--s: ([\d.]+)"', text) == [
        ("less", "0.4615"),
        ("", "0.5385"),
        ("unclear", "1.0"),
    ]


def test_a_small_difference_is_pale_even_of_two_runs() -> None:
    assert plots.largest_difference([{"difference": -0.02}]) == 10
    assert plots.largest_difference([{"difference": -0.25}, {"difference": 0.1}]) == 25


@pytest.mark.parametrize("label", ["run6-seed0-extra", "a-config-with-a-very-long-name-0123456789"])
def test_long_labels_are_not_cut(label: str) -> None:
    entries = make_result()["runs"]
    entries[0]["label"] = label
    for draw in (
        plots.add_accuracies,
        lambda figure, *_: plots.add_curves(figure.add_subplot(), entries, "val"),
    ):
        figure = Figure(figsize=(5.4, 3.5), layout="constrained")
        draw(figure, entries, ["val"])
        figure.draw_without_rendering()
        texts = [each for each in figure.findobj(Text) if each.get_text() == label]
        ends = [each.get_window_extent() for each in texts]
        assert ends and all(each.x0 >= 0 and each.x1 <= figure.bbox.width for each in ends)


def test_seeds_are_drawn_at_the_epochs_that_all_of_them_measured() -> None:
    """They end at other epochs with early stopping, and `train.measure_epochs` may differ."""
    entry = make_result()["runs"][0]
    histories = [
        {"epoch": epochs, **{f"{part}_accuracy": [each / 10 for each in epochs] for part in ("train", "val")}}
        for epochs in ([1, 2, 3, 4], [2, 4, 6])
    ]
    entry["seeds"] = [{"history": each} for each in histories]
    axes = Figure().add_subplot()
    plots.add_gap(axes, entry)
    train, _ = axes.lines
    np.testing.assert_allclose(np.asarray(train.get_xydata()), [[2, 20], [4, 40]])
    plots.add_curves(Figure().add_subplot(), [entry], "val")


def test_every_picture_but_the_tests_follows_the_figures(tmp_path: Path) -> None:
    result = make_result()
    entries = result["runs"]

    def draw(entries: list[dict[str, Any]], stem: str) -> list[bytes]:
        paths = [tmp_path / f"{stem}_{name}.png" for name in PICTURES]
        figures = [plots.plot(result | {"runs": entries}, kind) for kind in PICTURES]
        for figure, path in zip(figures, paths, strict=True):
            write_png(figure, path)
        return [path.read_bytes() for path in paths]

    first = draw(entries, "first")
    others = draw([*entries[:2], make_entry("run7", [300, 310, 320], epochs=30)], "other")
    assert [old == new for old, new in zip(first, others, strict=True)] == [False, True, False, False]
    assert size_of(tmp_path / "first_curves.png")[0] == 1600


def test_the_notebooks_runs_are_the_configs() -> None:
    assert list(NOTEBOOK) == sorted(path.stem for path in (ROOT / "configs").glob("run?.py"))
    assert all(load_config(ROOT / "configs" / f"{name}.py").name == name for name in NOTEBOOK)
