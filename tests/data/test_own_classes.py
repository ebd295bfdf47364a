"""Completing a config by the classes of one's own pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.model import ModelConfig
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.data import load
from fer_jax.data.examples import Examples, number_labels
from fer_jax.data.location import VARIABLE
from fer_jax.data.readers.own.presets import PRESETS
from fer_jax.errors import ConfigError, DataError

OWN = DataConfig(path="pictures", fit="resize", class_map="folders")


def make_examples(labels: list[int], *names: str, is_own: bool) -> Examples:
    count = len(labels)
    arrays = (np.zeros((count, 48, 48, 1), np.uint8), np.array(labels, np.int32), np.zeros(count, np.int32))
    return Examples(*arrays, "some faces", "abc", Path("pictures"), class_names=names, is_own=is_own)


def test_the_config_takes_the_classes_of_the_data_in_its_own_order_or_the_users() -> None:
    examples = make_examples([0, 1, 2, 2], "calm", "joy", "shy", is_own=True)
    config, same = load.complete(Config(name="a", data=OWN), examples)
    assert (config.model.classes, config.model.class_names) == (3, ("calm", "joy", "shy"))
    assert same.labels.tolist() == [0, 1, 2, 2]
    model = ModelConfig(classes=3, class_names=("shy", "calm", "joy"))
    config, ordered = load.complete(Config(name="a", data=OWN, model=model), examples)
    assert config.model.names == ordered.names == ("shy", "calm", "joy")
    assert ordered.labels.tolist() == [1, 2, 0, 0]
    assert ordered.sha256 == examples.sha256
    assert load.complete(config, examples)[0] == config


def test_fer2013s_rows_leave_the_config_as_it_is() -> None:
    examples, config = make_examples([0, 3], is_own=False), Config(name="a")
    assert load.complete(config, examples) == (config, examples)
    own, _ = load.complete(Config(name="a"), make_examples([0, 3], is_own=True))
    assert own.model.class_names == fer2013.LABELS
    assert own.has_own_data


def test_a_network_of_eight_classes_is_measured_on_fer2013s_by_name_and_not_trained_on_them() -> None:
    names = PRESETS["affectnet8"].names
    trained = Config(
        name="a",
        data=replace(OWN, class_map="affectnet8"),
        model=ModelConfig(classes=8, class_names=names),
    )
    config = with_data(trained, Path("others"), None, class_map="fer2013")
    numbered = number_labels(make_examples(list(range(7)), is_own=True), config.model.names)
    assert [names[label] for label in numbered.labels] == list(fer2013.LABELS)
    with pytest.raises(
        ConfigError, match=r"contempt, and by data.class_map fer2013 the data has the classes"
    ):
        load.check_own(config)
    contempt = Config(name="a", model=ModelConfig(classes=8, class_names=fer2013.NAMES))
    with pytest.raises(ConfigError, match=r"model.class_names is .*, contempt, and the data has 7 classes"):
        load.complete(contempt, make_examples([0, 3], is_own=False))


def test_a_mapping_file_is_kept_in_the_config(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{\n "x": "calm", "y": "joy", "z": null}')
    data = replace(OWN, class_map=str(path))
    config, _ = load.complete(Config(name="a", data=data), make_examples([0, 1], "calm", "joy", is_own=True))
    assert config.data.class_map == '{"x": "calm", "y": "joy", "z": null}'


@pytest.mark.parametrize(
    ("labels", "model", "message"),
    [
        (
            [0, 1],
            ModelConfig(classes=2, class_names=("calm", "sad")),
            "model.class_names is calm, sad, and the data",
        ),
        ([0, 1], ModelConfig(classes=5), "model.classes is 5, and the data has 2 classes, calm, joy"),
        ([0, 0], ModelConfig(), "all are of one class, calm; wanted 2 to 20 classes"),
    ],
)
def test_other_classes_are_refused(labels: list[int], model: ModelConfig, message: str) -> None:
    examples = make_examples(labels, "calm", "joy", is_own=True)
    with pytest.raises((ConfigError, DataError)) as raised:
        load.complete(Config(name="a", data=OWN, model=model), examples)
    assert message in str(raised.value)


def test_a_class_without_a_picture_is_refused() -> None:
    examples = make_examples([0, 1], "calm", "joy", "shy", is_own=True)
    with pytest.raises(
        DataError, match="there is no picture of shy, and a network cannot learn a class from none"
    ):
        load.complete(Config(name="a", data=OWN), examples)


def test_what_is_fer2013s_alone_is_refused_for_own_pictures(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("path,label\na.png,x\n")
    examples = make_examples(list(range(7)), is_own=True)
    for data in (DataConfig(path=str(path)), DataConfig(path=str(tmp_path), fit="detect")):
        config = Config(name="a", data=data)
        load.check_own(config)
        official = replace(config, split=SplitConfig(protocol="official"))
        voted = replace(config, labels=LabelsConfig(source="ferplus"))
        for each, message in (
            (official, "is FER2013's split; for pictures"),
            (voted, "FER.'s votes are about"),
        ):
            with pytest.raises(ConfigError, match=message):
                load.check_own(each)
            with pytest.raises(ConfigError, match=message):
                load.complete(each, examples)


def test_own_pictures_are_named_and_are_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match="which are for pictures of your own, and none are named; give a folder"
    ):
        load.load_examples(DataConfig(fit="resize"))
    with pytest.raises(ConfigError, match="the synthetic faces are FER2013's classes"):
        load.load_examples(DataConfig(fit="resize", source="synthetic"))
    rows = tmp_path / "fer2013.csv"
    rows.write_text(f"emotion,pixels\n3,{' '.join(['0'] * 2304)}\n")
    config = Config(name="a", data=DataConfig(path=str(rows), fit="resize"))
    examples = load.load_examples(config.data)
    assert not examples.is_own
    with pytest.raises(ConfigError, match="has FER2013's rows of pixels; leave them out"):
        load.complete(config, examples)
