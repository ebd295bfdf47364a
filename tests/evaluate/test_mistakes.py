"""Mistakes, their neighbours and the pictures, on a tiny network and synthetic faces."""

import base64
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_jax import fer2013
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.examples import Examples
from fer_jax.data.split import split_examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import init_state
from fer_jax.evaluate.mistakes import (
    Neighbour,
    cosine_distances,
    find_mistakes,
    find_neighbours,
    find_training_rows,
    write_pictures,
)
from fer_jax.images.standardise import PixelStats
from fer_jax.inference import predictor
from fer_jax.inference.labels import LabelledRows
from fer_jax.inference.predictor import Network
from fer_jax.inference.run_weights import Trained
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key
from fer_jax.report.contact_sheet import Sheet, Tile, sheet_record, tile_sheet
from fer_jax.runs.record import DataRecord, RunRecord, SplitRecord

TINY = Config(
    name="tiny",
    model=ModelConfig(blocks=(ConvBlock(features=4, pool=True),), head="mean", dense_features=16),
    train=TrainConfig(eval_batch_size=16),
)
RECORD = RunRecord(
    command="",
    started="",
    finished=None,
    resumed=[],
    data=DataRecord("", "", is_synthetic=True),
    split=SplitRecord("", {}, {}),
    machine="",
    device="",
    tuning=[],
    xla_flags="",
    versions={},
    git=None,
    seed=0,
)


def part_of(examples: Examples, rows: np.ndarray) -> LabelledRows:
    return LabelledRows(examples, rows, facts={}, notes=[])


@pytest.fixture(scope="module")
def run() -> tuple[Trained, Examples]:
    """Make an untrained run: its features are as good as any here."""
    examples = draw_examples(seed=0, examples=350)
    split = split_examples(examples, TINY.split)
    model = make_model(TINY.model, TINY.device)
    state = init_state(jax_key(0, Stream.INIT), model, make_optimizer(TINY.optimizer))
    loaded = Trained(
        folder=Path("runs/tiny"),
        config=TINY,
        record=dataclasses.replace(RECORD, data=DataRecord("", examples.sha256, is_synthetic=True)),
        saved=split.parts | {"train_hashes": examples.hashes[split.train]},
        network=Network(model, fer2013.LABELS, state.predictor, PixelStats(mean=128.0, std=64.0)),
        checkpoint={"name": "last", "step": 0},
        notes=(),
    )
    return loaded, examples


def test_mistakes_come_most_confident_first() -> None:
    shares = np.full((6, 7), 0.01)
    for place, (label, share) in enumerate([(3, 0.9), (3, 0.6), (5, 0.94), (0, 0.5), (1, 0.7), (6, 0.8)]):
        shares[place, label] = share
    shares /= shares.sum(axis=1, keepdims=True)
    labels = np.array([3, 4, 2, 1, 1, 0])
    found = find_mistakes(np.log(shares), labels, np.array([10, 11, 12, 13, 14, 15]), count=3)
    assert [each[:3] for each in found] == [(12, 2, 5), (15, 0, 6), (11, 4, 3)]
    assert [each.confidence for each in found] == pytest.approx([0.94, 0.8 / 0.86, 0.6 / 0.66])


def test_equally_confident_mistakes_keep_their_order() -> None:
    found = find_mistakes(np.eye(7)[[3, 4]], np.array([0, 1]), np.array([9, 5]), count=5)
    assert [each.row for each in found] == [9, 5]


def test_no_mistakes_are_none() -> None:
    assert find_mistakes(np.eye(7), np.arange(7), np.arange(7), count=5) == []


