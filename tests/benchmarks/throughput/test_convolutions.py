"""The convolution benchmark at tiny size: its methods compute the same, and a wrong one is refused."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import arena
from benchmarks.throughput import convolutions
from benchmarks.throughput.convolutions_worker import Shape
from fer_jax.config.files import load_config
from fer_jax.errors import RunError

RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, ModelConfig

blocks = (ConvBlock(features=2, pool=True), ConvBlock(features=4, kind="residual", pool=True))
config = Config(name="tiny", model=ModelConfig(blocks=blocks, head="mean", dense_features=0))
'''


def test_all_methods_compute_the_same(tmp_path: Path) -> None:
    config, out = tmp_path / "tiny.py", tmp_path / "out.json"
    config.write_text(RECORD)
    assert convolutions.list_shapes(load_config(config)) == [Shape(24, 2, 4), Shape(12, 4, 4)]
    words = f"--configs {config} --batch-size 2 --rounds 2 --iterations 1 --gemm-size 32 --out {out}"
    assert convolutions.main(words.split()) == 0
    rows = [row for row in json.loads(out.read_text())["results"] if "method" in row]
    methods = {row["method"] for row in rows}
    # The program itself compares the norms.
    assert methods >= {"xla", "winograd", "shifted", "im2col"} and len(rows) == 2 * 3 * len(methods)
    assert all([len(samples) for samples in row["samples_s"]] == [1, 1] for row in rows)


def test_another_result_is_refused() -> None:
    shape = Shape(6, 2, 3)
    results = [
        arena.Result(
            method,
            {
                "calls": [
                    {"layer": str(shape), "name": "a", "method": method, "norm": norm, "samples_s": [1.0]}
                ]
            },
            [],
        )
        for method, norm in (("xla", 1.0), ("winograd", 1.00001))
    ]
    rows = convolutions.make_rows(results, [shape], batch_size=5, rounds=1, peak=2.0)
    assert [row["share_of_peak"] for row in rows] == [9 * 5 * 36 * 2 * 3] * 2
    results[1].facts["calls"][0]["norm"] = 1.001
    with pytest.raises(RunError, match="winograd: the norm"):
        convolutions.make_rows(results, [shape], batch_size=5, rounds=1, peak=2.0)
