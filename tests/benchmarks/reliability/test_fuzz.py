"""The fuzzing of readers: a slice of the campaign, what counts as a failure, and what the campaign found."""

import json
import pickle
import warnings
from pathlib import Path

import pytest
from hypothesis import strategies as st

from benchmarks.reliability import fuzz
from benchmarks.reliability.fuzz_bombs import BOMBS, Bomb
from benchmarks.reliability.fuzz_edits import Input, Reader
from benchmarks.reliability.fuzz_oracles import require
from fer_jax.config.data import BadRow
from fer_jax.errors import DataError

SLICE = {"checkpoint": 15}
"""Inputs of readers that are slow."""
SLOW = ("PNG", "16 GB")
QUICK_BOMBS = [bomb for bomb in BOMBS if not any(word in bomb.name for word in SLOW)]


# Orbax's storage may tell a closed event loop that a read has failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", fuzz.READERS)
def test_a_reader_answers_or_refuses_as_its_oracle_does(name: str) -> None:
    tally = fuzz.fuzz(fuzz.READERS[name], inputs=SLICE.get(name, 40), seed=7, keep=None)
    assert tally.failures == []
    assert tally.came["accepted"] > 0
    assert tally.came["refused"] > 0


@pytest.mark.parametrize("bomb", QUICK_BOMBS, ids=lambda bomb: bomb.name)
def test_what_promises_too_much_is_refused(bomb: Bomb, tmp_path: Path) -> None:
    bomb.make(tmp_path)
    came, message = fuzz.judge(bomb.reader, Input({}, "stop", is_edited=True), tmp_path)
    assert came == "refused", message


def misbehave(folder: Path, on_bad_row: BadRow) -> str:
    """Do what the input says."""
    wish = (folder / "wish").read_text()
    if wish == "trace":
        raise KeyError("x")
    if wish == "say":
        print("hello")
    if wish == "warn":
        warnings.warn("hello", stacklevel=1)
    if wish == "refuse":
        raise DataError("a message")
    return wish


def check(folder: Path, on_bad_row: BadRow, came: str | None) -> None:
    require(came != "lie", "a lie")


@pytest.mark.parametrize(
    ("wish", "is_edited", "came"),
    [
        ("answer", False, "accepted"),
        ("refuse", True, "failed"),  # The oracle accepts it.
        ("refuse", False, "failed"),
        ("trace", True, "failed"),
        ("say", True, "failed"),
        ("warn", True, "failed"),
        ("lie", True, "failed"),
    ],
)
def test_failures_are_seen(wish: str, is_edited: bool, came: str, tmp_path: Path) -> None:
    reader = Reader("r", lambda: st.nothing(), misbehave, check, is_exact=True)
    (tmp_path / "wish").write_text(wish)
    assert fuzz.judge(reader, Input({}, "stop", is_edited=is_edited), tmp_path)[0] == came


@pytest.mark.parametrize("message", ["a\x1b[31m", "a\x00", "\ud800", "\u202eexe.png", "", "a" * 5000])
def test_a_message_that_acts_on_the_terminal_or_floods_it_is_a_failure(message: str) -> None:
    assert fuzz.find_fault(message) is not None
    assert fuzz.find_fault(str(DataError(message or "x"))) is None
    assert fuzz.find_fault("two lines\n\tand a tab") is None


def test_the_same_seed_draws_the_same_inputs() -> None:
    drawn: list[list[Input]] = [[], []]
    for inputs in drawn:
        fuzz.draw(inputs.append, fuzz.READERS["votes"], 20, 3)
    assert drawn[0] == drawn[1]


def test_the_program_counts_what_a_reader_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What goes to another process has to be pickled.
    monkeypatch.setattr(fuzz, "apart", lambda work, *given_to: work(*pickle.loads(pickle.dumps(given_to))))
    monkeypatch.setattr(fuzz, "limit_memory", lambda mebibytes: 0)
    monkeypatch.setattr(fuzz, "BOMBS", BOMBS[:1])
    out = tmp_path / "fuzz.json"
    assert fuzz.main(["--inputs", "10", "--readers", "votes", "--workers", "1", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    (row,) = content["results"]
    assert row["inputs"] == row["accepted"] + row["refused"] == 10
    assert content["failures"] == []
    assert [bomb["came"] for bomb in content["bombs"]] == ["refused"]
