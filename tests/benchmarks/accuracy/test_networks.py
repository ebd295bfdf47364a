"""The comparison of networks: its changes are options, its table by hand, and one tiny run of it."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import networks
from benchmarks.accuracy.decision import Arm, Size, check_size
from benchmarks.accuracy.networks import COMPARISONS, Comparison, Network
from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.config.files import load_config
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError
from fer_jax.files import read_json, read_json_lines, write_json
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import list_layers
from fer_jax.train.__main__ import TrainCommand

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = """
from fer_jax.config import Config, ConvBlock, ModelConfig, TrainConfig

config = Config(
    name="small",
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0),
    train=TrainConfig(batch_size=16, select="last"),
)
"""
CHANGES = {"tiny": "", "late-pool": "--model.blocks.0.no-pool"}


@pytest.mark.parametrize(("size", "name", "chosen"), [("tiny", "tiny80", "deep-late-pool"), ("mid", "", "")])
def test_the_networks_differ_and_nothing_else_does(size: Size, name: str, chosen: str) -> None:
    configs = {}
    for each, network in COMPARISONS[size].networks.items():
        argv = ["--config", str(bench.ROOT / network.config), *network.options.split()]
        configs[each] = cli.parse(TrainCommand, argv, prog="train").settings
        layers = list_layers(make_model(configs[each].model, configs[each].device))
        parameters, macs = sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)
        check_size(size, each, parameters=parameters, macs=macs)
    base, *others = configs.values()
    assert len({each.model for each in configs.values()}) == len(configs)
    assert all(replace(each, name=base.name, model=base.model) == base for each in others)
    if name:
        assert load_config(name).model == configs[chosen].model


def test_a_wide_network_is_one_that_there_is_with_twice_the_features() -> None:
    network = COMPARISONS["mid"].networks["wide-tiny80"]
    argv = ["--config", str(bench.ROOT / network.config), *network.options.split()]
    wide = cli.parse(TrainCommand, argv, prog="train").settings.model
    assert wide.blocks == tuple(
        replace(each, features=2 * each.features) for each in load_config("tiny80").model.blocks
    )


def row(name: str, flip: int) -> dict[str, Any]:
    return {
        "name": name,
        "network": {"words": f"the network {name}"},
        "machine": "a machine",
        "epochs": 24,
        "parameters": 54896,
        "macs": 7_800_000,
        "arm": asdict(Arm(name, {"single": 600, "flip": flip}, 1000, 1.0)),
    }


def test_the_table_by_hand(tmp_path: Path) -> None:
    page, results = tmp_path / "ablation.md", tmp_path / "out.json"
    page.write_text("<!-- networks-tiny -->\n<!-- /networks-tiny -->\n")
    rows = [row("tiny", 610), row("late-pool", 619), row("deep", 625)]
    write_json(results, {"results": rows, "decision": networks.decide("tiny", rows)})
    assert networks.main(["write", "--results", str(results), "--pages", str(page)]) == 0
    lines = page.read_text().splitlines()
    assert lines[5] == (
        "| deep: the network deep | 54,896 | 7.8 | 60.00 % (600 of 1,000) | 62.50 % (625 of 1,000) | +1.50 |"
    )
    assert lines[7].endswith(
        "By the rule, deep gains +1.50 points over tiny, and at least 1.0 are wanted: deep is chosen. "
        "a machine."
    )
    assert networks.decide("tiny", rows[:2])["network"] == "tiny"
    with pytest.raises(ConfigError, match=r"deep has 57,001 parameters; the rule allows 57,000"):
        networks.decide("tiny", [*rows[:2], rows[2] | {"parameters": 57_001}])
    with pytest.raises(ConfigError, match=r"deep takes 66,000,000 multiply-accumulates per image"):
        networks.decide("mid", [*rows[:2], rows[2] | {"macs": 66_000_000}])


@pytest.mark.usefixtures("trainings_in_process")
def test_tiny_ones_are_trained_and_measured_on_what_was_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    config, data, runs, out = (tmp_path / name for name in ("small.py", "train.csv", "runs", "out.json"))
    config.write_text(SMALL)
    small = {name: Network(name, str(config), words) for name, words in CHANGES.items()}
    monkeypatch.setitem(networks.COMPARISONS, "tiny", Comparison(small, "--split.protocol holdout"))
    faces = draw_examples(seed=0, examples=70)
    pixels = [" ".join(map(str, image.ravel())) for image in faces.images]
    lines = (",".join(map(str, each)) for each in zip(faces.labels, pixels, strict=True))
    data.write_text("\n".join(["emotion,pixels", *lines]))
    shared = ["--data", str(data), "--runs", str(runs), "--results", str(out)]
    shared += ["--options=--train.epochs 2 --train.small-epochs 1"]
    assert networks.main(["collect", *shared]) == 4
    assert "tiny is not finished; train it first" in capsys.readouterr().err
    assert networks.main(["train", *shared, "--lanes", "2"]) == 0
    assert networks.main(["collect", *shared]) == 0
    content = read_json(out)
    assert [each["name"] for each in content["results"]] == list(CHANGES)
    assert content["decision"] == networks.decide("tiny", content["results"])
    for each in content["results"]:
        log = read_json_lines(runs / each["name"] / "log.jsonl")
        assert each["arm"]["correct"]["single"] == round(each["arm"]["total"] * log[-1]["val_accuracy"])
    capsys.readouterr()
    assert networks.main(["collect", *shared[:-1], "--options=--train.epochs 2 --train.small-epochs 0"]) == 4
    assert "train.small_epochs" in capsys.readouterr().err
    header, *rows = data.read_text().splitlines()
    data.write_text("\n".join([header, *reversed(rows)]))
    assert networks.main(["collect", *shared]) == 3
    assert "was trained on" in capsys.readouterr().err


def test_data_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert networks.main(["train"]) == 2
    assert "--data is missing" in capsys.readouterr().err
