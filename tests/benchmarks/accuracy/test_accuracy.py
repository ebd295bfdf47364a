"""The tiers: two tiny ones trained side by side, one taught by the other, measured, and a table by hand."""

import contextlib
import hashlib
import signal
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import accuracy_tables, kept_weights
from benchmarks.accuracy.tiers import VIEWS, Tier
from benchmarks.harness import bench, unattended
from fer_jax.config.data import LabelsConfig
from fer_jax.config.run import Config
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError, RunError
from fer_jax.fer2013 import LABELS
from fer_jax.files import read_json, read_json_lines, write_json
from fer_jax.inference.labels import Labelling
from fer_jax.runs import sources

pytestmark = pytest.mark.usefixtures("quick_compile")

RECORD = '''"""Small."""

from fer_jax.config import Config, ConvBlock, LabelsConfig, ModelConfig, SplitConfig, TrainConfig

config = Config(
    name="small",
    labels=LabelsConfig({labels}),
    split=SplitConfig(protocol="official"),
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0),
    train=TrainConfig(epochs=2, batch_size=16, select="last"),
)
'''


def vote(label: int, row: int, usage: str) -> str:
    """Write ten votes for a face: for what it shows; in the rows that 16 divides for nothing."""
    counts = dict.fromkeys(CHOICES, 0) | {CHOICE_OF_LABEL[label] if row % 16 else "unknown": 10}
    return ",".join([usage, "", *map(str, counts.values())])


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write data of both usages, votes, a config that learns them and one that does not; give the options."""
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    record, by_votes, data = tmp_path / "small.py", tmp_path / "votes.py", tmp_path / "fer2013.csv"
    plus = tmp_path / "fer2013new.csv"
    record.write_text(RECORD.format(labels=""))
    by_votes.write_text(RECORD.format(labels=f'source="ferplus", mode="votes", ferplus={str(plus)!r}'))
    faces = draw_examples(seed=0, examples=70)
    usages = ["PublicTest" if row % 4 == 0 else "Training" for row in range(len(faces))]
    rows = (
        f"{label},{' '.join(map(str, image.ravel()))},{usage}"
        for label, image, usage in zip(faces.labels, faces.images, usages, strict=True)
    )
    data.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    plus.write_text("\n".join([",".join(HEADER), *map(vote, faces.labels, range(len(faces)), usages)]))
    tiers = {"plain": Tier(str(by_votes), "plain"), "taught": Tier(str(by_votes), "taught", is_taught=True)}
    monkeypatch.setattr(accuracy, "TIERS", tiers)
    words = ["--data", str(data), "--tiers", "plain", "taught", "--teachers", "plain", "--seeds", "2"]
    return [*words, "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "accuracy.json")]


@pytest.mark.usefixtures("trainings_in_process")
def test_tiers_are_trained_in_turn_and_measured(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy.main(["collect", *small]) == 4
    assert "has no finished run of a tier" in capsys.readouterr().err
    assert accuracy.main(["train", *small, "--minutes", "0"]) == 6
    assert "4 of 4 runs are not finished: plain-seed0, " in capsys.readouterr().out
    assert accuracy.main(["train", *small, "--lanes", "2"]) == 0
    for verb in ("train", "collect"):
        assert accuracy.main([verb, *small, "--options=--train.epochs 1"]) == 4
        assert "plain-seed0 was trained with train.epochs 2, the config now says 1" in capsys.readouterr().err
    assert accuracy.main(["train", *small, "--teacher-seeds", "1"]) == 4
    assert "the teachers plain-seed0, plain-seed1 instead of plain-seed0; name" in capsys.readouterr().err
    assert accuracy.main(["collect", *small]) == 0
    plain, by_fer2013, taught, taught_by_fer2013 = read_json(tmp_path / "accuracy.json")["results"]
    assert taught["teachers"] == ["plain-seed0", "plain-seed1"] and plain["teachers"] == []
    assert [row["labels"] for row in (plain, by_fer2013, taught)] == ["FER+", "FER2013", "FER+"]
    assert by_fer2013["total"] == taught_by_fer2013["total"] == 18 and by_fer2013["oracle_correct"] is None
    assert by_fer2013["correct"]["flip"][0] >= plain["correct"]["flip"][0]
    assert plain["total"] == 13 and plain["seeds"] == [0, 1] and plain["copies_of_training_images"] == 0
    log = read_json_lines(tmp_path / "runs" / "plain-seed1" / "log.jsonl")
    hits = [round(13 * record["val_accuracy"]) for record in log]
    assert plain["correct"]["single"][1] == hits[-1] and plain["oracle_correct"][1] == max(hits)
    # A tier that is not measured again stays as it was, with its origin.
    assert accuracy.main(["collect", *small, "--tiers", "taught"]) == 0
    again = read_json(tmp_path / "accuracy.json")["results"]
    assert [plain, by_fer2013] == [{name: row[name] for name in plain} for row in again[:2]]
    assert [taught, taught_by_fer2013] == again[2:]
    assert {"command", "git", "machine"} < again[0]["origin"].keys()
    # The weights of each seed are kept, with cards that hold the same counts.
    keep = ["keep", *small, "--tiers", "taught", "--kept", str(tmp_path / "kept")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_weights, "MAX_BYTES", 400)
        assert accuracy.main(keep) == 4 and not (tmp_path / "kept").exists()
    assert "wanted at most 400 together" in capsys.readouterr().err
    assert accuracy.main(keep) == 0
    assert sources.list_names(tmp_path / "kept") == ["taught-seed0", "taught-seed1"]
    for seed in (0, 1):
        card = read_json(tmp_path / "kept" / f"taught-seed{seed}.json")
        assert {each["part"] for each in card["figures"]} == {"PublicTest"}
        for kind, row in {"FER+ majority": taught, "FER2013": taught_by_fer2013}.items():
            counts = {each["views"]: each["correct"] for each in card["figures"] if each["labels"] == kind}
            assert counts == {views: row["correct"][views][seed] for views in ("single", "flip")}
    capsys.readouterr()
    assert accuracy.main(keep) == 0
    assert capsys.readouterr().out.count(": kept already") == 2


def test_what_is_kept_is_small_and_has_cards() -> None:
    """The weights behind the published figures, and those in the package."""
    for folder, most in ((kept_weights.FOLDER, kept_weights.MAX_BYTES), (sources.WEIGHTS, 14_000_000)):
        assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= most
        for name in sources.list_names(folder):
            card = read_json(folder / f"{name}.json")
            assert (card["name"], card["tensors"]["dtype"]) == (name, "float16")
            tensors = (folder / f"{name}.safetensors").read_bytes()
            assert hashlib.sha256(tensors).hexdigest() == card["tensors"]["sha256"]
    wheel = tomllib.loads((bench.ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert wheel["wheel"]["packages"] == ["fer_jax"]


def test_copies_are_counted_apart_for_each_seed_and_the_ensemble() -> None:
    """Of four images the first two are copies; one seed has 0, 1, 2 right, the other 0, 3, their mean all."""
    examples = draw_examples(seed=0, examples=4)
    right, wrong = 3 * np.eye(7)[examples.labels], np.eye(7)[(examples.labels + 1) % 7]
    logits = [
        dict.fromkeys(VIEWS, np.where(np.isin(range(4), rows)[:, None], right, wrong))
        for rows in ([0, 1, 2], [0, 3])
    ]
    record = SimpleNamespace(
        seed=0, parameters=1, macs=1, seconds_total=1.0, teachers=None, device="CPU", machine="a machine"
    )
    saved = {"train_hashes": examples.hashes[:2]}
    seed: Any = SimpleNamespace(record=record, folder="a", saved=saved, config=Config(name="a"))
    labelling = Labelling(LabelsConfig(), LABELS, is_own=False)
    row = accuracy._score([seed, seed], labelling, examples, np.arange(4), logits)
    assert row["copies_of_training_images"] == 2
    assert row["correct"]["flip"] == [3, 2] and row["correct_copies"]["flip"] == [2, 1]
    assert row["ensemble_correct"]["flip"] == 4 and row["ensemble_correct_copies"]["flip"] == 2


def weights_table_of(folder: Path, card: dict[str, Any]) -> str:
    write_json(folder / "a.json", card)
    (folder / "a.safetensors").touch()
    return accuracy_tables.weights_table(folder)


def test_the_tables_by_hand(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "name": "a",
        "words": "a network",
        "labels": "FER2013",
        "teachers": ["b-seed0"],
        "are_teachers_selected": True,
        "copies_of_training_images": 7,
        "total": 1000,
        "seconds": [60.0, 120.0, 600.0],
        "seeds": [0, 1, 2],
        "correct": {"single": [640, 650, 660], "flip": [660, 660, 660], "ten-crop": [650, 670, 690]},
        "ensemble_correct": {"single": 660, "flip": 670, "ten-crop": 700},
        "oracle_correct": [650, 660, 670],
        "select": "last",
        "parameters": 1234,
        "macs": 5_600_000,
        "epochs": 9,
        "machines": ["a machine"],
    }
    results = tmp_path / "accuracy.json"
    pages = {name: tmp_path / f"{name}.md" for name in ("accuracy", "weights", "results")}
    for name, page in pages.items():
        page.write_text(f"<!-- {name} -->\n<!-- /{name} -->\n")
    other = row | {"labels": "FER+", "oracle_correct": None}
    best = row | {"name": "best", "machines": ["AMD EPYC (family 25), 1 cores"], "seeds": [0]}
    write_json(results, {"results": [row, other, best, best | {"labels": "FER+"}]})
    record = tmp_path / "best.py"
    record.write_text('"""Best.\n\nMeasured: before.\nAnd more.\nCost: much.\n"""\n')
    words = ["write", "--results", str(results), "--pages", str(tmp_path), "--configs", str(tmp_path)]
    assert accuracy.main(words) == 0
    assert record.read_text() == (
        '"""Best.\n\n'
        "Measured: 65.0 ± 1.0 percent on PublicTest by FER2013's labels, 66.0 ± 0.0 with flip TTA, distilled "
        "from\nb-seed0, whose epochs were chosen on these images (one seed; the last epoch, with no "
        "selection).\n"
        'Cost: much.\n"""\n'
    )
    figures = {"part": "PublicTest", "labels": "FER2013", "views": "flip", "accuracy": 0.5, "correct": 1}
    card: dict[str, Any] = {
        "parameters": 1234,
        "tensors": {"bytes": 2500},
        "config": {"name": "small"},
        "training": {"seeds": {"train": 3}, "teachers": {"runs": [{"run": "b-seed0"}]}},
        "figures": [figures | {"total": 2, "low": 0.1, "high": 0.9}, figures | {"part": "train"}],
    }
    cells = (
        "| `a` | 1,234 | 2 | `small`, seed 3, distilled from b-seed0 | flip | 50.0 % (1 of 2; 10.0 to 90.0)"
    )
    assert f"{cells} | – |" in weights_table_of(tmp_path, card)
    card["figures"][0] |= {"copy_free": {"correct": 1, "total": 1, "accuracy": 1.0}}
    card["training"]["git"] = "0123-dirty"
    text = weights_table_of(tmp_path, card)
    assert f"{cells}; without copies 100.0 % (1 of 1) | – |" in text
    assert text.endswith("Trained with uncommitted changes, which no commit holds: `a` (on commit 0123).")
    lines = pages["accuracy"].read_text().splitlines()
    assert lines[4].endswith("| 70.0 (67.1 to 72.8) | – |")
    assert lines[5].startswith("| large network, mixed images from b-seed0")
    assert lines[3] == (
        "| a network from b-seed0, whose epochs were chosen on these images "
        "| FER2013 | 1,000 | 1,234 | 6 | 9, last | 2 | 3 | 65.0 ± 1.0 | 66.0 ± 0.0 "
        "| 67.0 ± 2.0 | 67.0 (64.0 to 69.8) | 70.0 (67.1 to 72.8) | 66.0 ± 1.0 |"
    )
    # Where copies are counted: 40, 50, 60 of 100 are right among them, 600 of 900 beside.
    among = {"single": [40, 50, 60], "flip": [60, 60, 60], "ten-crop": [50, 70, 90]}
    counted = row | {"copies_of_training_images": 100, "correct_copies": among}
    counted |= {"ensemble_correct_copies": {"single": 60, "flip": 70, "ten-crop": 70}}
    both = accuracy_tables.table({"results": [counted, other]}).splitlines()
    assert both[2] == lines[3]
    assert both[-1] == (
        "| a network from b-seed0, whose epochs were chosen on these images | FER2013 | 900 | 66.7 ± 0.0 "
        "| 66.7 ± 0.0 | 66.7 ± 0.0 | 66.7 (63.5 to 69.7) | 70.0 (66.9 to 72.9) |"
    )
    # A row that was measured in fewer views than another.
    fewer = counted | {
        field: {"single": counted[field]["single"]} for field in ("correct", "ensemble_correct")
    }
    last = accuracy_tables.table({"results": [counted, fewer]}).splitlines()[-1]
    assert "| 900 | 66.7 ± 0.0 | not measured | not measured | not measured | not measured |" in last
    short = accuracy_tables.short_table({"results": [counted | {"name": "best"}]})
    assert "| 65.0 ± 1.0 | 66.7 ± 0.0 | 66.0 ± 0.0 | 66.7 ± 0.0 | 2 min |" in short
    short = accuracy_tables.short_table({"results": [counted | {"name": "best"}, row | {"name": "mid"}]})
    assert short.count("| 65.0 ± 1.0 | 66.0 ± 0.0 | 2 min |") == 2 and "without copies" not in short
    (sentence,) = accuracy_tables.list_measured({"results": [counted | {"name": "best"}]}, tmp_path).values()
    assert "with flip TTA, without copies of training images 66.7 ± 0.0 and 66.7 ± 0.0," in " ".join(
        sentence.split()
    )
    # The first row of a tier is the one by its own labels.
    assert pages["results"].read_text().splitlines()[3:-1] == [
        "| [`best`](configs/best.py) | 1,234 | FER2013 | 1 | 65.0 ± 1.0 | 66.0 ± 0.0 | 2 min "
        "| AMD EPYC, 1 core |"
    ]


