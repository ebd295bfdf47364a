"""Any number of classes with names of their own: what counts, names and draws them, and the programs."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import fer_jax
from fer_jax import fer2013
from fer_jax.audit import __main__ as audit
from fer_jax.compare import __main__ as compare
from fer_jax.config.data import LabelsConfig
from fer_jax.config.model import ModelConfig, find_name_fault
from fer_jax.data.examples import Examples, number_labels
from fer_jax.data.synthetic import draw_examples
from fer_jax.diagnose import __main__ as diagnose
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.export import __main__ as export
from fer_jax.faces.drawing import DrawnFace, draw
from fer_jax.inference import labels, weights
from fer_jax.inference.run_weights import load, load_data
from fer_jax.metrics import abstention
from fer_jax.metrics.predictions import calibrate, measure
from fer_jax.predict import __main__ as predict
from fer_jax.release import __main__ as release
from fer_jax.report.markdown import confusion_table
from fer_jax.report.plots import plot_confusion
from fer_jax.train import __main__ as train
from fer_jax.verify import __main__ as verify

NAMES = ("angry", "shy", "very calm")
TURNED = ("shy", "angry", "very calm")
MANY = tuple(f"a rather long name {number}" for number in range(20))


@pytest.mark.parametrize("names", [("no", "yes"), MANY], ids=["2", "20"])
def test_every_metric_is_that_of_its_definition(names: tuple[str, ...]) -> None:
    rng, classes = np.random.default_rng(0), len(names)
    labels = rng.integers(classes, size=400)
    logits = rng.normal(size=(400, classes)) + 2 * np.eye(classes)[labels]
    found = measure(logits, labels, names)
    assert [each["label"] for each in found["per_class"]] == list(found["roc_auc"]) == list(names)
    ranks = (logits > logits[np.arange(400), labels][:, None]).sum(axis=1)
    assert (found["correct"], found["top2_correct"]) == ((ranks == 0).sum(), (ranks < 2).sum())
    first = labels == 0
    scores = logits[:, 0] - np.log(np.exp(logits).sum(axis=1))
    wins = scores[first][:, None] > scores[~first]
    assert found["roc_auc"][names[0]] == pytest.approx(wins.mean())
    scaled = calibrate((logits, labels), (logits, labels))
    assert scaled["scaled"]["loss"] < found["loss"]
    thresholds = abstention.measure(logits, labels, validation=(logits, labels))["thresholds"]
    assert thresholds[-1]["accuracy"] >= found["accuracy"]
    scores_of_user = fer_jax.evaluate_predictions(
        [names[label] for label in labels],
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        names=names,
    )
    assert scores_of_user.correct == found["correct"]


def overlaps(figure: Figure) -> int:
    """Count how often the labels of an axis cover each other, and what leaves the picture."""
    figure.canvas.draw()
    (axes,) = figure.axes
    (width, height), count = figure.canvas.get_width_height(), 0
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        boxes = [tick.get_window_extent() for tick in ticks]
        count += sum(one.overlaps(other) for one, other in pairwise(boxes))
        count += sum(box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height for box in boxes)
    return count


@pytest.mark.parametrize(
    "names", [("no", "yes"), fer2013.LABELS, fer2013.NAMES, MANY, tuple(map(str, range(20)))], ids=len
)
def test_names_of_a_confusion_matrix_can_be_read(names: tuple[str, ...]) -> None:
    figure = plot_confusion(1234 * np.eye(len(names), dtype=np.int64), names, title="run, val")
    assert overlaps(figure) == 0
    assert all(3 <= side <= 20 for side in figure.get_size_inches())


def test_a_table_of_many_classes_numbers_its_columns() -> None:
    metrics = {"per_class": [{"label": name} for name in MANY], "confusion": np.eye(20, dtype=int).tolist()}
    head, first, *_ = confusion_table(metrics).splitlines()
    assert head.split()[-1] == "20" and first.startswith("a rather long name 0 1 ")
    assert len(head) < 110


def test_classes_of_a_drawn_picture_have_different_colours() -> None:
    def colour(k: int) -> tuple[int, ...]:
        face = DrawnFace((100, 100, 200, 200), np.eye(20)[k], None)
        drawn = draw(np.zeros((500, 500, 3), np.uint8), [face], MANY, abstain_below=0)
        return tuple(drawn[100, 200])

    assert len({colour(k) for k in range(20)}) == 20


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["calm"], "2 to 20 names"),
        (list(map(str, range(21))), "2 to 20 names"),
        (["calm", 3], "1 to 40 letters"),
        (["calm", ""], "1 to 40 letters"),
        (["calm", "x" * 41], "1 to 40 letters"),
        (["calm", "=2+3"], "1 to 40 letters"),
        (["calm", "<b>"], "1 to 40 letters"),
        (["calm", "a\u202eb"], "1 to 40 letters"),
        (["calm", "a  b"], "1 to 40 letters"),
        (["calm", "a/b"], "1 to 40 letters"),
        (["calm", "$x$"], "1 to 40 letters"),
        (["calm", "CALM"], "differ in more than their case"),
        (["calm", "Unsure"], "other names than unsure"),
        (["calm", "smooth_a"], "other names than unsure and smooth_"),
    ],
)
def test_names_that_cannot_name_classes_are_refused(names: list[Any], wanted: str) -> None:
    assert wanted in find_name_fault(names)


def test_names_of_any_script_name_classes() -> None:
    assert not find_name_fault(
        ["très calme", "злой", "怒り", "हिन्दी", "half-asleep (really)", "unsure of it"]
    )
    with pytest.raises(ConfigError, match=r"model.class_names is .*wanted 2 names: model.classes is that"):
        ModelConfig(classes=2, class_names=NAMES)


def test_labels_get_the_numbers_of_the_network() -> None:
    blank = np.zeros((4, 48, 48, 1), np.uint8)
    own = Examples(blank, np.array([0, 1, 2, -1], np.int32), np.full(4, -1, np.int32), "words", "0" * 64)
    own = replace(own, class_names=("very calm", "shy", "angry"))
    assert number_labels(own, NAMES).labels.tolist() == [2, 1, 0, -1]
    assert number_labels(replace(own, class_names=NAMES), NAMES).labels.tolist() == [0, 1, 2, -1]
    with pytest.raises(DataError, match=r"classes very calm, shy, angry.*give data without very calm"):
        number_labels(own, ("shy", "angry"))
    without = replace(own, labels=np.array([1, 2, 2, -1], np.int32))
    assert number_labels(without, ("angry", "shy")).labels.tolist() == [1, 0, 0, -1]
    seven = replace(own, class_names=())
    assert number_labels(seven, fer2013.NAMES) is seven
    with pytest.raises(DataError, match="the network has the classes angry, shy, very calm"):
        number_labels(seven, NAMES)


def write_pictures(folder: Path) -> None:
    """Write synthetic faces into a folder for each of three classes."""
    drawn = draw_examples(seed=0, examples=140)
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        path = folder / NAMES[label % 3] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)


def write_config(folder: Path, data: Path, *, rate: float, names: tuple[str, ...] = ()) -> Path:
    """Write the config of a tiny network for the three classes."""
    path = folder / f"own{rate:g}.py"
    path.write_text(
        '"""Three classes."""\n'
        "from fer_jax.config import *\n"
        "config = Config(\n"
        f'    name="own{rate:g}",\n'
        f'    data=DataConfig(path={str(data)!r}, class_map="folders"),\n'
        f"    model=ModelConfig(blocks=(ConvBlock(features=4, pool=True),), dense_features=8, \n"
        f"        classes={len(names) or 7}, class_names={names!r}),\n"
        f"    optimizer=OptimizerConfig(peak_rate={rate}, warmup_epochs=0),\n"
        "    train=TrainConfig(batch_size=16, epochs=2),\n"
        ")\n"
    )
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, quick_compile: None) -> Path:
    """Train two tiny networks on pictures of three classes."""
    folder = tmp_path_factory.mktemp("own")
    write_pictures(folder / "pictures")
    for rate in (0.01, 0.002):
        config = write_config(folder, folder / "pictures", rate=rate)
        words = ["--config", str(config), "--run-dir", str(folder / f"run{rate:g}")]
        assert train.main(words) == 0
    return folder


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    return home / "run0.01"


@pytest.fixture(scope="module")
def released(home: Path, run: Path) -> Path:
    assert release.main([str(run), "--name", "own", "--out", str(home), "--dtype", "float32"]) == 0
    return home / "own.safetensors"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_and_its_evaluation_name_the_classes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = read(run / "metrics.json")["val"]
    assert [each["label"] for each in metrics["per_class"]] == list(NAMES)
    table = run.parent / "predictions.csv"
    assert evaluate.main([str(run), "--no-robustness", "--predictions", str(table)]) == 0
    assert read(run / "evaluate_val.json")["confusion"] == metrics["confusion"]
    head, *rows = table.read_text().splitlines()
    assert head.startswith("row,usage,label,predicted,p_angry,p_shy,p_very calm")
    assert {row.split(",")[2] for row in rows} == set(NAMES)
    shown = capsys.readouterr()
    assert "very calm" in shown.out and "FER2013" not in shown.out
    page = (run / "report.html").read_text()
    assert ">very calm<" in page and "contempt" not in page and "disgust" not in page
    assert "one in 3." in page and "The loss of a uniform guess is 1.0986." in page
    assert evaluate.main([str(run), "--split", "PublicTest"]) == 3
    assert "PublicTest is a part of FER2013, and" in capsys.readouterr().err
    assert evaluate.main([str(run), "--labels", "ferplus"]) == 2
    assert "FER+ has no votes for the classes angry, shy, very calm" in capsys.readouterr().err


def test_a_run_is_measured_on_labels_of_fer2013_by_name(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.new("L", (48, 48), 99)
    for label in ("0", "sad"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
    image.save(tmp_path / "pictures" / "0" / "1.png")
    words = [str(run), "--data", str(tmp_path / "pictures"), "--split", "all", "--class-map", "fer2013"]
    words += ["--no-robustness", "--predictions", str(tmp_path / "table.csv"), "--overwrite"]
    assert evaluate.main(words) == 0
    assert [row.split(",")[2] for row in (tmp_path / "table.csv").read_text().splitlines()[1:]] == ["angry"]
    image.save(tmp_path / "pictures" / "sad" / "2.png")
    assert evaluate.main(words) == 3
    assert "the classes angry, shy, very calm; give data without sad" in capsys.readouterr().err


def test_runs_with_the_same_classes_are_compared_and_others_refused(
    home: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main([str(run), str(home / "run0.002"), "--no-speed", "--out", str(tmp_path)]) == 0
    result = read(tmp_path / "compare.json")
    assert result["labels"] == "the data" and result["runs"][0]["class_names"] == list(NAMES)
    config = write_config(tmp_path, home / "pictures", rate=0.003, names=TURNED)
    assert (
        train.main(["--config", str(config), "--run-dir", str(tmp_path / "turned"), "--train.epochs", "1"])
        == 0
    )
    capsys.readouterr()
    assert compare.main([str(run), str(tmp_path / "turned"), "--out", str(tmp_path)]) != 0
    assert "turned has the classes shy, angry, very calm" in capsys.readouterr().err
    assert evaluate.main([str(run), str(tmp_path / "turned")]) == 2
    assert "in the same order" in capsys.readouterr().err


def test_a_teacher_has_the_same_classes(
    home: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(write_config(tmp_path, home / "pictures", rate=0.005, names=TURNED))]
    words += ["--run-dir", str(tmp_path / "student"), "--distill.teachers", str(run)]
    assert train.main(words) == 2
    assert "give a teacher with the same classes in the same order" in capsys.readouterr().err


def test_a_diagnosis_does_not_compare_own_classes_with_people(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnose.main([str(run)]) == 0
    found = {each["rule"]: each for each in read(run / "diagnosis.json")["findings"]}
    assert not found["bias"]["holds"] and not found["acceptable"]["holds"]
    assert "how well one person tells these classes apart is not known" in found["bias"]["says"]
    assert "ln 7" not in capsys.readouterr().out


def test_released_weights_carry_the_names(
    home: Path, run: Path, released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = read(home / "own.json")
    assert (card["labels"], card["training"]["labels"]) == (list(NAMES), "own labels")
    assert {(each["part"], each["labels"]) for each in card["figures"]} == {
        (part, "own labels") for part in ("train", "val", "test")
    }
    assert "disgust" not in json.dumps(card["limits"]) and "Kaggle" not in card["training"]["terms"]
    own = fer_jax.load(released)
    examples = load_data(load(run, None, None), is_other_file=False)
    assert own.labels == own.network.names == NAMES
    assert own.predict(examples.images[:2]).shape == (2, 3)
    capsys.readouterr()
    assert verify.main([str(run), str(released), "--data", str(home / "pictures")]) == 0
    assert "DIFFERS" not in capsys.readouterr().out
    # Data of fewer classes, in another order of folders: labels are matched by name.
    table, fewer = home / "fewer.csv", home / "fewer"
    for name in ("very calm", "shy"):
        (fewer / name).mkdir(parents=True)
        Image.fromarray(examples.images[0, ..., 0]).save(fewer / name / "0.png")
    words = ["--data", str(fewer), "--split", "all", "--predictions", str(table)]
    assert evaluate.main([str(released), *words]) == 0
    assert {line.split(",")[2] for line in table.read_text().splitlines()[1:]} == {"very calm", "shy"}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (list(TURNED), "its network has the classes angry, shy, very calm, and its labels"),
        (["angry", "shy"], "its network has the classes angry, shy, very calm, and its labels"),
        (["very calm", "angry", "<script>"], "its labels cannot name classes; wanted names of 1 to 40"),
        (["very calm", "angry", 3], "its labels cannot name classes"),
        ([], "its labels cannot name classes; wanted 2 to 20 names"),
    ],
)
def test_a_card_with_other_names_than_its_network_is_refused(
    home: Path, released: Path, labels: list[Any], said: str
) -> None:
    card = read(home / "own.json")
    with pytest.raises(RunError, match=said):
        weights.build(card | {"labels": labels}, released.read_bytes(), where="card")


def test_exports_and_photos_have_the_names(
    home: Path, run: Path, released: Path, tmp_path: Path, portrait: np.ndarray
) -> None:
    pytest.importorskip("onnxruntime")
    for network, part in ((str(released), "PublicTest"), (str(run), "all faces")):
        out = tmp_path / Path(network).stem
        assert export.main([network, "--out", str(out)]) == 0
        (about,) = out.glob("*.json")
        told = read(about)
        assert told["labels"] == list(NAMES) and told["compared"]["changed"] == 0, part
    photo, table = tmp_path / "photo.png", tmp_path / "faces.csv"
    Image.fromarray(portrait).save(photo)
    words = ["--weights", str(released), "--csv", str(table), "--out", str(tmp_path / "drawn")]
    assert predict.main([str(photo), *words]) == 0
    assert "p_angry,p_shy,p_very calm,label_smooth,p_smooth_angry" in table.read_text()


def test_an_audit_names_the_classes(home: Path, tmp_path: Path) -> None:
    config = str(home / "own0.01.py")
    assert audit.main(["--config", config, "--folds", "2", "--epochs", "1", "--out", str(tmp_path)]) == 0
    found = read(tmp_path / "audit.json")["label_errors"]
    assert found["classes"] == list(NAMES) and np.shape(found["confident_joint"]) == (3, 3)
    assert "very calm" in (tmp_path / "audit.html").read_text()


def test_labels_of_networks_with_other_classes_are_refused(run: Path) -> None:
    own, tiny = load(run, None, None), fer_jax.load("tiny")
    with pytest.raises(
        ConfigError, match="one network has the classes angry, shy, very calm, and another angry"
    ):
        labels.choose([own, tiny], None, None)
    assert labels.choose([own], None, None).config == LabelsConfig()
