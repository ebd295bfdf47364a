"""FER+ targets: the official rule by hand, shares and draws, and the rows that are left."""

import lzma
from pathlib import Path

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.config.data import LabelsConfig
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.readers.ferplus import CHOICES, HEADER, Votes, read
from fer_jax.data.split import Split
from fer_jax.data.targets import Classes, Targets, draw_votes, keep_rows, load_targets, make_targets
from fer_jax.errors import ConfigError, DataError
from fer_jax.fer2013 import NAMES
from fer_jax.inference.prepare import choose_labels

ANGRY, FEAR, HAPPY, SAD, CONTEMPT = (NAMES.index(n) for n in ("angry", "fear", "happy", "sad", "contempt"))
NONE = fer2013.UNLABELLED

# Votes, and the label that the official rule gives with eight and with seven classes.
BY_HAND: tuple[tuple[dict[str, int], int, int], ...] = (
    ({"happiness": 10}, HAPPY, HAPPY),
    ({"happiness": 6, "neutral": 4}, HAPPY, HAPPY),
    ({"happiness": 5, "neutral": 5}, NONE, NONE),  # One half is not more than half.
    (
        {"fear": 5, "sadness": 3, "surprise": 1, "anger": 1},
        FEAR,
        FEAR,
    ),  # 5 of 8, as single votes are dropped.
    ({"anger": 4, "fear": 3, "sadness": 3}, NONE, NONE),
    ({"contempt": 7, "anger": 3}, CONTEMPT, NONE),
    ({"unknown": 6, "anger": 4}, NONE, NONE),
    ({"NF": 10}, NONE, NONE),
    (dict.fromkeys(CHOICES, 1), NONE, NONE),
    ({"sadness": 2, "unknown": 1}, SAD, SAD),
)


def by_hand() -> Votes:
    rows = [[row.get(choice, 0) for choice in CHOICES] for row, *_ in BY_HAND]
    return Votes(np.array(rows, np.int64), np.zeros(len(rows), np.int64))


@pytest.mark.parametrize("classes", [7, 8])
def test_a_label_has_more_than_half_of_the_votes_that_are_left(classes: Classes) -> None:
    targets = make_targets(by_hand(), LabelsConfig(), classes=classes)
    wanted = [eight if classes == 8 else seven for _, eight, seven in BY_HAND]
    assert targets.labels.tolist() == wanted
    assert targets.rows.tolist() == [row for row, label in enumerate(wanted) if label != NONE]
    one_hot = np.array([[float(k == label) for k in range(classes)] for label in wanted])
    np.testing.assert_array_equal(targets.of_epoch(0, 0), one_hot)
    assert targets.of_epoch(0, 0).dtype == np.float32


def test_shares_are_of_the_expressions_that_more_than_one_voted_for() -> None:
    targets = make_targets(by_hand(), LabelsConfig(mode="votes"), classes=8)
    shares = targets.of_epoch(3, 1)
    assert shares[1, [HAPPY, NAMES.index("neutral")]].tolist() == pytest.approx([0.6, 0.4])
    assert shares[3, [FEAR, SAD]].tolist() == pytest.approx([5 / 8, 3 / 8])
    assert shares[5, [CONTEMPT, ANGRY]].tolist() == pytest.approx([0.7, 0.3])
    assert shares[6, ANGRY] == 1  # Unknown is no expression.
    assert not shares[[7, 8]].any()
    seven = make_targets(by_hand(), LabelsConfig(mode="votes"), classes=7)
    assert seven.of_epoch(3, 1)[5].tolist() == [1, 0, 0, 0, 0, 0, 0]


def test_undecided_rows_can_be_trained_on_and_are_never_measured() -> None:
    decided = make_targets(by_hand(), LabelsConfig(mode="votes"), classes=8)
    voted = make_targets(by_hand(), LabelsConfig(mode="votes", keep="voted"), classes=8)
    assert decided.rows.tolist() == [0, 1, 3, 5, 9]
    assert voted.rows.tolist() == [0, 1, 2, 3, 4, 5, 6, 9]
    assert voted.labels.tolist() == decided.labels.tolist()
    with pytest.raises(
        ConfigError, match=r"labels\.keep is 'voted'; wanted decided for labels\.mode majority"
    ):
        LabelsConfig(mode="majority", keep="voted")


def test_a_draw_follows_the_votes_the_seed_and_the_epoch() -> None:
    votes = np.tile(np.array([[0, 6, 0, 4]]), (20_000, 1))
    drawn = draw_votes(5, 2, votes)
    assert drawn.sum(axis=0)[[0, 2]].tolist() == [0, 0]
    assert (drawn.sum(axis=1) == 1).all()
    assert drawn[:, 1].mean() == pytest.approx(0.6, abs=0.02)
    np.testing.assert_array_equal(drawn, draw_votes(5, 2, votes))
    for seed, epoch in ((6, 2), (5, 3)):
        assert (drawn != draw_votes(seed, epoch, votes)).any()
    # The other rows do not matter.
    others = votes.copy()
    others[1::2] = 0
    np.testing.assert_array_equal(draw_votes(5, 2, others)[::2], drawn[::2])
    targets = make_targets(by_hand(), LabelsConfig(mode="drawn"), classes=8)
    epochs = np.array([targets.of_epoch(0, epoch) for epoch in range(40)])
    assert set(epochs[:, 1].argmax(axis=1)) == {HAPPY, NAMES.index("neutral")}
    assert set(epochs[:, 0].argmax(axis=1)) == {HAPPY}


