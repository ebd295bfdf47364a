"""The program `evaluate` on a tiny run of synthetic faces, and the pictures it draws."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from scipy.special import log_softmax

from fer_jax import fer2013
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import RunError
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.evaluate import predictions
from fer_jax.evaluate.options import EvaluateOptions
from fer_jax.evaluate.plots import plot_reliability, plot_robustness
from fer_jax.evaluate.run import predict_held_out
from fer_jax.evaluate.subject import Subject, choose_stem
from fer_jax.inference import labels
from fer_jax.inference.predictor import average, predict, predict_choices, predict_views
from fer_jax.inference.run_weights import Trained, load, load_data
from fer_jax.metrics.predictions import calibrate, make_figures, measure
from fer_jax.report.plots import write_png
from fer_jax.runs.record import DataRecord
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

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


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


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
    kinds = ("confusion", "reliability", "abstention", "robustness", "mistakes", "saliency", "neighbours")
    assert set(kinds) == set(named)
    for name, file in named.items():
        assert file == f"evaluate_val_{name}.png"
        assert min(size_of(finished / file)) > 100
    assert (finished / "report.html").exists()
    confidences = [each["confidence"] for each in evaluated["mistakes"]]
    assert confidences == sorted(confidences, reverse=True)


def test_another_part_in_several_views_has_its_own_files(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = finished / "evaluate_test_flip_robustness.png"
    stale.write_bytes(b"of another evaluation")
    assert evaluate.main([str(finished), "--split", "test", "--views", "flip", "--no-robustness"]) == 0
    output = capsys.readouterr().out
    figures, before = read(finished / "evaluate_test_flip.json"), read(finished / "metrics.json")["test"]
    assert figures["total"] == before["total"]
    assert figures["loss"] != pytest.approx(before["loss"], rel=1e-6)
    assert figures["views"] == ["identity", "flip"]
    assert "2 views, logits averaged: identity, flip" in output
    assert figures["robustness"] is None
    assert "robustness" not in figures["pictures"]
    assert not stale.exists()
    assert f"temperature {figures['calibration']['temperature']:.3f}, fitted on val" in output
    # The thresholds are those of val, in the same views.
    assert figures["abstention"]["chosen_on"] == "val" and not figures["abstention"]["is_chosen_here"]
    assert "flatters" not in output


@pytest.fixture(scope="module")
def trained(finished: Path) -> Trained:
    return load(finished, None, None)


def test_the_logits_are_averaged_over_the_views(trained: Trained) -> None:
    faces = load_data(trained, is_other_file=False).images[:5]
    seen: list[float] = []
    both = predict_choices(trained.network, faces, ("flip", "single"), advance=seen.append)
    assert sum(seen) == 2
    one, other = predict(trained.network, faces)[0], predict(trained.network, faces[:, :, ::-1])[0]
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(both["single"], one)
    np.testing.assert_allclose(both["flip"], (one.astype(float) + other) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(predict_views(trained.network, faces, "flip"), both["flip"])


def test_the_held_out_predictions_are_those_of_val_whatever_is_measured(trained: Trained) -> None:
    own = load_data(trained, is_other_file=False)
    rows, labelling = trained.saved["val"], labels.choose([trained], None, None)
    other = replace(own, sha256="0" * 64, labels=1 - own.labels)
    for examples in (own, other):
        found = predict_held_out(Console(), [trained], labelling, examples, "flip")
        assert found is not None
        np.testing.assert_allclose(
            found[0], predict_views(trained.network, own.images[rows], "flip"), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(found[1], own.labels[rows])


def temperature_by_hand(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find by bisection the temperature T at which the derivative of the likelihood by 1 / T is 0."""
    low, high = 1e-3, 1e3
    for _ in range(100):
        inverse = (low * high) ** 0.5
        powers = np.exp(inverse * (logits - logits.max(axis=1, keepdims=True)))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        slope = (logits[np.arange(len(labels)), labels] - (probabilities * logits).sum(axis=1)).mean()
        low, high = (inverse, high) if slope > 0 else (low, inverse)
    return 1 / inverse


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("views", ["single", "flip"])
@pytest.mark.parametrize("part", ["test", "val"])
def test_the_temperature_is_fitted_on_val_in_the_views_it_is_used_with(
    finished: Path, trained: Trained, part: str, views: str
) -> None:
    words = ["--split", part, "--views", views, "--no-robustness"]
    assert evaluate.main([str(finished), *words]) == 0
    name = part if views == "single" else f"{part}_{views}"
    found = read(finished / f"evaluate_{name}.json")["calibration"]["temperature"]
    examples = load_data(trained, is_other_file=False)

    def temperature_of(name: str, *, is_flipped: bool) -> float:
        rows = trained.saved[name]
        faces = examples.images[rows]
        logits = predict(trained.network, faces)[0].astype(np.float64)
        if is_flipped:
            logits = (logits + predict(trained.network, faces[:, :, ::-1])[0]) / 2
        return temperature_by_hand(logits, examples.labels[rows])

    is_flipped = views == "flip"
    assert found == pytest.approx(temperature_of("val", is_flipped=is_flipped), rel=1e-4)
    for other, other_flip in (("val", not is_flipped), ("test", is_flipped)):
        assert abs(temperature_of(other, is_flipped=other_flip) / found - 1) > 1e-3


