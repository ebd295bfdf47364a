"""A run's record and its log: what is refused when it is resumed, and what the log says after a kill."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fer_jax.config.data import DataConfig
from fer_jax.config.files import to_json
from fer_jax.config.model import ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.split import split_examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import RunError
from fer_jax.fer2013 import LABELS
from fer_jax.files import Json, write_json
from fer_jax.runs import record
from fer_jax.runs.location import choose_place

CONFIG = Config(name="a")
EXAMPLES = draw_examples(seed=0, examples=70)


@pytest.fixture(scope="module")
def facts() -> Json:
    split = split_examples(EXAMPLES, CONFIG.split)
    return record.describe_run(CONFIG, EXAMPLES, split, command="") | {"batches": "made by hand"}


@pytest.mark.parametrize("name", ["data", "split", "votes", "teachers"])
def test_other_data_another_split_and_other_teachers_are_refused(
    facts: Json, tmp_path: Path, name: str
) -> None:
    one = {"sha256": "a" * 64}
    before: dict[str, Any] = facts | {"votes": one, "teachers": one | {"runs": []}}
    write_json(tmp_path / "run.json", before)
    assert record.resume(tmp_path, before)[0]["resumed"]
    other = before | {name: before[name] | {"sha256": "b" * 64}}
    with pytest.raises(RunError, match=f"was trained with other {name}.*now bbbbbbbbbbbb.*resume with the"):
        record.resume(tmp_path, other)


def test_a_resumed_run_keeps_the_classes_that_it_took_from_its_data(facts: Json, tmp_path: Path) -> None:
    mapping = tmp_path / "map.json"
    mapping.write_text('{"smile": "joy",\n "frown": "sad"}')
    given = Config(name="a", data=DataConfig(path="faces", fit="resize", class_map=str(mapping)))
    data = replace(given.data, class_map='{"smile": "joy", "frown": "sad"}')
    trained = replace(given, data=data, model=ModelConfig(classes=2, class_names=("joy", "sad")))
    write_json(tmp_path / "config.json", to_json(trained))
    write_json(tmp_path / "run.json", facts)
    assert choose_place(given, 1, tmp_path, is_resumed=True).configs == [trained]
    mapping.write_text('{"smile": "sad", "frown": "joy"}')
    with pytest.raises(RunError, match=r"was trained with data.class_map .*; resume with the same config"):
        choose_place(given, 1, tmp_path, is_resumed=True)


def test_the_log_of_a_resumed_run_has_each_epoch_once_in_order(tmp_path: Path) -> None:
    config = Config(name="a", train=TrainConfig(trackers=()))
    with record.open_log(tmp_path, config, []) as add:
        for epoch in (1, 2, 3):
            add({"epoch": epoch})
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"epo')  # Killed within a line.
    with record.open_log(tmp_path, config, [{"epoch": 1}]) as add:
        add({"epoch": 2})
        # Each line is there as soon as it has been added.
        lines = (tmp_path / "log.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == [{"epoch": 1}, {"epoch": 2}]


def test_fer2013_in_another_order_of_classes_is_not_own_data() -> None:
    config = Config(name="a", model=ModelConfig(class_names=tuple(reversed(LABELS))))
    facts = replace(draw_examples(seed=0, examples=7), source=Path("of: me/faces.csv")).facts
    run = cast(record.RunRecord, SimpleNamespace(data=record.DataRecord(**facts)))
    assert record.kind_of_data(run, config) == "fer2013"
    assert "faces.csv" in run.data.description and "faces.csv" not in run.data.contents
    older = SimpleNamespace(data=replace(run.data, is_own=None, public=None))
    assert record.kind_of_data(cast(record.RunRecord, older), config) == "own"
