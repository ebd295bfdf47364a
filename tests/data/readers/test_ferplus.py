"""FER+ votes: read as they stand, joined usage by usage, and every slip is refused in words."""

from pathlib import Path

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.data.readers.ferplus import CHOICES, HEADER, UNDECIDED, Votes, match, read
from fer_jax.errors import DataError

HEAD = ",".join(HEADER)
GOOD = "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0"
TEST = "PublicTest,,0,0,0,0,0,0,0,0,0,10"


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "fer2013new.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def votes_of(*rows: dict[str, int], usage: int = 0) -> Votes:
    counts = np.array([[row.get(choice, 0) for choice in CHOICES] for row in rows], np.int64)
    return Votes(counts, np.full(len(rows), usage, np.int64))


def test_rows_come_as_they_stand(tmp_path: Path) -> None:
    votes = read(write(tmp_path, HEAD, GOOD, TEST, ""))
    assert votes.counts.tolist() == [[4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [0] * 9 + [10]]
    assert votes.usages.tolist() == [0, 1]
    # angry, disgust, fear, happy, sad, surprise, neutral
    assert votes.seven().tolist() == [[3, 2, 0, 0, 1, 0, 4], [0] * 7]
    assert votes.is_no_face().tolist() == [False, True]


def test_a_majority_is_an_expression_that_leads_alone() -> None:
    votes = votes_of(
        {"fear": 6, "surprise": 4},
        {"fear": 4, "surprise": 3, "sadness": 3},
        {"fear": 5, "surprise": 5},
        {"fear": 3, "contempt": 4, "unknown": 3},
        {"fear": 3, "NF": 5, "unknown": 2},
    )
    fear = fer2013.LABELS.index("fear")
    assert votes.majority().tolist() == [fear, fear, UNDECIDED, UNDECIDED, UNDECIDED]
    assert votes.is_absolute().tolist() == [True, False, False, False, False]
    assert votes.is_no_face().tolist() == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "line 1: found ''; wanted FER+'s header `Usage,Image name,neutral"),
        (["emotion,pixels", "0,1 2 3"], "line 1: found 'emotion,pixels'; wanted FER"),
        ([HEAD], "found no row after the header"),
        ([HEAD, GOOD, GOOD[:-2]], "line 3: found 11 fields; wanted 12"),
        ([HEAD, GOOD.replace("Training", "Train")], "line 2, Usage: found 'Train'; wanted one of Training"),
        ([HEAD, GOOD.replace(",4,", ",x,")], "line 2, neutral: found 'x'; wanted a count of votes"),
        ([HEAD, GOOD.replace(",3,2,", ",-3,2,")], "line 2, anger: found '-3'; wanted a count"),
        ([HEAD, GOOD.replace(",4,", ",5,")], "line 2: found 11 votes; wanted 1 to 10"),
        ([HEAD, "Training,," + ",".join("0" * 10)], "line 2: found 0 votes"),
    ],
)
def test_a_slip_is_named_with_its_place(tmp_path: Path, lines: list[str], message: str) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}") and message in str(error.value)


def test_files_that_are_not_there_or_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="cannot read it: No such file or directory; give another file of votes"
    ):
        read(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="found text that is not UTF-8"):
        read(tmp_path / "binary.csv")


def by_usage() -> Votes:
    """Make two Training rows, happy and sad, and two PublicTest rows, angry and neutral."""
    rows = votes_of({"happiness": 10}, {"sadness": 10}, {"anger": 10}, {"neutral": 10})
    return Votes(rows.counts, np.array([0, 0, 1, 1]))


def test_votes_are_joined_in_the_order_of_each_usage() -> None:
    labels, usages = np.array([0, 3, 6, 4]), np.array([1, 0, 1, 0])
    assert match(by_usage(), labels, usages, where="a and b").majority().tolist() == labels.tolist()
    alone = match(by_usage(), np.array([3, 4]), np.array([-1, -1]), where="a and b")
    assert alone.majority().tolist() == [3, 4]


def test_votes_of_other_data_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"^a and b: there are votes for 2 PublicTest rows, and the data has 1"
    ):
        match(by_usage(), np.array([3, 4, 0]), np.array([0, 0, 1]), where="a and b")
    with pytest.raises(DataError, match=r"^a and b: labels and votes agree on 0 % of the rows"):
        match(by_usage(), np.array([4, 3]), np.array([0, 0]), where="a and b")


def test_dropped_rows_are_named(tmp_path: Path) -> None:
    """The images that nobody took for a face have no name, and pandas' dropna takes their rows."""
    rows = [f"Training,fer{number:07d}.png,4,0,0,1,3,2,0,0,0,0" for number in (0, 2, 3, 5)]
    votes = read(write(tmp_path, HEAD, *rows))
    with pytest.raises(DataError, match=r"the votes lack 2 rows, fer0000001\.png, fer0000004\.png: no row"):
        match(votes, np.full(6, 6), np.zeros(6, np.int64), where="a and b")
