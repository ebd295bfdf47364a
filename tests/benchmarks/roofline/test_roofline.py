"""The roofline benchmark: hand-counted FLOP and bytes, and a run at tiny size."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import arena, bench
from benchmarks.harness.arena import Result
from benchmarks.roofline import __main__ as roofline
from benchmarks.roofline.operations import NAMES, Operation, list_operations
from benchmarks.roofline.plot import MARKERS
from benchmarks.roofline.worker import measure_norm
from fer_jax.config.files import load_config
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.errors import RunError
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import list_layers

NO_TORCH = "PyTorch is not there: pip install 'fer-jax[bench]'"
# Without dropout, whose masks differ, so that JAX and PyTorch can be held against each other.
RECORD = '''"""Tiny."""

from benchmarks.roofline.worker import measure_norm
from fer_jax.config import Config, ConvBlock, ModelConfig

config = Config(
    name="tiny",
    model=ModelConfig(
        blocks=(ConvBlock(features=2, pool=True), ConvBlock(features=3)),
        dense_features=4,
    ),
)
'''
BARE = ModelConfig(blocks=(ConvBlock(features=2, batch_norm=False, dropout_rate=0.5),), dense_features=0)


def count(config: Config, batch_size: int) -> dict[tuple[str, str], tuple[int, int]]:
    operations = list_operations(config, batch_size=batch_size, scale_numbers=10)
    return {(each.layer, each.name): (each.flop, each.byte) for each in operations}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(RECORD)
    return path


def test_run_6s_second_block_by_hand() -> None:
    # 32 channels of 24 × 24 come in and 64 go out, which are pooled to 12 × 12; dropout; 10 images.
    counted = count(load_config(Path("configs/run6.py")), 10)
    before, after = 10 * 24 * 24 * 64, 10 * 12 * 12 * 64
    product = (2 * before * 9 * 32, 4 * (10 * 24 * 24 * 32 + 9 * 32 * 64 + before))
    for name in ("convolution", "convolution by input", "convolution by kernel"):
        assert counted["block2", name] == product
    # A value: square, two sums, scaling. A window: three maxima, offset, ReLU, dropout's scaling.
    assert counted["block2", "rest"] == (4 * before + 6 * after, 4 * (before + after))
    assert counted["block2", "rest gradient"] == (4 * before + 7 * after, 4 * (2 * before + after))
    assert counted["dense", "product"] == (2 * 10 * 4608 * 256, 4 * (10 * 4608 + 4608 * 256 + 10 * 256))
    # Adam with L2: gradient, and weights and two moments, read and written.
    assert counted["optimizer", "update"] == (16 * 1_274_599, 4 * 7 * 1_274_599)
    assert counted["memory", "scale"] == (10, 80)


def test_the_pixels_have_no_gradient_and_what_is_off_costs_nothing() -> None:
    sgd = OptimizerConfig(name="sgd", momentum=0.0)
    counted = count(Config(name="a", model=BARE, optimizer=sgd), 1)
    values = 48 * 48 * 2
    assert ("block1", "convolution by input") not in counted and ("dense", "product") not in counted
    assert counted["block1", "rest"] == (3 * values, 4 * 2 * values)
    parameters = 18 + 2 + 7 * values + 7
    assert counted["optimizer", "update"] == (2 * parameters, 4 * 3 * parameters)


@pytest.mark.parametrize("path", ["configs/run1.py", "configs/run6.py", "benchmarks/nets/vgg.py"])
def test_the_multiplications_are_those_of_the_models_layers(path: str) -> None:
    config = load_config(Path(path))
    layers = list_layers(make_model(config.model, config.device))
    counted = count(config, 3)
    macs = [
        counted[each.name.removesuffix("/conv"), name][0]
        for each in layers
        if each.macs
        for name in (("convolution",) if each.name.endswith("/conv") else ("product",))
    ]
    assert macs == [2 * 3 * each.macs for each in layers if each.macs]
    (_, byte) = counted["optimizer", "update"]
    states = {"sgd": 1 if config.optimizer.momentum else 0}.get(config.optimizer.name, 2)
    assert byte == 4 * (3 + 2 * states) * sum(each.parameters for each in layers)


def test_bounds_shares_and_samples_are_worked_out_by_hand() -> None:
    operations = [Operation("block1", "convolution", 1000, 10), Operation("memory", "scale", 10, 80)]
    calls = [
        {"layer": "memory", "name": "scale", "method": "JAX", "norm": 1.0, "samples_s": [2.0, 2.0, 4.0, 2.0]},
        {"layer": "block1", "name": "convolution", "method": "JAX", "norm": 1.0, "samples_s": [4.0] * 4},
    ]
    gemm = Result("gemm jax float32", {"dtype": "float32", "size": 10}, [[4.0]])
    step = Result("step jax", {}, [[10.0]])
    limits, rows = roofline.work_out([step, Result("parts jax", {"calls": calls}, []), gemm], operations, 2)
    assert limits == roofline.Limits(flop_per_s=500.0, byte_per_s=40.0)
    convolution, scale = rows
    assert scale["samples_s"] == [[2.0, 2.0], [4.0, 2.0]]
    # At the peak 1000 FLOP take 2 s, the 10 bytes 0.25 s.
    assert convolution["bound_s"] == 2.0 and convolution["share_of_peak"] == 0.5
    totals = roofline.add_up(rows, [step])
    assert totals == {
        "JAX": {
            "parts_s": {"convolution": 4.0},
            "bounds_s": {"convolution": 2.0},
            "sum_s": 4.0,
            "bound_s": 2.0,
            "step_s": 10.0,
        }
    }


def test_both_libraries_compute_the_same_parts(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    out, picture = tmp_path / "out.json", tmp_path / "docs" / "roofline.png"
    words = f"--config {config_file} --batch-size 4 --rounds 2 --iterations 2 --gemm-size 32 --scale-mib 0.1"
    assert roofline.main([*words.split(), "--out", str(out), "--plot", str(picture)]) == 0
    content = json.loads(out.read_text())
    norms: dict[tuple[str, str], dict[str, float]] = {}
    for row in content["parts"]:
        assert [len(samples) for samples in row["samples_s"]] == [2, 2]
        norms.setdefault((row["layer"], row["name"]), {})[row["method"]] = row["facts"]["norm"]
    assert set(norms) == set(count(load_config(config_file), 4))
    for (layer, name), by_method in norms.items():
        expected = {"JAX", "PyTorch"}
        if layer == "block1" and name.startswith("convolution"):
            expected.add("XLA")
        assert set(by_method) == expected
        if name != "update":  # Their weights are other draws.
            assert list(by_method.values()) == pytest.approx([by_method["JAX"]] * len(expected), rel=1e-4)
    for method, library in (("JAX", "jax"), ("PyTorch", "torch")):
        total = content["totals"][method]
        assert set(total["parts_s"]) == set(NAMES)
        (step,) = [row for row in content["results"] if row["name"] == f"step {library}"]
        assert total["step_s"] == step["spread_s"]["median"]
    assert content["peak_flop_per_s"] > 0 and content["bandwidth_byte_per_s"] > 0
    assert "step − parts" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    assert roofline.main(["--redraw", str(out), "--plot", str(picture)]) == 0
    assert picture.exists()


def test_without_batch_norm_the_bias_is_somewhere_else() -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from benchmarks.roofline import jax_parts as roofline_jax
    from benchmarks.roofline import torch_parts as roofline_torch

    blocks = (ConvBlock(features=2, batch_norm=False, pool=True),)
    config = Config(name="a", model=ModelConfig(blocks=blocks, dense_features=0))
    norms = [
        {
            (call.layer, call.name): measure_norm(call.run())
            for call in library.make_parts(config, batch_size=2, scale_numbers=10).calls
        }
        for library in (roofline_jax, roofline_torch)
    ]
    for each in norms:
        # The gradient by the bias comes with the rest of the block, or with the convolution.
        del each["block1", "rest gradient"], each["optimizer", "update"]
    assert len(norms[0]) == 7 and norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_without_pytorch_its_workers_are_left_out(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def compare(candidates: list[arena.Candidate], **counts: int) -> None:
        raise RunError(" ".join(each.name for each in candidates))

    monkeypatch.setattr(bench, "is_installed", lambda module: False)
    monkeypatch.setattr(arena, "compare", compare)
    assert roofline.main(["--config", str(config_file)]) == RunError.exit_code
    printed = capsys.readouterr()
    assert "pip install 'fer-jax[bench]'" in printed.out
    assert printed.err == "error: step jax parts jax gemm jax float32\n"


def test_a_picture_needs_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert roofline.main(["--redraw", "no.json"]) == 2
    assert "--plot" in capsys.readouterr().err


def test_each_part_has_a_marker() -> None:
    assert set(MARKERS) == set(NAMES)
