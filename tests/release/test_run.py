"""Released weights: a tiny run is released, read back, and is what its card says; slips are refused."""

import hashlib
import json
import lzma
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.numpy

import fer_jax
from fer_jax import fer2013
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.model import DeviceConfig
from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.examples import Examples
from fer_jax.data.readers.ferplus import CHOICES, HEADER, Votes
from fer_jax.data.readers.ferplus import read as read_votes
from fer_jax.data.synthetic import draw_examples
from fer_jax.data.targets import Classes, make_targets
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.evaluate import __main__ as evaluate
from fer_jax.faces.crop import CONTRACT
from fer_jax.inference import weights as inference_weights
from fer_jax.inference.analyzer import read_contract
from fer_jax.inference.predictor import predict, predict_choices
from fer_jax.inference.rows import choose_rows
from fer_jax.inference.run_weights import Trained, load, load_data, load_finished
from fer_jax.inference.weights import Classifier
from fer_jax.metrics.predictions import measure
from fer_jax.release import __main__ as release
from fer_jax.release import card as release_card
from fer_jax.runs import checkpoint, sources
from fer_jax.train import __main__ as train

ROOT = Path(__file__).parents[2]
SMALL = (
    "--config",
    str(ROOT / "configs" / "run1.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "140", "--split.protocol", "official"),
    *("--model.blocks.0.features", "4", "--model.blocks.0.batch-norm", "--model.blocks.0.pool"),
    *("--model.dense-features", "8", "--train.batch-size", "16", "--train.epochs", "1"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert train.main([*SMALL, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def trained(run: Path) -> Trained:
    return load(run, None, None)


@pytest.fixture(scope="module")
def weights(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release the run twice: as float16 with FER+ labels, and as float32."""
    folder = tmp_path_factory.mktemp("weights")
    votes = folder / "fer2013new.csv"
    examples = load_data(load(run, None, None), is_other_file=False)
    columns = [
        CHOICES.index(name) for name in ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    ]
    columns.append(CHOICES.index("neutral"))
    counts = np.zeros((len(examples), len(CHOICES)), np.int64)
    counts[np.arange(len(examples)), np.array(columns)[examples.labels]] = 10
    counts[::4] = np.eye(len(CHOICES), dtype=np.int64)[-1] * 10  # Every fourth row: not a face.
    usages = [fer2013.USAGES[usage] for usage in examples.usages]
    lines = [f"{usage},,{','.join(map(str, row))}" for usage, row in zip(usages, counts, strict=True)]
    votes.write_text("\n".join([",".join(HEADER), *lines]))
    words = ["--name", "tiny", "--out", str(folder), "--ferplus", str(votes), "--score-private-test"]
    assert release.main([str(run), *words]) == 0
    words = ["--name", "mid", "--out", str(folder), "--dtype", "float32", "--views", "single"]
    assert release.main([str(run), *words]) == 0
    return folder


@pytest.fixture(scope="module")
def tiny(weights: Path) -> Classifier:
    return inference_weights.read(weights, "tiny")


def rescore(classifier: Classifier, figures: Any, outputs: np.ndarray, labels: np.ndarray) -> None:
    """Find a card's integers again in the logits or probabilities of some images."""
    is_right = outputs.argmax(axis=1) == labels
    assert (int(is_right.sum()), len(labels)) == (figures["correct"], figures["total"])
    for k, name in enumerate(classifier.labels):
        assert figures["classes"][name] == [int(is_right[labels == k].sum()), int((labels == k).sum())]


def test_the_cards_integers_are_found_again(tiny: Classifier, trained: Trained) -> None:
    examples = load_data(trained, is_other_file=False)
    seen = []
    for figures in tiny.card["figures"]:
        seen.append((figures["part"], figures["labels"], figures["views"]))
        assert figures["low"] <= figures["accuracy"] <= figures["high"]
        rows = choose_rows(examples, trained, figures["part"])
        rows = rows[rows % 4 != 0] if figures["labels"] == "FER+ majority" else rows
        outputs = tiny.predict(examples.images[rows], views=figures["views"])
        rescore(tiny, figures, outputs, examples.labels[rows])
    parts, kinds = ("train", "PublicTest", "PrivateTest"), ("FER2013", "FER+ majority")
    assert seen == [(part, kind, views) for part in parts for views in ("single", "flip") for kind in kinds]
    roles = {figures["part"]: figures["role"] for figures in tiny.card["figures"]}
    assert roles["train"] == "trained on" and roles["PrivateTest"].startswith("held back")
    assert roles["PublicTest"] == "measured after each epoch; no epoch was selected on it"


@pytest.mark.parametrize(("dtype", "predicted"), [("float16", 0), ("float32", 1)])
def test_a_card_is_measured_from_the_numbers_in_its_file(
    run: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, predicted: int
) -> None:
    """In float32 the second class has the larger bias; in float16 both are equal, and the first wins."""
    bias = np.array([1, 1.0001, 0, 0, 0, 0, 0], np.float32)
    assert bias[0] == bias.astype(np.float16)[1]
    network = trained.network
    params = network.variables["params"]
    last = {"kernel": np.zeros_like(params["logits"]["kernel"]), "bias": bias}
    variables = network.variables | {"params": params | {"logits": last}}
    tilted = replace(trained, network=replace(network, variables=variables))
    monkeypatch.setattr("fer_jax.release.run.load_finished", lambda *_: tilted)
    words = ["--name", "tilted", "--out", str(tmp_path), "--dtype", dtype, "--views", "single"]
    assert release.main([str(run), *words]) == 0
    card = json.loads((tmp_path / "tilted.json").read_text())
    for figures in card["figures"]:
        right = [correct for correct, _ in figures["classes"].values()]
        assert right == [count * (k == predicted) for k, (_, count) in enumerate(figures["classes"].values())]
        assert right[predicted] > 0


def test_float32_weights_predict_as_the_run_does(weights: Path, trained: Trained, tiny: Classifier) -> None:
    images = load_data(trained, is_other_file=False).images[:5]
    exact = inference_weights.read(weights, "mid")
    logits, _ = predict(trained.network, images)
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = exact.predict(images)
    assert found.dtype == np.float32 and found.shape == (5, 7)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(tiny.predict(images), wanted, atol=2e-2)
    assert (tiny.predict(images) != found).any()
    np.testing.assert_allclose(exact.predict(images[..., 0]), found, atol=1e-6)
    flipped = exact.predict(images[:, :, ::-1], views="flip")
    np.testing.assert_allclose(exact.predict(images, views="flip"), flipped, atol=1e-6)
    assert exact.predict(images[:0]).shape == (0, 7)


def test_the_tensors_are_named_as_in_checkpoints(weights: Path, run: Path) -> None:
    leaves = checkpoint.read_meta(run / "checkpoints" / "last")["leaves"]
    wanted = {
        name: shape for name, (shape, _) in leaves.items() if name.split("/")[0] in ("params", "batch_stats")
    }
    tensors = safetensors.numpy.load_file(weights / "tiny.safetensors")
    assert {name: list(tensor.shape) for name, tensor in tensors.items()} == wanted
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"float16"}


def test_the_card_says_what_the_weights_are(tiny: Classifier, trained: Trained) -> None:
    card = tiny.card
    assert tiny.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert card["parameters"] == trained.record.parameters and card["macs"] == trained.record.macs
    assert card["preprocessing"]["mean"] == trained.network.pixel_stats.mean
    assert (
        read_contract(tiny) == CONTRACT and card["preprocessing"]["contract"]["version"] == CONTRACT.version
    )
    assert card["preprocessing"]["detector"]["licence"].startswith("MIT")
    training = card["training"]
    assert training["data"] == "140 synthetic faces, seed 0 (not FER2013)"
    assert training["split"]["protocol"] == "official" and training["split"]["sizes"]["val"] > 0
    assert (training["epochs"], training["selection"]["epoch"], training["seeds"]["train"]) == (1, 1, 0)
    assert card["measured_on"]["data"] == training["data"]
    assert card["limits"] and card["misuse"] and training["terms"]


def test_a_card_names_no_place_of_this_machine(trained: Trained) -> None:
    config = Config(name="a", data=DataConfig(path="/home/me/fer2013.csv", drop="/home/me/audit.csv"))
    fields = release_card.public_config(config)
    assert (fields["data"]["path"], fields["data"]["drop"]) == ("fer2013.csv", "audit.csv")
    split = replace(trained.record.split, dropped={"list": "/home/me/audit.csv", "rows": 3})
    training = release_card.describe_training(
        replace(trained.record, split=split), config, trained.checkpoint
    )
    assert training["split"]["dropped"] == {"list": "audit.csv", "rows": 3}


def test_the_role_of_a_part_follows_the_protocol() -> None:
    def role(part: str, config: Config, teachers: Any = None, ancestor: Any = None) -> str:
        data = SimpleNamespace(sha256="da7a")
        record: Any = SimpleNamespace(teachers=teachers, ancestor=ancestor, data=data)
        return release_card.role_of(part, config, record)

    official = Config(name="a", split=SplitConfig(protocol="official"))
    last = replace(official, train=TrainConfig(select="last"))
    seed = replace(official, split=SplitConfig())
    assert role("PublicTest", official) == role("val", seed) == "the epoch was selected on it"
    assert role("PublicTest", last).startswith("measured after each epoch; no epoch")
    assert role("PublicTest", seed) == role("test", seed) == role("PrivateTest", official)
    held_out = replace(last, split=SplitConfig(protocol="holdout"))
    assert role("val", held_out) == role("PublicTest", last)
    assert role("PublicTest", held_out) == "held back from training and selection"
    taught = {"runs": [{"select": "last"}, {"select": "best"}]}
    assert role("val", last, taught).endswith("no epoch was selected on it; its teachers' epochs were")


@pytest.mark.parametrize(
    ("select", "sha256", "protocol", "is_told"),
    [
        ("best", "da7a", "official", True),
        ("last", "da7a", "official", False),
        ("best", "07e3", "official", True),
        ("best", "da7a", "seed", False),
    ],
)
def test_an_ancestor_of_an_ancestor_that_was_selected_on_these_images_is_told(
    select: str, sha256: str, protocol: str, is_told: bool
) -> None:
    older = {"select": select, "training": {"data_sha256": sha256, "split": {"protocol": protocol}}}
    other = {"data_sha256": "da7a", "split": {"protocol": "given"}, "ancestor": older}
    ancestor = {"select": "best", "training": other}
    assert release_card.is_ancestor_selected(ancestor, "da7a", "official") == is_told
    assert not release_card.is_ancestor_selected(ancestor, "07e3", "given")
    assert release_card.is_ancestor_selected(ancestor, "da7a", "given")


@pytest.mark.parametrize(
    ("images", "came"),
    [
        (np.zeros((2, 48, 48, 1), np.float32), "float32 [2, 48, 48, 1]"),
        (np.zeros((48, 48), np.uint8), "uint8 [48, 48]"),
        (np.zeros((2, 48, 48, 3), np.uint8), "uint8 [2, 48, 48, 3]"),
        (np.zeros((2, 64, 64), np.uint8), "uint8 [2, 64, 64]"),
    ],
)
def test_other_images_are_refused(tiny: Classifier, images: np.ndarray, came: str) -> None:
    with pytest.raises(DataError) as error:
        tiny.predict(images)
    assert f"came as {came}; wanted uint8 [N, 48, 48, 1] or [N, 48, 48]" in str(error.value)
    with pytest.raises(ConfigError, match="views came 'mirror'; wanted one of single, flip"):
        tiny.predict(np.zeros((1, 48, 48), np.uint8), views="mirror")  # type: ignore[arg-type]


def test_images_that_were_divided_by_255_bring_a_warning(tiny: Classifier) -> None:
    faces = np.full((2, 48, 48), 2, np.uint8)
    tiny.predict(faces)
    with pytest.warns(UserWarning, match="brighter than 1.* divided by 255") as warned:
        tiny.predict(faces // 2)
    assert len(warned) == 1 and warned[0].filename == __file__


def test_damage_is_refused_in_words(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    monkeypatch.setattr(sources, "WEIGHTS", folder)
    assert fer_jax.load("mid").name == "mid"
    path = folder / "tiny.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(RunError, match=r"tiny\.safetensors is damaged or of another release: its SHA-256 is"):
        fer_jax.load("tiny")
    card = json.loads((folder / "mid.json").read_text())
    tensors = (folder / "mid.safetensors").read_bytes()
    card["model"]["dense_features"] = 9
    with pytest.raises(
        RunError, match=r"card: leaf params/dense/bias is \(8,\), the card's network wants \(9,\)"
    ):
        inference_weights.build(card, tensors, where="card")
    with pytest.raises(RunError, match=r"card: the card is damaged: labels in it is no list"):
        inference_weights.build({"format": 1, "name": "mid"}, tensors, where="card")
    with pytest.raises(RunError, match="not a card of format 1"):
        inference_weights.build(card | {"format": 2}, tensors, where="card")
    (folder / "mid.json").write_text("{")
    with pytest.raises(RunError, match=r"mid\.json: the card cannot be read"):
        fer_jax.load("mid")
    shutil.rmtree(folder)
    with pytest.raises(RunError, match=r"no released weights 'mid'"):
        fer_jax.load("mid")


def test_released_weights_stand_in_for_checkpoints(
    run: Path, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    light = tmp_path / "light"
    shutil.copytree(run, light)
    assert release.main([str(light), "--name", "weights", "--out", str(light), "--dtype", "float32"]) == 0
    shutil.rmtree(light / "checkpoints")
    found = load_finished(light, None, None)
    faces = load_data(found, is_other_file=False).images
    np.testing.assert_array_equal(predict(found.network, faces)[0], predict(trained.network, faces)[0])
    assert found.checkpoint == trained.checkpoint
    assert train.main([*SMALL, "--run-dir", str(light), "--resume"]) == 4
    assert "holds a finished run without its checkpoints" in capsys.readouterr().err
    (light / "weights.safetensors").write_bytes(b"?")
    with pytest.raises(RunError, match=r"weights\.safetensors is damaged or of another release"):
        load_finished(light, None, None)


def test_what_cannot_be_released_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(run), "--out", str(tmp_path / "w"), "--name"]
    assert release.main([*words, "../mid"]) == 2
    assert "--name is '../mid'; wanted 1 to 40 lower-case letters" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("fer_jax.release.run.MAX_BYTES", 1000)
        patch.setattr("fer_jax.runs.sources.WEIGHTS", tmp_path / "package")
        assert release.main([str(run), "--name", "mid", "--into-package"]) == 4
        assert release.main([str(run), "--out", str(tmp_path / "elsewhere"), "--name", "mid"]) == 0
    assert "wanted at most 1,000 together; give --dtype float16" in capsys.readouterr().err
    other = tmp_path / "other.csv"
    other.write_text("emotion,pixels\n" + "3," + " ".join(["7"] * 48 * 48) + "\n")
    assert release.main([*words, "mid", "--data", str(other)]) == 3
    assert "so there is nothing to measure; give fer2013.csv" in capsys.readouterr().err
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished)
    facts = json.loads((run / "run.json").read_text())
    (unfinished / "run.json").write_text(json.dumps(facts | {"finished": None}))
    assert release.main([str(unfinished), *words[1:], "mid"]) == 4
    assert "is not finished; go on with it" in capsys.readouterr().err
    (unfinished / "run.json").write_text(json.dumps(facts))
    (unfinished / "checkpoints" / "last" / "meta.json").unlink()
    assert release.main([str(unfinished), *words[1:], "mid"]) == 4
    assert "which is not what the run selected" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
    with pytest.raises(
        ConfigError, match=r"leaf params/a holds 70000, which float16 cannot; give --dtype float32"
    ):
        inference_weights.pack({"params": {"a": np.array([7e4], np.float32)}}, dtype="float16")


def test_a_name_that_exists_and_the_packages_folder_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    monkeypatch.setattr("fer_jax.runs.sources.WEIGHTS", package)
    monkeypatch.chdir(tmp_path)
    words = [str(run), "--name", "tiny", "--views", "single"]
    assert release.main([*words, "--out", str(package)]) == 2
    assert "the package's own folder; give another" in capsys.readouterr().err
    assert release.main([*words, "--out", "a", "--into-package"]) == 2
    assert "give one of them" in capsys.readouterr().err
    # Without --out the current folder is written, and either file alone makes the name a taken one.
    (tmp_path / "tiny.json").write_text("{}")
    assert release.main(words) == 4
    assert "tiny.json would be replaced; give another --name" in capsys.readouterr().err
    assert release.main([*words, "--out", "tiny.json"]) == 4
    assert "--out is tiny.json, a file; name a folder" in capsys.readouterr().err
    assert release.main([*words, "--overwrite"]) == 0
    assert not package.exists() and (tmp_path / "tiny.safetensors").exists()
    assert release.main([*words, "--into-package"]) == 0
    assert sorted(path.name for path in package.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_private_test_is_measured_only_if_asked_for_and_the_card_says_so(
    weights: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = [json.loads((weights / f"{name}.json").read_text()) for name in ("tiny", "mid")]
    assert [card["measured_on"]["scores_private_test"] for card in cards] == [True, False]
    parts = [{figures["part"] for figures in card["figures"]} for card in cards]
    assert parts == [{"train", "PublicTest", "PrivateTest"}, {"train", "PublicTest"}]
    other = tmp_path / "other.csv"
    face = "3," + " ".join(["7"] * 48 * 48)
    other.write_text(f"emotion,pixels,Usage\n{face},PublicTest\n")
    words = [str(run), "--name", "mid", "--out", str(tmp_path), "--data", str(other)]
    assert release.main([*words, "--score-private-test"]) == 3
    assert "no labelled rows of PrivateTest; give fer2013.csv with --data, or leave out" in (
        capsys.readouterr().err
    )


def test_released_weights_are_evaluated_by_their_file(
    weights: Path, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = load_data(trained, is_other_file=False)
    data = tmp_path / "fer2013.csv"
    rows = (
        f"{label},{' '.join(map(str, image.ravel()))},{fer2013.USAGES[usage]}"
        for label, image, usage in zip(faces.labels, faces.images, faces.usages, strict=True)
    )
    data.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    card = json.loads((weights / "tiny.json").read_text())
    words = [
        str(weights / "tiny.safetensors"),
        "--data",
        str(data),
        "--views",
        "flip",
        "--out",
        str(tmp_path),
    ]
    for part in ("PublicTest", "PrivateTest"):
        for more in ([], ["--labels", "ferplus", "--ferplus", str(weights / "fer2013new.csv")]):
            assert evaluate.main([*words, "--split", part, *more]) == 0
            kind, name = ("FER+ majority", f"{part}_flip_ferplus") if more else ("FER2013", f"{part}_flip")
            found = json.loads((tmp_path / f"evaluate_tiny_{name}.json").read_text())
            wanted = next(
                figures
                for figures in card["figures"]
                if (figures["part"], figures["labels"], figures["views"]) == (part, kind, "flip")
            )
            assert (found["correct"], found["total"]) == (wanted["correct"], wanted["total"])
    assert "labels     FER+: its votes decide" in capsys.readouterr().out
    for bad, status, said in (
        (words, 2, "--split val is a part of a run's own split"),
        ([words[0], str(trained.folder)], 2, "both together are no ensemble"),
        ([str(tmp_path / "no.safetensors"), "--split", "all"], 4, "there is no run, no weights file"),
    ):
        assert evaluate.main(bad) == status
        assert said in capsys.readouterr().err


def write_seven_faces(path: Path) -> Examples:
    """Write a file of PublicTest alone, seven synthetic faces; no training image is in it."""
    faces = draw_examples(seed=3, examples=7)
    rows = (
        f"{label},{' '.join(map(str, image.ravel()))},PublicTest"
        for label, image in zip(faces.labels, faces.images, strict=True)
    )
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return faces


def test_weights_of_several_seeds_are_an_ensemble(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = tmp_path / "kept", tmp_path / "fer2013.csv"
    folder.mkdir()
    faces = write_seven_faces(data)
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights / f"tiny{suffix}", folder / f"tiny-seed0{suffix}")
    tensors = safetensors.numpy.load_file(weights / "tiny.safetensors")
    tensors["params/logits/kernel"] = tensors["params/logits/kernel"][::-1].copy()
    safetensors.numpy.save_file(tensors, folder / "tiny-seed1.safetensors")
    card = json.loads((weights / "tiny.json").read_text())
    sha256 = hashlib.sha256((folder / "tiny-seed1.safetensors").read_bytes()).hexdigest()
    card |= {"name": "tiny-seed1", "tensors": card["tensors"] | {"sha256": sha256}}
    (folder / "tiny-seed1.json").write_text(json.dumps(card))
    words = ["--data", str(data), "--split", "PublicTest", "--out", str(tmp_path)]
    assert evaluate.main([*sorted(map(str, folder.glob("tiny-*"))), *words]) == 0
    found = json.loads((tmp_path / "ensemble_tiny+tiny-seed1_PublicTest.json").read_text())
    each = [
        inference_weights.read(folder, f"tiny-seed{seed}").predict_logits(faces.images) for seed in (0, 1)
    ]
    assert [member["correct"] for member in found["members"]] == [
        int((logits.argmax(axis=1) == faces.labels).sum()) for logits in each
    ]
    assert [member["weights"]["name"] for member in found["members"]] == ["tiny", "tiny-seed1"]
    wanted = measure((each[0] + each[1]) / 2, faces.labels, fer2013.LABELS)
    assert (found["correct"], found["confusion"]) == (wanted["correct"], wanted["confusion"])
    assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-6) and found["copy_free"] is None
    assert "images: not known, for tiny or tiny-seed1 was trained" in capsys.readouterr().out
    # The folder stands for its weights, and what is there twice would count twice.
    assert evaluate.main([str(folder), *words]) == 0
    shutil.copy(folder / "tiny-seed0.safetensors", folder / "tiny-seed2.safetensors")
    shutil.copy(folder / "tiny-seed0.json", folder / "tiny-seed2.json")
    assert evaluate.main([str(folder), *words]) == 2
    assert "tiny-seed2 holds the same weights as" in capsys.readouterr().err
    card = json.loads((folder / "tiny-seed2.json").read_text())
    del card["config"]
    (folder / "tiny-seed2.json").write_text(json.dumps(card))
    assert evaluate.main([str(folder / "tiny-seed2.safetensors"), *words]) == 4
    assert "tiny-seed2.json is damaged: KeyError('config') in it" in capsys.readouterr().err


def test_the_import_is_light() -> None:
    code = "import sys, fer_jax; print(*{name.split('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"jax", "flax", "numpy", "safetensors"} & set(found.stdout.split())


class PublicTest(NamedTuple):
    images: np.ndarray
    labels: np.ndarray
    votes: Votes


@pytest.fixture(scope="module")
def public_test(tmp_path_factory: pytest.TempPathFactory) -> PublicTest:
    """Unpack the real PublicTest and the votes of all rows."""
    script = Path(__file__).parents[3] / "shared" / "fer2013" / "unpack.py"
    if not script.is_file():
        pytest.skip("needs the packed FER2013 beside the repository: ../shared/fer2013/unpack.py")
    unpack = runpy.run_path(str(script))
    packed = lzma.decompress((script.parent / "PublicTest.med.xz").read_bytes())
    images = unpack["undo_prediction"](np.frombuffer(packed, np.uint8).reshape(-1, 48, 48))
    labels = np.fromfile(script.parent / "labels.bin", np.uint8)[unpack["PARTS"]["Training"] :]
    votes = tmp_path_factory.mktemp("votes") / "fer2013new.csv"
    votes.write_bytes(lzma.decompress((script.parent / "ferplus.csv.xz").read_bytes()))
    return PublicTest(images, labels, read_votes(votes))


@pytest.mark.parametrize("name", sources.list_names(sources.WEIGHTS))
def test_every_released_weight_scores_what_its_card_says(name: str, public_test: PublicTest) -> None:
    """On the real PublicTest: the integers of the card, in each of its views, by both sets of labels.

    The network runs twice over the images, as they are and mirrored: each figure follows from these two.
    `best`, the largest by far, runs once.
    """
    images, labels, votes = public_test
    classifier = fer_jax.load(name)
    network = classifier.network
    measured = [figures for figures in classifier.card["figures"] if figures["part"] == "PublicTest"]
    if name == "best":
        # The fast kernels, equal up to rounding, take half of its time.
        network = replace(network, model=network.model.clone(device=DeviceConfig(kernels="fast")))
        measured = [figures for figures in measured if figures["views"] == "single"]
    views = tuple(dict.fromkeys(figures["views"] for figures in measured))
    logits = predict_choices(network, images[..., None], views)
    classes: Classes = 8 if len(classifier.labels) == 8 else 7
    majority = make_targets(votes, LabelsConfig(), classes=classes).labels[-len(labels) :]
    kinds = {figures["labels"] for figures in measured}
    assert kinds == {"FER2013", "FER+ majority"}, f"{name}: release it with --data and --ferplus"
    for figures in measured:
        by = majority if figures["labels"] == "FER+ majority" else labels
        rows = np.flatnonzero(by != fer2013.UNLABELLED)
        rescore(classifier, figures, logits[figures["views"]][rows], by[rows])