def test_cosine_distances_by_hand() -> None:
    features = np.array([[2.0, 0.0], [0.0, 0.0]], np.float32)
    others = np.array([[5.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [3.0, 3.0]], np.float32)
    wanted = [[0, 1, 2, 1 - 0.5**0.5], [1, 1, 1, 1]]
    np.testing.assert_allclose(cosine_distances(features, others), wanted, atol=1e-12)


def plain_neighbours(
    loaded: Trained, examples: Examples, row: int, train_rows: np.ndarray
) -> list[Neighbour]:
    [mine] = predictor.predict(loaded.network, examples.images[[row]])[1].astype(float)
    found = []
    for other in train_rows[train_rows != row]:
        [theirs] = predictor.predict(loaded.network, examples.images[[other]])[1].astype(float)
        cosine = (mine @ theirs) / (np.linalg.norm(mine) * np.linalg.norm(theirs))
        found.append(Neighbour(int(other), int(examples.labels[other]), 1 - cosine))
    return sorted(found, key=lambda each: each.distance)


def test_neighbours_are_those_of_a_plain_loop(run: tuple[Trained, Examples]) -> None:
    loaded, examples = run
    # More than four batches of 16, so that several chunks are joined; one is a training image itself.
    train_rows = loaded.saved["train"]
    assert len(train_rows) > 64
    rows = np.array([*loaded.saved["test"][:2], train_rows[70]])
    features = predictor.predict(loaded.network, examples.images[rows])[1]
    found = find_neighbours(loaded, examples, rows, features, count=4)
    for row, near in zip(rows, found, strict=True):
        wanted = plain_neighbours(loaded, examples, row, train_rows)[:4]
        np.testing.assert_allclose([n.distance for n in near], [n.distance for n in wanted], atol=1e-6)
        for each in near:
            assert each.row in train_rows
            assert each.row != row
            assert each.label == examples.labels[each.row]


def test_fewer_training_images_than_neighbours(run: tuple[Trained, Examples]) -> None:
    loaded, examples = run
    few = dataclasses.replace(loaded, saved=loaded.saved | {"train": loaded.saved["train"][[0, 0, 1]]})
    rows = np.array([loaded.saved["test"][0], loaded.saved["train"][0]])
    features = predictor.predict(loaded.network, examples.images[rows])[1]
    first, second = find_neighbours(few, examples, rows, features, count=5)
    assert sorted(each.row for each in first) == loaded.saved["train"][:2].tolist()
    assert [each.row for each in second] == [loaded.saved["train"][1]]


def test_training_images_are_known_in_another_file(run: tuple[Trained, Examples]) -> None:
    loaded, examples = run
    turned = np.arange(len(examples))[::-1]
    usages = examples.usages[turned].copy()
    other = dataclasses.replace(
        examples,
        images=examples.images[turned],
        labels=examples.labels[turned],
        usages=usages,
        sha256="other",
    )
    found = find_training_rows(loaded, other)
    assert set(turned[found]) == set(loaded.saved["train"])
    # A copy in PublicTest, or one without a label, is no training image.
    usages[found[0]] = fer2013.USAGES.index("PublicTest")
    other.labels[found[1]] = fer2013.UNLABELLED
    np.testing.assert_array_equal(find_training_rows(loaded, other), found[2:])


def test_the_pictures_have_the_sizes_said_and_the_record_is_in_words(
    run: tuple[Trained, Examples], tmp_path: Path
) -> None:
    loaded, examples = run
    rows = loaded.saved["test"]
    logits = predictor.predict(loaded.network, examples.images[rows])[0]
    # Every image is mistaken, whatever the network says.
    logits = np.eye(7)[(examples.labels[rows] + 1) % 7] * 9 + logits * 1e-3
    stem = tmp_path / "evaluate_test"
    record, names = write_pictures(loaded, part_of(examples, rows), logits, stem=stem)
    assert names == {name: f"evaluate_test_{name}.png" for name in ("mistakes", "saliency", "neighbours")}
    assert {path.name for path in tmp_path.iterdir()} == {*names.values(), "evaluate_test_faces.json"}
    tiles = json.loads((tmp_path / "evaluate_test_faces.json").read_text())
    counts = {name: [len(row["tiles"]) for row in sheet["rows"]] for name, sheet in tiles.items()}
    assert counts == {"mistakes": [5] * 7, "saliency": [9] * 7, "neighbours": [6] * 5}
    count = min(35, len(rows))
    assert len(record) == count
    first = record[0]
    assert first.keys() == {"row", "true", "predicted", "confidence", "neighbours"}
    assert first["true"] == fer2013.LABELS[examples.labels[first["row"]]]
    assert fer2013.LABELS.index(first["predicted"]) == (examples.labels[first["row"]] + 1) % 7
    assert [each["confidence"] for each in record] == sorted(
        (each["confidence"] for each in record), reverse=True
    )
    assert all(len(each["neighbours"]) == 5 for each in record)
    assert first["neighbours"][0].keys() == {"row", "label", "distance"}
    assert first["neighbours"][0]["label"] in fer2013.LABELS
    sizes = {}
    for name, file in names.items():
        with Image.open(tmp_path / file) as picture:
            sizes[name] = picture.size
    assert sizes == {"mistakes": (1040, 1968), "saliency": (1559, 1684), "neighbours": (1262, 1466)}


def test_without_mistakes_only_saliency_is_left_and_old_pictures_go(
    run: tuple[Trained, Examples], tmp_path: Path
) -> None:
    loaded, examples = run
    rows = loaded.saved["test"]
    rows = rows[examples.labels[rows] == 3]
    (tmp_path / "evaluate_test_mistakes.png").write_bytes(b"old")
    right = np.eye(7)[examples.labels[rows]]
    stem = tmp_path / "evaluate_test"
    record, names = write_pictures(loaded, part_of(examples, rows), right, stem=stem)
    assert record == []
    assert names == {"saliency": "evaluate_test_saliency.png"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "evaluate_test_saliency.png",
        "evaluate_test_faces.json",
    }
    assert json.loads((tmp_path / "evaluate_test_faces.json").read_text()).keys() == {"saliency"}


def test_one_mistake_and_no_training_image_at_hand(run: tuple[Trained, Examples], tmp_path: Path) -> None:
    loaded, examples = run
    none = dataclasses.replace(loaded, saved=loaded.saved | {"train": np.array([], np.int64)})
    rows = loaded.saved["test"][:1]
    wrong = np.eye(7)[(examples.labels[rows] + 1) % 7] * 50
    stem = tmp_path / "evaluate_test"
    record, names = write_pictures(none, part_of(examples, rows), wrong, stem=stem)
    assert [each["neighbours"] for each in record] == [[]]
    assert names.keys() == {"mistakes", "saliency"}


def test_a_tile_sheet_holds_every_tile_and_its_words() -> None:
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (48, 48), dtype=np.uint8)
    colours = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
    rows = [[Tile(gray, (("words", "right"),)), Tile(colours, ())]]
    labels = ["a", "b", "c"]
    laid_out = Sheet(rows, ["r"], labels, title="T", subtitle="", zoom=2, wide_gaps_after=(0,))
    sheet = np.asarray(tile_sheet(laid_out._replace(row_labels=[""])))
    # Margin 20, three columns of 96, gaps of 30 and 10; title 38, heads 26, caption 26, gaps 10.
    assert sheet.shape == (20 + 38 + 26 + 10 + 96 + 26 + 20, 20 + 3 * 96 + 30 + 10 + 20, 3)
    first, second = sheet[94:190, 20:116], sheet[94:190, 146:242]
    assert (first[::2, ::2] == gray[..., None]).all()
    assert (second[1::2, 1::2] == colours).all()
    assert (sheet[190:] == (0, 0x72, 0xB2)).all(axis=-1).any()
    assert (sheet[94:, 250:] == 255).all()

    record = sheet_record(laid_out)
    assert record["rows"][0]["label"] == "r"
    one, two = record["rows"][0]["tiles"]
    assert (one["alt"], one["words"]) == ("r: a, words", (("words", "right"),))
    # A tile without words of its own is named after its column.
    assert (two["alt"], two["words"]) == ("r: b", (("b", "quiet"),))
    for tile, image in ((one, gray), (two, colours)):
        shown = Image.open(io.BytesIO(base64.b64decode(tile["png"])))
        np.testing.assert_array_equal(np.asarray(shown), image)