def test_without_a_shared_validation_part_nothing_is_held_out_and_a_note_says_so(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    own, labelling = load_data(trained, is_other_file=False), labels.choose([trained], None, None)
    elsewhere = DataRecord("train.csv of another place", "0" * 64, is_synthetic=False)
    moved = replace(trained, record=replace(trained.record, data=elsewhere))
    console = Console(markup=False, highlight=False, soft_wrap=True)
    assert predict_held_out(console, [moved], labelling, own, "single") is None
    output = capsys.readouterr().out
    assert "note: no temperature and no threshold, for the validation part is not at hand" in output
    assert "train.csv of another place" in output
    assert predict_held_out(console, [trained, moved], labelling, own, "single") is None
    other = replace(trained, saved=trained.saved | {"val": trained.saved["val"][1:]})
    assert predict_held_out(console, [trained, other], labelling, own, "single") is None
    assert capsys.readouterr().out.count("for the runs share no validation part") == 2


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predictions_are_written_as_a_table(
    finished: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tables" / f"val{suffix}"
    words = [str(finished), "--no-robustness", "--predictions", str(path)]
    assert evaluate.main([*words, "--split", "all", "--views", "flip"]) == 0
    # The temperature and the thresholds are those of val, whose images are only some of these.
    output = capsys.readouterr().out
    assert output.count("on images that are measured too, which flatters") == 2
    assert "same images" not in output
    table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    run = load(finished, None, None)
    examples, result = load_data(run, is_other_file=False), read(finished / "evaluate_all_flip.json")
    assert list(table) == [
        *("row", "usage", "label", "predicted"),
        *(f"p_{name}" for name in fer2013.LABELS),
        "is_copy_of_training",
    ]
    assert table["row"].tolist() == list(range(len(examples)))
    assert table["label"].tolist() == [fer2013.LABELS[label] for label in examples.labels]
    assert table["usage"].tolist() == [fer2013.USAGES[usage] for usage in examples.usages]
    assert (table["label"] == table["predicted"]).sum() == result["correct"]
    logits = predict_views(run.network, examples.images, "flip")
    probabilities = table.filter(like="p_").to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(np.log(probabilities), log_softmax(logits, axis=1), rtol=1e-4, atol=1e-5)
    is_copy = table["is_copy_of_training"]
    assert result["copy_free"]["total"] == (~is_copy).sum()
    assert is_copy[run.saved["train"]].all() and is_copy.sum() == result["copies_of_training_images"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_table_without_usages_and_training_images_leaves_them_empty() -> None:
    examples = replace(draw_examples(seed=0, examples=3), usages=np.full(3, -1, np.int32))
    rows = labels.LabelledRows(examples, np.array([2, 0]), facts={}, notes=[])
    table = predictions.make_table(rows, np.eye(8)[[7, 0]], fer2013.NAMES, None)
    assert table["predicted"].tolist() == ["contempt", "angry"] and table["row"].tolist() == [2, 0]
    assert table[["usage", "is_copy_of_training"]].isna().all(axis=None)


def test_a_table_that_cannot_be_written_is_refused_before_the_work(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([str(finished), "--predictions", "val.xlsx"]) == 2
    assert "--predictions val.xlsx: wanted a name that ends in .csv or .parquet" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pyarrow" else name)
    assert evaluate.main([str(finished), "--predictions", "val.parquet"]) == 2
    assert (
        "val.parquet needs the package pyarrow, which is not installed; `pip install pyarrow` "
        "installs it; or write a CSV file" in capsys.readouterr().err
    )
    monkeypatch.setattr("fer_jax.evaluate.run.evaluate", lambda options: pytest.fail("the work began"))
    monkeypatch.chdir(tmp_path)
    Path("old.csv").write_text("old")
    Path("t.csv").mkdir()
    for name, said in (
        ("old.csv", "old.csv exists; give --overwrite to replace it, or another --predictions"),
        ("t.csv", "--predictions is t.csv, a folder; name a file"),
        ("old.csv/a.csv", "--predictions: old.csv cannot be written to"),
    ):
        assert evaluate.main([str(finished), "--predictions", name]) == 4
        assert said in capsys.readouterr().err
    Path("faces.csv").write_text("not read")
    words = [str(finished), "--data", "faces.csv", "--split", "all"]
    assert evaluate.main([*words, "--predictions", "faces.csv", "--overwrite"]) == 4
    assert "faces.csv is a source, and would be replaced; name another place" in capsys.readouterr().err
    words = [str(finished), "--data", ".", "--fit", "resize", "--predictions", "old.csv", "--overwrite"]
    assert evaluate.main(words) == 4
    assert "old.csv is in ., a source, and would be replaced; name another place" in capsys.readouterr().err


def write_csv(path: Path) -> None:
    """Write six noise faces, three of them PrivateTest: fear, happy and sad."""
    faces = np.random.default_rng(0).integers(0, 256, (6, 48 * 48))
    usages = ["Training", "PublicTest", "PrivateTest", "PrivateTest", "PrivateTest", "PublicTest"]
    lines = [f"{i % 7},{' '.join(map(str, face))},{usages[i]}" for i, face in enumerate(faces)]
    path.write_text("emotion,pixels,Usage\n" + "\n".join(lines) + "\n")


@pytest.mark.usefixtures("without_pictures")
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


@pytest.mark.usefixtures("without_pictures")
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
    result = read(two[0].parent / "ensemble_a+b_test_flip.json")
    runs = [load(folder, None, None) for folder in two]
    examples = load_data(runs[0], is_other_file=False)
    rows = runs[0].saved["test"]
    right = examples.labels[rows]
    each = [predict_views(run.network, examples.images[rows], "flip") for run in runs]
    wanted = measure((each[0] + each[1]) / 2, right, fer2013.LABELS)
    assert (result["correct"], result["confusion"]) == (wanted["correct"], wanted["confusion"])
    assert result["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    alone = [int((logits.argmax(axis=1) == right).sum()) for logits in each]
    assert [member["correct"] for member in result["members"]] == alone
    assert [member["run"] for member in result["members"]] == ["a", "b"]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    # The mean of two networks is never worse in its loss than the two are on average.
    assert result["loss"] <= np.mean([member["loss"] for member in result["members"]])
    assert result["calibration"]["fitted_on"] == "val" and result["views"] == ["identity", "flip"]
    val, faces = runs[0].saved["val"], examples.images[runs[0].saved["val"]]
    both = (faces, faces[:, :, ::-1])
    shown = [predict(run.network, x)[0].astype(np.float64) for run in runs for x in both]
    temperature = temperature_by_hand(np.mean(shown, axis=0), examples.labels[val])
    assert result["calibration"]["temperature"] == pytest.approx(temperature, rel=1e-4)
    output = capsys.readouterr().out
    assert f"{result['correct']:,} of {result['total']:,}" in output and "±" in output
    # A folder that holds the runs means all of them.
    assert evaluate.main([str(two[0].parent), *words, "--out", str(two[0].parent / "out")]) == 0
    assert read(two[0].parent / "out" / "ensemble_a+b_test_flip.json") == result


def test_a_result_of_other_runs_or_views_is_not_replaced(
    finished: Path, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*map(str, two), "--split", "test", "--out", str(tmp_path)]
    (tmp_path / "ensemble_a+b_test.json").write_text(json.dumps({"members": [{"finished": "2020"}] * 2}))
    assert evaluate.main(words) == 4
    assert 'its members.finished is ["2020", "2020"], and here' in capsys.readouterr().err
    assert evaluate.main([*words, "--overwrite"]) == evaluate.main(words) == 0
    # An older fer_jax wrote all views under one name.
    old, folder = {"views": ["identity", "flip"]}, tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "evaluate_all.json").write_text(json.dumps(old))
    assert evaluate.main([str(folder), "--split", "all", "--no-robustness"]) == 4
    assert "its views is" in capsys.readouterr().err and read(folder / "evaluate_all.json") == old


def test_many_runs_are_named_by_the_first_and_a_hash(two: list[Path]) -> None:
    run = load(two[0], None, None)
    many = [replace(run, folder=Path(f"runs/a-rather-long-name-seed{seed}")) for seed in range(9)]
    choose = labels.choose([run], None, None)
    options = EvaluateOptions(runs=(), split="test", out=Path("out"))
    stems = [choose_stem(Subject(runs, []), choose, options) for runs in (many, many[:8])]
    names = [stem.name for stem in stems if stem is not None]
    hashes = [
        re.fullmatch(r"ensemble_a-rather-long-name-seed0\+\d-others-(\w{8})_test", name) for name in names
    ]
    assert all(hashes) and names[0] != names[1]


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
    wanted = measure(logits.repeat(weights, axis=0), labels.repeat(weights), fer2013.LABELS)
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
    low, high = measure(logits, labels, fer2013.LABELS)["intervals"]["ece"]
    error = calibrate((logits, labels), None)["ece"]
    assert error > 0.015
    assert low == 0 and error < high < 0.1
    sure_low, sure_high = measure(3 * logits, labels, fer2013.LABELS)["intervals"]["ece"]
    assert sure_low > 0.2 and 0 < sure_high - sure_low < 0.15


def test_reliability_shows_one_panel_or_two(tmp_path: Path) -> None:
    both = some_predictions(500)
    write_png(plot_reliability(calibrate(both, both), title="run6, seed 0: val"), tmp_path / "two.png")
    write_png(plot_reliability(calibrate(both, None), title="run6, seed 0: val"), tmp_path / "one.png")
    width, height = size_of(tmp_path / "two.png")
    assert (width, height) == (1600, 1066)
    assert size_of(tmp_path / "one.png") == (800, 1066)


def test_robustness_draws_every_corruption(tmp_path: Path) -> None:
    each = {
        "name": "blur",
        "what": "deviation, px",
        "levels": [1, 2, 3, 4, 5],
        "correct": [60, 50, 40, 30, 0],
    }
    sheet = {"total": 100, "clean_correct": 65, "corruptions": [each] * 4}
    write_png(plot_robustness(sheet, title="run6, seed 0: val"), tmp_path / "a.png")
    assert size_of(tmp_path / "a.png")[0] == 1600
    write_png(plot_robustness(sheet | {"clean_correct": 70}, title="run6, seed 0: val"), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
