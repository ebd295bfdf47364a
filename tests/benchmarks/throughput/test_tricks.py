"""The ablation of the fast step at tiny size, and that what it takes out is out and changes nothing else."""

import itertools
import json
import statistics
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.harness import arena
from benchmarks.throughput import tricks
from fer_jax.errors import RunError
from fer_jax.models import kernels
from fer_jax.runtime import cpu

RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, ModelConfig

# XLA fuses no convolution of fewer channels, so the flag against it would do nothing.
blocks = (ConvBlock(features=16, pool=True, dropout_rate=0.1), ConvBlock(features=32, pool=True))
config = Config(name="tiny", model=ModelConfig(blocks=blocks, dense_features=0))
'''
RATE = 0.25
SETTINGS = ("allocator", *tricks.FLAGS)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Measure a tiny network, two rounds of two, and give what the program writes."""
    folder = tmp_path_factory.mktemp("tricks")
    config, out = folder / "tiny.py", folder / "out.json"
    config.write_text(RECORD)
    size = f"--config {config} --batch-size 4 --rounds 2 --iterations 2 --out {out}"
    with pytest.MonkeyPatch.context() as environment:
        # Neither what the caller has set nor what another test has left here may decide what is measured.
        environment.setenv("FER_JAX_TUNE", "0")
        environment.setenv("XLA_FLAGS", f"{tricks.FLAGS['barrier-flag']}=")
        assert tricks.main(size.split()) == 0
    written: dict[str, Any] = json.loads(out.read_text())
    return written


def test_each_trick_is_taken_out_alone(content: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in content["results"]}
    assert list(rows) == list(tricks.TITLES)
    full = rows["all"]["facts"]
    is_here = {name: name not in tricks.FLAGS for name in rows}
    if len(full["tuning"]) == 3:  # A known XLA on Linux: all settings are made.
        is_here = dict.fromkeys(rows, True)
    else:
        is_here["allocator"] = "glibc keeps freed memory" in full["tuning"]
    assert {name: row["is_used"] for name, row in rows.items()} == is_here
    # Each settings' worker lacks its own; the programs of the kernels' workers are all different.
    for name, row in rows.items():
        lacking = len(full["tuning"]) if name == "none" else is_here[name] and name in SETTINGS
        assert len(row["facts"]["tuning"]) == len(full["tuning"]) - lacking
    programs = [row["facts"]["program_sha256"] for row in rows.values() if row["name"] not in SETTINGS]
    assert len(set(programs)) == len(programs) == 5
    # The allocator is not the compiler's business, and the same program has the same hash in two processes.
    assert rows["allocator"]["facts"]["program_sha256"] == full["program_sha256"]


def test_the_loss_stays_where_the_masks_do(content: dict[str, Any]) -> None:
    for row in content["results"]:
        assert row["has_same_masks"] == (row["name"] not in ("hash-masks", "none"))
        # Other masks are seen in the loss, so that the same loss means something.
        assert (row["loss_difference"] < tricks.LOSS_TOLERANCE) == row["has_same_masks"]


def test_the_gain_is_the_time_without_over_the_time_with(content: dict[str, Any]) -> None:
    full = content["results"][0]
    for row in content["results"]:
        assert [len(samples) for samples in row["samples_s"]] == [2, 2]
        assert row["facts"]["peak_rss_mib"] > 50
        pairs = zip(row["samples_s"], full["samples_s"], strict=True)
        wanted = [statistics.median(without) / statistics.median(with_all) for without, with_all in pairs]
        assert row["gain"] == pytest.approx(wanted)


def test_the_table_has_a_line_for_each(content: dict[str, Any]) -> None:
    lines = tricks.markdown_table(content).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:10]] == list(tricks.TITLES.values())
    assert "tiny, 4 images" in lines[-1] and content["machine"] in lines[-1]


def test_a_trick_that_changes_nothing_has_no_gain(content: dict[str, Any]) -> None:
    full, *others = (arena.Result(row["name"], row["facts"], row["samples_s"]) for row in content["results"])
    for other in others:
        same = arena.Result(other.name, full.facts, other.samples)
        row = tricks.make_row(same, full, has_dropout=True)
        assert not row["is_used"]
        again = {**content, "results": [content["results"][0], row]}
        assert "not used here" in tricks.markdown_table(again)


@pytest.mark.parametrize("difference", [1e-3, float("nan")])
def test_another_step_is_refused(content: dict[str, Any], difference: float) -> None:
    bad = content["results"][1] | {"loss_difference": difference}
    with pytest.raises(RunError, match=r"without the allocator setting.* not the same step"):
        tricks.check_losses([bad])
    tricks.check_losses([bad | {"has_same_masks": False}])


def test_masks_decide_nothing_without_dropout(content: dict[str, Any]) -> None:
    row = content["results"][-1]
    none = arena.Result(row["name"], row["facts"], row["samples_s"])
    assert tricks.make_row(none, none, has_dropout=False)["has_same_masks"]


@pytest.mark.parametrize(("is_pooled", "rate"), list(itertools.product((True, False), (0.0, RATE))))
def test_the_plain_block_is_the_same_function(is_pooled: bool, rate: float) -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 6, 4, 1)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 1, 5)), jnp.float32)
    scale, bias = (jnp.asarray(rng.normal(size=5), jnp.float32) for _ in range(2))
    words = jnp.array([1, 2], jnp.uint32)
    plain = tricks.make_plain_kernels()

    def block(conv: Any, rest: Any) -> Any:
        def scored(kernel: jax.Array, scale: jax.Array, bias: jax.Array) -> Any:
            out, mean, variance = rest(
                conv(x, kernel, is_pooled=is_pooled), scale, bias, words, is_pooled, rate
            )
            out = out.reshape(-1)
            return (jnp.sin(jnp.arange(out.size)) * out).sum(), (out, mean, variance)

        return jax.jit(jax.value_and_grad(scored, argnums=(0, 1, 2), has_aux=True))(kernel, scale, bias)

    wanted = block(kernels.conv_one_channel, kernels.norm_relu_pool_drop)
    # Each part alone: both together follow from the two.
    for conv, rest in (
        (plain["conv_one_channel"], kernels.norm_relu_pool_drop),
        (kernels.conv_one_channel, plain["norm_relu_pool_drop"]),
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), block(conv, rest), wanted)


def test_the_plain_mask_keeps_the_same_share() -> None:
    keep_mask = tricks.make_plain_kernels()["keep_mask"]
    masks = [keep_mask(jnp.array(words, jnp.uint32), (100, 100), rate=RATE) for words in ((0, 1), (0, 2))]
    for mask in masks:
        assert mask.shape == (100, 100) and mask.dtype == bool
        assert float(mask.mean()) == pytest.approx(1 - RATE, abs=0.02)
    assert (masks[0] != masks[1]).any()


def test_every_flag_is_one_of_the_tricks() -> None:
    assert {flag.split("=")[0] for flag in cpu.XLA_FLAGS} == set(tricks.FLAGS.values())
    assert list(tricks.TITLES) == ["all", *get_args(tricks.Name), "none"]
