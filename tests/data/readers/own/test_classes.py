import json
from pathlib import Path

import pytest

from fer_jax import fer2013
from fer_jax.config.data import CLASS_MAPS, DataConfig
from fer_jax.data.readers.own import classes
from fer_jax.data.readers.own.presets import PRESETS, find_class
from fer_jax.errors import ConfigError, DataError


def test_every_preset_has_a_name_in_the_config_and_knows_its_words() -> None:
    assert (*PRESETS, "folders") == CLASS_MAPS
    for preset in PRESETS.values():
        assert set(preset.names) <= set(fer2013.NAMES)
        assert [find_class(preset, name.upper()) for name in preset.names] == [*preset.names]


@pytest.mark.parametrize(
    ("preset", "labels"),
    [
        # As the data sets' own pages number them.
        ("affectnet7", {"0": "neutral", "6": "angry", "7": None, "Contempt": None}),
        ("affectnet8", {"7": "contempt", "8": None}),
        ("raf-db", {"1": "surprise", "7": "neutral", "0": None, "7_neutral": "neutral", "1_happy": None}),
        ("ck+", {"1": "angry", "2": "contempt", "07": "surprise"}),
        ("ferplus", {"1": "happy", "2": "surprise", "fearful": "fear"}),
        ("kdef", {"AF": "fear", "afraid": "fear", "SU": "surprise", "1": None, "fe": None}),
        ("jaffe", {"FE": "fear", "af": None}),
        ("expw", {"3": "happy", "Sadness": "sad"}),
    ],
)
def test_presets(preset: str, labels: dict[str, str | None]) -> None:
    assert {label: find_class(PRESETS[preset], label) for label in labels} == labels


def test_a_preset_has_the_order_of_its_numbers_and_names_what_it_does_not_know() -> None:
    found = classes.sort_labels("raf-db", ["Happiness", "7", "smirk"], where="here")
    assert found.names == PRESETS["raf-db"].names
    assert found.of_label == {"Happiness": "happy", "7": "neutral"}
    assert "found the label 'smirk'; wanted a class of RAF-DB" in found.problems["smirk"]
    assert "neutral" not in classes.sort_labels("ck+", ["Anger", "Contempt"], where="here").names


def test_folders_are_taken_as_they_are_in_alphabetical_order() -> None:
    found = classes.sort_labels("folders", ["joy", "Calm", "10", "9"], where="here")
    assert found.names == ("9", "10", "Calm", "joy")
    assert "wanted" in classes.sort_labels("folders", ["a,b", "c"], where="here").problems["a,b"]
    with pytest.raises(DataError, match=r"here: 'Very happy' and 'very_Happy' look like two spellings"):
        classes.sort_labels("folders", ["sad", "very_Happy", "Very happy"], where="here")
    with pytest.raises(DataError, match=r"found 21 classes: .*; wanted at most 20; a mapping file merges"):
        classes.sort_labels("folders", [f"subject {number}" for number in range(21)], where="here")


def test_a_mapping_merges_renames_and_drops(tmp_path: Path) -> None:
    mapping = {"smile": "happy", "Grin": "happy", "frown": "sad", "blurred": None}
    path = tmp_path / "map.json"
    path.write_text(json.dumps(mapping))
    for class_map in (str(path), classes.settle(str(path))):
        found = classes.sort_labels(class_map, ["Grin", "blurred", "grin", "other"], where="here")
        assert found.names == ("happy", "sad")
        assert found.of_label == {"Grin": "happy", "blurred": None}
        assert found.problems["grin"].startswith(
            "found the label 'grin', which is not in the mapping, which has"
        )
        assert "add it, with null" in found.problems["other"]
    path.unlink()
    assert json.loads(classes.settle(json.dumps(mapping))) == mapping
    with pytest.raises(
        ConfigError, match=r"mapping file .*map.json \(data.class_map\) cannot be read: No such"
    ):
        classes.settle(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds a list; wanted"),
        ('{"a": 1, "b": "c"}', "'a' becomes 1; wanted"),
        ('{"a": "x", "a": "y"}', "is no JSON: 'a' is in one object twice"),
        ('{"a": "x", "b": null}', "has 1 classes; wanted 2 to 20"),
        ('{"a": "x", "b": "X"}', "'x' and 'X' look like two spellings of one"),
        ('{"a": "x", "b": "y/z"}', "the class of 'b': found the label 'y/z'; wanted names"),
        ('{"a": "x"', "is no JSON"),
    ],
)
def test_a_bad_mapping_has_one_message(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        classes.settle(str(path))
    assert message in str(raised.value)


def test_an_unknown_class_map_is_refused_at_once() -> None:
    with pytest.raises(
        ConfigError, match=r"data.class_map is 'affectnet'; wanted one of fer2013, .*, folders, or"
    ):
        DataConfig(class_map="affectnet")
