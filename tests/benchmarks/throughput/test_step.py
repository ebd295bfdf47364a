"""The step benchmark at tiny size, and that JAX and PyTorch take the same steps in it."""

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
import pytest

from benchmarks.harness import bench
from benchmarks.throughput import step, step_worker
from fer_jax.config.files import load_config
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig, OptimizerConfig
from fer_jax.engine.losses import class_weights
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import init_state
from fer_jax.engine.step import Batch, make_eval_step, make_train_step
from fer_jax.errors import ConfigError
from fer_jax.images import standardise
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key

NO_TORCH = "PyTorch is not there: pip install 'fer-jax[bench]'"
BATCH_SIZE, RATE, STEPS = 16, 1e-2, 3
RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, ModelConfig

config = Config(name="tiny", model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=4))
'''

# Of RECORD's network: convolution, dense layer, logits.
MACS = 48 * 48 * 9 * 2 + 24 * 24 * 2 * 4 + 4 * 7

POOLED = ModelConfig(blocks=(ConvBlock(features=4, pool=True), ConvBlock(features=6)), dense_features=8)
BARE = ModelConfig(blocks=(ConvBlock(features=3, batch_norm=False, pool=True),), dense_features=0)
MEAN = dataclasses.replace(POOLED, head="mean")
RESIDUAL = ModelConfig(
    blocks=(
        ConvBlock(features=4, squeeze_excite=True),
        ConvBlock(features=6, kind="residual", pool=True, squeeze_excite=True),
        ConvBlock(features=6, kind="residual"),
    ),
    head="mean",
    dense_features=0,
)
SEPARABLE = ModelConfig(
    blocks=(
        ConvBlock(features=4),
        ConvBlock(features=6, kind="separable", pool=True),
        ConvBlock(features=6, kind="separable", squeeze_excite=True),
    ),
    head="classes",
    dense_features=0,
)
WEIGHED = LossConfig(label_smoothing=0.1, class_weights="balanced")
SGD = OptimizerConfig(name="sgd", nesterov=True, l2=0.01, weight_decay=0.1, clip_norm=0.5)
ADAM = OptimizerConfig(name="adam", l2=0.01)
ADAMW = OptimizerConfig(name="adamw", weight_decay=0.1)


@pytest.mark.parametrize(
    ("model", "loss", "optimizer"),
    [
        (POOLED, LossConfig(), SGD),
        (POOLED, WEIGHED, ADAM),
        (MEAN, WEIGHED, ADAMW),
        (RESIDUAL, LossConfig(), SGD),
        (SEPARABLE, WEIGHED, SGD),
        (BARE, WEIGHED, SGD),
        (BARE, LossConfig(), OptimizerConfig(name="sgd", momentum=0.0)),
    ],
)
def test_jax_and_pytorch_take_the_same_steps(
    model: ModelConfig, loss: LossConfig, optimizer: OptimizerConfig
) -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from benchmarks.pytorch import nets as torch_nets

    config = Config(name="a", model=model, loss=loss, optimizer=optimizer)
    examples = step_worker.draw_batch(BATCH_SIZE)
    stats = standardise.measure(examples.images)
    weights = class_weights(loss, (1, 2, 3, 4, 5, 6, 7))
    batch = Batch(examples.images, examples.labels, np.ones(BATCH_SIZE, np.float32))
    net, chain = make_model(model, config.device), make_optimizer(optimizer)
    state = init_state(jax_key(0, Stream.INIT), net, chain)
    start = jax.tree.map(np.array, (state.params, state.batch_stats))
    step_of_ours = make_train_step(net, chain, loss, class_weights=weights, pixel_stats=stats)
    losses = []
    for _ in range(STEPS):
        state, sums = step_of_ours(jax_key(0, Stream.DROPOUT), state, batch, jax.numpy.float32(RATE))
        losses.append(float(sums.loss_sum / sums.weight_sum))
    counts = make_eval_step(net, pixel_stats=stats)(state.params, state.batch_stats, batch)

    images, labels = torch.tensor(examples.images), torch.tensor(examples.labels).long()
    for style in (torch_nets.TUNED, torch_nets.AS_USERS_RUN_IT):
        theirs, wanted = torch_nets.Net(model, style), torch_nets.Net(model, style)
        torch_nets.carry_over(theirs, *start)
        step_of_theirs = torch_nets.make_train_step(
            theirs, config, style, rate=RATE, class_weights=weights, pixel_stats=stats
        )
        np.testing.assert_allclose(
            [float(step_of_theirs(images, labels)) for _ in range(STEPS)], losses, rtol=1e-4
        )
        torch_nets.carry_over(wanted, state.params, state.batch_stats)
        found = theirs.state_dict()
        for name, value in wanted.state_dict().items():
            # A bias before batch norm wanders, because rounding is all the gradient it has, and the mean
            # with it. PyTorch's variance is the unbiased one.
            is_bias = re.search(rf"{torch_nets.BEFORE_NORM}\.bias$|running_mean$", name) is not None
            is_wandering = style.conv_bias and is_bias
            is_ours = not name.endswith(("running_var", "num_batches_tracked"))
            if is_ours and not (is_wandering and model.blocks[0].batch_norm):
                np.testing.assert_allclose(found[name], value, atol=1e-2 * RATE, err_msg=name)
        # Running statistics carried over too, evaluation is the same.
        summed, confusion = torch_nets.make_eval_step(wanted, style, pixel_stats=stats)(images, labels)
        np.testing.assert_allclose(float(summed), float(counts.loss_sum), rtol=1e-5)
        np.testing.assert_array_equal(confusion, counts.confusion)


def measure(folder: Path, words: str) -> dict[str, Any]:
    """Run the program on a tiny network, two rounds of two; what it wrote."""
    config, out = folder / "tiny.py", folder / "out.json"
    config.write_text(RECORD)
    size = f"--config {config} --batch-size 4 --rounds 2 --iterations 2 --gemm-size 32 --out {out}"
    assert step.main([*size.split(), *words.split()]) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    for row in content["results"]:
        assert [len(samples) for samples in row["samples_s"]] == [2, 2]
        assert row["facts"]["peak_rss_mib"] > 50
    return content


def test_the_train_step_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    content = measure(tmp_path, "--what train --candidates jax torch-users torch gemm")
    rows = {row["name"]: row for row in content["results"]}
    peaks = ("gemm jax float32", "gemm torch float32")
    assert set(rows) == {"jax", "torch-users", "torch", *peaks}
    ours = rows["jax"]
    assert content["settings"]["macs"] == MACS
    assert ours["flop_per_s"] == pytest.approx(6 * MACS * ours["images_per_s"])
    assert ours["images_per_s"] == pytest.approx(4 / ours["spread_s"]["median"])
    peak = max(rows[name]["flop_per_s"] for name in peaks)
    assert ours["share_of_peak"] == pytest.approx(ours["flop_per_s"] / peak)
    assert {name: len(ratios) for name, ratios in ours["ratios"].items()} == {"torch-users": 2, "torch": 2}
    for name in ("jax", "torch-users", "torch"):
        assert 1.5 < rows[name]["facts"]["first_loss"] < 2.5
    if sys.platform == "linux":
        # The setting of one is not that of the other.
        assert rows["torch"]["facts"]["tuning"] and not rows["torch-users"]["facts"]["tuning"]
    assert "PyTorch as users run it" in capsys.readouterr().out


def test_the_eval_step_needs_no_pytorch(tmp_path: Path) -> None:
    fast, plain = measure(tmp_path, "--what eval --candidates jax jax-plain")["results"]
    assert fast["flop_per_s"] == pytest.approx(2 * MACS * fast["images_per_s"])
    assert fast["share_of_peak"] is None
    assert fast["facts"]["first_loss"] == pytest.approx(plain["facts"]["first_loss"], rel=1e-4)


def test_other_environments_are_compared(tmp_path: Path) -> None:
    rows = measure(tmp_path, f"--what eval --candidates jax --pythons {sys.executable}")["results"]
    name = f"jax {jax.__version__}"
    assert [row["name"] for row in rows] == ["jax", name]
    assert {row["facts"]["library"] for row in rows} == {name}
    assert len(rows[0]["ratios"][name]) == 2 and rows[1]["title"] == f"JAX, fast kernels {jax.__version__}"


@pytest.mark.parametrize("python", ["/nowhere/bin/python", "/bin/false"])
def test_an_interpreter_without_jax_is_named(python: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert step.main(["--candidates", "jax", "--pythons", python]) == 2
    assert f"--pythons {python}: it is not a Python interpreter with jax" in capsys.readouterr().err


def test_two_environments_with_the_same_jax_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert step.main(["--candidates", "jax", "--pythons", sys.executable, sys.executable]) == 2
    assert "the same version of jax" in capsys.readouterr().err


def test_without_pytorch_its_rows_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "is_installed", lambda module: False)
    assert step.main(["--candidates", "torch", "gemm"]) == 2
    printed = capsys.readouterr()
    assert "pip install 'fer-jax[bench]'" in printed.out and "no candidate" in printed.err


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (ModelConfig(blocks=(ConvBlock(kind="residual"),), skip_rate=0.1), "model.skip_rate"),
        (ModelConfig(blocks=(ConvBlock(pool=True),), pooling="blur"), "model.pooling"),
        (ModelConfig(classes=8), "model.classes"),
    ],
    ids=["skips", "pooling", "classes"],
)
def test_pytorch_refuses_a_network_that_it_lacks(model: ModelConfig, named: str) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from benchmarks.pytorch import nets as torch_nets

    with pytest.raises(ConfigError, match=rf"lacks: .*{named}"):
        torch_nets.Net(model, torch_nets.TUNED)


def test_the_names_are_the_kinds() -> None:
    assert get_args(step.Name) == (*step_worker.KINDS, "gemm")


def test_the_vgg_is_a_config() -> None:
    path = Path(step.__file__).parents[1] / "nets" / "vgg.py"
    assert load_config(path).name == path.stem
