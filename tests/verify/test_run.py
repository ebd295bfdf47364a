"""A run and its released weights are verified, and no longer once a digit of what they claim is changed."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fer_jax import fer2013
from fer_jax.config.data import DataConfig
from fer_jax.data.examples import hash_arrays
from fer_jax.data.load import load_examples
from fer_jax.data.split import Split
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.inference.run_weights import load, load_data
from fer_jax.release import __main__ as release
from fer_jax.train import __main__ as train
from fer_jax.verify import __main__ as verify
from fer_jax.verify import evaluations, training
from fer_jax.verify.checks import Check, compare

ROOT = Path(__file__).parents[2]
SMALL = (
    "--config",
    str(ROOT / "configs" / "run1.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "140", "--split.protocol", "official"),
    *("--model.blocks.0.features", "4", "--model.blocks.0.batch-norm", "--model.blocks.0.pool"),
    *("--model.dense-features", "8", "--train.batch-size", "16", "--train.epochs", "2"),
)
DIFFERENCE = 8


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, leave_out_pictures: Callable[[], AbstractContextManager[None]]
) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert train.main([*SMALL, "--run-dir", str(folder)]) == 0
    with leave_out_pictures():
        assert evaluate.main([str(folder), "--split", "val", "--no-robustness"]) == 0
    return folder


@pytest.fixture(scope="module")
def data(run: Path) -> Path:
    """Write the run's synthetic faces as a file of Kaggle's form."""
    faces = load_data(load(run, None, None), is_other_file=False)
    rows = (
        f"{label},{' '.join(map(str, image.ravel()))},{fer2013.USAGES[usage]}"
        for label, image, usage in zip(faces.labels, faces.images, faces.usages, strict=True)
    )
    path = run.parent / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return path


@pytest.fixture(scope="module")
def card(run: Path) -> Path:
    words = [str(run), "--name", "small", "--out", str(run.parent), "--score-private-test"]
    assert release.main(words) == 0
    return run.parent / "small.json"


def states_of(words: list[str], out: Path) -> tuple[int, dict[str, str]]:
    """Verify, and return the exit status and what came of each check."""
    status = verify.main([*words, "--json", str(out), "--overwrite"])
    checks = json.loads(out.read_text())["checks"]
    return status, {each["what"]: each["state"] for each in checks}


def differing(states: dict[str, str]) -> set[str]:
    return {what for what, state in states.items() if state == "DIFFERS"}


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def add_one(*names: str | int) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for name in names[:-1]:
            content = content[name]
        content[names[-1]] += 1

    return change


def test_a_run_is_what_it_says(run: Path, tmp_path: Path) -> None:
    status, states = states_of([str(run)], tmp_path / "a.json")
    assert (status, differing(states)) == (0, set())
    assert {"config", "split", "checkpoint last", "checkpoint best", "log", "last state", "data"} <= {
        what for what, state in states.items() if state == "ok"
    }
    measured = ["log, last epoch", "evaluate_val.json"]
    measured += [f"metrics.json, {part}" for part in ("train", "val", "test")]
    assert [states[what] for what in measured] == ["ok"] * 5


def test_each_changed_digit_of_a_run_is_found(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    edit(folder / "run.json", add_one("split", "copies_of_training_images", "val"))
    edit(folder / "metrics.json", add_one("val", "correct"))
    edit(folder / "evaluate_val.json", add_one("confusion", 0, 0))
    edit(folder / "config.json", add_one("augment", "max_shift_px"))
    log = (folder / "log.jsonl").read_text()
    (folder / "log.jsonl").write_text(log.replace('"epoch": 1', '"epoch": 3'))
    arrays = dict(np.load(folder / "split.npz"))
    arrays["train_hashes"][0] += 1
    np.savez(folder / "split.npz", **arrays)
    meta = folder / "checkpoints" / "previous" / "meta.json"
    meta.write_text(meta.read_text().replace('"step": ', '"step": 1', 1))
    status, states = states_of([str(folder)], tmp_path / "a.json")
    assert status == DIFFERENCE
    assert differing(states) == {
        "config",
        "log",
        "checkpoint previous",
        "copies of training images",
        "hashes of training images",
        "metrics.json, val",
        "evaluate_val.json",
    }
    assert "error: 7 checks of" in capsys.readouterr().err


def test_the_common_folder_of_several_seeds_is_compared_with_each(run: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(run, tmp_path / f"seed{seed}")
    edit(tmp_path / "seed1" / "run.json", add_one("seed"))
    names = {"folders": ["seed0", "seed1"], "seeds": [0, 1]}
    (tmp_path / "run.json").write_text(json.dumps(json.loads((run / "run.json").read_text()) | names))
    metrics = json.loads((run / "metrics.json").read_text())
    accuracy = metrics["val"]["accuracy"]
    summary = {"val": {"accuracy": {"mean": accuracy, "sd": 0, "min": accuracy, "max": accuracy}}}
    home = {"seeds": [{"seed": seed, **metrics} for seed in (0, 1)], "summary": summary}
    (tmp_path / "metrics.json").write_text(json.dumps(home))
    assert [each.state for each in training.check_seeds(tmp_path)] == ["ok"]
    edit(tmp_path / "metrics.json", add_one("seeds", 1, "test", "correct"))
    (found,) = training.check_seeds(tmp_path)
    assert found.state == "DIFFERS" and found.detail.startswith("seeds[1].test.correct: ")


def test_a_damaged_file_is_a_difference_and_no_traceback(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    (folder / "metrics.json").write_text("{")
    status, states = states_of([str(folder)], tmp_path / "a.json")
    assert (status, differing(states)) == (DIFFERENCE, {"files"})


def test_a_damaged_result_is_a_difference_with_its_data_or_without(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("metrics.json"))
    kept = json.loads((folder / "evaluate_val.json").read_text())
    wrong: dict[str, Any] = {"split": "vall", "labels": 3, "total": None, "accuracy": 2.0, "views": None}
    wrong["data"] = {"sha256": "0" * 63}
    for field, value in wrong.items():
        (folder / f"evaluate_{field}.json").write_text(json.dumps(kept | {field: value}))
    (folder / "evaluate_cut.json").write_text(json.dumps(kept)[:-9])
    console = Console(quiet=True)
    examples = load_data(load(run, None, None), is_other_file=False)
    for data in ({}, {examples.sha256: examples}):
        checks = evaluations.check(console, "a", load(folder, None, None), data, None)
        found = {each.what: each for each in checks}
        for name in (*wrong, "cut"):
            checked = found[f"evaluate_{name}.json"]
            assert checked.state == "DIFFERS" and (name == "cut" or name in checked.detail)


def test_without_the_data_the_results_are_said_to_be_unchecked(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(run, folder)
    edit(folder / "run.json", lambda content: content["data"].update(is_synthetic=False))
    monkeypatch.setenv("FER_JAX_DATA", "")
    monkeypatch.chdir(tmp_path)
    status, states = states_of([str(folder)], tmp_path / "a.json")
    assert status == 0
    assert [states[what] for what in ("data", "results", "evaluate_val.json")] == ["not checked"] * 3


def test_a_card_is_what_it_says(card: Path, data: Path, tmp_path: Path) -> None:
    status, states = states_of([str(card)], tmp_path / "a.json")
    assert (status, differing(states), states["figures"]) == (0, set(), "not checked")
    status, states = states_of([str(card), "--data", str(data)], tmp_path / "a.json")
    assert (status, differing(states)) == (0, set())
    parts = [f"{part}, FER2013, flip" for part in ("train", "PublicTest", "PrivateTest")]
    assert [states[what] for what in ("tensors", "training data", "split", *parts)] == ["ok"] * 6


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        # Without the card's own arithmetic noticing: one class's count moves to another.
        (
            lambda figures: (
                figures["classes"].update(angry=[9, 9]),
                figures["classes"].update(happy=[0, 0]),
            ),
            "PublicTest, FER2013, single",
        ),
        (add_one("copies_of_training_images"), "PublicTest, FER2013, single"),
        (add_one("copy_free", "correct"), "PublicTest, FER2013, single"),
        (add_one("copy_free", "total"), "arithmetic of PublicTest, FER2013, single"),
        (add_one("copy_free", "accuracy"), "arithmetic of PublicTest, FER2013, single"),
        (add_one("correct"), "arithmetic of PublicTest, FER2013, single"),
    ],
)
def test_each_changed_digit_of_a_card_is_found(
    card: Path, data: Path, tmp_path: Path, change: Callable[[Any], None], wanted: str
) -> None:
    for path in (card, card.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)

    def change_card(content: Any) -> None:
        chosen = [
            each for each in content["figures"] if (each["part"], each["views"]) == ("PublicTest", "single")
        ]
        content["figures"] = chosen
        change(chosen[0])

    edit(tmp_path / card.name, change_card)
    status, states = states_of([str(tmp_path / card.name), "--data", str(data)], tmp_path / "a.json")
    assert status == DIFFERENCE and wanted in differing(states)


def test_a_file_with_private_test_holds_the_training_data_without_it(
    card: Path, data: Path, tmp_path: Path
) -> None:
    """The training file had no PrivateTest, as where that is held back; the whole file holds its rows."""
    for path in (card, card.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    faces = load_examples(DataConfig(path=str(data)))
    kept = faces.usages != fer2013.USAGES.index("PrivateTest")
    rows = [np.flatnonzero(faces.usages[kept] == usage) for usage in range(3)]
    had = hash_arrays(faces.images[kept], faces.labels[kept], faces.usages[kept])

    def change(content: Any) -> None:
        content["training"]["data_sha256"] = had
        content["training"]["split"]["sha256"] = Split(*rows).sha256

    edit(tmp_path / card.name, change)
    status, states = states_of([str(tmp_path / card.name), "--data", str(data)], tmp_path / "a.json")
    assert (status, differing(states), states["training data"], states["split"]) == (0, set(), "ok", "ok")


def test_parts_that_the_data_lacks_are_said_to_be_unchecked(card: Path, data: Path, tmp_path: Path) -> None:
    public = tmp_path / "public.csv"
    lines = data.read_text().splitlines()
    public.write_text("\n".join([lines[0], *(line for line in lines if line.endswith("PublicTest"))]))
    status, states = states_of([str(card), "--data", str(public)], tmp_path / "a.json")
    assert status == 0
    unchecked = ["training data", "split", "train, FER2013, single", "PrivateTest, FER2013, flip"]
    assert [states[what] for what in unchecked] == ["not checked"] * 4
    assert states["PublicTest, FER2013, flip"] == "ok"


def test_changed_tensors_are_found(card: Path, tmp_path: Path) -> None:
    for path in (card, card.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    path = tmp_path / "small.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert states_of([str(path)], tmp_path / "a.json") == (DIFFERENCE, {"tensors": "DIFFERS"})


def test_released_weights_are_measured_again(card: Path, data: Path, tmp_path: Path) -> None:
    words = [str(card.with_suffix(".safetensors")), "--name", "small", "--out", str(tmp_path)]
    assert release.main([*words, "--data", str(data), "--score-private-test"]) == 0
    old, new = (json.loads(path.read_text()) for path in (card, tmp_path / "small.json"))
    assert new["figures"] == old["figures"]
    assert {"git", "date", "machine", "device", "versions"} <= new["measured_on"].keys()
    assert (tmp_path / "small.safetensors").read_bytes() == card.with_suffix(".safetensors").read_bytes()


def test_copies_of_what_only_teachers_saw_cannot_be_counted_again(
    card: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (card, card.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    named, out = tmp_path / "small.json", tmp_path / "a.json"
    for images, split, status in ((0, "ok", 0), (2, "not checked", 3)):
        content = json.loads(named.read_text())
        content["training"]["teachers"] = {"sha256": "0", "runs": [], "images": images}
        named.write_text(json.dumps(content))
        found, states = states_of([str(named), "--data", str(data)], out)
        assert (found, states["split"], differing(states)) == (0, split, set())
        words = [str(named.with_suffix(".safetensors")), "--name", "small", "--out", str(tmp_path / split)]
        capsys.readouterr()
        assert release.main([*words, "--data", str(data), "--score-private-test"]) == status
    assert "trained on other images, too, and only its run knows which" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "nothing was named to verify"),
        (["nothing-here"], 4, "there is no run, no weights file"),
        (["nothing-here.md"], 3, "there is no file nothing-here.md"),
        (["mid", "--data", "nothing-here.csv"], 3, "nothing is there"),
        (["/README.md"], 3, "there is no file"),
        (["mid", "--json", "old.json"], 4, "old.json exists; give --overwrite to replace it"),
        (["mid", "--ferplus", "old.json", "--json", "old.json", "--overwrite"], 4, "old.json is a source"),
        (["docs", "--json", "docs/old.json", "--overwrite"], 4, "docs/old.json is in docs, a source"),
    ],
)
def test_what_cannot_be_verified_is_refused(
    words: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    for name in ("old.json", "docs/old.json", "docs/page.md"):
        Path(name).write_text("old")
    assert verify.main(words) == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recorded", "found", "is_same"),
    [
        ({"correct": 3}, {"correct": 3}, True),
        ({"correct": 3}, {"correct": 4}, False),
        ({"loss": 1.0}, {"loss": 1.00009}, True),
        ({"loss": 1.0}, {"loss": 1.00011}, False),
        ({"accuracy": 0.5}, {"accuracy": 0.50001}, False),
        ({"val_accuracy": 0.5}, {"val_accuracy": 0.50001}, False),
        ({"intervals": {"accuracy": [0.5, 0.6]}}, {"intervals": {"accuracy": [0.5, 0.60001]}}, False),
        ({"accuracy": {"mean": 0.5}}, {"accuracy": {"mean": 0.50001}}, False),
        ({"rows": [{"f1": None}]}, {"rows": [{"f1": 0.0}]}, False),
        ({"rows": [1, 2]}, {"rows": [1]}, False),
        ({"labels": ["a"]}, {"labels": ["b"]}, False),
    ],
)
def test_what_counts_as_the_same(recorded: Any, found: Any, is_same: bool) -> None:
    state = "ok" if is_same else "DIFFERS"
    checked = compare("a", "b", recorded, found, detail="")
    assert isinstance(checked, Check) and checked.state == state


def test_its_own_file_may_be_in_the_folder_of_the_run(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    for _ in range(2):
        assert states_of([str(folder)], folder / "verify.json")[0] == 0
