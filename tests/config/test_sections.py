"""Configs: every field survives JSON, and every mistake is rejected by a message that names the field."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.fields import field_names, flatten
from fer_jax.config.files import from_json, load_config, to_json
from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import (
    AverageConfig,
    DistillConfig,
    InitConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from fer_jax.errors import ConfigError

RESIDUAL = ConvBlock(features=1, kind="residual")
CHANGED = Config(
    name="changed",
    data=DataConfig(
        path="a.csv",
        source="tfds",
        on_bad_row="skip",
        fit="resize",
        drop="audit.csv",
        max_drop_fraction=0.3,
        synthetic_examples=71,
        synthetic_seed=2**32 - 1,
    ),
    labels=LabelsConfig(source="ferplus", mode="votes", keep="voted", ferplus="fer2013new.csv"),
    split=SplitConfig(protocol="official", seed=3, group_duplicates=False, holdout_fraction=0.5),
    augment=AugmentConfig(
        shift_probability=0.1,
        max_shift_px=24,
        rotate_probability=0.2,
        max_rotation_deg=180.0,
        crop_probability=1,
        min_crop_scale=1.0,
        zoom_probability=0.5,
        max_zoom=2,
        stretch_probability=0.6,
        max_stretch=1.0,
        flip_probability=0.3,
        alternate_flip=True,
        repeats=2,
        sharpness_probability=0.7,
        max_sharpness=0.5,
        gamma_probability=0.8,
        max_gamma=4,
        contrast_probability=0.9,
        max_contrast=2,
        brightness_probability=0.15,
        max_brightness=1,
        erase_probability=0.4,
        max_erase_fraction=0.5,
    ),
    model=ModelConfig(
        blocks=(
            ConvBlock(features=3, batch_norm=False, pool=True, dropout_rate=0.1, squeeze_excite=True),
            RESIDUAL,
        ),
        head="classes",
        classes=8,
        dense_features=0,
        dense_dropout_rate=0.99,
        pooling="blur",
        skip_rate=0.2,
    ),
    loss=LossConfig(label_smoothing=0.1, class_weights="sqrt", effective_beta=0.9, focal_gamma=2),
    mix=MixConfig(mixup_alpha=0.2, cutmix_alpha=1, probability=0.5),
    average=AverageConfig(swa_epochs=1, stats_examples=0),
    init=InitConfig(weights="mid", freeze_blocks=1, head_epochs=0.5, rate_factor=0.1),
    distill=DistillConfig(bank="best.safetensors", views=32, weight=1, temperature=0.5),
    optimizer=OptimizerConfig(
        name="sgd",
        peak_rate=0.05,
        momentum=0.0,
        nesterov=True,
        schedule="step",
        warmup_epochs=0.5,
        decay_epochs=1,
        decay_factor=0.5,
        patience_epochs=1,
        cooldown_epochs=0.5,
        weight_decay=1e-4,
        l2=1e-5,
        clip_norm=1,
        clip_value=0.1,
        sam_radius=0.05,
    ),
    device=DeviceConfig(
        count=2, mode="resident", kernels="plain", compute_dtype="bfloat16", compile_cache=False
    ),
    train=TrainConfig(
        epochs=1,
        batch_size=4,
        seed=2**32 - 1,
        eval_batch_size=1,
        train_eval_examples=0,
        max_examples=1,
        resample=1,
        small_epochs=1,
        measure_epochs=2,
        save_epochs=2,
        small_side_px=24,
        select="last",
        sampling="balanced",
        extra_epochs=(2, 3),
        trackers=("wandb", "tensorboard"),
    ),
)
SECTIONS = (
    DataConfig,
    SplitConfig,
    AugmentConfig,
    ConvBlock,
    ModelConfig,
    LossConfig,
    MixConfig,
    OptimizerConfig,
    AverageConfig,
    InitConfig,
    DistillConfig,
    InitConfig,
)
HEAD = "from pathlib import Path\nfrom fer_jax.config import *\n"


def leaves(fields: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(fields, dict | list):
        yield path, fields
        return
    for name, value in fields.items() if isinstance(fields, dict) else enumerate(fields):
        yield from leaves(value, f"{path}.{name}")


def test_every_field_survives_json() -> None:
    default = dict(leaves(to_json(Config(name="default"))))
    # Not every field of a block goes with every other: one of the blocks has another value.
    changed = [(re.sub(r"blocks\.\d", "blocks.0", path), value) for path, value in leaves(to_json(CHANGED))]
    same = [
        path
        for path, value in default.items()
        if {other for name, other in changed if name == path} == {value}
    ]
    same.remove(".average.ema_decay")  # It refuses to go with the other average,
    same.remove(".train.patience_epochs")  # early stopping with averages of the last epochs,
    same.remove(".data.class_map")  # FER+'s votes with classes of one's own,
    same.remove(".split.group_near_copies")  # and keeping near copies together without exact ones.
    assert not same, f"give these another value in CHANGED, or they are not tested: {same}"
    text = json.dumps(to_json(CHANGED))
    again = from_json(Config, json.loads(text), where="config.json")
    assert again == CHANGED
    other = dataclasses.replace(CHANGED, average=AverageConfig(ema_decay=0.999))
    assert from_json(Config, to_json(other), where="config.json") == other
    assert isinstance(again.model.blocks, tuple)
    assert json.dumps(to_json(from_json(Config, {"name": "default"}, where=""))) == json.dumps(
        to_json(Config(name="default"))
    )


def test_a_whole_number_for_a_float_is_the_same_config_in_json() -> None:
    fields = {"name": "a", "augment": {"max_shift_px": 6}}
    assert flatten(to_json(from_json(Config, fields, where="")))["augment.max_shift_px"] == "6.0"


def numeric_fields() -> Iterator[tuple[type, str, type]]:
    for section in (*SECTIONS, TrainConfig):
        for field in dataclasses.fields(section):
            if field.type in (int, float):
                yield section, field.name, field.type


@pytest.mark.parametrize(("section", "name", "kind"), list(numeric_fields()), ids=str)
def test_every_number_has_a_range_and_a_message_that_names_it(section: type, name: str, kind: type) -> None:
    for bad in (-1, -1e-9, float("nan"), float("inf")) if kind is float else (-1,):
        with pytest.raises(ConfigError, match=rf"\.{name} is {re.escape(repr(bad))}; wanted "):
            section(**{name: bad})


@pytest.mark.parametrize(
    ("section", "bad"),
    [
        (DataConfig, {"synthetic_examples": 69}),
        (DataConfig, {"synthetic_seed": 2**32}),
        (SplitConfig, {"seed": 2**32}),
        *((SplitConfig, {"holdout_fraction": bad}) for bad in (0.0, 1.0)),
        (SplitConfig, {"group_duplicates": False, "protocol": "holdout"}),
        (TrainConfig, {"seed": 2**32}),
        (TrainConfig, {"epochs": 0}),
        (TrainConfig, {"measure_epochs": 2}),
        (AugmentConfig, {"repeats": 0}),
        (TrainConfig, {"batch_size": 0}),
        (TrainConfig, {"eval_batch_size": 0}),
        *(
            (AugmentConfig, {each.name: 1.01})
            for each in dataclasses.fields(AugmentConfig)
            if each.name.endswith("_probability")
        ),
        *((AugmentConfig, {f"max_{name}": bad}) for name in ("zoom", "stretch") for bad in (0.99, 2.01)),
        *((AugmentConfig, {f"max_{name}": bad}) for name in ("gamma", "contrast") for bad in (0.99, 4.01)),
        *((AugmentConfig, {f"max_{name}": 1.01}) for name in ("sharpness", "brightness")),
        (AugmentConfig, {"max_shift_px": 24.1}),
        (AugmentConfig, {"max_rotation_deg": 181}),
        (AugmentConfig, {"min_crop_scale": 0.09}),
        (AugmentConfig, {"min_crop_scale": 1.01}),
        (AugmentConfig, {"max_erase_fraction": 0.0}),
        (AugmentConfig, {"max_erase_fraction": 0.51}),
        (ConvBlock, {"features": 0}),
        (ConvBlock, {"dropout_rate": 1.0}),
        (ModelConfig, {"blocks": ()}),
        (ModelConfig, {"blocks": (ConvBlock(pool=True),) * 5}),
        (ModelConfig, {"dense_dropout_rate": 1.0}),
        (ModelConfig, {"dense_features": 1, "head": "classes"}),
        (ModelConfig, {"skip_rate": 0.1}),
        (ModelConfig, {"skip_rate": 1.0, "blocks": (RESIDUAL,)}),
        (ConvBlock, {"batch_norm": False, "kind": "residual"}),
        (ConvBlock, {"batch_norm": False, "kind": "separable"}),
        (LossConfig, {"label_smoothing": 1.0}),
        (OptimizerConfig, {"peak_rate": 0.0}),
        (OptimizerConfig, {"momentum": 1.0}),
        (OptimizerConfig, {"decay_factor": 0.0}),
        (OptimizerConfig, {"decay_factor": 1.0}),
        (OptimizerConfig, {"decay_epochs": 0}),
        (OptimizerConfig, {"patience_epochs": 0}),
        (OptimizerConfig, {"weight_decay": 0.1, "name": "adam"}),
        (OptimizerConfig, {"l2": 0.1, "name": "adamw"}),
        (OptimizerConfig, {"l2": 0.1, "name": "muon"}),
        (LossConfig, {"effective_beta": 1.0}),
        (MixConfig, {"probability": 1.01}),
        (AverageConfig, {"ema_decay": 1.0}),
        (AverageConfig, {"swa_epochs": 1, "ema_decay": 0.9}),
        (InitConfig, {"weights": ""}),
        (InitConfig, {"freeze_blocks": 1}),
        (InitConfig, {"head_epochs": -1.0, "weights": "mid"}),
        (InitConfig, {"rate_factor": 0.0, "weights": "mid"}),
        (DistillConfig, {"weight": 1.01}),
        (DistillConfig, {"temperature": 0.0}),
        (DistillConfig, {"teachers": ("best", "")}),
        (DistillConfig, {"teachers": "runs/mid-seed0"}),
        (DistillConfig, {"views": 1001}),
        (DistillConfig, {"views": 8}),
        (DistillConfig, {"views": 0, "bank": "best.safetensors"}),
        (DistillConfig, {"teachers": ("best",), "bank": "best.safetensors", "views": 1}),
        (OptimizerConfig, {"cooldown_epochs": 0.0}),
        (OptimizerConfig, {"decay_epochs": 10_001}),
        (OptimizerConfig, {"patience_epochs": 10_001}),
        (TrainConfig, {"small_epochs": 11}),
        (TrainConfig, {"small_side_px": 49}),
        *((Config, {"name": name}) for name in ("", "a/b", "..", ".hidden", "-a", "a b")),
    ],
    ids=str,
)
def test_a_value_just_out_of_range_is_refused(section: type, bad: dict[str, Any]) -> None:
    name = next(iter(bad))
    with pytest.raises(ConfigError, match=rf"^config field [\w.]*{name} is .*; wanted "):
        section(**bad)


POOLED = ModelConfig(blocks=(ConvBlock(pool=True),) * 3, head="mean")


@pytest.mark.parametrize(
    ("sections", "wanted"),
    [
        ({"train": TrainConfig(small_epochs=1)}, "train.small_epochs is 1; wanted 0 for model.head flatten"),
        (
            {"train": TrainConfig(small_epochs=1, small_side_px=36), "model": POOLED},
            "train.small_side_px is 36; wanted a multiple of 8 and at least 8",
        ),
        (
            {
                "train": TrainConfig(small_epochs=1, small_side_px=16),
                "model": dataclasses.replace(POOLED, blocks=POOLED.blocks[:1] * 4, pooling="blur"),
            },
            "train.small_side_px is 16; wanted a multiple of 16 and at least 32",
        ),
        (
            {"optimizer": OptimizerConfig(schedule="trapezoid", warmup_epochs=1, cooldown_epochs=9.5)},
            "cooldown_epochs is 9.5; wanted at most train.epochs minus optimizer.warmup_epochs, which is 9",
        ),
        (
            {
                "train": TrainConfig(measure_epochs=2, select="last"),
                "optimizer": OptimizerConfig(schedule="plateau"),
            },
            "train.measure_epochs is 2; wanted 1 with optimizer.schedule plateau",
        ),
        (
            {"augment": AugmentConfig(repeats=2), "train": TrainConfig(batch_size=2)},
            "augment.repeats is 2; wanted 1, or a divisor of train.batch_size, which is 2, that leaves",
        ),
        ({"augment": AugmentConfig(repeats=3)}, "augment.repeats is 3; wanted 1, or a divisor of"),
        ({"average": AverageConfig(swa_epochs=11)}, "average.swa_epochs is 11; wanted at most train.epochs"),
    ],
    ids=str,
)
def test_sections_that_do_not_go_together_are_refused(sections: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(wanted)):
        Config(name="a", **sections)


def test_the_first_epochs_have_small_images() -> None:
    train = TrainConfig(small_epochs=2, small_side_px=32)
    assert [train.side_px(epoch) for epoch in range(4)] == [32, 32, 48, 48]
    assert TrainConfig().side_px(0) == 48


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"optimizer": {"peek_rate": 1}}, "no config field 'peek_rate'; did you mean 'peak_rate'?"),
        ({"model": {"blocks": [{"feature": 3}]}}, "no config field 'feature'; did you mean 'features'?"),
        ({"xyzzy": 1}, "no config field 'xyzzy'"),
        ({"train": {"epochs": "3"}}, "config field train.epochs is '3'; wanted int"),
        ({"train": {"epochs": 1.5}}, "config field train.epochs is 1.5; wanted int"),
        ({"train": None}, "config field train is None; wanted TrainConfig"),
        ({"data": {"path": 3}}, "config field data.path is 3; wanted str | None"),
        (
            {"optimizer": {"name": "sdg"}},
            "optimizer.name is 'sdg'; wanted one of 'sgd', 'adam', 'adamw', 'muon'",
        ),
        ({"model": {"classes": 21}}, "model.classes is 21; wanted classes in [2, 20]"),
        ({"model": {"classes": 9}}, "model.classes is 9; wanted 7, or 8 with labels.source ferplus"),
        ({"model": {"classes": 8}}, "model.classes is 8; wanted 7, or 8 with labels.source ferplus"),
        ({"model": {"blocks": [{"batch_norm": 1}]}}, "model.blocks.batch_norm is 1; wanted bool"),
        ({"name": 3}, "config field name is 3; wanted str"),
        ({"distill": {"teachers": "best"}}, "distill.teachers is 'best'; wanted a tuple: write (\"best\",)"),
        ({"train": {"extra_epochs": "12"}}, "train.extra_epochs is '12'; wanted tuple[int, ...]"),
    ],
    ids=str,
)
def test_json_of_wrong_names_and_types_is_refused(fields: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(wanted)) as caught:
        from_json(Config, {"name": "a"} | fields, where="there.json")
    if not str(caught.value).startswith("config field"):
        assert str(caught.value).startswith("there.json: ")


def test_json_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match='"name"'):
        from_json(Config, {}, where="there.json")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("config = (", ", line 3: SyntaxError: "),
        ("import no_such_module", ", line 3: ModuleNotFoundError: "),
        ("\n\nTrainConfig(epoch=3)", ", line 5: TypeError: .*'epoch'[;.] [Dd]id you mean 'epochs'\\?$"),
        ("ConvBlock(batchnorm=True)", ", line 3: TypeError: .*[;.] [Dd]id you mean 'batch_norm'\\?$"),
        (
            "\nTrainConfig(epochs=0)",
            ", line 4: config field train.epochs is 0; wanted an integer in 1..10000$",
        ),
        ("confg = Config(name='a')", " defines no `config`: "),
        ("config = TrainConfig()", " defines no `config`: "),
        (
            "config = Config(name='a', train=TrainConfig(epochs=3.0))",
            ", line 3: .* train.epochs is 3.0; wanted an integer$",
        ),
        (
            "config = Config(name='a', train=TrainConfig(epochs='3'))",
            ", line 3: .* train.epochs is '3'; wanted an integer",
        ),
        ("config = Config(name='a', data=DataConfig(path=Path('x')))", ": .* data.path is .*; wanted str"),
        (
            "config = Config(name='a', loss=LossConfig(class_weights='all'))",
            ": .*'all'; wanted one of 'none'",
        ),
    ],
)
def test_a_slip_in_a_config_file_is_refused_with_file_and_line(
    tmp_path: Path, body: str, wanted: str
) -> None:
    path = tmp_path / "run.py"
    path.write_text(HEAD + body + "\n")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}{wanted}"):
        load_config(path)


def test_the_fault_of_an_imported_module_has_the_line_that_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "with_a_fault.py").write_text("a = 1\n" * 5 + "b = (\n")
    (tmp_path / "run.py").write_text("\nimport with_a_fault\n")
    with pytest.raises(ConfigError, match=r"run\.py, line 2: SyntaxError"):
        load_config(tmp_path / "run.py")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"config\.json is JSON; give a Python file"):
        load_config(tmp_path / "config.json")


def test_a_config_file_gives_its_config_with_lists_and_whole_numbers_put_right(tmp_path: Path) -> None:
    path = tmp_path / "run.py"
    path.write_text(HEAD + "config = Config(name='a', model=ModelConfig(blocks=[ConvBlock()]))\n")
    config = load_config(path)
    assert config == Config(name="a")
    assert hash(config) == hash(Config(name="a"))


def test_a_missing_config_file_is_refused_with_a_near_name_or_the_list(tmp_path: Path) -> None:
    (tmp_path / "run6.py").touch()
    with pytest.raises(ConfigError, match=r"there is no config file .*run66\.py; did you mean '.*run6\.py'"):
        load_config(tmp_path / "run66.py")
    with pytest.raises(ConfigError, match=r"no config file .*; there are .*run6\.py"):
        load_config(tmp_path / "?")


def test_field_names_reach_into_the_sections() -> None:
    assert {"train", "epochs", "peak_rate", "protocol", "blocks"} <= set(field_names(Config))
