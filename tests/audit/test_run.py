"""The audit: its rules on a hand-made table, its list, and the whole program on synthetic faces."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.audit import __main__ as audit
from fer_jax.audit import cross_validation, text
from fer_jax.audit.confident_learning import Confident
from fer_jax.audit.not_faces import NotFaces
from fer_jax.audit.rules import (
    EXACT,
    FLAT,
    LABEL_ERROR,
    LEAK,
    MIXED,
    NEAR,
    NO_FACE,
    STRANGE,
    AuditFindings,
    Parts,
    check_by_votes,
    count_copies,
    make_lines,
)
from fer_jax.config.data import DataConfig, SplitConfig
from fer_jax.data.examples import Examples
from fer_jax.data.groups.near_copies import Copies, Pairs
from fer_jax.data.load import load_examples
from fer_jax.data.readers.ferplus import CHOICES, HEADER, Votes
from fer_jax.data.rows.drop_list import COLUMNS, Line, leave_out, read_dropped, to_csv
from fer_jax.data.split import Split, split_examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError, DataError
from fer_jax.text import align
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(__file__).parents[2]
NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def votes_for(*choices: str) -> Votes:
    """Make votes of which nine are for the choice and one is unknown."""
    counts = np.zeros((len(choices), len(CHOICES)), np.int64)
    counts[np.arange(len(choices)), [CHOICES.index(choice) for choice in choices]] = 9
    counts[:, CHOICES.index("unknown")] += 1
    return Votes(counts, np.zeros(len(choices), np.int64))


def test_the_docs_show_the_figures_of_their_json_in_the_words_of_today() -> None:
    figures = json.loads((ROOT / "docs" / "audit.json").read_text())
    shown = (ROOT / "docs" / "commands" / "audit.md").read_text(encoding="utf-8").splitlines()
    errors = figures["label_errors"]
    lines = [*align(text.copies_table(figures["copies"])).splitlines()]
    # An earlier version wrote the file, without the precision that the line about labels has today.
    lines += text.sentences(figures | {"label_errors": None})
    lines.append(f"warning: {text.warn(errors['correct'], errors['total'])}")
    assert [line for line in lines if line not in shown] == []


# Row: what it is there for.
LABELS = np.array(
    [
        *(0, 0),  # 0, 1: exact copies
        *(1, 2),  # 2, 3: exact copies that disagree; the annotators say fear
        *(3, 3),  # 4, 5: exact copies in Training and PublicTest
        *(4, 4),  # 6, 7: near copies
        5,  # 8: flat
        5,  # 9: strange; the annotators see no face
        6,  # 10: flagged; the annotators confirm the label
        6,  # 11: flagged; the annotators agree with the suggestion
        6,  # 12: nothing
    ]
)
FLAGGED = np.array([11, 8, 10])


def make_findings(*, with_votes: bool) -> AuditFindings:
    count = len(LABELS)
    exact, part = np.arange(count), np.zeros(count, np.int64)
    exact[[1, 3, 5]] = [0, 2, 4]
    near = exact.copy()
    near[7] = 6
    part[5] = 1
    images = np.zeros((count, 48, 48, 1), np.uint8)
    examples = Examples(images, LABELS.astype(np.int32), part.astype(np.int32), "a.csv: words", "ab" * 32)
    none = np.empty(0, np.int64)
    no_pairs = Pairs(none, none, none, np.empty(0, np.float32), np.empty(0, bool))
    probabilities = np.full((count, 7), 0.05)
    probabilities[:, 3] = 0.7
    likely = np.full(count, 3)
    said = [NAMES[label] for label in LABELS]
    said[2], said[9], said[11] = "fear", "NF", "happiness"
    return AuditFindings(
        examples,
        Parts("usages", ("Training", "PublicTest"), part),
        Copies(exact, near, no_pairs),
        NotFaces(np.arange(count) == 8, np.arange(count) == 9, np.zeros(count)),
        votes_for(*said) if with_votes else None,
        probabilities,
        Confident(np.zeros(7), likely, np.eye(7, dtype=np.int64), np.zeros(count), FLAGGED),
    )


def test_the_rules_decide_about_each_row() -> None:
    lines = {line.row: line for line in make_lines(make_findings(with_votes=True))}
    said = {row: (line.reason, line.action, line.group, line.suggested) for row, line in lines.items()}
    assert said == {
        0: (EXACT, "keep", 0, None),
        1: (EXACT, "drop", 0, None),
        2: (MIXED, "drop", 2, "fear"),
        3: (MIXED, "keep", 2, None),
        4: (f"{EXACT}; {LEAK}", "drop", 4, None),
        5: (EXACT, "keep", 4, None),
        6: (NEAR, "keep", 6, None),
        7: (NEAR, "keep", 6, None),
        8: (FLAT, "drop", None, None),
        9: (NO_FACE, "drop", None, None),
        10: (LABEL_ERROR, "keep", None, "happy"),
        11: (LABEL_ERROR, "drop", None, "happy"),
    }
    assert lines[2].confidence == 18 / 20 and lines[11].confidence == 0.7
    assert (lines[5].usage, lines[5].label) == ("PublicTest", "happy")


def test_without_votes_copies_that_disagree_are_dropped_and_strange_images_kept() -> None:
    lines = {line.row: line for line in make_lines(make_findings(with_votes=False))}
    assert [lines[row].action for row in (2, 3, 9)] == ["drop", "drop", "keep"]
    assert lines[9].reason == STRANGE


@pytest.mark.parametrize(
    ("with_votes", "correct", "wrong", "actions"),
    [
        # Half of the 13 rows is 6.5.
        (False, 6, 1.0, ["keep", "keep"]),
        (False, 7, 1.0, ["drop", "drop"]),
        (False, 7, 0.5, ["drop", "drop"]),
        (False, 7, 0.4999, ["keep", "keep"]),
        # Votes that have a majority decide, whatever the networks know.
        (True, 6, 1.0, ["keep", "drop"]),
        (True, 7, 0.0, ["keep", "drop"]),
    ],
)
def test_networks_drop_a_label_if_they_are_good_and_it_is_probably_wrong(
    with_votes: bool, correct: int, wrong: float, actions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_jax.audit.confident_learning.estimate_wrong", lambda *_: np.full(13, wrong))
    said = np.where(np.arange(13) < correct, LABELS, (LABELS + 1) % 7)
    findings = replace(make_findings(with_votes=with_votes), probabilities=np.eye(7)[said])
    assert findings.correct == correct
    assert [line.action for line in make_lines(findings) if line.row in (10, 11)] == actions


def test_copies_are_counted_within_and_between_the_parts() -> None:
    counts = count_copies(make_findings(with_votes=False))
    training, public = counts["within"]["Training"], counts["within"]["PublicTest"]
    assert (training["rows"], training["different_images"]) == (12, 10)
    assert training["exact"] == {"groups": 2, "rows": 4, "groups_with_several_labels": 1}
    assert training["near"] == {"groups": 3, "rows": 6, "groups_with_several_labels": 1}
    assert public["exact"] == {"groups": 0, "rows": 0, "groups_with_several_labels": 0}
    assert counts["all"]["exact"]["groups"] == 3
    shared = {"groups": 1, "rows": [1, 1]}
    assert counts["between"] == [{"parts": ["Training", "PublicTest"], "exact": shared, "near": shared}]


def test_the_list_is_held_against_the_votes() -> None:
    votes = check_by_votes(make_findings(with_votes=True))
    assert votes is not None
    listed, everything = votes["listed"], votes["all"]
    # Row 8 is flat and so not of the list; rows 2 and 11 are disputed.
    assert (listed["disputed"]["rows"], listed["disputed"]["of"]) == (1, 2)
    assert listed["suggestion_confirmed"]["rows"] == 1
    assert (everything["disputed"]["rows"], everything["disputed"]["of"]) == (2, 13)
    assert (votes["found"]["rows"], votes["found"]["of"]) == (1, 2)
    assert [each["k"] for each in votes["first"]] == [2]
    assert check_by_votes(make_findings(with_votes=False)) is None


LINES = [
    Line(0, "Training", "angry", "exact copy; copy in another part", 0, None, None, "drop"),
    Line(2, "", "sad", "likely label error", None, "neutral", 0.25, "keep"),
    Line(3, "", "sad", "flat image", None, None, None, "drop"),
]


def small_examples() -> Examples:
    blank = np.zeros((4, 48, 48, 1), np.uint8)
    return Examples(blank, np.zeros(4, np.int32), np.zeros(4, np.int32), "b.csv: words", "cd" * 32)


def test_a_list_comes_back_and_leaves_out_exactly_its_rows(tmp_path: Path) -> None:
    path, examples = tmp_path / "audit.csv", small_examples()
    path.write_text(to_csv(LINES, examples.sha256))
    assert path.read_text().splitlines()[2] == f"2,,sad,likely label error,,neutral,0.2500,keep,{'cd' * 32}"
    dropped = read_dropped(path, examples)
    assert dropped.tolist() == [0, 3]
    left = leave_out(
        Split(np.array([0, 2]), np.array([1]), np.array([3])),
        dropped,
        examples.labels,
        fer2013.LABELS,
        max_fraction=0.5,
    )
    assert [rows.tolist() for rows in left.parts.values()] == [[2], [1], [3]]
    # A spreadsheet may put other columns and another order.
    path.write_text("\ufeffaction,note,data_sha256,row\r\n" + f"drop,x,{'cd' * 32},2\r\n" * 2)
    assert read_dropped(path, examples).tolist() == [2]


def test_a_list_that_drops_a_class_or_too_much_stops_training() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    split = Split(np.arange(10), np.array([], np.int64), np.array([], np.int64))

    def drop(*rows: int, most: float = 1.0) -> int:
        return len(leave_out(split, np.array(rows), labels, fer2013.LABELS, max_fraction=most).train)

    assert drop(0, 1) == 8
    with pytest.raises(
        DataError, match=r"drops 3 of the 10 rows of the training part, and nothing is left of angry"
    ):
        drop(0, 1, 2)
    assert drop(3, 4, 5, 6, most=0.4) == 6
    with pytest.raises(
        DataError, match=r"drops 5 of the 10 .* 50.0 %, and .* allows 40.0 %; .* allow more with"
    ):
        drop(3, 4, 5, 6, 7, most=0.4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,action\n1,drop\n", "line 1: there is no column 'data_sha256'; give the audit.csv that"),
        ("", "line 1: there is no column 'row'"),
        (
            to_csv(LINES, "ef" * 32),
            r"line 2: it is for other data \(SHA-256 efefefefefef\), and this is b.csv",
        ),
        (to_csv([LINES[0]._replace(row=4)], "cd" * 32), r"line 2, row: found '4'; wanted a number in 0\.\.3"),
        (to_csv(LINES, "cd" * 32).replace("keep", "x"), "line 3, action: found 'x'; wanted keep or drop"),
        (to_csv([*LINES, LINES[1]._replace(action="drop")], "cd" * 32), "line 5: row 2 is listed twice"),
    ],
)
def test_a_slip_in_a_list_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "audit.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}, {message}"):
        read_dropped(path, small_examples())


def test_folds_keep_copies_together_and_share_each_class() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 400, 700)
    labels = groups % 7
    folds = cross_validation.assign_folds(labels, groups, groups=None, folds=4, seed=0)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))
    for label in range(7):
        sizes = np.bincount(folds[labels == label], minlength=4)
        assert sizes.max() - sizes.min() <= 8
    assert (folds == cross_validation.assign_folds(labels, groups, groups=None, folds=4, seed=0)).all()
    assert (folds != cross_validation.assign_folds(labels, groups, groups=None, folds=4, seed=1)).any()


def test_folds_keep_people_together_too_and_none_is_empty() -> None:
    rng = np.random.default_rng(0)
    people, labels = np.sort(rng.integers(0, 5, 200)), rng.integers(0, 7, 200)
    copies = np.where(rng.random(200) < 0.02, 3, np.arange(200))
    folds = cross_validation.assign_folds(labels, np.arange(200), groups=people, folds=4, seed=0)
    assert all(len(np.unique(folds[people == person])) == 1 for person in range(5))
    assert np.bincount(folds).min() > 0
    with pytest.raises(ConfigError, match="--folds is 6, and the rows that stay together fill"):
        cross_validation.assign_folds(labels, copies, groups=people, folds=6, seed=0)


CONFIG = """
from fer_jax.config import Config, ConvBlock, ModelConfig, OptimizerConfig, TrainConfig

