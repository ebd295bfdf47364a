"""Beside an accuracy: which images are copies of training images, and which file of votes is used."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fer_jax import fer2013
from fer_jax.config.data import LabelsConfig
from fer_jax.data.examples import Examples
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError, DataError
from fer_jax.evaluate import beside
from fer_jax.files import read_json
from fer_jax.inference.labels import LabelledRows, Labelling
from fer_jax.inference.rows import find_training_hashes
from fer_jax.runs import sources

TRAINING = "28,709 Training rows (the official counts)"


@pytest.fixture
def faces(tmp_path: Path) -> Examples:
    """Make 14 Training and 7 PublicTest rows, one of each class in turn, from a file in `tmp_path`."""
    found = draw_examples(seed=0, examples=21)
    labels, usages = np.arange(21) % 7, np.repeat([0, 1], [14, 7])
    return replace(
        found, labels=labels.astype(np.int32), usages=usages.astype(np.int32), source=tmp_path / "fer2013.csv"
    )


def make_card(protocol: str, data: str, train: int) -> dict[str, Any]:
    return {"training": {"data": data, "split": {"protocol": protocol, "sizes": {"train": train}}}}


def test_the_cards_of_the_released_weights_say_that_they_know_training() -> None:
    for name in sources.list_names(sources.WEIGHTS):
        training = read_json(sources.WEIGHTS / f"{name}.json")["training"]
        assert training["split"]["protocol"] == "official" and TRAINING in training["data"]


def test_released_weights_know_the_training_rows_of_official_data_alone(
    faces: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fer2013.CLASS_COUNTS, "Training", (2,) * 7)
    monkeypatch.delitem(fer2013.CONTENT_SHA256, "Training")
    card = make_card("official", "14 Training rows (the official counts), 7 PublicTest rows", 14)
    training = faces.hashes[:14].tolist()
    found = find_training_hashes(card, faces, faces.labels)
    assert found is not None and found.tolist() == training
    # Ten of them had a majority: these alone where the votes are at hand, else all.
    decided = np.where(np.arange(21) < 4, fer2013.UNLABELLED, faces.labels)
    by_votes = make_card("official", card["training"]["data"], 10)
    exact, all_rows = (find_training_hashes(by_votes, faces, labels) for labels in (decided, faces.labels))
    assert exact is not None and exact.tolist() == training[4:]
    assert all_rows is not None and all_rows.tolist() == training
    other = make_card("official", "some photos of ours", 14)
    for unknown in (other, make_card("seed", card["training"]["data"], 14)):
        assert find_training_hashes(unknown, faces, faces.labels) is None
    fewer = replace(faces, usages=np.where(np.arange(21) == 0, 1, faces.usages))
    assert find_training_hashes(card, fewer, fewer.labels) is None


def write_votes(path: Path, faces: Examples) -> None:
    """Write seven votes for each row's label, and three for "not a face"."""
    rows = [
        ",".join(
            [
                fer2013.USAGES[usage],
                "",
                *(str({CHOICE_OF_LABEL[label]: 7, "NF": 3}.get(choice, 0)) for choice in CHOICES),
            ]
        )
        for label, usage in zip(faces.labels, faces.usages, strict=True)
    ]
    path.write_text("\n".join([",".join(HEADER), *rows]))


def test_the_votes_beside_the_data_give_one_human_rater(faces: Examples, tmp_path: Path) -> None:
    console, labelling = Console(quiet=True), Labelling(LabelsConfig(), fer2013.LABELS, is_own=True)
    assert beside.find_votes(console, labelling, faces, is_asked=False) is None
    write_votes(tmp_path / "fer2013new.csv", faces)
    other_order = replace(labelling, names=tuple(sorted(fer2013.LABELS)))
    assert beside.find_votes(console, other_order, faces, is_asked=False) is None
    votes = beside.find_votes(console, labelling, faces, is_asked=False)
    rows = LabelledRows(faces, np.arange(14, 21), {}, [])
    # Right on six of seven; the label stays the others' choice, whoever is left out.
    logits = np.eye(7)[[0, 1, 2, 3, 4, 5, 0]]
    found = beside.measure_raters(votes, rows, logits)
    assert found is not None
    assert (found["total"], found["votes"]) == (7, 70)
    assert found["rater"]["expected_correct"] == pytest.approx(4.9)
    assert found["network"]["expected_correct"] == pytest.approx(6)
    assert beside.measure_raters(None, rows, logits) is None


def test_votes_on_own_pictures_are_refused_where_they_are_asked_for(faces: Examples, tmp_path: Path) -> None:
    write_votes(tmp_path / "fer2013new.csv", faces)
    console, labelling = Console(quiet=True), Labelling(LabelsConfig(), fer2013.LABELS, is_own=True)
    own = replace(faces, is_own=True)
    assert beside.find_votes(console, labelling, own, is_asked=False) is None
    asked = replace(labelling, config=LabelsConfig(ferplus=str(tmp_path / "fer2013new.csv")))
    with pytest.raises(ConfigError, match=r"FER\+ has votes on FER2013's images alone.*leave out --ferplus"):
        beside.find_votes(console, asked, own, is_asked=True)


def test_votes_of_other_data_are_a_note_unless_they_were_asked_for(
    faces: Examples, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_votes(tmp_path / "fer2013new.csv", faces)
    other, own = (
        replace(faces, usages=np.zeros(21, np.int32)),
        Labelling(LabelsConfig(), fer2013.LABELS, is_own=True),
    )
    console = Console(soft_wrap=True)
    assert beside.find_votes(console, own, other, is_asked=False) is None
    assert "note: no human rater is shown: " in capsys.readouterr().out
    asked = replace(own, config=LabelsConfig(ferplus=str(tmp_path / "fer2013new.csv")))
    with pytest.raises(DataError, match="there are votes for 14 Training rows, and the data has 21"):
        beside.find_votes(console, asked, other, is_asked=True)
    nowhere = replace(own, config=LabelsConfig(ferplus="no.csv"))
    with pytest.raises(DataError, match=r"there is no file of FER\+ votes no.csv"):
        beside.find_votes(console, nowhere, faces, is_asked=True)
    assert beside.find_votes(console, nowhere, faces, is_asked=False) is None
