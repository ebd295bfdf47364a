"""The order, the budget and the saving of pieces that compute nothing, and what the docs say about pieces."""

import contextlib
import dataclasses
import re
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.accuracy import decision
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import bits, recipes, trainings, unmeasured
from benchmarks.gpu import session as gpu_session
from benchmarks.gpu.pieces import describe_plan, list_pieces
from benchmarks.gpu.recipes import at_length
from benchmarks.gpu.session import Content, OutOfTimeError, Piece, Session
from benchmarks.gpu.trainings import make_config
from benchmarks.harness import bench
from fer_jax.config.files import load_config
from fer_jax.config.run import Config
from fer_jax.engine.steppers import MAX_SCANNED_STEPS
from fer_jax.errors import DivergedError, RunError
from fer_jax.files import read_json, write_json

README = bench.ROOT / "benchmarks" / "README.md"


def make_session(out: Path, *, seconds: float | None = None) -> Session:
    return Session(
        data=None,
        ferplus=None,
        out=out,
        is_tiny=True,
        command="python -m benchmarks.gpu",
        console=Console(quiet=True),
        ends_at=None if seconds is None else time.monotonic() + seconds,
        source="source",
    )


def make_piece(
    name: str, seconds: float = 0.0, after: tuple[str, ...] = (), files: tuple[str, ...] = ()
) -> Piece:
    def measure(session: Session) -> Content:
        for file in files:
            (session.out / file).touch()
        return Content([{"name": name}], files=files)

    return Piece(name, f"What is {name}?", lambda session: seconds, measure, after=after)


def stand(session: Session, pieces: list[Piece]) -> dict[str, tuple[str, str]]:
    outcomes = gpu_session.run(session, pieces, pieces)
    index = {row["name"]: row["status"] for row in read_json(session.out / "pieces.json")["pieces"]}
    assert index == {outcome.name: outcome.status for outcome in outcomes}
    return {outcome.name: (outcome.status, outcome.reason) for outcome in outcomes}


def test_a_piece_that_does_not_fit_is_left_and_the_next_call_goes_on(tmp_path: Path) -> None:
    pieces = [
        make_piece("a"),
        make_piece("long", seconds=50),
        make_piece("b", after=("long",)),
        make_piece("c"),
    ]
    found = stand(make_session(tmp_path, seconds=40), pieces)
    assert found["a"] == found["c"] == ("done", "")
    assert found["long"][0] == "left"
    reason = re.fullmatch(r"it takes about 50 s, and (\d+) s are left", found["long"][1])
    assert reason is not None and int(reason[1]) <= 30
    assert found["b"] == ("left", "it needs the results of long")
    assert read_json(tmp_path / "gpu-a.json")["results"] == [{"name": "a"}]
    again = {name: status for name, (status, _) in stand(make_session(tmp_path), pieces).items()}
    assert again == {"a": "kept", "long": "done", "b": "done", "c": "kept"}


def test_a_result_of_another_source_or_without_its_files_is_measured_again(tmp_path: Path) -> None:
    pieces = [make_piece("a", files=("a.safetensors",)), make_piece("b")]
    stand(make_session(tmp_path), pieces)
    (tmp_path / "a.safetensors").unlink()
    write_json(tmp_path / "gpu-b.json", read_json(tmp_path / "gpu-b.json") | {"source_sha256": "another"})
    assert {status for status, _ in stand(make_session(tmp_path), pieces).values()} == {"done"}


def test_a_piece_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    def break_down(session: Session) -> Content:
        raise ZeroDivisionError("by zero")

    def refuse(session: Session) -> Content:
        raise RunError("no such run")

    pieces = [
        Piece("bug", "", lambda session: 0, break_down),
        Piece("refused", "", lambda session: 0, refuse),
        make_piece("b"),
    ]
    found = stand(make_session(tmp_path), pieces)
    assert found["bug"] == ("failed", "ZeroDivisionError: by zero")
    assert "break_down" in (tmp_path / "bug.error.txt").read_text()
    assert found["refused"] == ("failed", "no such run") and found["b"][0] == "done"
    assert not (tmp_path / "gpu-bug.json").exists()


