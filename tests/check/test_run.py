"""The sanity checks: a healthy config passes, and each planted fault is found and named."""

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from fer_jax import fer2013
from fer_jax.check import __main__ as check
from fer_jax.check import dry_run, legibility, network, rate_range, run
from fer_jax.check.data import check_classes
from fer_jax.check.dry_run import DryRun
from fer_jax.check.finding import Finding
from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import DataConfig, SplitConfig
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import InitConfig, OptimizerConfig, TrainConfig
from fer_jax.data.batches import epoch_order
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.data.split import Split, split_examples
from fer_jax.errors import ConfigError
from fer_jax.images.affine import flip_map, rotation_map, round_maps
from fer_jax.images.augment import Draws, draw
from fer_jax.inference.prepare import Prepared, prepare
from fer_jax.inference.teachers import Ancestor
from fer_jax.models.transfer import Start
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.report.plots import write_png
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

CONFIG_FILE = """
from fer_jax.config import *

config = Config(
    name="tiny",
    data=DataConfig(source="synthetic", synthetic_examples=1400),
    augment=AugmentConfig(shift_probability=0.5, max_shift_px=3),
    model=ModelConfig(
        blocks=(ConvBlock(features=8, pool=True), ConvBlock(features=12, pool=True)), dense_features=0
    ),
    optimizer=OptimizerConfig(name="adam", peak_rate=0.0025),
    train=TrainConfig(batch_size=64, epochs=2),
)
"""
TINY = Config(
    name="tiny",
    data=DataConfig(source="synthetic", synthetic_examples=420),
    model=ModelConfig(
        blocks=(ConvBlock(features=4, pool=True), ConvBlock(features=8, pool=True)), dense_features=16
    ),
    optimizer=OptimizerConfig(name="adam", peak_rate=0.002),
    train=TrainConfig(batch_size=32),
)


@pytest.fixture(scope="module")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("configs") / "tiny.py"
    path.write_text(CONFIG_FILE)
    return path


@pytest.fixture(scope="module")
def examples() -> Examples:
    return load_examples(TINY.data)


