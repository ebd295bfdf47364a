"""The latency benchmark at tiny size, and that all its forms compute the network's own function."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.latency import __main__ as latency
from benchmarks.latency import latency_worker
from benchmarks.latency.latency_worker import Job, Net
from benchmarks.latency.winograd import make_predict, winograd
from fer_jax.config.files import to_json
from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data.split import Split
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, init_state
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key
from fer_jax.runs import checkpoint, record
from fer_jax.runtime import machine

STATS = PixelStats(120.0, 60.0)
POOLED = ModelConfig(
    blocks=(ConvBlock(features=4, pool=True, dropout_rate=0.5), ConvBlock(features=3)), dense_features=8
)
BARE = ModelConfig(blocks=(ConvBlock(features=3, batch_norm=False),), dense_features=0)
SMALLEST = ModelConfig(blocks=(*(ConvBlock(features=4, pool=True),) * 4, ConvBlock(features=2)), head="mean")


def make_net(model: ModelConfig) -> Net:
    """Make a network with weights that are far from fresh, so that no part of it is without effect."""
    config = Config(name="tiny", model=model)
    state = make_state(config)
    rng = np.random.default_rng(0)

    def change(leaf: Any) -> np.ndarray:
        changed = leaf * rng.uniform(0.5, 1.5, leaf.shape) + rng.uniform(-0.1, 0.1, leaf.shape)
        return np.asarray(changed, np.float32)

    return Net(config, jax.tree.map(change, state.params), jax.tree.map(change, state.batch_stats), STATS)


def make_state(config: Config) -> TrainState:
    model = make_model(config.model, config.device)
    return init_state(jax_key(0, Stream.INIT), model, make_optimizer(config.optimizer))


def some_images(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)


def probabilities(net: Net, images: np.ndarray) -> np.ndarray:
    model = make_model(net.config.model, DeviceConfig(kernels="plain"))
    variables = {"params": net.params, "batch_stats": net.batch_stats}
    logits: Any = model.apply(variables, standardise(images, net.stats), is_training=False)
    return np.asarray(jax.nn.softmax(logits))


@pytest.mark.parametrize("name", latency_worker.KINDS)
def test_every_candidate_computes_the_networks_function(name: str, tmp_path: Path) -> None:
    kind = latency_worker.KINDS[name]
    for module in kind.needs:
        pytest.importorskip(module, reason=f"needs {module}: pip install 'fer-jax[bench]'")
    net, images = make_net(POOLED), some_images(2)
    if name == "onnx":
        latency.export_onnx(net, 2, tmp_path / "net.onnx")
    predict = kind.make(Job(name, str(tmp_path), to_json(net.config), STATS), net, images)
    found, wanted = predict(images), probabilities(net, images)
    assert isinstance(found, np.ndarray)
    assert np.ptp(wanted, axis=0).max() > 1e-3  # The images matter.
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("model", [BARE, SMALLEST], ids=["bare", "smallest"])
def test_the_folded_form_computes_every_network(model: ModelConfig) -> None:
    net, images = make_net(model), some_images(2)
    found = jax.jit(make_predict(model, net.params, net.batch_stats, net.stats))(images)
    np.testing.assert_allclose(found, probabilities(net, images), atol=2e-5)


@pytest.mark.parametrize("channels", [1, 5])
def test_winograd_is_the_convolution(channels: int) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 6, 10, channels)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, channels, 4)).astype(np.float32)
    found = winograd(jnp.asarray(x), kernel)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    wanted = sum(padded[:, i : i + 6, j : j + 10] @ kernel[i, j] for i in range(3) for j in range(3))
    for i in range(2):
        for j in range(2):
            np.testing.assert_allclose(found[i][j], wanted[:, i::2, j::2], atol=1e-4)


def test_saved_weights_come_back(tmp_path: Path) -> None:
    net = make_net(POOLED)
    latency_worker.save_weights(tmp_path / "weights.npz", net.params, net.batch_stats)
    params, batch_stats = latency_worker.load_weights(tmp_path / "weights.npz")
    for old, new in ((net.params, params), (net.batch_stats, batch_stats)):
        assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), old, new))


def test_the_program_measures_a_runs_weights(tmp_path: Path) -> None:
    config = Config(name="tiny", model=POOLED, train=TrainConfig(select="last"))
    run = tmp_path / "run"
    state = make_state(config)
    meta = {"step": 5, "pixel_mean": 100.0, "pixel_std": 50.0}
    checkpoint.save(state, meta, run / "checkpoints", is_best=False)
    facts = machine.describe() | {
        "command": "",
        "started": "",
        "finished": "",
        "resumed": [],
        "data": {"description": "faces", "sha256": "d", "is_synthetic": True},
        "split": {"sha256": "s", "sizes": {}, "copies_of_training_images": {}},
        "seed": 0,
    }
    rows = np.arange(3)
    record.write(run, config, Split(rows, rows, rows), facts, train_hashes=np.zeros(3, np.uint64))
    out = tmp_path / "latency.json"
    chosen = ("jax-winograd", "torch", "onnx")
    sizes = ("--batch-sizes", "3", "--rounds", "2", "--iterations", "3")
    argv = ["--run", str(run), "--candidates", *chosen, *sizes, "--out", str(out)]
    assert latency.main(argv) == 0
    results = json.loads(out.read_text())
    there = [name for name in chosen if all(map(importlib.util.find_spec, latency_worker.KINDS[name].needs))]
    rows = results["results"]
    assert [(row["batch_size"], row["name"]) for row in rows] == [(3, name) for name in there]
    assert results["max_difference"] < 1e-5
    assert results["settings"]["weights"] == "last, step 5"
    for row in rows:
        assert np.array(row["samples_s"]).shape == (2, 3)
        assert row["spread_s"]["median"] <= row["p99_s"] <= row["spread_s"]["max"]
        assert "probabilities" not in row["facts"]
        if row["name"] == "onnx":
            assert row["times_baseline"] == [1.0, 1.0]


def test_candidates_are_named_once() -> None:
    assert set(latency.Name.__args__) == set(latency_worker.KINDS)  # type: ignore[attr-defined]
