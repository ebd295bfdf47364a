"""The network that a run starts from: what is taken over, what is refused, and what the record keeps."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.files import load_config
from fer_jax.config.run import Config
from fer_jax.config.training import DistillConfig, InitConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.split import Split, split_examples
from fer_jax.engine.setup import make_programs
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, write_json
from fer_jax.inference import run_weights
from fer_jax.inference.rows import find_training_hashes
from fer_jax.inference.teachers import (
    Ancestor,
    Student,
    list_unknown,
    load_ancestor,
    load_teachers,
    restore_ancestor,
)
from fer_jax.models.cnn import LAST_LAYER
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs import inputs, record, sources

pytestmark = pytest.mark.usefixtures("quick_compile")

DATA = DataConfig(source="synthetic", synthetic_examples=140)
EXAMPLES = load_examples(DATA)
SPLIT = split_examples(EXAMPLES, SplitConfig())
OWN_NAMES = ("calm", "sad", "happy")
TINY = load_config("tiny")


@pytest.fixture(scope="module")
def trained(tiny_run: Path) -> run_weights.Trained:
    return run_weights.load(tiny_run, None, None)


def start_from(weights: Path | str, config: Config, **init: Any) -> Config:
    return replace(config, init=InitConfig(weights=str(weights), **init))


def load(config: Config, split: Split = SPLIT, examples: Examples = EXAMPLES) -> Ancestor:
    found = load_ancestor(Student(config, examples, examples, split, split.train, None))
    assert found is not None
    return found


def with_classes(config: Config, names: tuple[str, ...]) -> Config:
    model = replace(config.model, classes=len(names), class_names=names)
    return replace(config, data=replace(config.data, class_map="folders"), model=model)


def to_bits(tree: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def test_a_run_starts_with_the_bits_of_its_ancestor(trained: run_weights.Trained) -> None:
    config = start_from(trained.folder, trained.config)
    ancestor = load(config)
    programs = make_programs(config, EXAMPLES, SPLIT, start=ancestor.start)
    states = [programs.init(jax_key(seed, Stream.INIT)) for seed in (0, 1)]
    for state in states:
        assert to_bits(state.params) == to_bits(trained.network.variables["params"])
    assert programs.pixel_stats == trained.network.pixel_stats
    (note,) = ancestor.notes
    assert note.startswith("starts from tiny-run (SHA-256 ") and note.endswith(", with its last layer")
    # Two seeds share no buffer: a step uses up its state.
    jax.tree.leaves(states[0].params)[0].delete()
    assert to_bits(states[1].params) == to_bits(trained.network.variables["params"])


def test_other_classes_get_a_new_last_layer_with_what_has_the_same_name(
    trained: run_weights.Trained,
) -> None:
    config = start_from(trained.folder, with_classes(trained.config, OWN_NAMES))
    few = replace(EXAMPLES, labels=EXAMPLES.labels % 3)
    ancestor = load(config, examples=few)
    facts = ancestor.facts
    assert facts["head"] == {"copied": ["sad", "happy"], "new": ["calm"]}
    assert "the last layer has sad and happy from it, and calm anew" in ancestor.notes[0]
    state = make_programs(config, few, SPLIT, start=ancestor.start).init(jax_key(0, Stream.INIT))
    old, new = (each[LAST_LAYER]["kernel"] for each in (trained.network.variables["params"], state.params))
    places = [fer2013.LABELS.index(name) for name in OWN_NAMES[1:]]
    assert to_bits(new[:, 1:]) == to_bits(old[:, places]) and np.asarray(new[:, 0]).any()
    again = restore_ancestor(facts, ancestor.train_hashes, OWN_NAMES)
    assert again.start.columns == ancestor.start.columns and again.start.variables is None
    assert again.start.pixel_mean == ancestor.start.pixel_mean


def test_an_ancestor_that_saw_what_is_measured_is_refused(trained: run_weights.Trained) -> None:
    config = start_from(trained.folder, trained.config)
    other = split_examples(EXAMPLES, SplitConfig(seed=1))
    with pytest.raises(ConfigError, match=r"was trained on \d+ of the images that this run is measured on"):
        load(config, other)
    assert load_ancestor(Student(Config(name="a"), EXAMPLES, EXAMPLES, SPLIT, SPLIT.train, None)) is None


def test_another_network_is_refused_with_what_to_give(trained: run_weights.Trained) -> None:
    model = replace(trained.config.model, dense_features=8, head="mean")
    config = start_from(trained.folder, replace(trained.config, model=model))
    wanted = (
        r"is another network than the config's: model.head is mean here and flatten there, and 1 more field "
        r"differs; give --model.head flatten --model.dense-features 4$"
    )
    with pytest.raises(ConfigError, match=wanted):
        load(config)
    with pytest.raises(ConfigError, match=r"tiny is .*: it has 4 blocks, and model.blocks has 1; .*--config"):
        load(start_from("tiny", trained.config))


def test_released_weights_of_unknown_images_are_taken_with_a_note_unless_the_data_is_theirs(
    tmp_path: Path,
) -> None:
    """The images of `tiny` are FER2013's, and these are drawn."""
    config = start_from("tiny", TINY)
    ancestor = load(config)
    assert ancestor.facts["images"] == len(ancestor.train_hashes) == 0
    assert ancestor.facts["training"]["terms"].startswith("FER2013 (Goodfellow")
    assert "whether copies of images that are measured here are among these is not known" in ancestor.notes[1]
    card = read_json(sources.WEIGHTS / "tiny.json")
    assert ancestor.facts["sha256"] == card["tensors"]["sha256"]
    shutil.copy(sources.WEIGHTS / "tiny.safetensors", tmp_path / "ours.safetensors")
    card["training"]["data_sha256"] = EXAMPLES.sha256
    write_json(tmp_path / "ours.json", card)
    with pytest.raises(ConfigError, match=r"was trained on a part of this data .* folder of its run"):
        load(start_from(tmp_path / "ours.safetensors", TINY))


