"""Eight classes from training to page, and runs measured by FER2013's labels and by FER+'s."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.compare import __main__ as compare
from fer_jax.config.data import DataConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.inference import weights
from fer_jax.inference.predictor import predict
from fer_jax.inference.run_weights import load
from fer_jax.metrics.predictions import measure
from fer_jax.release import __main__ as release
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(__file__).parents[2]
CONTEMPT = 7
FACES = 140
SMALL = (
    *("--config", str(ROOT / "configs" / "run1.py")),
    *("--data.source", "synthetic", "--data.synthetic-examples", str(FACES)),
    *("--model.blocks.0.features", "2", "--model.blocks.0.pool", "--model.dense-features", "4"),
    *("--train.batch-size", "16", "--train.epochs", "1"),
)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def faces() -> Examples:
    return load_examples(DataConfig(source="synthetic", synthetic_examples=FACES))


@pytest.fixture(scope="module")
def decided(faces: Examples) -> np.ndarray:
    """Make the labels that the votes below decide: of five rows one is contempt, and one has none."""
    labels = faces.labels.copy()
    labels[3::5], labels[4::5] = CONTEMPT, fer2013.UNLABELLED
    return labels


@pytest.fixture(scope="module")
def votes(faces: Examples, decided: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = []
    for label, usage in zip(decided, faces.usages, strict=True):
        counts = dict.fromkeys(CHOICES, 0)
        counts |= {"unknown": 10} if label < 0 else {CHOICE_OF_LABEL[label]: 7, "NF": 3}
        rows.append(",".join([fer2013.USAGES[max(usage, 0)], "", *map(str, counts.values())]))
    path = tmp_path_factory.mktemp("votes") / "fer2013new.csv"
    path.write_text("\n".join([",".join(HEADER), *rows]))
    return path


@pytest.fixture(scope="module")
def eight(votes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "eight"
    words = ["--labels.source", "ferplus", "--labels.mode", "votes", "--labels.ferplus", str(votes)]
    craft = ["--loss.label-smoothing", "0.1", "--loss.class-weights", "sqrt", "--train.sampling", "balanced"]
    mix = ["--mix.probability", "0.5"]
    run = ["--model.classes", "8", "--run-dir", str(folder)]
    assert train.main([*SMALL, *words, *craft, *mix, *run]) == 0
    return folder


@pytest.fixture(scope="module")
def seven(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "seven"
    shutil.copytree(tiny_run, folder)
    return folder


def test_eight_classes_train_and_are_reported(eight: Path) -> None:
    metrics = read(eight / "metrics.json")["val"]
    assert np.array(metrics["confusion"]).shape == (8, 8)
    assert [row["label"] for row in metrics["per_class"]] == list(fer2013.NAMES)
    assert metrics["per_class"][CONTEMPT]["count"] > 0
    assert "| contempt |" in (eight / "report.md").read_text()
    page = (eight / "report.html").read_text()
    assert "one in eight.</span> The loss of a uniform guess is 2.0794" in page and "contempt" in page


def test_a_run_is_measured_by_both_sets_of_labels_side_by_side(
    eight: Path,
    faces: Examples,
    decided: np.ndarray,
    leave_out_pictures: Callable[[], AbstractContextManager[None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with leave_out_pictures():
        assert evaluate.main([str(eight), "--no-robustness"]) == 0
    own, before = read(eight / "evaluate_val.json"), read(eight / "metrics.json")["val"]
    assert (own["labels"], own["undecided_rows"]) == ("ferplus", 0)
    assert (own["correct"], own["confusion"]) == (before["correct"], before["confusion"])
    assert set(own["roc_auc"]) == set(fer2013.NAMES)

    words = [str(eight), "--split", "PublicTest", "--no-robustness"]
    rows = np.flatnonzero(faces.usages == fer2013.USAGES.index("PublicTest"))
    answers = predict(load(eight, None, None).network, faces.images[rows])[0].argmax(axis=1)
    capsys.readouterr()
    # Its pictures and page are drawn: of eight classes, one without images, beside the raters.
    assert evaluate.main([*words, "--labels", "fer2013"]) == 0
    theirs, output = read(eight / "evaluate_PublicTest_fer2013.json"), capsys.readouterr().out
    assert not (eight / "evaluate_PublicTest.json").exists()
    assert (theirs["labels"], theirs["undecided_rows"], theirs["total"]) == ("fer2013", 0, len(rows))
    # Contempt is no label of FER2013, so it is never right.
    assert theirs["correct"] == (answers == faces.labels[rows]).sum()
    assert theirs["per_class"][CONTEMPT]["count"] == 0 and theirs["roc_auc"]["contempt"] is None
    assert theirs["per_class"][CONTEMPT]["predicted"] == (answers == CONTEMPT).sum()
    assert "note: FER2013 has no contempt: that answer counts as wrong" in output
    # Of the raters seven in ten agree, and all on what is unknown; the label stays the others' choice.
    is_decided = decided[rows] != fer2013.UNLABELLED
    both = theirs["raters"]["rater"], theirs["raters"]["network"]
    assert both[0]["expected_correct"] == pytest.approx((~is_decided).sum() + 0.7 * is_decided.sum())
    assert both[1]["expected_correct"] == pytest.approx((answers == decided[rows])[is_decided].sum())

    with leave_out_pictures():
        assert evaluate.main(words) == 0
    own, is_kept = read(eight / "evaluate_PublicTest.json"), decided[rows] != fer2013.UNLABELLED
    assert (own["labels"], own["total"]) == ("ferplus", is_kept.sum())
    assert own["correct"] == (answers == decided[rows])[is_kept].sum()
    assert own["raters"]["network"]["expected_correct"] == pytest.approx(own["correct"])
    assert own["raters"]["rater"]["accuracy"] == pytest.approx(0.7)
    said = f"FER+: its votes decide {is_kept.sum()} of {len(rows)} rows of PublicTest"
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("without_pictures")
def test_a_network_of_seven_is_measured_by_the_rule_of_seven(
    seven: Path, eight: Path, votes: Path, decided: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(seven), "--split", "all", "--no-robustness", "--labels", "ferplus"]
    assert evaluate.main([*words, "--ferplus", str(votes)]) == 0
    figures, output = read(seven / "evaluate_all_ferplus.json"), capsys.readouterr().out
    is_kept = (decided != fer2013.UNLABELLED) & (decided != CONTEMPT)
    assert (figures["total"], figures["undecided_rows"]) == (is_kept.sum(), FACES - is_kept.sum())
    counts = np.bincount(decided[is_kept], minlength=7)
    assert [row["count"] for row in figures["per_class"]] == counts.tolist()
    # The temperature's images are measured by the same labels.
    assert figures["calibration"]["fitted_on"] == "val"
    assert "note: the network has seven classes: rows that contempt wins are left out" in output
    assert evaluate.main([str(seven), str(eight)]) == 2
    assert (
        "trained on the labels of FER2013 and of FER+; choose those to measure by" in capsys.readouterr().err
    )
    assert evaluate.main([str(seven), "--labels", "ferplus", "--ferplus", "none.csv"]) == 3
    assert "there is no file of FER+ votes none.csv" in capsys.readouterr().err


def test_runs_on_votes_are_compared_by_the_votes(
    eight: Path, seven: Path, decided: np.ndarray, faces: Examples, tmp_path: Path, capsys: Any
) -> None:
    for name in ("one", "other"):
        shutil.copytree(eight, tmp_path / name)
    config = read(tmp_path / "other" / "config.json")
    config["optimizer"]["peak_rate"] *= 2
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    runs = [str(tmp_path / name) for name in ("one", "other")]
    assert compare.main([*runs, "--split", "all"]) == 0
    compared = read(tmp_path / "compare.json")
    answers = predict(load(eight, None, None).network, faces.images)[0].argmax(axis=1)
    for run in compared["runs"]:
        assert run["seeds"][0]["parts"]["all"]["correct"] == (answers == decided).sum()
    assert (compared["images"], compared["labels"]) == ((decided >= 0).sum(), "FER+")
    capsys.readouterr()
    assert compare.main([runs[0], str(seven)]) == 4
    assert "seven has 7 classes of FER2013's labels" in capsys.readouterr().err


def test_an_ensemble_of_eight_classes_takes_the_same_option(eight: Path, tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("a", "b")]
    for run in runs:
        shutil.copytree(eight, run)
    words = [*map(str, runs), "--split", "PublicTest"]
    for more, name in (
        ([], "ensemble_a+b_PublicTest"),
        (["--labels", "fer2013"], "ensemble_a+b_PublicTest_fer2013"),
    ):
        assert evaluate.main([*words, *more]) == 0
        together = read(tmp_path / f"{name}.json")
        assert [each["correct"] for each in together["members"]] == [together["correct"]] * 2
        assert together["labels"] == ("fer2013" if more else "ferplus")
        assert np.array(together["confusion"]).shape == (8, 8)


def test_released_weights_of_eight_classes_can_be_used(eight: Path, faces: Examples, tmp_path: Path) -> None:
    assert release.main([str(eight), "--name", "eight", "--out", str(tmp_path)]) == 0
    classifier = weights.read(tmp_path, "eight")
    assert classifier.labels == fer2013.NAMES
    assert classifier.predict(faces.images[:3]).shape == (3, 8)
    kinds = {figures["labels"] for figures in classifier.card["figures"]}
    assert kinds == {"FER2013", "FER+ majority"}


def test_the_figures_of_eight_classes_by_hand() -> None:
    labels = np.array([0, 7, 7, 3])
    logits = np.zeros((4, 8))
    logits[np.arange(4), [0, 7, 3, 3]] = 9
    figures = measure(logits, labels, fer2013.NAMES)
    assert (figures["correct"], figures["total"]) == (3, 4)
    assert np.argwhere(figures["confusion"]).tolist() == [[0, 0], [3, 3], [7, 3], [7, 7]]
    assert figures["per_class"][7] == {
        **{"label": "contempt", "precision": 1.0, "recall": 0.5, "f1": 2 / 3},
        **{"count": 2, "predicted": 1},
    }
    # One of the two contempts looks more like it than both others, and one just as little as they do.
    assert figures["roc_auc"]["contempt"] == pytest.approx(0.75)
    assert figures["balanced_accuracy"] == pytest.approx((1 + 1 + 0.5) / 3)


def test_eight_classes_without_the_votes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*SMALL, "--model.classes", "8"]) == 2
    wanted = (
        "model.classes is 8; wanted 7, or 8 with labels.source ferplus: FER2013's own labels have no contempt"
    )
    assert wanted in capsys.readouterr().err
