"""Distillation: the blended targets by hand, a taught run that is resumed, and teachers that are refused."""

import shutil
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.config.data import DataConfig, SplitConfig
from fer_jax.config.run import Config
from fer_jax.config.training import DistillConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.split import Split, split_examples
from fer_jax.data.targets import SoftLabels
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, write_arrays, write_json
from fer_jax.inference import classifiers, distillation
from fer_jax.inference.distillation import Distilled, distill
from fer_jax.inference.predictor import predict
from fer_jax.inference.run_weights import load
from fer_jax.inference.teachers import Student
from fer_jax.runs import inputs, record, sources
from fer_jax.runtime.disk import lock
from fer_jax.train import __main__ as train
from fer_jax.verify import __main__ as verify

pytestmark = pytest.mark.usefixtures("quick_compile")

DATA = DataConfig(source="synthetic", synthetic_examples=140)
EXAMPLES = load_examples(DATA)
SPLIT = split_examples(EXAMPLES, SplitConfig())
SMALL = (
    "--config",
    str(Path(__file__).parents[2] / "configs" / "run1.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "140"),
    *("--model.blocks.0.features", "2", "--model.blocks.0.pool"),
    *("--model.dense-features", "4", "--train.batch-size", "16", "--train.epochs", "1"),
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no answer of an earlier fer_jax be found."""
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def teacher(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    shutil.copytree(tiny_run, folder)
    return folder


def distilled(
    config: Config,
    split: Split = SPLIT,
    targets: SoftLabels | None = None,
    open_rows: np.ndarray = SPLIT.train,
    asked: list[float] | None = None,
) -> Distilled | None:
    def on_view(done: float, total: int) -> None:
        if asked is not None:
            asked.append(done)

    return distill(Student(config, EXAMPLES, EXAMPLES, split, open_rows, targets), on_view=on_view)


def taught_by(folder: Path, **others: Any) -> Config:
    return Config(name="student", data=DATA, distill=DistillConfig(teachers=(str(folder),), **others))


def test_the_targets_are_labels_and_softened_answers_of_image_and_mirror_image(teacher: Path) -> None:
    taught = distilled(taught_by(teacher, weight=0.25, temperature=3.0))
    assert taught is not None
    targets = taught.targets(5, 2)
    assert isinstance(targets, np.ndarray)
    row = SPLIT.train[3]
    faces = EXAMPLES.images[[row]]
    network = load(teacher, None, None)
    logits = (predict(network.network, faces)[0] + predict(network.network, faces[:, :, ::-1])[0])[0] / 2
    soft = np.exp(logits / 3) / np.exp(logits / 3).sum()
    own = np.eye(7)[EXAMPLES.labels[row]]
    np.testing.assert_allclose(targets[row], 0.75 * own + 0.25 * soft, rtol=1e-4)
    np.testing.assert_allclose(targets[SPLIT.train].sum(axis=1), 1, rtol=1e-5)
    assert targets.dtype == np.float32 and targets.shape == (140, 7)
    halves = np.full((140, 7), 1 / 7, np.float32)
    blended = distilled(taught_by(teacher, weight=0.0), targets=lambda seed, epoch: halves)
    assert blended is not None
    np.testing.assert_array_equal(blended.targets(0, 0), halves)


def test_a_teacher_that_is_there_twice_is_refused(teacher: Path) -> None:
    """It would count twice in the mean."""
    config = replace(taught_by(teacher), distill=DistillConfig(teachers=(str(teacher), str(teacher.parent))))
    with pytest.raises(ConfigError, match=r"teacher has the same weights as .*teacher; name one of them"):
        distilled(config)


def test_teachers_are_asked_once(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = distilled(taught_by(teacher))
    with monkeypatch.context() as patched:
        patched.setattr(distillation, "predict", None)
        again = distilled(taught_by(teacher))
    assert first is not None and again is not None
    np.testing.assert_array_equal(first.targets(0, 0), again.targets(0, 0))
    asked: list[float] = []
    # Other images, then a damaged file.
    distilled(taught_by(teacher), replace(SPLIT, train=SPLIT.train[1:]), asked=asked)
    assert asked == [0, 1, 2]
    for path in (tmp_path / "cache" / "answers").iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-40] + bytes(40))
    repaired = distilled(taught_by(teacher), asked=asked)
    assert repaired is not None and asked == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(first.targets(0, 0), repaired.targets(0, 0))


def test_one_process_asks_and_another_waits_for_its_answers(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distilled(taught_by(teacher))
    answers = min((tmp_path / "cache" / "answers").glob("*-view0.npz"))
    away = answers.rename(tmp_path / "away.npz")
    making = answers.with_suffix(".making")
    making.mkdir()
    with ExitStack() as held:
        held.enter_context(lock.hold(making))

        def finish() -> None:
            away.rename(answers)
            held.close()

        timer = threading.Timer(0.5, finish)
        timer.start()
        monkeypatch.setattr(distillation, "predict", None)
        assert distilled(taught_by(teacher)) is not None
        timer.join()
    assert not making.exists()


def test_a_teacher_that_saw_what_is_measured_is_refused(teacher: Path) -> None:
    other = split_examples(EXAMPLES, SplitConfig(seed=1))
    with pytest.raises(ConfigError, match=r"teacher was trained on \d+ of the images that this run is meas"):
        distilled(taught_by(teacher), other, open_rows=other.train)
    assert distilled(Config(name="alone")) is None
    with pytest.raises(RunError, match="nowhere"):
        distilled(taught_by(Path("nowhere")))


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_teacher_that_saw_one_image_of_a_part_is_refused(teacher: Path, part: str) -> None:
    seen, unseen = SPLIT.train[:1], SPLIT.train[1:]
    split = replace(SPLIT, train=unseen, **{part: np.append(SPLIT.parts[part], seen)})
    with pytest.raises(ConfigError, match="teacher was trained on 1 of the images that this run is meas"):
        distilled(taught_by(teacher), split, open_rows=unseen)


def test_a_copy_of_what_may_be_learnt_gives_nothing_away(teacher: Path) -> None:
    """As in FER2013, whose PublicTest has copies of Training; this run leaves their originals out."""
    copied = replace(SPLIT, train=SPLIT.train[1:], val=np.append(SPLIT.val, SPLIT.train[0]))
    assert distilled(taught_by(teacher), copied) is not None
    with pytest.raises(ConfigError, match="teacher was trained on 1 of the images"):
        distilled(taught_by(teacher), copied, open_rows=copied.train)


def test_a_run_is_taught_and_knows_its_teacher_again(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, moved = tmp_path / "student", tmp_path / "moved"
    few = [*SMALL, "--train.max-examples", "40", "--run-dir", str(folder)]
    assert train.main([*few, "--distill.teachers", str(teacher)]) == 0
    facts = read_json(folder / "run.json")
    assert facts["teachers"]["runs"][0]["run"] == "teacher"
    # What only the teacher has seen comes after its own images, and is asked about where it teaches itself.
    hashes, seen = record.read_split(folder)["train_hashes"], EXAMPLES.hashes[SPLIT.train]
    assert np.array_equal(hashes[40:], np.setdiff1d(seen, hashes[:40]))
    assert facts["teachers"]["images"] == len(hashes) - 40 > 0
    unseen = np.setdiff1d(SPLIT.train, record.read_split(folder)["train"])[:3]
    other = Split(np.setdiff1d(SPLIT.train, unseen), unseen, SPLIT.val)
    with pytest.raises(ConfigError, match="student was trained on 3 of the images"):
        distilled(taught_by(folder), other, open_rows=other.train)
    assert verify.main([str(folder)]) == 0
    other = facts | {"teachers": facts["teachers"] | {"sha256": "0" * 64}}
    with pytest.raises(RunError, match="was trained with other teachers"):
        record.resume(folder, other)
    assert record.resume(folder, facts)[0]["teachers"] == facts["teachers"]
    # An older fer_jax has not passed on what its teachers had seen.
    older = facts["teachers"].copy()
    del older["images"]
    write_json(folder / "run.json", facts | {"teachers": older})
    write_arrays(folder / "split.npz", **record.read_split(folder) | {"train_hashes": hashes[:40]})
    assert verify.main([str(folder)]) == 0
    shutil.copytree(teacher, moved)
    for who, status in ((["--distill.teachers", str(moved)], 0), ([], 4)):
        assert train.main([*few, *who, "--resume"]) == status
    assert read_json(folder / "run.json")["teachers"] == facts["teachers"]
    assert np.array_equal(record.read_split(folder)["train_hashes"], hashes)
    assert "was trained with other teachers" in capsys.readouterr().err


def test_an_unfinished_teacher_is_refused(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = tmp_path / "unfinished"
    shutil.copytree(teacher, unfinished)
    facts = read_json(teacher / "run.json")
    write_json(unfinished / "run.json", facts | {"finished": None})
    words = [*SMALL, "--distill.teachers", str(unfinished), "--run-dir", str(tmp_path / "new")]
    assert train.main(words) == 4
    assert "is not finished; go on with it" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def write_released(folder: Path, **training: object) -> str:
    """Write a copy of `tiny` with a card that says it was trained on the 14 Training rows of `few_faces`."""
    shutil.copy(sources.WEIGHTS / "tiny.safetensors", folder / "ours.safetensors")
    card = read_json(sources.WEIGHTS / "tiny.json")
    card["training"] |= {"data": "14 Training rows (the official counts), 7 PublicTest rows", **training}
    write_json(folder / "ours.json", card)
    return str(folder / "ours.safetensors")


@pytest.fixture
def few_faces(monkeypatch: pytest.MonkeyPatch) -> Examples:
    """Make 14 Training and 7 PublicTest rows, one of each class in turn, with official counts."""
    monkeypatch.setitem(fer2013.CLASS_COUNTS, "Training", (2,) * 7)
    monkeypatch.delitem(fer2013.CONTENT_SHA256, "Training")
    labels, usages = np.arange(21) % 7, np.repeat([0, 1], [14, 7])
    return replace(EXAMPLES, images=EXAMPLES.images[:21], labels=labels.astype(np.int32), usages=usages)


def taught_by_weights(few: Examples, named: str, split: Split) -> Distilled | None:
    config = Config(name="student", distill=DistillConfig(teachers=(named,), weight=1, temperature=1))
    return distill(Student(config, few, few, split, split.train, None), on_view=lambda done, total: None)


def test_released_weights_teach_and_know_the_training_rows(few_faces: Examples, tmp_path: Path) -> None:
    rows = np.arange(21)
    official = Split(rows[:14], rows[14:], rows[:0])
    named = write_released(tmp_path)
    taught = taught_by_weights(few_faces, named, official)
    assert taught is not None and taught.facts["runs"] == [
        {"run": "ours", "name": "tiny", "seed": 0, "select": "last"}
        | {"checkpoint": {"name": "last", "step": 35840}}
    ]
    (tmp_path / "more").mkdir()
    write_released(tmp_path / "more")
    for where in (named, str(tmp_path / "more")):
        assert taught_by_weights(few_faces, where, official) is not None
    wanted = classifiers.load(named).predict(few_faces.images[:14], views="flip")
    # Answers are kept in float16.
    np.testing.assert_allclose(taught.targets(0, 0)[rows[:14]], wanted, atol=5e-4)
    with pytest.raises(ConfigError, match=r"/ours was trained on 4 of the images that this run"):
        taught_by_weights(few_faces, named, Split(rows[:10], rows[10:], rows[:0]))


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"data": "some photos of ours"}, "which of the images here these are is not known"),
        ({"labels": "FER+, votes"}, "was trained on FER.'s votes, and labels.source is fer2013"),
    ],
)
def test_released_weights_of_other_images_or_labels_are_refused(
    few_faces: Examples, tmp_path: Path, training: dict[str, str], message: str
) -> None:
    rows = np.arange(21)
    with pytest.raises(ConfigError, match=message):
        taught_by_weights(
            few_faces, write_released(tmp_path, **training), Split(rows[:14], rows[14:], rows[:0])
        )


def test_a_damaged_card_is_refused(few_faces: Examples, tmp_path: Path) -> None:
    rows = np.arange(21)
    with pytest.raises(RunError, match=r"ours.json is damaged"):
        taught_by_weights(
            few_faces, write_released(tmp_path, split={}), Split(rows[:14], rows[14:], rows[:0])
        )


def test_names_of_teachers_are_checked_before_anything_slow() -> None:
    inputs.check_files(Config(name="a", data=DATA, distill=DistillConfig(teachers=("tiny",))))
    with pytest.raises(RunError, match="there is no run, no weights file and no released weights 'tinny'"):
        inputs.check_files(Config(name="a", data=DATA, distill=DistillConfig(teachers=("tinny",))))