def test_a_failed_run_is_set_aside_with_what_waits_for_it(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = unattended.Training(tmp_path / "bad", ("--config", "nowhere.py"))
    waits = unattended.Training(tmp_path / "waits", (), after=(bad.folder,))
    words = ("--config", str(tmp_path / "small.py"), "--data", str(tmp_path / "fer2013.csv"))
    good = unattended.Training(tmp_path / "good", (*words, "--train.epochs", "1"))
    console = Console()
    failures = unattended.finish([bad, waits, good], lanes=2, minutes=None, console=console)
    assert "ended with status 2" in failures[bad.folder]
    assert "there is no config file nowhere.py" in failures[bad.folder]
    assert failures.keys() == {bad.folder, waits.folder} and unattended.is_finished(good.folder)
    with pytest.raises(RunError, match=r"bad: ended with status 2(.|\n)*waits: waits for a run that failed"):
        unattended.train([bad, waits, good], lanes=1, minutes=None, console=console)
    capsys.readouterr()
    assert (
        unattended.train([bad, replace(good, folder=tmp_path / "new")], lanes=1, minutes=0, console=console)
        == 6
    )
    assert "2 of 2 runs are not finished" in capsys.readouterr().out


def test_what_cannot_end_is_refused_before_it_begins(tmp_path: Path) -> None:
    one = unattended.Training(tmp_path / "one", ("--config", "nowhere.py"))
    with pytest.raises(RunError, match=r"waits for .*bad, which is neither finished nor requested"):
        unattended.finish([replace(one, after=(tmp_path / "bad",))], lanes=1, minutes=None, console=Console())
    with pytest.raises(RunError, match=r"one waits for .*one, which is neither finished"):
        unattended.finish([replace(one, after=(one.folder,))], lanes=1, minutes=None, console=Console())
    for lanes, wanted in (
        (9999, r"--lanes is 9999, but this machine has only \d+ cores"),
        (0, "--lanes is 0; it must be"),
    ):
        with pytest.raises(ConfigError, match=wanted):
            unattended.finish([one], lanes=lanes, minutes=None, console=Console())


def test_a_signal_stops_and_saves_all(
    small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(unattended, "watch_signals", lambda: contextlib.nullcontext([signal.SIGTERM]))
    assert accuracy.main(["train", *small]) == 128 + signal.SIGTERM
    assert "all runs are saved; call again to resume" in capsys.readouterr().out


def test_a_tier_that_there_is_none_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert accuracy.main(["train", "--tiers", "magic"]) == 2
    assert "there is no tier magic; the tiers are speedrun, speedrun20, tiny, " in capsys.readouterr().err
    assert accuracy.main(["train"]) == 2
    assert "--data is missing" in capsys.readouterr().err
    assert accuracy.main(["train", "--seeds", "0"]) == 2
    assert "--seeds and --teacher-seeds must be at least 1" in capsys.readouterr().err
    assert accuracy.main(["train", "--teachers", "tiny-distilled"]) == 2
    assert "tiny-distilled, which would wait for itself" in capsys.readouterr().err