config = Config(
    name="tiny",
    model=ModelConfig(
        blocks=(ConvBlock(features=8, pool=True), ConvBlock(features=16, pool=True)), dense_features=64
    ),
    optimizer=OptimizerConfig(peak_rate=0.002),
    train=TrainConfig(batch_size=16),
)
"""
FACES = 400
HAPPY, SURPRISE = 3, 5
COPY_OF, MIXED_COPY_OF = 10, 20
FLIPPED = range(100, 180, 4)


def write_data(folder: Path) -> None:
    """Write faces with a copy, one of another label, a blank and flipped labels; and votes for the truth."""
    drawn = draw_examples(seed=2, examples=1400)
    # Two expressions that differ much, so that a small network soon knows them.
    rows = np.flatnonzero(np.isin(drawn.labels, (HAPPY, SURPRISE)))
    rows = np.append(rows, rows[[COPY_OF, MIXED_COPY_OF]])
    blank = np.full((1, 48, 48, 1), 3, np.uint8)
    images, truth = np.concatenate([drawn.images[rows], blank]), [*drawn.labels[rows].tolist(), HAPPY]
    labels = list(truth)
    for row in (*FLIPPED, FACES + 1):
        labels[row] = HAPPY + SURPRISE - labels[row]
    usages = [*drawn.usages[rows].tolist(), 0]
    with (folder / "faces.csv").open("w") as data, (folder / "votes.csv").open("w") as votes:
        data.write("emotion,pixels,Usage\n")
        votes.write(",".join(HEADER) + "\n")
        for row, label in enumerate(labels):
            usage = fer2013.USAGES[usages[row]]
            data.write(f"{label},{' '.join(map(str, images[row].ravel().tolist()))},{usage}\n")
            chosen = "NF" if row == FACES + 2 else NAMES[truth[row]]
            counts = ",".join("10" if choice == chosen else "0" for choice in CHOICES)
            votes.write(f"{usage},x.png,{counts}\n")
    (folder / "tiny.py").write_text(CONFIG)


def run_audit(folder: Path, out: str, *more: str) -> int:
    words = [
        "--data",
        str(folder / "faces.csv"),
        "--config",
        str(folder / "tiny.py"),
        "--out",
        str(folder / out),
    ]
    return audit.main([*words, "--folds", "2", "--epochs", "8", "--work-dir", str(folder / "work"), *more])


def read_list(folder: Path) -> dict[int, dict[str, str]]:
    with (folder / "audit.csv").open() as file:
        return {int(line["row"]): line for line in csv.DictReader(file)}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    write_data(folder)
    assert run_audit(folder, "out", "--ferplus", str(folder / "votes.csv")) == 0
    return folder


def figures_of(folder: Path) -> Any:
    return json.loads((folder / "audit.json").read_text())


def test_planted_copies_and_a_blank_are_listed(audited: Path) -> None:
    lines = read_list(audited / "out")
    assert lines[FACES]["reason"].startswith(EXACT) and lines[FACES]["group"] == str(COPY_OF)
    assert lines[FACES]["action"] == "drop"
    assert lines[FACES + 1]["reason"].startswith(MIXED) and lines[FACES + 1]["action"] == "drop"
    assert lines[MIXED_COPY_OF]["action"] == "keep"
    assert lines[FACES + 1]["suggested"] == lines[MIXED_COPY_OF]["label"]
    assert lines[FACES + 2]["reason"] == f"{FLAT}; {NO_FACE}"
    figures = figures_of(audited / "out")
    assert figures["copies"]["all"]["different_images"] == FACES + 1
    assert figures["copies"]["all"]["exact"] == {"groups": 2, "rows": 4, "groups_with_several_labels": 1}


def test_an_audit_by_weak_networks_drops_no_label_and_says_so(
    audited: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    strong = figures_of(audited / "out")["label_errors"]
    assert strong["are_networks_good"] and strong["warning"] is None and strong["dropped"] > 0
    for module in ("rules", "text"):
        monkeypatch.setattr(f"fer_jax.audit.{module}.MIN_CORRECT", 1.0)
    assert run_audit(audited, "weak") == 0
    weak = figures_of(audited / "weak")["label_errors"]
    assert (weak["listed"], weak["dropped"]) == (strong["listed"], 0)
    assert weak["estimated_precision"] == {
        "listed": strong["estimated_precision"]["listed"],
        "dropped": None,
    }
    shown = " ".join(capsys.readouterr().out.split())
    assert "of the unseen rows correctly, and 100 % are needed to question a label" in shown
    assert weak["warning"] in (audited / "weak" / "audit.html").read_text()
    lines = read_list(audited / "weak").values()
    assert {line["action"] for line in lines if line["reason"] == LABEL_ERROR} == {"keep"}


def test_planted_label_errors_are_found(audited: Path) -> None:
    figures = figures_of(audited / "out")
    assert figures["label_errors"]["correct"] > 0.65 * FACES, "the networks know too little to judge"
    votes = figures["votes"]
    # The votes are the truth here: the flipped rows, and no others, are disputed.
    assert votes["all"]["disputed"]["rows"] == len(FLIPPED) + 1
    assert votes["found"]["share"] >= 0.5
    assert votes["listed"]["disputed"]["low"] > votes["all"]["disputed"]["high"]
    lines = read_list(audited / "out")
    confirmed = [line for row, line in lines.items() if line["reason"] == LABEL_ERROR and row not in FLIPPED]
    assert {line["action"] for line in confirmed} <= {"keep"}


def test_the_page_is_one_file_with_the_faces(audited: Path, find_faults: Callable[[str], list[str]]) -> None:
    text = (audited / "out" / "audit.html").read_text()
    assert find_faults(text) == []
    assert f"row {FACES + 1}" in text and "data:image/png;base64," in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert (audited / "out" / "precision.png").read_bytes().startswith(b"\x89PNG")


def test_a_stopped_search_goes_on_to_the_same_list(audited: Path) -> None:
    assert figures_of(audited / "out")["label_errors"]["folds_read_back"] == 0
    (audited / "work" / "fold2of2.npz").write_bytes(b"damaged")
    assert run_audit(audited, "again", "--ferplus", str(audited / "votes.csv")) == 0
    assert figures_of(audited / "again")["label_errors"]["folds_read_back"] == 1
    assert (audited / "again" / "audit.csv").read_bytes() == (audited / "out" / "audit.csv").read_bytes()


def run_train(folder: Path, name: str, *more: str) -> int:
    words = ["--config", str(folder / "tiny.py"), "--run-dir", str(folder / name), "--train.epochs", "1"]
    return train.main([*words, "--drop", str(folder / "out" / "audit.csv"), *more])


def test_training_leaves_out_exactly_the_dropped_rows(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_train(audited, "dropped", "--data", str(audited / "faces.csv")) == 0
    examples = load_examples(DataConfig(path=str(audited / "faces.csv")))
    whole, left = split_examples(examples, SplitConfig()).parts, np.load(audited / "dropped" / "split.npz")
    dropped = [row for row, line in read_list(audited / "out").items() if line["action"] == "drop"]
    gone = np.setdiff1d(whole["train"], left["train"])
    assert gone.tolist() == sorted(set(dropped) & set(whole["train"].tolist())) and len(gone) > 5
    assert all((whole[part] == left[part]).all() for part in ("val", "test"))
    said = json.loads((audited / "dropped" / "run.json").read_text())["split"]["dropped"]
    assert said == {"list": str(audited / "out" / "audit.csv"), "rows": len(gone)}
    assert f"left out of train: {len(gone)} rows" in capsys.readouterr().out


def test_an_audit_of_other_inputs_and_an_edited_list_are_not_replaced(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_audit(audited, "out", "--ferplus", str(audited / "votes.csv"), "--epochs", "1") == 4
    assert "its label_errors.epochs is 8, and here it is 1" in capsys.readouterr().err
    path = audited / "out" / "audit.csv"
    before = path.read_text()
    path.write_text(before.replace("drop", "keep", 1))
    assert run_audit(audited, "out", "--ferplus", str(audited / "votes.csv")) == 4
    assert "audit.csv was edited since the audit wrote it" in capsys.readouterr().err
    path.write_text(before)
    result = audited / "out" / "audit.json"
    content = result.read_bytes()
    for damaged in (b"[]", content[:-40]):
        result.write_bytes(damaged)
        assert run_audit(audited, "out", "--ferplus", str(audited / "votes.csv")) == 4
        assert "audit.csv may have been edited" in capsys.readouterr().err
    result.write_bytes(content)


def test_training_on_other_data_refuses_the_list(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_train(audited, "other", "--data.source", "synthetic", "--data.synthetic-examples", "210") == 3
    assert "it is for other data" in capsys.readouterr().err
    assert not (audited / "other").exists()


def test_without_a_search_nothing_is_trained(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        audit.main(["--data", str(audited / "faces.csv"), "--folds", "0", "--out", str(audited / "quick")])
        == 0
    )
    figures = figures_of(audited / "quick")
    assert figures["label_errors"] is None and figures["votes"] is None
    assert "Label errors were not searched for" in (audited / "quick" / "audit.html").read_text()
    assert set(read_list(audited / "quick")) >= {FACES, FACES + 1, FACES + 2}
    assert tuple(next(iter(read_list(audited / "quick").values()))) == COLUMNS


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--folds", "1"), 2, "--folds is 1; wanted 0, or an integer in 2..20"),
        (("--config", "no.py"), 2, "there is no config file no.py"),
        (("--epochs", "0"), 2, "train.epochs is 0"),
        (("--ferplus", "no.csv"), 3, "there is no file of FER+ votes no.csv; give another file of votes"),
        (
            ("--config", "{}/votes.py"),
            2,
            "labels.source is ferplus, and an audit checks FER2013's own labels",
        ),
        (("--config", "{}/taught.py"), 2, "teachers may have seen the rows that an audit judges"),
        (("--config", "{}/banked.py"), 2, "distill.bank names x, and teachers may have seen the rows"),
        (("--config", "{}/fewer.py"), 2, "train.max_examples is 99, and an audit trains on all rows"),
    ],
)
def test_a_slip_gives_one_message(
    audited: Path, words: tuple[str, ...], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, section in (
        ("votes", 'labels=LabelsConfig(source="ferplus")'),
        ("taught", 'distill=DistillConfig(teachers=("runs/x",))'),
        ("banked", 'distill=DistillConfig(bank="x", views=1)'),
    ):
        (audited / f"{name}.py").write_text(
            CONFIG.replace("import Config,", "import Config, DistillConfig, LabelsConfig,").replace(
                'name="tiny",', f'name="tiny", {section},'
            )
        )
    (audited / "fewer.py").write_text(CONFIG.replace("batch_size=16", "batch_size=16, max_examples=99"))
    assert run_audit(audited, "slip", *(word.format(audited) for word in words)) == status
    assert message in capsys.readouterr().err