def test_a_result_that_cannot_be_saved_leaves_the_others_alone(tmp_path: Path) -> None:
    """JSON has no NaN, which a loss can be."""
    nan = Piece("nan", "", lambda session: 0, lambda session: Content([{"first_loss": float("nan")}]))
    found = stand(make_session(tmp_path), [nan, make_piece("b")])
    assert found["nan"][0] == "failed" and found["nan"][1].startswith("ValueError")
    assert found["b"] == ("done", "") and not list(tmp_path.glob("*.begun"))


def test_a_piece_that_ended_two_calls_comes_last(tmp_path: Path) -> None:
    """After one the process may just have been killed in it."""
    pieces = [make_piece("a"), make_piece("crash"), make_piece("killed"), make_piece("b")]
    for name, tries in (("crash", 2), ("killed", 1)):
        (tmp_path / f"{name}.begun").write_text("." * tries)
    found = stand(make_session(tmp_path), pieces)
    assert list(found) == ["a", "killed", "b", "crash"]
    assert {status for status, _ in found.values()} == {"done"}
    assert not list(tmp_path.glob("*.begun"))


def test_a_piece_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_session, "SAVING_S", 60.0)

    def oversleep(session: Session) -> Content:
        with contextlib.suppress(Exception):  # As a library might.
            time.sleep(30)
        return Content([])

    pieces = [Piece("slow", "", lambda session: 0, oversleep), make_piece("b")]
    started = time.monotonic()
    found = stand(make_session(tmp_path, seconds=60.3), pieces)
    assert time.monotonic() - started < 20
    assert found["slow"][0] == "left" and "the time was up" in found["slow"][1]
    assert found["b"][0] == "left" and not (tmp_path / "gpu-slow.json").exists()
    assert not issubclass(OutOfTimeError, Exception)


def test_the_next_seed_is_expected_to_take_as_long_as_the_first(tmp_path: Path) -> None:
    session = dataclasses.replace(make_session(tmp_path), is_tiny=False)
    piece = next(piece for piece in list_pieces() if piece.name == "best-seed1")
    session.save("best-seed0", "", Content([{"seconds_per_epoch": 0.4}]), 80.0)
    assert piece.estimate_s(session) == pytest.approx(15 + 50 + 1.15 * 100 * 0.4), (
        "its programs are elsewhere"
    )
    (session.runs / "best-seed0").mkdir(parents=True)
    assert piece.estimate_s(session) == pytest.approx(15 + 1.15 * 100 * 0.4)
    decided = {"recipe": "best", "epochs": 60, "seeds": 4, "has_second_generation": True}
    session.save("decision", "", Content([], extra={"decision": decided}), 0.0)
    assert piece.estimate_s(session) == pytest.approx(15 + 1.15 * 60 * 0.4)


def test_a_repair_may_keep_what_was_measured_before(tmp_path: Path) -> None:
    before = make_session(tmp_path)
    before.save("a", "", Content([]), 1.0)
    after = dataclasses.replace(before, source="of the repair")
    assert after.find("a") is None
    assert dataclasses.replace(after, keeps_all=True).find("a") == before.find("a")


