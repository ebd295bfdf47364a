"""The program `evaluate` on a tiny run of synthetic faces, and the pictures it draws."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fer_jax import fer2013
from fer_jax.errors import RunError
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.evaluate.plots import plot_reliability, plot_robustness
from fer_jax.evaluate.run import predict_held_out
from fer_jax.inference.ensemble import average, average_views
from fer_jax.inference.predictor import predict
from fer_jax.inference.run_weights import Trained, load, load_data
from fer_jax.metrics.predictions import calibrate, make_figures, measure
from fer_jax.train import __main__ as train

ROOT = Path(__file__).parents[2]
SMALL = (
    "--config",
    str(ROOT / "configs" / "run6.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "420"),
    *("--model.blocks.0.features", "4", "--model.blocks.1.features", "8", "--model.blocks.2.features", "8"),
    *("--model.dense-features", "16", "--train.batch-size", "16", "--train.epochs", "2"),
)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert train.main([*SMALL, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def evaluated(finished: Path) -> Any:
    assert evaluate.main([str(finished)]) == 0
    return read(finished / "evaluate_val.json")


def test_the_figures_are_those_of_the_run(finished: Path, evaluated: Any) -> None:
    before = read(finished / "metrics.json")["val"]
    loss = before.pop("loss")
    assert {name: evaluated[name] for name in before} == before
    assert evaluated["loss"] == pytest.approx(loss, rel=1e-5)


def test_every_figure_stands_inside_its_interval(evaluated: Any) -> None:
    intervals = evaluated["intervals"]
    assert (intervals["level"], intervals["resamples"], intervals["seed"]) == (0.95, 1000, 0)
    for name in ("accuracy", "top2_accuracy", "balanced_accuracy", "macro_f1", "loss", "macro_roc_auc"):
        low, high = intervals[name]
        assert low < evaluated[name] < high, name
    assert set(evaluated["roc_auc"]) == set(intervals["roc_auc"]) == set(fer2013.LABELS)
    for label, (low, high) in intervals["roc_auc"].items():
        assert low <= evaluated["roc_auc"][label] <= high
    # The middle of the bootstrap's interval of a share is about Wilson's.
    assert np.mean(intervals["accuracy"]) == pytest.approx(evaluated["accuracy"], abs=0.03)
    assert evaluated["top2_correct"] == round(evaluated["top2_accuracy"] * evaluated["total"])
    assert evaluated["top2_correct"] > evaluated["correct"]


def test_the_temperature_lowers_the_loss_of_the_images_it_is_fitted_on(evaluated: Any) -> None:
    calibration = evaluated["calibration"]
    assert calibration["fitted_on"] == "val"
    assert calibration["scaled"]["loss"] <= evaluated["loss"]
    for bins in (calibration["bins"], calibration["scaled"]["bins"]):
        assert sum(each["count"] for each in bins) == evaluated["total"]
        assert sum(each["count"] * (each["accuracy"] or 0) for each in bins) == pytest.approx(
            evaluated["correct"]
        )


def test_the_sheet_counts_nine_corruptions_of_the_same_images(evaluated: Any) -> None:
    sheet = evaluated["robustness"]
    assert (sheet["total"], sheet["clean_correct"]) == (evaluated["total"], evaluated["correct"])
    assert len(sheet["corruptions"]) == 9
    for each in sheet["corruptions"]:
        assert len(each["levels"]) == len(each["correct"]) == 5
        assert all(0 <= correct <= sheet["total"] for correct in each["correct"])
    assert len({tuple(each["correct"]) for each in sheet["corruptions"]}) > 1


def test_pictures_and_page_are_written(finished: Path, evaluated: Any) -> None:
    named = evaluated["pictures"]
    assert {"confusion", "reliability", "robustness", "mistakes", "saliency", "neighbours"} == set(named)
    for name, file in named.items():
        assert file == f"evaluate_val_{name}.png"
        assert min(Image.open(finished / file).size) > 100
    assert (finished / "report.html").exists()
    confidences = [each["confidence"] for each in evaluated["mistakes"]]
    assert confidences == sorted(confidences, reverse=True)


def test_another_part_in_several_views_has_its_own_files(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = finished / "evaluate_test_robustness.png"
    stale.write_bytes(b"of another evaluation")
    assert evaluate.main([str(finished), "--split", "test", "--views", "flip", "--no-robustness"]) == 0
    output = capsys.readouterr().out
    figures, before = read(finished / "evaluate_test.json"), read(finished / "metrics.json")["test"]
    assert figures["total"] == before["total"]
    assert figures["loss"] != pytest.approx(before["loss"], rel=1e-6)
    assert figures["views"] == ["identity", "flip"]
    assert "2 views, logits averaged: identity, flip" in output
    assert figures["robustness"] is None
    assert "robustness" not in figures["pictures"]
    assert not stale.exists()
    assert f"temperature {figures['calibration']['temperature']:.3f}, fitted on val" in output
    assert "flatters" not in output


@pytest.fixture(scope="module")
def trained(finished: Path) -> Trained:
    return load(finished, None, None)


def test_the_logits_are_averaged_over_the_views(trained: Trained) -> None:
    faces = load_data(trained, is_other_file=False).images[:5]
    averaged = average_views(Console(), trained, faces, ["identity", "flip"])
    one, other = predict(trained, faces)[0], predict(trained, faces[:, :, ::-1])[0]
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_allclose(averaged, (one.astype(float) + other) / 2, rtol=1e-5, atol=1e-6)


def test_the_held_out_predictions_are_those_of_val_whatever_is_measured(trained: Trained) -> None:
    own = load_data(trained, is_other_file=False)
    rows, measured = trained.saved["val"], (np.zeros((2, 7)), np.array([0, 1]))
    other = replace(own, sha256="0" * 64, labels=1 - own.labels)
    for examples in (own, other):
        found = predict_held_out(Console(), trained, examples, ["identity"], measured, part="all")
        assert found is not None
        np.testing.assert_allclose(found[0], predict(trained, own.images[rows])[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[1], own.labels[rows])
    assert predict_held_out(Console(), trained, own, ["identity"], measured, part="val") is measured


def test_without_the_runs_own_data_nothing_is_held_out_and_a_note_says_so(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = load_data(trained, is_other_file=False)
    elsewhere = {"is_synthetic": False, "sha256": "0" * 64, "description": "train.csv of another place"}
    moved = replace(trained, facts=trained.facts | {"data": elsewhere})
    measured = (np.zeros((2, 7)), np.array([0, 1]))
    console = Console(markup=False, highlight=False, soft_wrap=True)
    assert predict_held_out(console, moved, own, ["identity"], measured, part="all") is None
    output = capsys.readouterr().out
    assert "note: no temperature, for the validation part is not at hand" in output
    assert "train.csv of another place" in output


def write_csv(path: Path) -> None:
    """Write six noise faces, three of them PrivateTest: fear, happy and sad."""
    faces = np.random.default_rng(0).integers(0, 256, (6, 48 * 48))
    usages = ["Training", "PublicTest", "PrivateTest", "PrivateTest", "PrivateTest", "PublicTest"]
    lines = [f"{i % 7},{' '.join(map(str, face))},{usages[i]}" for i, face in enumerate(faces)]
    path.write_text("emotion,pixels,Usage\n" + "\n".join(lines) + "\n")


def test_the_private_rows_of_another_file_are_measured(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fer2013.csv"
    write_csv(path)
    words = [str(finished), "--data", str(path), "--no-robustness"]
    assert evaluate.main([*words, "--split", "PrivateTest"]) == 0
    figures = read(finished / "evaluate_PrivateTest.json")
    assert figures["total"] == 3
    assert [row["count"] for row in figures["per_class"]] == [0, 0, 1, 1, 1, 0, 0]
    assert figures["roc_auc"]["angry"] is None
    assert figures["intervals"]["roc_auc"]["angry"] is None
    assert figures["calibration"]["temperature"] > 0
    assert evaluate.main([*words, "--split", "test"]) == 3
    assert "leave out --data" in capsys.readouterr().err


def test_the_next_good_checkpoint_is_used_and_the_damaged_one_named(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(finished, folder)
    (folder / "checkpoints" / "last" / "meta.json").unlink()
    assert evaluate.main([str(folder), "--no-robustness"]) == 0
    assert "checkpoints/last cannot be used: meta.json" in capsys.readouterr().out
    assert read(folder / "evaluate_val.json")["checkpoint"]["name"] == "best"
    shutil.rmtree(folder / "checkpoints")
    assert evaluate.main([str(folder)]) == 4
    assert "train again" in capsys.readouterr().err


@pytest.fixture(scope="module")
def two(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Make two runs of one: with its last weights, and with those of the epoch before."""
    home = tmp_path_factory.mktemp("two")
    for name in ("a", "b"):
        shutil.copytree(finished, home / name)
    for name in ("last", "best"):
        shutil.rmtree(home / "b" / "checkpoints" / name)
        shutil.copytree(home / "b" / "checkpoints" / "previous", home / "b" / "checkpoints" / name)
    return [home / "a", home / "b"]


