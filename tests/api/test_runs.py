"""The Python way gives what the commands give: the same runs, results and files."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import fer_jax
from fer_jax.config.data import DataConfig
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError, FerJaxError, RunError
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.inference.run_weights import load, load_data
from fer_jax.report import markdown
from fer_jax.runs import record

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture
def two(tiny_run: Path, tmp_path: Path) -> list[fer_jax.Run]:
    """Two runs that differ in their learning rate, or say so."""
    for name in ("first", "second"):
        shutil.copytree(tiny_run, tmp_path / name)
    path = tmp_path / "second" / "config.json"
    config = json.loads(path.read_text())
    config["optimizer"]["peak_rate"] = 0.5
    path.write_text(json.dumps(config))
    return fer_jax.open_runs(tmp_path)


def test_a_run_is_opened_read_and_shown(tiny_run: Path) -> None:
    run = fer_jax.open_run(tiny_run)
    assert (run.title, run.is_finished) == ("run1, seed 0", True)
    assert list(run.log["epoch"]) == [1]
    assert list(run.metrics["part"]) == ["train", "val", "test"]
    accuracy = run.metrics.set_index("part")["accuracy"]["test"]
    shown = run._repr_html_()
    assert f"{100 * accuracy:.1f}" in shown and "synthetic" in shown and "<table>" in shown
    assert [figure.dpi > 0 for figure in (run.plot(), run.plot("confusion", part="test"))] == [True, True]
    with pytest.raises(ConfigError, match="no plot 'loss' of a run; wanted one of curves, confusion"):
        run.plot("loss")


def test_the_home_of_a_user_is_found(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny_run.parent))
    assert fer_jax.open_run(f"~/{tiny_run.name}").folder == tiny_run


def test_what_is_of_a_wrong_type_is_refused_in_words(two: list[fer_jax.Run], tmp_path: Path) -> None:
    run, file = two[0], tmp_path / "file"
    nothing: Any = None
    settings: Any = ["a"]
    part: Any = "dev"
    views: Any = ["flip"]
    half: Any = 1.5
    file.touch()
    comparison = run.compare(two[1])
    calls: list[tuple[Any, str]] = [
        (lambda: fer_jax.load(nothing), "None came as a name; wanted the name of a file or folder"),
        (lambda: fer_jax.open_run(nothing), "None came as a name"),
        (lambda: fer_jax.compare_runs(nothing), "None came as a name"),
        (lambda: fer_jax.train_run(nothing), "None came as a name"),
        (
            lambda: fer_jax.train_run(run.config, settings=settings),
            r"settings: it is \['a'\]; wanted a dict",
        ),
        (lambda: fer_jax.train_seeds(run.config, seeds=0), "seeds is 0; wanted 1 to 256"),
        (lambda: fer_jax.train_seeds(run.config, seeds=half), "seeds is 1.5; wanted a whole number 1 to 256"),
        (lambda: run.evaluate(part), "part came 'dev'; wanted one of train, val, test, PublicTest"),
        (lambda: run.evaluate(views=views), r"views came \['flip'\]; wanted one of single, flip"),
        (lambda: run.evaluate(labels=part), "labels came 'dev'; wanted one of fer2013, ferplus, or None"),
        (lambda: run.compare(two[1], part=part), "part came 'dev'"),
        (lambda: run.plot("confusion", part=views), r"has no part \['flip'\]"),
        (lambda: comparison.save(tmp_path, name="a/b"), "name came 'a/b'; wanted a file name"),
        (lambda: comparison.save(file), "cannot be written: File exists"),
    ]
    for call, message in calls:
        with pytest.raises(FerJaxError, match=message):
            call()


def test_every_door_gives_the_same_classifier(tiny_run: Path) -> None:
    faces = draw_examples(seed=3, examples=70).images
    run = fer_jax.open_run(tiny_run)
    loaded = fer_jax.load(tiny_run)
    np.testing.assert_array_equal(run.predict(faces), loaded.predict(faces))
    assert loaded.labels == fer_jax.load("mid").labels
    assert loaded.card["seed"] == 0
    by_file = fer_jax.load(Path(fer_jax.__file__).parent / "weights" / "tiny.safetensors")
    assert by_file.card == fer_jax.load("tiny").card


def test_several_runs_are_opened_one_by_one(two: list[fer_jax.Run]) -> None:
    home = two[0].folder.parent
    assert [run.folder.name for run in two] == ["first", "second"]
    for open_one in (fer_jax.open_run, fer_jax.load):
        with pytest.raises(RunError, match="holds 2 runs") as caught:
            open_one(home)
        assert caught.value._render_traceback_() == [f"RunError: {caught.value}"], "for notebooks"


def test_evaluate_measures_what_the_command_measures(two: list[fer_jax.Run], tmp_path: Path) -> None:
    run, other = two
    scores = run.evaluate("test", views="flip")
    assert not list(run.folder.glob("evaluate_*")), "nothing is written unasked"
    assert scores.predictions is not None
    pairs = scores.predictions[["label", "predicted"]].to_numpy()
    assert (scores.correct, scores.total) == ((pairs[:, 0] == pairs[:, 1]).sum(), len(pairs))
    words = [str(other.folder), "--split", "test", "--views", "flip", "--no-robustness"]
    assert evaluate.main(words) == 0
    run.evaluate("test", views="flip", save=True)
    files = [each.folder.glob("evaluate_test*.json") for each in (run, other)]
    ours, theirs = (
        [json.loads(path.read_text()) for path in paths if "faces" not in path.name] for paths in files
    )
    assert ours == theirs
    assert list(run.evaluations["views"]) == [2]
    assert scores.table.loc["accuracy", "value"] == scores.accuracy == ours[0]["accuracy"]
    low, high = scores.accuracy_interval
    assert low <= scores.accuracy <= high
    assert scores.confusion.to_numpy().tolist() == ours[0]["confusion"]
    assert list(scores.per_class.index) == list(scores.confusion.columns)
    for text in (str(scores), scores._repr_html_()):
        assert f"{100 * scores.accuracy:.2f}" in text
    scores.plot("reliability")
    with pytest.raises(ConfigError, match="robustness was not measured"):
        scores.plot("robustness")


def test_predictions_of_any_model_are_measured_alike(tiny_run: Path) -> None:
    trained = load(tiny_run, None, None)
    examples = load_data(trained, is_other_file=False)
    rows = trained.saved["val"]
    run = fer_jax.open_run(tiny_run)
    own = run.evaluate("val")
    measured = fer_jax.evaluate_predictions(examples.labels[rows], run.predict(examples.images[rows]))
    assert measured.confusion.equals(own.confusion)
    assert measured.table.to_numpy() == pytest.approx(own.table.to_numpy(), rel=1e-5)


def test_a_comparison_holds_tables_tests_and_pictures(two: list[fer_jax.Run], tmp_path: Path) -> None:
    comparison = two[0].compare(two[1])
    assert comparison.table["run"].unique().tolist() == ["first", "second"]
    pair = comparison.pairs.iloc[0]
    assert (pair["first"], pair["second"], pair["difference"]) == ("first", "second", 0)
    assert not pair["is_real"]
    assert "not significant" in comparison.verdict
    assert comparison.plot("tests").get_size_inches()[0] > 0
    with pytest.raises(ConfigError, match="wanted one of accuracies, tests, curves, gaps"):
        comparison.plot("loss")
    assert "<table>" in comparison._repr_html_()
    again = fer_jax.compare_runs(two[0].folder.parent)
    assert again.pairs.equals(comparison.pairs)
    comparison.save(tmp_path / "out", name="both")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".html", ".json", ".png"}


@pytest.fixture(scope="module")
def config(tiny_run: Path) -> Config:
    return record.read_config(tiny_run)


def test_training_is_the_commands_training(tiny_run: Path, config: Config, tmp_path: Path) -> None:
    run = fer_jax.train_run(config, run_dir=tmp_path / "run")
    assert run.is_finished
    assert run.record.last_state_sha256 == record.read_record(tiny_run).last_state_sha256
    assert run.record.command == f"fer_jax.train_run(config, run_dir='{tmp_path / 'run'}')"
    with pytest.raises(RunError, match="holds a run already"):
        fer_jax.train_run(config, run_dir=tmp_path / "run")


def test_an_interrupt_saves_and_leaves_a_usable_session(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = replace(config, train=replace(config.train, epochs=2))
    whole = fer_jax.train_run(longer, run_dir=tmp_path / "whole")
    handler, line = signal.getsignal(signal.SIGINT), markdown.epoch_line

    def interrupt(*words: object, **more: object) -> str:
        signal.raise_signal(signal.SIGINT)
        return line(*words, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(markdown, "epoch_line", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"saved in .*resume=True") as caught:
            fer_jax.train_run(longer, run_dir=tmp_path / "run")
    assert isinstance(caught.value, fer_jax.Interrupted)
    assert caught.value._render_traceback_() == [f"Interrupted: {caught.value}"]
    assert signal.getsignal(signal.SIGINT) is handler
    run = fer_jax.open_run(caught.value.folder)
    assert not run.is_finished
    assert "not finished" in run._repr_html_()
    with pytest.warns(UserWarning, match="run is not finished; these are its weights after 5 steps"):
        assert run.predict(np.full((1, 48, 48), 128, np.uint8)).shape == (1, 7)
    with pytest.raises(RunError, match="not finished and has no metrics yet"):
        run.metrics  # noqa: B018
    done = fer_jax.train_run(longer, run_dir=tmp_path / "run", resume=True)
    assert done.record.last_state_sha256 == whole.record.last_state_sha256


def test_settings_and_the_name_of_the_config_are_in_the_command() -> None:
    from fer_jax.api.invocation import describe_training
    from fer_jax.api.runs import _make_config

    path = "run6"
    config = _make_config(path, "faces.csv", {"train.epochs": 2})
    assert to_json(config)["train"]["epochs"] == 2
    assert to_json(config)["model"] == to_json(load_config(path))["model"]
    command = describe_training(path, config, seeds=3, run_dir=None)
    wanted = f"python -m fer_jax.train --config {path} --data.path faces.csv --train.epochs 2 --seeds 3"
    assert command == wanted
    for blocks in (to_json(config)["model"]["blocks"][:2], [{"pool": True}] * 4):
        # No option of `train` changes how many blocks there are.
        config = _make_config(path, None, {"model.blocks": blocks})
        assert describe_training(path, config, seeds=1, run_dir=None) == "fer_jax.train_run(config)"
    with pytest.raises(ConfigError, match=r"train\.epochs is 0"):
        _make_config(path, None, {"train.epochs": 0})


def test_a_config_from_python_is_checked_as_a_file_is() -> None:
    from fer_jax.api.runs import _make_config

    # A whole number, which config.json would have as 1.0, must not look like a change to a resumed run.
    whole = Config(name="a", optimizer=OptimizerConfig(peak_rate=1))
    assert repr(_make_config(whole, None, None).optimizer.peak_rate) == "1.0"
    wrong: list[tuple[Any, str]] = [
        (OptimizerConfig(schedule=cast("Any", "cosin")), r"optimizer\.schedule is 'cosin'; wanted one of"),
        (DataConfig(path=cast("Any", Path("a.csv"))), r"data\.path is PosixPath\('a.csv'\); wanted str"),
    ]
    for section, message in wrong:
        name = type(section).__name__.removesuffix("Config").lower()
        with pytest.raises(ConfigError, match=message):
            _make_config(Config(name="a", **{name: section}), None, None)
