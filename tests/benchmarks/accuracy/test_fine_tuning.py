"""The benchmark of fine-tuning: its parts share no copies, a tiny case is trained, the page is written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import fine_tuning, fine_tuning_cases
from benchmarks.accuracy.fine_tuning_cases import WAYS, Case, Own
from fer_jax import fer2013
from fer_jax.config.data import DataConfig, SplitConfig
from fer_jax.config.model import ConvBlock
from fer_jax.data.load import load_examples
from fer_jax.data.split import split_examples
from fer_jax.inference import run_weights

pytestmark = pytest.mark.usefixtures("quick_compile")

EXAMPLES = load_examples(DataConfig(source="synthetic", synthetic_examples=140))


def test_the_parts_share_no_copies_and_public_test_is_in_none() -> None:
    rng = np.random.default_rng(0)
    usages = np.where(np.arange(140) < 120, 0, 1).astype(np.int32)
    # Forty images are there twice, some with another label.
    images = np.concatenate([EXAMPLES.images[:100], EXAMPLES.images[:40]])
    labels = rng.integers(-1, 8, 140).astype(np.int32)
    faces = replace(EXAMPLES, images=images, usages=usages)
    own = fine_tuning_cases.part_rows(faces, labels)
    parts = [own.ancestor_rows, own.pool, own.test]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.isin(faces.hashes[parts[one]], faces.hashes[parts[other]]).any()
    assert max(rows.max() for rows in parts) < 120
    unlabelled = labels == fer2013.UNLABELLED
    assert not unlabelled[own.pool].any() and not unlabelled[own.test].any()
    left = np.setdiff1d(np.arange(120), np.concatenate(parts))
    assert unlabelled[left].all()
    split = fine_tuning_cases.draw_own(own, 15, 0)
    assert len(split.train) + len(split.val) == 15 and not np.isin(split.val, split.train).any()
    assert np.isin(np.concatenate([split.train, split.val]), own.pool).all()
    assert not np.array_equal(split.train, fine_tuning_cases.draw_own(own, 15, 1).train)


def test_a_case_chooses_its_rate_on_its_own_rows(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_examples(EXAMPLES, SplitConfig())
    own = Own(EXAMPLES, EXAMPLES, split.val, split.test, split.train)
    base = run_weights.load(tiny_run, None, None).config
    monkeypatch.setattr(fine_tuning_cases, "BATCH_SIZE", 8)
    frozen = WAYS["frozen"]._replace(freeze_blocks=1)
    monkeypatch.setitem(WAYS, "frozen", frozen)
    case = Case("frozen", len(split.val), 0)
    found = fine_tuning_cases.train_case(base, case, own, steps=4, ancestor=tiny_run)
    assert found["trained_on"] + found["chosen_on"] == len(split.val) and found["total"] == len(split.test)
    assert len(base.model.blocks) == 1 and found["steps"] == 4
    best = max(found["tried"], key=lambda each: (each["val_correct"], -each["val_loss"]))
    assert found["rate"] == best["rate"] and [each["rate"] for each in found["tried"]] == list(frozen.rates)
    assert sum(right for right, _ in found["classes"].values()) == found["correct"]
    assert len(found["classes"]) == 8 and found["ancestor_sha256"]
    wide = replace(base, model=replace(base.model, blocks=(ConvBlock(features=3),)))
    config = fine_tuning_cases.make_config(wide, case, rate=0.1, rows=80, steps=20, ancestor=tiny_run)
    assert config.train.epochs == 2 and config.init.head_epochs == pytest.approx(0.4)
    new = fine_tuning_cases.make_config(
        wide, Case("new", 80, 0), rate=0.1, rows=80, steps=20, ancestor=tiny_run
    )
    assert new.init.weights is None


def make_content() -> dict[str, Any]:
    """Make results in which fine-tuning gains ten points, and a seed more has one point more."""
    rows = [
        {"way": way, "rows": size, "seed": seed, "steps": 9, "correct": 50 + gain + seed, "total": 100}
        for size in (100, 300)
        for seed in (0, 1)
        for way, gain in (("new", 0), ("all", 10), ("frozen", 5))
    ]
    settings = {"ways": {name: way._asdict() for name, way in WAYS.items()}, "batch_size": 32}
    return {
        "results": rows,
        "settings": settings | {"config": {"train": {"epochs": 20}}},
        "ancestor": {"correct": 55, "total": 100, "train_images": 18000},
        "machine": "a machine",
        "git": "1234567",
    }


def test_the_page_and_its_picture_say_what_the_json_says(tmp_path: Path) -> None:
    page, results, picture = tmp_path / "a.md", tmp_path / "a.json", tmp_path / "a.png"
    page.write_text("<!-- fine-tuning -->\n<!-- /fine-tuning -->\n")
    results.write_text(json.dumps(make_content()))
    words = ["--results", str(results), "--pages", str(page), "--picture", str(picture)]
    assert fine_tuning.main(["write", *words]) == 0
    text = page.read_text()
    assert "| 100 | 2 | 9 | 50.5 ± 0.7 | 60.5 ± 0.7 | 55.5 ± 0.7 | +10.0 | +5.0 |" in text
    assert "18,000 other rows with FER2013's labels, has 55.0 % (45.2 to 64.4)" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["train"], "with --data: `train` needs it"),
        (["train", "--sizes", "7", "--data", "a.csv"], "--sizes 7: wanted some of"),
    ],
)
def test_slips_are_refused(words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fine_tuning.main(words) == 2
    assert wanted in capsys.readouterr().err


def test_collecting_what_is_not_trained_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["collect", "--data", "a.csv", "--runs", str(tmp_path), "--results", str(tmp_path / "a.json")]
    assert fine_tuning.main(words) == 4
    assert "ancestor.json is missing; train it with" in capsys.readouterr().err