def test_a_seed_that_diverges_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would diverge again in every call, and what needs the seeds would never be measured."""

    def diverge(*arguments: object) -> Path:
        raise DivergedError("the loss is not finite in epoch 3")

    monkeypatch.setattr(trainings, "train", diverge)
    content = trainings.train_and_keep(make_session(tmp_path), "best-seed0", Config(name="a"))
    assert not content.files and "epoch 3" in content.results[0]["diverged"]


def test_the_interrupted_run_has_steps_left_when_it_is_resumed() -> None:
    """An accelerator takes many steps in a call, and stops after one."""
    steps = bits.EXAMPLES // load_config(bench.ROOT / "configs" / "best.py").train.batch_size
    assert steps > MAX_SCANNED_STEPS


def test_a_recipe_that_diverges_has_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = make_session(tmp_path)

    def diverge(*_: object) -> Path:
        raise DivergedError("the loss is nan")

    monkeypatch.setattr(recipes, "train", diverge)
    content = recipes.measure_arm(session, recipes.NEW)
    assert content.results[0]["diverged"] == "the loss is nan"
    lost = decision.Arm(**content.results[0]["arm"])
    old = decision.Arm("best", dict.fromkeys(lost.correct, 1), lost.total, 1.9)
    decided = decision.decide(old, lost, seconds_per_epoch=0.5)
    assert decided.recipe == "best" and decided.epochs == decision.OLD_EPOCHS


@pytest.mark.parametrize("epochs", [decision.NEW_EPOCHS, decision.OLD_EPOCHS, decision.SLOW_EPOCHS])
def test_every_length_that_the_rules_choose_is_a_config(tmp_path: Path, epochs: int) -> None:
    session = dataclasses.replace(make_session(tmp_path), is_tiny=False)
    for recipe in ("best", "best100"):
        config = make_config(session, recipe, at_length(epochs))
        optimizer = config.optimizer
        assert config.train.epochs == epochs
        assert optimizer.cooldown_epochs == min(
            25 if recipe == "best" else 70, epochs - optimizer.warmup_epochs
        )


def test_a_cpu_is_refused_in_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert gpu.main(["--data", "fer2013.csv", *out]) == 2
    assert "found no accelerator" in capsys.readouterr().err
    assert gpu.main(out) == 2 and "--data is missing" in capsys.readouterr().err
    assert gpu.main(["--tiny", "--out", str(bench.RESULTS)]) == 2
    assert "--tiny measures nothing" in capsys.readouterr().err
    assert gpu.main(["--tiny", "--pieces", "epoch", *out]) == 2
    assert "did you mean 'epochs'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_package_without_a_version_is_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkout that is only in the search path has none, and no result could be written."""

    def list_versions() -> dict[str, str]:
        raise PackageNotFoundError("fer-jax")

    monkeypatch.setattr(bench, "list_versions", list_versions)
    assert gpu.main(["--tiny", "--out", str(tmp_path / "out")]) == 2
    assert "fer-jax is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_docs_say_what_the_pieces_are() -> None:
    assert gpu.__doc__ is not None and "\n".join(f"    {line}" for line in describe_plan()) in gpu.__doc__
    names = [piece.name for piece in list_pieces()]
    assert len(set(names)) == len(names)
    assert all(name in names[:place] for place, piece in enumerate(list_pieces()) for name in piece.after)


def test_the_readme_lists_what_is_not_measured(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    assert f"<!-- unmeasured -->\n{unmeasured.describe(bench.RESULTS)}\n<!-- /unmeasured -->" in text, (
        "run python -m benchmarks.gpu write"
    )
    for number, piece in enumerate(list_pieces()):
        write_json(tmp_path / f"gpu-{piece.name}.json", {"is_tiny": False})
        if not number:
            assert f"`{piece.name}`" not in unmeasured.describe(tmp_path)
    assert unmeasured.describe(tmp_path) == "Every piece of `benchmarks.gpu` is measured."
    write_json(tmp_path / "gpu-bits.json", {"is_tiny": True})
    with pytest.raises(RunError, match="--tiny, and is no result"):
        unmeasured.describe(tmp_path)


def test_the_readme_has_every_program() -> None:
    """Workers, which other programs start, are left out."""
    text = README.read_text(encoding="utf-8")
    named = set(re.findall(r"python -m (benchmarks[\w.]*)", text))
    paths = sorted((bench.ROOT / "benchmarks").glob("*/*.py"))
    names = {
        ".".join(path.relative_to(bench.ROOT).with_suffix("").parts).removesuffix(".__main__"): path
        for path in paths
    }
    programs = {
        name
        for name, path in names.items()
        if f"python -m {name}" in path.read_text(encoding="utf-8").split('"""')[1]
    }
    assert programs - {"benchmarks.harness.gemm"} <= named, programs - named
    for name in named - {"benchmarks.X"}:
        path = bench.ROOT / Path(*name.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name