def test_an_ensemble_averages_the_logits_of_its_runs(
    two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--split", "test", "--views", "flip"]
    assert evaluate.main([*map(str, two), *words]) == 0
    result = read(two[0].parent / "ensemble_test.json")
    runs = [load(folder, None, None) for folder in two]
    examples = load_data(runs[0], is_other_file=False)
    rows = runs[0].saved["test"]
    labels = examples.labels[rows]
    each = [average_views(Console(), run, examples.images[rows], ["identity", "flip"]) for run in runs]
    wanted = measure((each[0] + each[1]) / 2, labels)
    assert (result["correct"], result["confusion"]) == (wanted["correct"], wanted["confusion"])
    assert result["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    alone = [int((logits.argmax(axis=1) == labels).sum()) for logits in each]
    assert [member["correct"] for member in result["members"]] == alone
    assert [member["run"] for member in result["members"]] == ["a", "b"]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    # The mean of two networks is never worse in its loss than the two are on average.
    assert result["loss"] <= np.mean([member["loss"] for member in result["members"]])
    assert result["calibration"]["fitted_on"] == "val" and result["views"] == ["identity", "flip"]
    output = capsys.readouterr().out
    assert f"{result['correct']:,} of {result['total']:,}" in output and "±" in output
    # A folder that holds the runs means all of them.
    assert evaluate.main([str(two[0].parent), *words, "--out", str(two[0].parent / "out")]) == 0
    assert read(two[0].parent / "out" / "ensemble_test.json") == result


def test_runs_that_make_no_ensemble_are_refused(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([]) == 2
    assert "no run was named; give one such as" in capsys.readouterr().err
    assert evaluate.main([str(two[0]), "--out", str(tmp_path)]) == 2
    assert "--out is for several runs" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(two[1], other)
    with np.load(other / "split.npz") as parts:
        saved = dict(parts)
    np.savez(other / "split.npz", **saved | {"val": saved["test"]})
    assert evaluate.main([str(two[0]), str(other)]) == 4
    assert "their val images differ; name runs of one split" in capsys.readouterr().err
    (other / "run.json").write_text(json.dumps(read(other / "run.json") | {"finished": None}))
    assert evaluate.main([str(two[0]), str(other)]) == 4
    assert "other is not finished; go on with it" in capsys.readouterr().err
    with pytest.raises(RunError, match="b tells 8 classes apart, and a 7; name runs of as many"):
        average([np.zeros((2, 7)), np.zeros((2, 8))], [Path("a"), Path("b")])


def some_predictions(images: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, images)
    return rng.normal(size=(images, 7)) + 2 * np.eye(7)[labels], labels


def test_the_figures_with_weights_are_those_of_repeated_images() -> None:
    logits, labels = some_predictions(60)
    weights = np.random.default_rng(1).integers(0, 4, 60)
    values = make_figures(logits, labels)(weights[None].astype(float))
    wanted = measure(logits.repeat(weights, axis=0), labels.repeat(weights))
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy", "loss", "macro_roc_auc"):
        assert values[name][0] == pytest.approx(wanted[name]), name
    assert values["roc_auc"][0].tolist() == pytest.approx(list(wanted["roc_auc"].values()))
    assert len(set(wanted["roc_auc"].values())) == 7


def test_the_interval_of_the_calibration_error_covers_the_true_one() -> None:
    # The labels are drawn from the probabilities themselves: there is no error but that of chance.
    rng = np.random.default_rng(2)
    logits = 1.2 * rng.normal(size=(1500, 7))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probs.cumsum(axis=1) > rng.random((1500, 1))).argmax(axis=1)
    low, high = measure(logits, labels)["intervals"]["ece"]
    error = calibrate((logits, labels), None)["ece"]
    assert error > 0.015
    assert low == 0 and error < high < 0.1
    sure_low, sure_high = measure(3 * logits, labels)["intervals"]["ece"]
    assert sure_low > 0.2 and 0 < sure_high - sure_low < 0.15


def test_reliability_shows_one_panel_or_two(tmp_path: Path) -> None:
    both = some_predictions(500)
    plot_reliability(calibrate(both, both), tmp_path / "two.png", title="run6, seed 0: val")
    plot_reliability(calibrate(both, None), tmp_path / "one.png", title="run6, seed 0: val")
    width, height = Image.open(tmp_path / "two.png").size
    assert (width, height) == (1600, 1066)
    assert Image.open(tmp_path / "one.png").size == (800, 1066)


def test_robustness_draws_every_corruption(tmp_path: Path) -> None:
    each = {
        "name": "blur",
        "what": "deviation, px",
        "levels": [1, 2, 3, 4, 5],
        "correct": [60, 50, 40, 30, 0],
    }
    sheet = {"total": 100, "clean_correct": 65, "corruptions": [each] * 4}
    plot_robustness(sheet, tmp_path / "a.png", title="run6, seed 0: val")
    assert Image.open(tmp_path / "a.png").size[0] == 1600
    plot_robustness(sheet | {"clean_correct": 70}, tmp_path / "b.png", title="run6, seed 0: val")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