@pytest.fixture(scope="module")
def tried(examples: Examples) -> DryRun:
    return dry_run.make_dry_run(TINY, prepare(TINY, examples))


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_healthy_config_passes_every_check_and_everything_is_written(
    config_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert check.main(["--config", str(config_path), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "SYNTHETIC FACES" in printed
    content = json.loads((out / "check.json").read_text())
    assert {each["outcome"] for each in content["findings"]} == {"passed"}, printed
    assert len(content["findings"]) == 13
    assert [layer["name"] for layer in content["layers"]][:3] == ["block1/conv", "block1/norm", "block2/conv"]
    assert content["rate_range"]["suggested"] > 0
    assert {path.name for path in out.iterdir()} - {".lock"} == set(content["files"])
    for name in ("augmentation.png", "rate_range.png"):
        with Image.open(out / name) as picture:
            assert picture.format == "PNG"
    assert all(each["name"] in (out / "check.md").read_text() for each in content["findings"])
    other = ["--config", str(config_path), "--out", str(out), "--data.synthetic-seed", "9"]
    assert check.main(other) == 4
    assert "check.json was made from other inputs: its data.sha256" in capsys.readouterr().err


def test_a_failed_check_gives_status_1_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.py"
    config.write_text(CONFIG_FILE.replace("ConvBlock(features=12, pool=True)", ""))
    words = ["--config", str(config), "--out", str(tmp_path / "out"), "--quick"]
    stale = tmp_path / "out" / "rate_range.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of a full check")
    faults = ["--optimizer.peak-rate=1e-9", "--model.blocks.0.dropout-rate=0.99"]
    assert check.main([*words, *faults]) == 1
    printed = capsys.readouterr().out
    assert "✗ overfit one batch: a network that cannot" in printed
    assert "! update to weight: the weights hardly move: raise optimizer.peak_rate" in printed
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    outcomes = {each["name"]: each["outcome"] for each in content["findings"]}
    assert outcomes["overfit one batch"] == "failed"
    assert outcomes["update to weight"] == "warned"
    assert outcomes["dropout"] != "passed"
    assert content["rate_range"] is None
    assert "rate_range.png" not in content["files"] and not stale.exists()


@pytest.mark.parametrize(
    ("more", "status", "wanted"),
    [
        (["--data", "nowhere.csv"], 3, "nowhere.csv"),
        (["--train.batch-size", "4096"], 2, "train.batch_size is 4096"),
        (["--device.count", "4096"], 2, "device.count is 4096"),
        (["--optimizer.peek-rate", "1"], 2, "--optimizer.peak-rate"),
    ],
)
def test_a_slip_gives_one_message_and_its_status(
    config_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    status: int,
    wanted: str,
) -> None:
    try:
        found = check.main(["--config", str(config_path), "--out", str(tmp_path / "out"), *more])
    except SystemExit as stopped:  # tyro's own mistakes end the program.
        found = int(stopped.code or 0)
    assert found == status
    assert wanted in capsys.readouterr().err


def test_what_is_tried_are_the_rows_that_training_would_take(
    config_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(config: Config, prepared: Prepared, *others: object, **options: object) -> None:
        rows = prepared.split.train
        raise ConfigError(f"{len(rows)} rows to train on, {len(np.unique(rows))} different")

    monkeypatch.setattr(run, "check_all", stop)
    words = ["--config", str(config_path), "--out", str(tmp_path), "--train.max-examples=100"]
    assert check.main([*words, "--train.resample=1"]) == 2
    rows, different = (int(word) for word in capsys.readouterr().err.split() if word.isdigit())
    assert rows == 100 and 50 < different < 75


def write_votes(path: Path, examples: Examples) -> None:
    """Write a FER+ file: eight votes for each row's label, two for contempt."""
    lines = [",".join(HEADER)]
    for label, usage in zip(examples.labels, examples.usages, strict=True):
        votes = {CHOICE_OF_LABEL[label]: 8, "contempt": 2}
        counts = ",".join(str(votes.get(choice, 0)) for choice in CHOICES)
        lines.append(f"{fer2013.USAGES[usage]},fer.png,{counts}")
    path.write_text("\n".join(lines) + "\n")


def test_a_small_part_does_not_hide_the_shares_of_a_large_one() -> None:
    train, small = (7000, 7000), (6, 4)
    for val, outcome, measured in (
        ((1650, 1350), "warned", "shares differ from train's by 5.0 points (calm in val)"),
        ((1510, 1490), "passed", "shares differ from train's by at most 10.0 points (calm in test)"),
    ):
        found = check_classes({"train": train, "val": val, "test": small}, ("calm", "angry"))
        assert (found.outcome, found.measured) == (outcome, measured)


def test_soft_labels_and_teachers_are_checked_as_they_are_trained(
    config_path: Path, examples: Examples, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_votes(tmp_path / "votes.csv", examples)
    words = ["--config", str(config_path), "--data.synthetic-examples", "420", "--model.classes", "8"]
    words += ["--labels.source", "ferplus", "--labels.ferplus", str(tmp_path / "votes.csv")]
    teacher = tmp_path / "teacher"
    assert train.main([*words, "--train.epochs", "1", "--run-dir", str(teacher)]) == 0
    out = tmp_path / "out"
    check.main([*words, "--quick", "--out", str(out), "--distill.teachers", str(teacher)])
    findings = {each["name"]: each for each in json.loads((out / "check.json").read_text())["findings"]}
    assert findings["loss at start"]["wanted"].startswith("ln 8 = 2.079")
    assert findings["loss at start"]["outcome"] == "passed"
    assert "val has no contempt" in findings["class shares"]["measured"]
    assert "50 % of the targets from teacher" in capsys.readouterr().out


def test_a_batch_has_the_soft_labels_of_its_epoch(examples: Examples) -> None:
    soft = np.random.default_rng(0).dirichlet(np.ones(7), (2, len(examples))).astype(np.float32)
    plain = prepare(TINY, examples)
    prepared = dataclasses.replace(plain, targets=lambda seed, epoch: soft[epoch])
    epoch_steps = len(plain.split.train) // TINY.train.batch_size
    for step, epoch in ((1, 0), (epoch_steps + 1, 1)):
        batch = dry_run.make_dry_run(TINY, prepared).batch_at(step)
        hard = dry_run.make_dry_run(TINY, plain).batch_at(step)
        rows = epoch_order(0, epoch, plain.split.train)
        rows = rows[TINY.train.batch_size : 2 * TINY.train.batch_size]
        np.testing.assert_array_equal(batch.labels, soft[epoch][rows])
        np.testing.assert_array_equal(hard.labels, examples.labels[rows])


def test_the_optimizer_goes_on_where_training_would_begin_to_train_the_blocks(examples: Examples) -> None:
    config = dataclasses.replace(TINY, init=InitConfig(weights="mid", head_epochs=1.0))
    # Pixel statistics are all that it starts from.
    ancestor = cast(Ancestor, SimpleNamespace(start=Start(None, None, 128.0, 64.0)))
    prepared = dataclasses.replace(prepare(TINY, examples), ancestor=ancestor)
    assert len(prepared.split.train) // TINY.train.batch_size < dry_run.FIRST_STEPS
    state, _ = dry_run.take_first_steps(dry_run.make_dry_run(config, prepared), ignore)
    assert optax.tree.get(state.opt_state, "count") == dry_run.FIRST_STEPS
    (words,) = run.list_untried(config, devices=1)
    assert words.startswith("not tried: the first epochs (init.head_epochs 1)")


def test_smaller_images_are_not_tried() -> None:
    small = dataclasses.replace(TINY.train, small_epochs=1, small_side_px=24)
    config = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, head="mean"), train=small)
    (words,) = run.list_untried(config, devices=1)
    assert words.startswith("not tried: images of 24 pixels (train.small_epochs 1)")


Surgery = Callable[[dict[str, Any]], None]


def ignore(steps: int) -> None:
    """Take no notice of progress."""


def operate(tried: DryRun, surgery: Surgery) -> dict[str, Finding]:
    """Check a network whose fresh weights were changed."""
    params = jax.tree.map(lambda leaf: leaf, tried.start.params)
    surgery(params)
    start = tried.start.replace(params=params)  # type: ignore[attr-defined]
    return by_name(dry_run.check_network(dataclasses.replace(tried, start=start), ignore)[0])


def test_a_last_layer_that_starts_large_is_seen_in_the_first_loss(tried: DryRun) -> None:
    def surgery(params: dict[str, Any]) -> None:
        params["logits"]["kernel"] = 100 * params["logits"]["kernel"]

    found = operate(tried, surgery)["loss at start"]
    assert found.outcome == "failed"
    assert found.figures["evaluation"] > math.log(7) + 0.5
    assert "last layer" in found.advice


def test_a_dead_layer_is_named_and_so_are_the_leaves_without_gradient(tried: DryRun) -> None:
    def surgery(params: dict[str, Any]) -> None:
        params["block2"]["norm"]["bias"] = params["block2"]["norm"]["bias"] - 100.0

    findings = operate(tried, surgery)
    relus, gradients = findings["dead ReLUs"], findings["gradients"]
    assert relus.outcome == gradients.outcome == "failed"
    assert relus.figures["block2/norm, start"] == 1
    assert relus.figures["block1/norm, start"] < 0.5
    assert "100 % of block2/norm at the start" in relus.measured
    assert "batch_norm" in relus.advice
    assert "block1/conv/kernel" in gradients.measured
    assert "logits/bias" not in gradients.measured


def test_a_rate_far_too_high_is_seen_in_the_first_steps(tried: DryRun) -> None:
    optimizer = dataclasses.replace(TINY.optimizer, peak_rate=10.0)
    wild = dataclasses.replace(tried, config=dataclasses.replace(TINY, optimizer=optimizer))
    findings = by_name(dry_run.check_network(wild, ignore)[0])
    assert findings["loss at start"].outcome == "passed"
    for name in ("scale of outputs", "dead ReLUs"):
        assert findings[name].outcome != "passed"
        assert "lower optimizer.peak_rate" in findings[name].advice


def test_each_part_fills_a_bar_of_its_own(
    tried: DryRun, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: dict[str, list[int]] = {}

    @contextlib.contextmanager
    def show_steps(words: str, total: int) -> Iterator[Callable[[int], None]]:
        bars[words] = [total]
        yield bars[words].append

    monkeypatch.setattr(dry_run, "make_dry_run", lambda config, prepared: tried)
    run.check_all(TINY, prepare(TINY, examples), show_steps, is_quick=False)
    assert list(bars) == ["first steps", "overfitting one batch", "learning-rate range test"]
    for total, *steps in bars.values():
        assert 0 < sum(steps) <= total
    # Without dropout there are no other masks to compare with.
    assert sum(bars["first steps"][1:]) == dry_run.NETWORK_STEPS - dry_run.OTHER_MASKS


def test_a_leaking_split_and_other_class_shares_are_found(examples: Examples) -> None:
    split = split_examples(examples, TINY.split)
    copies, classes = dry_run.check_split(examples, split, TINY)
    assert (copies.outcome, classes.outcome) == ("passed", "passed")
    leaking = Split(split.train, np.sort(split.train[:60]), split.test)
    copies, _ = dry_run.check_split(examples, leaking, TINY)
    assert copies.outcome == "failed"
    assert "60 of 60 in val" in copies.measured
    assert "split.group_duplicates" in copies.advice
    official = dataclasses.replace(TINY, split=SplitConfig(protocol="official"))
    copies, _ = dry_run.check_split(examples, leaking, official)
    assert copies.outcome == "warned"
    held_out = dataclasses.replace(TINY, split=SplitConfig(protocol="holdout"))
    assert dry_run.check_split(examples, leaking, held_out)[0].outcome == "failed"
    happy = split.val[examples.labels[split.val] == 3]
    _, classes = dry_run.check_split(examples, Split(split.train, happy, split.test), TINY)
    assert classes.outcome == "warned"
    assert "val has no disgust" in classes.measured
    assert "happy in val" in classes.measured


def test_what_augmentation_takes_away_is_counted_by_hand() -> None:
    nothing = draw(numpy_rng(0, Stream.AUGMENT), AugmentConfig(), 2)
    assert legibility.measure_lost_shares(nothing).tolist() == [0, 0]
    mirrored = Draws(round_maps(flip_map(np.array([True]))), np.zeros((1, 4), np.int32))
    assert legibility.measure_lost_shares(mirrored).tolist() == [0]
    erased = nothing._replace(erase=np.array([[0, 0, 12, 24], [5, 5, 1, 1]], np.int32))
    assert legibility.measure_lost_shares(erased) == pytest.approx([1 / 8, 1 / 2304])
    turned = Draws(
        round_maps(rotation_map(np.array([45.0])) @ flip_map(np.array([True]))), np.zeros((1, 4), np.int32)
    )
    assert legibility.measure_turns(turned) == pytest.approx([45])
    # Four corner triangles: what of a square lies outside of itself turned by 45 degrees.
    assert legibility.measure_lost_shares(turned) == pytest.approx([1 - 2 * (math.sqrt(2) - 1)], abs=0.02)


@pytest.mark.parametrize(
    ("augment", "outcome"),
    [
        (AugmentConfig(shift_probability=0.5, max_shift_px=4, flip_probability=0.5), "passed"),
        (AugmentConfig(rotate_probability=1.0, max_rotation_deg=90), "warned"),
        (AugmentConfig(crop_probability=1.0, min_crop_scale=0.1), "failed"),
        (AugmentConfig(contrast_probability=1.0, brightness_probability=1.0), "passed"),
        (AugmentConfig(brightness_probability=1.0, max_brightness=1.0), "warned"),
    ],
)
def test_augmentation_that_leaves_too_little_is_seen(augment: AugmentConfig, outcome: str) -> None:
    config = dataclasses.replace(TINY, augment=augment)
    assert dry_run.check_augmentation(config).outcome == outcome


def test_batch_norm_statistics_that_stand_still_or_are_not_finite_are_named() -> None:
    before = {"a/mean": np.zeros(2), "a/var": np.ones(2), "b/mean": np.zeros(2)}
    after = {"a/mean": np.array([0, 0.5]), "a/var": np.ones(2), "b/mean": np.array([np.nan, 1])}
    found = network.check_batch_norm(before, after, steps=20)
    assert found.outcome == "failed"
    assert found.measured == "not finite: b/mean; do not move: a/var"
    assert network.check_batch_norm({}, {}, steps=20).outcome == "passed"


@pytest.mark.parametrize(
    ("ratios", "outcome", "advice"),
    [
        ({"a": 1e-3, "b": 5e-3}, "passed", ""),
        ({"a": 1e-3, "b": 5e-2}, "warned", "lower optimizer.peak_rate"),
        ({"a": 1e-5, "b": 1e-3}, "warned", "raise optimizer.peak_rate"),
        ({"a": 1e-3, "b": math.nan}, "failed", "lower optimizer.peak_rate"),
    ],
)
def test_updates_are_judged_against_the_weights(ratios: dict[str, float], outcome: str, advice: str) -> None:
    found = network.check_updates(ratios, steps=20)
    assert found.outcome == outcome
    assert advice in found.advice


def descend(curvature: float) -> rate_range.RateRange:
    """Take the range test of noisy descent on curvature * x**2 / 2, stable below the rate 2 / curvature."""
    rng = np.random.default_rng(0)
    x = 3 / math.sqrt(curvature)

    def try_rate(number: int, rate: float) -> float:
        nonlocal x
        loss = curvature * x**2 / 2
        x -= rate * (curvature * x + 0.1 * math.sqrt(curvature) * rng.standard_normal())
        return loss

    rates = rate_range.make_ramp(1e-5, 10, 100)
    return rate_range.read_ramp(rates, np.array(list(rate_range.run_ramp(try_rate, rates))))


@pytest.mark.parametrize("curvature", [1.0, 100.0])
def test_the_range_test_finds_the_scale_of_a_quadratic(curvature: float) -> None:
    found = descend(curvature)
    assert found.losses[0] == pytest.approx(4.5)
    assert found.lowest_loss < 0.2
    assert 0.1 < found.suggested * curvature < 0.3  # type: ignore[operator]
    assert 1 < found.breaks_at * curvature < 8
    assert found.steepest_rate < found.lowest_rate <= found.highest_rate < found.breaks_at


def make_valley(*, end: int) -> rate_range.RateRange:
    """Six decades: the loss is 2, falls from the second to the fourth to 1, and rises from there."""
    rates = rate_range.make_ramp(1e-6, 1.0, 121)
    decade = np.log10(rates) + 6
    losses = np.interp(decade, [0, 2, 4, 6], [2, 2, 1, 3])
    return rate_range.read_ramp(rates, losses[:end])


def test_a_drawn_valley_is_read_as_it_was_drawn(tmp_path: Path) -> None:
    found = make_valley(end=121)
    assert found.lowest_rate == pytest.approx(1e-2, rel=0.3)
    # A fifth of the fall is lost again a fifth of a decade later.
    assert found.highest_rate == pytest.approx(10**-1.8, rel=0.2)
    assert found.suggested == pytest.approx(0.1 * found.highest_rate)
    assert 1e-4 < found.steepest_rate < 1e-2
    assert found.breaks_at == pytest.approx(10**-1.5, rel=0.2)
    assert make_valley(end=60).breaks_at == pytest.approx(1e-3)
    write_png(rate_range.plot_range(found, peak_rate=1e-3, title="valley"), tmp_path / "range.png")
    with Image.open(tmp_path / "range.png") as picture:
        assert picture.size == (1280, 720)


@pytest.mark.parametrize(
    ("peak_rate", "outcome", "words"),
    [
        (1e-3, "passed", "fits:"),
        (1e-4, "warned", "is low:"),
        (2.5e-2, "warned", "is high:"),
        (0.1, "failed", "is too high:"),
    ],
)
def test_the_peak_rate_is_judged_by_the_range(peak_rate: float, outcome: str, words: str) -> None:
    found = rate_range.check_rate(make_valley(end=121), peak_rate)
    assert found.outcome == outcome
    assert words in found.measured


def test_a_range_test_that_learns_nothing_says_so() -> None:
    rates = rate_range.make_ramp(1e-6, 1.0, 50)
    flat = rate_range.read_ramp(rates, np.full(50, 1.95))
    assert flat.suggested is None
    assert rate_range.check_rate(flat, 1e-3).outcome == "warned"
    assert rate_range.check_rate(None, 1e-3).outcome == "failed"
    assert list(rate_range.run_ramp(lambda number, rate: [1.0, 1.5, 2.5, 1.0][number], rates)) == [
        1,
        1.5,
        2.5,
    ]
    assert list(rate_range.run_ramp(lambda number, rate: math.nan, rates)) == []
