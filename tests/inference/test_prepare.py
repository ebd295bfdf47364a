"""From a config to rows and targets: what is left out, what is sampled, and what is recorded of it."""

from dataclasses import replace
from pathlib import Path

from fer_jax.config.data import DataConfig
from fer_jax.config.run import Config
from fer_jax.data.load import load_examples
from fer_jax.data.rows.drop_list import Line, to_csv
from fer_jax.data.split import split_examples
from fer_jax.inference.prepare import choose_labels, prepare, take_sample

CONFIG = Config(name="a", data=DataConfig(source="synthetic", synthetic_examples=140))
EXAMPLES = load_examples(CONFIG.data)
SPLIT = split_examples(EXAMPLES, CONFIG.split)


def test_a_plain_config_gets_its_split_and_nothing_else() -> None:
    prepared = prepare(CONFIG, EXAMPLES)
    assert prepared.examples is EXAMPLES and prepared.split.sha256 == SPLIT.sha256
    assert (prepared.targets, prepared.dropped, prepared.teachers, prepared.notes) == (None, None, None, ())


def test_rows_are_dropped_before_the_sample_is_taken(tmp_path: Path) -> None:
    row, path = int(SPLIT.train[0]), tmp_path / "audit.csv"
    line = Line(row, "Training", "happy", "near copy", None, None, None, "drop")
    path.write_text(to_csv([line], EXAMPLES.sha256))
    limited = replace(CONFIG.train, max_examples=20)
    config = replace(CONFIG, data=replace(CONFIG.data, drop=str(path)), train=limited)
    chosen = choose_labels(config, EXAMPLES, SPLIT)
    assert chosen.split.train.tolist() == SPLIT.train[1:].tolist()
    # A teacher may know the row that this run leaves out.
    assert chosen.open_rows.tolist() == SPLIT.train.tolist()
    assert chosen.dropped == {"list": str(path), "rows": 1}
    sample = take_sample(config, chosen)
    assert len(sample.split.train) == 20 and row not in sample.split.train
    assert sample.notes == (
        f"left out of train: 1 row that {path} marks drop",
        f"train is a sample: 20 of {len(SPLIT.train) - 1} rows",
    )
    assert prepare(config, EXAMPLES).split.sha256 == sample.split.sha256