def test_a_name_for_several_networks_is_refused() -> None:
    with pytest.raises(ConfigError, match=rf"{sources.WEIGHTS.name} holds \d networks; name one of best, "):
        load(start_from(sources.WEIGHTS, TINY))


def test_a_wrong_name_is_refused_before_anything_slow() -> None:
    with pytest.raises(RunError, match=r"no released weights 'tinny'.*did you mean"):
        inputs.check_files(start_from("tinny", replace(TINY, data=DATA)))


def test_a_card_knows_the_images_of_its_ancestor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fer2013.CLASS_COUNTS, "Training", (2,) * 7)
    monkeypatch.delitem(fer2013.CONTENT_SHA256, "Training")
    labels, usages = np.arange(21) % 7, np.repeat([0, 1], [14, 7])
    few = replace(EXAMPLES, images=EXAMPLES.images[:21], labels=labels.astype(np.int32), usages=usages)
    split = {"protocol": "official", "sizes": {"train": 14}}
    own = {"data": "14 Training rows (the official counts)", "split": split, "ancestor": None}
    card = {"training": own | {"ancestor": {"training": own}}}
    found = find_training_hashes(card, few, few.labels)
    assert found is not None and set(found) == set(few.hashes[:14])
    stranger = {"training": own | {"data": "some photos of ours"}}
    assert find_training_hashes({"training": own | {"ancestor": stranger}}, few, few.labels) is None


def test_what_the_ancestor_of_an_ancestor_saw_is_looked_for_too(
    trained: run_weights.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that started from released weights has their images, which it did not know."""
    split = {"protocol": "official", "sizes": {"train": 14}}
    card: dict[str, Any] = {"data": "14 Training rows", "data_sha256": "0", "split": split, "ancestor": None}
    shutil.copytree(trained.folder, tmp_path / "between")
    facts = read_json(tmp_path / "between" / "run.json")
    facts["ancestor"] = {"run": "mid", "images": 0, "training": card}
    write_json(tmp_path / "between" / "run.json", facts)
    config = start_from(tmp_path / "between", trained.config)
    ancestor = load(config)
    assert "between started from mid, which was trained on 14 Training rows, by prot" in ancestor.notes[1]
    assert set(ancestor.train_hashes) == set(EXAMPLES.hashes[SPLIT.train])
    taught = replace(trained.config, distill=DistillConfig(teachers=(str(tmp_path / "between"),)))
    with pytest.raises(
        ConfigError, match=r"between started from mid, .* is not known, so it might give away"
    ):
        load_teachers(Student(taught, EXAMPLES, EXAMPLES, SPLIT, SPLIT.train, None))
    # Who distils on pictures of their own need not have FER2013.
    own = replace(EXAMPLES, is_own=True)
    (note,) = list_unknown(load_teachers(Student(taught, own, own, SPLIT, SPLIT.train, None)))
    assert "between started from mid, which was trained on 14 Training rows, by prot" in note
    card["data_sha256"] = EXAMPLES.sha256
    write_json(tmp_path / "between" / "run.json", facts)
    with pytest.raises(ConfigError, match=r"mid, which was trained on a part of this data .*another network"):
        load(config)
    # Now with FER2013 at hand, whose Training rows are the first 14 here.
    monkeypatch.setitem(fer2013.CLASS_COUNTS, "Training", (2,) * 7)
    monkeypatch.delitem(fer2013.CONTENT_SHA256, "Training")
    card["data"] = "14 Training rows (the official counts)"
    write_json(tmp_path / "between" / "run.json", facts)
    labels = np.where(np.arange(140) < 14, np.arange(140) % 7, EXAMPLES.labels).astype(np.int32)
    usages = np.repeat([0, 1], [14, 126]).astype(np.int32)
    faces = replace(EXAMPLES, labels=labels, usages=usages)
    count = len(np.setdiff1d(np.arange(14), SPLIT.train))
    with pytest.raises(ConfigError, match=f"between was trained on {count} of the images that this run is"):
        load(config, examples=faces)


def test_a_run_resumes_with_the_ancestor_that_it_began_with(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    facts = read_json(folder / "run.json") | {"ancestor": {"sha256": "0" * 64}}
    with pytest.raises(RunError, match=r"was trained with another init.weights \(SHA-256 none, now 0000"):
        record.resume(folder, facts)


def test_only_programs_that_load_the_ancestor_train_from_one() -> None:
    config = replace(start_from("tiny", TINY), labels=LabelsConfig())
    with pytest.raises(ConfigError, match=r"init.weights is tiny, and here networks start from new weights"):
        make_programs(config, EXAMPLES, SPLIT)