def test_training_keeps_its_rows_and_the_other_parts_those_with_a_label() -> None:
    targets = Targets(np.array([0, 2, 4]), np.array([1, NONE, NONE, 1, 1]), np.ones((5, 7), np.int64), True)
    kept = keep_rows(Split(np.array([0, 1, 2]), np.array([2, 3]), np.array([4])), targets)
    assert (kept.train.tolist(), kept.val.tolist(), kept.test.tolist()) == ([0, 2], [3], [4])
    with pytest.raises(DataError, match="FER\\+ leaves none of the 1 rows of the val part"):
        keep_rows(Split(np.array([0]), np.array([1]), np.array([4])), targets)


def test_votes_are_read_beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    faces = np.zeros((2, 48, 48, 1), np.uint8)
    examples = Examples(faces, np.array([3, 4]), np.array([0, 1]), "two faces", "")
    assert load_targets(LabelsConfig(), examples, classes=7) is None
    plus = LabelsConfig(source="ferplus")
    with pytest.raises(
        ConfigError, match=r"names no file, and there is no data/fer2013new\.csv; get fer2013new"
    ):
        load_targets(plus, examples, classes=7)
    Path("data").mkdir()
    rows = ("PublicTest,,0,0,0,10,0,0,0,0,0,0", "Training,,0,10,0,0,0,0,0,0,0,0")
    Path("data/fer2013new.csv").write_text("\n".join([",".join(HEADER), *rows]))
    targets = load_targets(plus, examples, classes=7)
    assert targets is not None and targets.labels.tolist() == [3, 4]
    with pytest.raises(DataError, match=r"there is no file of FER\+ votes other\.csv"):
        load_targets(LabelsConfig(source="ferplus", ferplus="other.csv"), examples, classes=7)


def test_the_official_counts_of_the_real_votes(tmp_path: Path) -> None:
    packed = Path(__file__).parents[3] / "shared" / "fer2013" / "ferplus.csv.xz"
    if not packed.is_file():
        pytest.skip("needs the votes beside the repository: ../shared/fer2013/ferplus.csv.xz")
    (tmp_path / "fer2013new.csv").write_bytes(lzma.decompress(packed.read_bytes()))
    votes = read(tmp_path / "fer2013new.csv")
    official: tuple[tuple[Classes, list[int]], ...] = ((8, [25_060, 3_199]), (7, [24_941, 3_186]))
    for classes, wanted in official:
        kept = make_targets(votes, LabelsConfig(), classes=classes).rows
        assert np.bincount(votes.usages[kept])[:2].tolist() == wanted


def test_training_aims_at_the_votes_and_is_measured_by_the_majority(tmp_path: Path) -> None:
    votes = (
        (3, {"happiness": 9}),
        (4, {"sadness": 4, "fear": 3, "anger": 3}),
        (4, {"NF": 10}),
        (0, {"fear": 7}),
    )
    rows = [["Training", "", *(str(row.get(choice, 0)) for choice in CHOICES)] for _, row in votes]
    (tmp_path / "plus.csv").write_text("\n".join(map(",".join, [HEADER, *rows])))
    labels = np.array([label for label, _ in votes], np.int32)
    examples = Examples(np.zeros((4, 48, 48, 1), np.uint8), labels, np.zeros(4, np.int32), "four", "")
    split = Split(np.array([0, 1, 2]), np.array([3]), np.array([], np.int64))
    plus = LabelsConfig(source="ferplus", mode="votes", keep="voted", ferplus=str(tmp_path / "plus.csv"))
    chosen = choose_labels(Config(name="a", labels=plus), examples, split)
    # The second row is undecided: training sees all its votes, evaluation counts its likeliest.
    assert chosen.examples.labels[[0, 1, 3]].tolist() == [HAPPY, SAD, FEAR]
    assert chosen.decided is not None and chosen.decided.tolist() == [HAPPY, -1, -1, FEAR]
    assert chosen.split.train.tolist() == [0, 1]
    assert chosen.own_targets is not None and chosen.targets is chosen.own_targets
    assert chosen.own_targets(0, 0)[1, [SAD, FEAR, ANGRY]].tolist() == pytest.approx([0.4, 0.3, 0.3])
    assert chosen.notes == ("FER+ leaves 2 of 3 rows of train, 1 of 1 of val",)
    plain = choose_labels(Config(name="a"), examples, split)
    assert plain.examples is examples and plain.split is split
    assert plain.targets is None and plain.notes == ()
