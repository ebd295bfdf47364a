"""The rules: the notebook's conclusions on its six runs, each rule on a made curve, and the program."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax.config.changes import list_own_settings
from fer_jax.config.fields import flatten
from fer_jax.config.files import load_config, to_json
from fer_jax.config.model import ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig, OptimizerConfig, TrainConfig
from fer_jax.diagnose import __main__ as diagnose
from fer_jax.diagnose import advice
from fer_jax.diagnose.evidence import THRESHOLDS, Evidence, gather
from fer_jax.diagnose.findings import diagnose as put_into_words
from fer_jax.diagnose.rules import judge
from fer_jax.fer2013 import LABELS
from fer_jax.metrics.counts import Counts
from fer_jax.metrics.scores import summarise
from fer_jax.runs.record import read_config
from fer_jax.train import __main__ as train_command

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(__file__).parents[2]
LADDER = json.loads((ROOT / "benchmarks" / "results" / "ladder.json").read_text())
SEEDS = [
    pytest.param(row["name"], seed, id=f"{row['name']}-seed{seed['seed']}")
    for row in LADDER["rows"]
    for seed in row["seeds"]
    if row["name"] != "run7"
]

# What the notebook concluded from each run, as rules, and what it did not.
CONCLUSIONS = {
    "run1": ({"bias", "too simple", "sensitive"}, {"variance", "acceptable", "over-regularised"}),
    "run2": ({"variance", "rate too low", "overfitting"}, {"bias", "acceptable", "collapsed"}),
    "run3": (
        {"bias", "over-regularised"},
        {"variance", "acceptable", "rate too low", "overfitting", "unbalanced classes"},
    ),
    "run4": ({"acceptable", "poor features", "unbalanced classes"}, {"bias", "variance", "rate too low"}),
    "run5": ({"acceptable", "poor features", "unbalanced classes"}, {"bias", "variance", "rate too low"}),
    "run6": ({"bias", "over-regularised"}, {"variance", "acceptable", "too simple", "rate too low"}),
}
# The step that it drew from that: config field -> the next value.
NEXT: dict[str, dict[str, Any]] = {
    "run1": {"model.blocks.0.batch_norm": True},
    "run2": {"optimizer.peak_rate": 0.0009, "model.dense_dropout_rate": 0.25},
    "run3": {"model.blocks.0.dropout_rate": 0.25, "model.dense_dropout_rate": 0.25},
    "run4": {"loss.label_smoothing": 0.1, "loss.class_weights": "sqrt"},
    "run5": {"loss.label_smoothing": 0.1, "loss.class_weights": "sqrt"},
    "run6": {"model.blocks.0.dropout_rate": 0.0, "model.dense_dropout_rate": 0.125, "optimizer.l2": 0.0},
}
WORDS = {
    "run1": "large bias; too simple a network of 1 convolution",
    "run2": "the loss falls linearly over the last 8 epochs: the learning rate is too low",
    "run3": "large bias; too much dropout",
    "run4": "acceptable bias and variance; unbalanced classes",
    "run5": "acceptable bias and variance; unbalanced classes",
    "run6": "large bias; with augmentation, too much other regularisation",
}


def evidence_of(name: str, seed: dict[str, Any]) -> Evidence:
    loss = seed["history"][-1]["val_loss"] * seed["val"]["total"]
    val = summarise(Counts(loss, np.array(seed["val_confusion"])), LABELS)
    train = {"accuracy": seed["train"]["correct"] / seed["train"]["total"]}
    # The ladder does not keep the class counts of train; the split gives both parts the same shares.
    metrics = {"train": train | {"per_class": val["per_class"]}, "val": val}
    return gather(
        load_config(ROOT / "configs" / f"{name}.py"), seed["history"], metrics, None, is_synthetic=False
    )


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_the_rules_draw_the_notebooks_conclusions(name: str, seed: dict[str, Any]) -> None:
    evidence = evidence_of(name, seed)
    holding = {outcome.rule for outcome in judge(evidence) if outcome.holds}
    wanted, unwanted = CONCLUSIONS[name]
    assert wanted <= holding and not unwanted & holding, holding
    result = put_into_words(evidence)
    steps = {step["field"]: step["to"] for step in result["next"]}
    assert {field: steps.get(field) for field in NEXT[name]} == NEXT[name]
    assert WORDS[name] in result["sentence"]
    assert result["sentence"].startswith(f"train {100 * evidence.train_accuracy:.0f}, val ")
    json.dumps(result, allow_nan=False)


def test_the_docs_show_the_sentence_of_run_2() -> None:
    (run2,) = (row for row in LADDER["rows"] if row["name"] == "run2")
    shown = (ROOT / "docs" / "commands" / "diagnose.md").read_text(encoding="utf-8")
    assert put_into_words(evidence_of("run2", run2["seeds"][0]))["sentence"] in " ".join(shown.split())


def test_the_advice_starts_from_the_configs_own_values() -> None:
    for row in LADDER["rows"]:
        config = load_config(ROOT / "configs" / f"{row['name']}.py")
        fields = flatten(to_json(config))
        for k, block in enumerate(to_json(config)["model"]["blocks"]):
            fields |= flatten({"model": {"blocks": {str(k): block}}})
        for step in put_into_words(evidence_of(row["name"], row["seeds"][0]))["next"]:
            if step["field"] != "model.blocks":
                assert json.loads(fields[step["field"]]) == step["from"], step
                assert step["from"] != step["to"]


BALANCED = (100,) * 7


def made(
    objective: Sequence[float],
    val_loss: Sequence[float] | None = None,
    *,
    train: float = 0.65,
    val: float = 0.63,
    config: Config | None = None,
    counts: tuple[int, ...] = BALANCED,
    train_counts: tuple[int, ...] | None = None,
    recalls: tuple[float, ...] = (0.6,) * 7,
    decomposition: dict[str, Any] | None = None,
    accuracies: Sequence[float] | None = None,
) -> Evidence:
    losses = val_loss or [1.0] * len(objective)
    history = [
        {"epoch": k + 1, "objective": a, "train_loss": 1.0, "val_loss": b, "val_accuracy": c}
        for k, (a, b, c) in enumerate(zip(objective, losses, accuracies or [val] * len(losses), strict=True))
    ]
    return Evidence(
        config or Config(name="a"),
        history,
        train,
        val,
        counts,
        train_counts or counts,
        LABELS,
        recalls,
        decomposition,
    )


FLAT = [1.0] * 6


def holding(evidence: Evidence) -> set[str]:
    return {outcome.rule for outcome in judge(evidence) if outcome.holds}


def test_a_line_is_told_from_a_curve_that_levels_off() -> None:
    line = [2 - 0.05 * k for k in range(14)]
    levelling = [1 + math.exp(-k / 3) for k in range(14)]
    assert "rate too low" in holding(made(line))
    assert "rate too low" not in holding(made(levelling))
    assert "rate too low" not in holding(made([2 - 0.01 * k for k in range(14)]))  # straight, but slow
    assert "rate too low" not in holding(made([*line[:-10], *[1.0] * 10]))  # only the last ten count
    assert "rate too low" not in holding(made(line[:3]))
    said = {outcome.rule: outcome for outcome in judge(made(line))}["rate too low"]
    assert said.figures == pytest.approx({"nats per epoch": -0.05, "R²": 1.0, "epochs": 10})


def test_val_loss_that_rises_while_train_falls_is_overfitting() -> None:
    falling = [1.5, 1.3, 1.1, 1.0, 0.9, 0.8]
    assert "overfitting" in holding(made(falling, [1.5, 1.4, 1.35, 1.36, 1.38, 1.41]))
    assert "overfitting" not in holding(made(falling, [1.5, 1.4, 1.35, 1.36, 1.37, 1.38]))
    assert "overfitting" not in holding(made([1.5, 1.3, 1.1, 1.2, 1.3, 1.4], [1.5, 1.4, 1.35, 1.4, 1.5, 1.6]))
    rising = put_into_words(made(falling, [1.5, 1, 1, 1.1, 1.2, 1.3]))
    stop = {change["field"]: change for change in rising["next"]}
    assert (stop["train.epochs"]["from"], stop["train.epochs"]["to"]) == (10, 2)


def test_a_run_whose_val_loss_still_falls_is_unfinished() -> None:
    assert "unfinished" in holding(made(FLAT, [1.6, 1.5, 1.4, 1.35, 1.3, 1.28]))
    assert "unfinished" not in holding(made(FLAT, [1.6, 1.3, 1.29, 1.288, 1.287, 1.286]))
    assert "unfinished" not in holding(made(FLAT, [1.6, 1.5, 1.4, 1.2, 1.3, 1.28]))


def test_the_advice_for_an_extended_run_counts_all_its_epochs() -> None:
    """Of a run of 4 + 4 epochs, "twice as long" is 16 and not 8, which it has had."""
    config = Config(name="a", train=TrainConfig(epochs=4, extra_epochs=(4,), select="best"))
    falling = [1.6, 1.5, 1.4, 1.35, 1.3, 1.28, 1.26, 1.24]
    unfinished = made([1.0] * 8, falling, config=config)
    restless = made([1.0] * 8, accuracies=[0.1, 0.5] * 4, config=config)
    overfitted = made(falling, [1.5, 1.4, 1.3, 1.2, *falling[:-4]], config=config)
    for evidence, to in ((unfinished, 16), (restless, 16), (overfitted, 4)):
        steps = {step["field"]: (step["from"], step["to"]) for step in put_into_words(evidence)["next"]}
        assert steps["train.epochs"] == (8, to)


def test_epochs_that_were_not_measured_are_passed_over() -> None:
    objective = [2 - 0.03 * k for k in range(12)]
    for losses, rule in (
        ([1.9 - 0.05 * k for k in range(12)], "unfinished"),
        ([1.0, 0.9, 0.8, 0.7, *(0.8 + 0.1 * k for k in range(8))], "overfitting"),
    ):
        every, sparse = made(objective, losses), made(objective, losses)
        for record in sparse.history[0::2]:
            del record["train_loss"], record["val_loss"], record["val_accuracy"]
        found, wanted = ({each.rule: each for each in judge(e)}[rule] for e in (sparse, every))
        assert found.holds and wanted.holds
        assert found.figures == pytest.approx(wanted.figures)
    assert "measured epochs" in {each.rule: each for each in judge(sparse)}["too short"].says


def test_no_better_than_the_frequent_class_is_a_collapse() -> None:
    counts = (100, 100, 100, 400, 100, 100, 100)
    assert "collapsed" in holding(made(FLAT, train=0.42, val=0.4, counts=counts))
    assert "collapsed" not in holding(made(FLAT, train=0.47, val=0.45, counts=counts))
    nearly_all = (1, 1, 1, 994, 1, 1, 1)
    assert "collapsed" in holding(with_train_loss(made(FLAT, train=0.994, val=0.99, counts=nearly_all), 0.05))
    assert "collapsed" not in holding(
        with_train_loss(made(FLAT, train=1.0, val=0.99, counts=nearly_all), 0.004)
    )
    stuck = made(FLAT, train=0.30, val=0.3)
    stuck.history[-1]["train_loss"] = math.log(7) - 0.01
    assert "collapsed" in holding(stuck)
    slow = made([2 - 0.03 * k for k in range(6)], train=0.42, val=0.4, counts=counts)
    assert "collapsed" not in holding(slow) and "rate too low" in holding(slow)


def test_rare_classes_that_are_not_seen_are_unbalanced() -> None:
    rare = (100, 10, 100, 300, 100, 100, 100)
    low, high = (0.6, 0.1, 0.6, 0.8, 0.6, 0.6, 0.6), (0.6, 0.5, 0.6, 0.8, 0.6, 0.6, 0.6)
    assert "unbalanced classes" in holding(made(FLAT, counts=rare, recalls=low))
    assert "unbalanced classes" not in holding(made(FLAT, counts=rare, recalls=high))
    assert "unbalanced classes" not in holding(made(FLAT, recalls=low))
    assert "unbalanced classes" not in holding(made(FLAT, train=0.38, val=0.38, counts=rare, recalls=low))
    smoothed = Config(name="a", loss=LossConfig(label_smoothing=0.1, class_weights="sqrt"))
    result = put_into_words(made(FLAT, counts=rare, recalls=low, config=smoothed))
    assert "next: class weights (loss.class_weights sqrt → balanced)" in result["sentence"]


def test_what_is_said_of_train_rests_on_its_own_class_shares() -> None:
    """Where val has other shares than train: 38 % are a collapse only if a class has so much of train."""
    happy = made(FLAT, train=0.38, val=0.36, train_counts=MANY_HAPPY)
    said = {each.rule: each for each in judge(happy)}["collapsed"]
    assert said.holds and said.figures["largest class frequency"] == pytest.approx(0.4)
    assert "always predicting happy would give 40.0 %" in said.says
    assert "collapsed" not in holding(
        made(FLAT, train=0.38, val=0.36, counts=MANY_HAPPY, train_counts=BALANCED)
    )
    low = (0.6, 0.1, 0.6, 0.8, 0.6, 0.6, 0.6)
    rare = (100, 10, 100, 300, 100, 100, 100)
    found = {each.rule: each for each in judge(made(FLAT, train_counts=rare, recalls=low))}
    assert found["unbalanced classes"].holds
    assert "30.0 training images of happy per image of disgust" in found["unbalanced classes"].says
    assert "unbalanced classes" not in holding(made(FLAT, counts=rare, train_counts=BALANCED, recalls=low))
    without = made(FLAT, counts=(100, 0, *[100] * 5), train_counts=rare, recalls=low)
    judged = {each.rule: each.cannot_judge for each in judge(without)}["unbalanced classes"]
    assert judged == "val has 0 images of disgust, and 10 are needed"


def decomposed(bias: float, variance: float) -> dict[str, Any]:
    parts = {"loss": bias + variance, "bias": bias, "variance": variance, "spread": None}
    losses = dict.fromkeys(("zero_one", "brier", "cross_entropy"), parts)
    return {"losses": losses, "brier_variance": {"seed": 0.03, "data": 0.01}, "noise": None}


def test_the_measured_variance_speaks_where_the_gap_is_not_small() -> None:
    measured = made(FLAT, train=0.68, val=0.60, decomposition=decomposed(0.31, 0.19))
    assert "variance" in holding(measured) and "acceptable" not in holding(measured)
    assert "variance, 0.38 of the error" in put_into_words(measured)["sentence"]
    assert "variance" not in holding(made(FLAT, train=0.68, val=0.60))
    assert "variance" not in holding(replace(measured, decomposition=decomposed(0.3, 0.1)))
    assert "variance" not in holding(replace(measured, val_accuracy=0.66))


def test_brakes_come_off_in_halves_and_augmentation_last() -> None:
    model = ModelConfig(dense_dropout_rate=0.5)
    config = Config(name="a", model=model, optimizer=OptimizerConfig(name="adamw", weight_decay=0.1))
    steps = [change[:3] for change in advice.release(config)]
    assert steps == [("model.dense_dropout_rate", 0.5, 0.25), ("optimizer.weight_decay", 0.1, 0.0)]
    flipped = replace(Config(name="a"), augment=replace(config.augment, flip_probability=0.5))
    assert [change[:3] for change in advice.release(flipped)] == [("augment.flip_probability", 0.5, 0.25)]
    low = made(FLAT, train=0.4, val=0.39, config=flipped)
    assert "too much augmentation" in put_into_words(low)["sentence"]
    assert "too simple" in holding(made(FLAT, train=0.4, val=0.39))


def test_nothing_holds_for_a_good_run() -> None:
    result = put_into_words(made(FLAT, train=0.70, val=0.66))
    assert result["sentence"] == "train 70, val 66: acceptable bias and variance"
    assert result["next"] == []


def test_every_threshold_is_used_and_explained() -> None:
    outcomes = judge(made(FLAT, decomposition=decomposed(0.3, 0.1)))
    used = {name for outcome in outcomes for name in outcome.thresholds}
    assert used == set(THRESHOLDS)
    assert all(threshold.why for threshold in THRESHOLDS.values())


# Always predicting happy is right for 40 % of these; the class frequencies alone have a loss of 1.75 nats.
MANY_HAPPY = (100, 100, 100, 400, 100, 100, 100)
DROPOUT = Config(name="a", model=ModelConfig(dense_dropout_rate=0.5))


def with_train_loss(evidence: Evidence, loss: float) -> Evidence:
    evidence.history[-1]["train_loss"] = loss
    return evidence


def bent(linearity: float) -> list[float]:
    """Return eight objectives that fall by 0.1 an epoch, with residuals that give this R².

    The residuals have the signs +, -, -, +, twice: they are orthogonal to all lines, so R² is the line's sum
    of squares, 0.01 × 42, over the sum of that and theirs.
    """
    size = math.sqrt(0.42 * (1 / linearity - 1) / 8)
    return [3 - 0.1 * k + size * (1, -1, -1, 1)[k % 4] for k in range(8)]


def ending(end: Sequence[float]) -> Evidence:
    """Return a run with a validation loss that ends like this."""
    return made([1.0] * (4 + len(end)), [3.0, 2.9, 2.8, 2.7, *end])


# Threshold, rule, and two runs: one for which the rule just holds, and one for which it just does not.
EDGES: dict[str, tuple[str, str, Evidence, Evidence]] = {
    "10 points up and down in the last four epochs are not settled": (
        "still_moving",
        "too short",
        made(FLAT, accuracies=[0.1, 0.5, 0.55, 0.6001, 0.52, 0.5]),
        made(FLAT, accuracies=[0.1, 0.5, 0.55, 0.5999, 0.52, 0.5]),
    ),
    "20 points below one human is a large bias": (
        "large_bias",
        "bias",
        made(FLAT, train=0.5169, val=0.5),
        made(FLAT, train=0.5171, val=0.5),
    ),
    "a gap of 10 points is variance": (
        "large_gap",
        "variance",
        made(FLAT, train=0.7, val=0.5999),
        made(FLAT, train=0.7, val=0.6001),
    ),
    "a gap of 5 points is not over-regularised": (
        "small_gap",
        "over-regularised",
        made(FLAT, train=0.4, val=0.3501, config=DROPOUT),
        made(FLAT, train=0.4, val=0.3499, config=DROPOUT),
    ),
    "a gap of 5 points can be variance where it was measured": (
        "small_gap",
        "variance",
        made(FLAT, train=0.7, val=0.6499, decomposition=decomposed(0.2, 0.2)),
        made(FLAT, train=0.7, val=0.6501, decomposition=decomposed(0.2, 0.2)),
    ),
    "a third of the error is a large variance": (
        "variance_share",
        "variance",
        made(FLAT, train=0.7, val=0.62, decomposition=decomposed(0.6666, 0.3334)),
        made(FLAT, train=0.7, val=0.62, decomposition=decomposed(0.6667, 0.3333)),
    ),
    "5 points above the most frequent class is not a collapse": (
        "collapse",
        "collapsed",
        made(FLAT, train=0.4499, val=0.4, counts=MANY_HAPPY),
        made(FLAT, train=0.4501, val=0.4, counts=MANY_HAPPY),
    ),
    "0.05 nats below the class frequencies is not a collapse": (
        "collapse_nats",
        "collapsed",
        with_train_loss(made(FLAT, train=0.3, val=0.3), math.log(7) - 0.0499),
        with_train_loss(made(FLAT, train=0.3, val=0.3), math.log(7) - 0.0501),
    ),
    "R² of 0.98 is a line": ("linearity", "rate too low", made(bent(0.9801)), made(bent(0.9799))),
    "0.02 nats an epoch is a fall": (
        "fall",
        "rate too low",
        made([2 - 0.0201 * k for k in range(8)]),
        made([2 - 0.0199 * k for k in range(8)]),
    ),
    "0.05 nats above the lowest is a rise": (
        "val_rise",
        "overfitting",
        made([1.5, 1.3, 1.1, 1.0], [1.5, 1.4, 1.42, 1.4501]),
        made([1.5, 1.3, 1.1, 1.0], [1.5, 1.4, 1.42, 1.4499]),
    ),
    "0.01 nats of val loss an epoch still falls": (
        "val_fall",
        "unfinished",
        ending([2 - 0.0101 * k for k in range(4)]),
        ending([2 - 0.0099 * k for k in range(4)]),
    ),
    "0.01 nats above the lowest is no longer at the lowest": (
        "val_fall",
        "unfinished",
        ending([2.0, 1.8, 1.5, 1.5099]),
        ending([2.0, 1.8, 1.5, 1.5101]),
    ),
    "10 points below one human means poor features": (
        "poor_features",
        "poor features",
        made(FLAT, train=0.65, val=0.6169),
        made(FLAT, train=0.65, val=0.6171),
    ),
    "3 images for 1 is unbalanced": (
        "rarity",
        "unbalanced classes",
        made(FLAT, counts=(300, 100, 200, 200, 200, 200, 200), recalls=(0.6, 0.1, *[0.6] * 5)),
        made(FLAT, counts=(299, 100, 200, 200, 200, 200, 200), recalls=(0.6, 0.1, *[0.6] * 5)),
    ),
    "a third of the recall is too little": (
        "recall_ratio",
        "unbalanced classes",
        made(FLAT, counts=(400, 100, 200, 200, 200, 200, 200), recalls=(0.6, 0.1999, *[0.6] * 5)),
        made(FLAT, counts=(400, 100, 200, 200, 200, 200, 200), recalls=(0.6, 0.2001, *[0.6] * 5)),
    ),
}


@pytest.mark.parametrize("edge", EDGES)
def test_each_rule_changes_at_its_threshold(edge: str) -> None:
    _, rule, inside, outside = EDGES[edge]
    assert rule in holding(inside)
    assert rule not in holding(outside)


def test_each_threshold_has_an_edge() -> None:
    assert {threshold for threshold, *_ in EDGES.values()} == set(THRESHOLDS)


LEVELS = {
    *("collapsed", "bias", "over-regularised", "too simple", "variance", "acceptable", "unbalanced classes"),
    "poor features",
}
TRENDS = {"rate too low", "overfitting", "unfinished"}
RARE = (0.6, 0.1, *[0.6] * 5)


@pytest.mark.parametrize(
    ("evidence", "rules", "why"),
    [
        (made([1.0] * 3, train=0.4), LEVELS | TRENDS, "the run has 3 epochs, and 4 are needed"),
        (made([1.0], train=0.4), LEVELS | TRENDS, "the run has 1 epoch, and 4 are needed"),
        (made([1.0] * 4, train=0.4), set(), ""),
        (
            made(FLAT, accuracies=[0.3, 0.3, 0.35, 0.45, 0.4, 0.35]),
            LEVELS,
            "val accuracy moves by 10.0 points over the last 4 epochs; less than 10 is needed",
        ),
        (made(FLAT, counts=(14,) * 6 + (15,)), LEVELS, "val has 99 images, and 100 are needed"),
        (made(FLAT, counts=(14,) * 5 + (15,) * 2), set(), ""),
        (
            made(FLAT, counts=(400, 9, 200, 200, 200, 200, 200), recalls=RARE),
            {"unbalanced classes"},
            "val has 9 images of disgust, and 10 are needed",
        ),
        (made(FLAT, counts=(400, 10, 200, 200, 200, 200, 200), recalls=RARE), set(), ""),
    ],
)
def test_no_rule_speaks_without_the_data_that_it_needs(evidence: Evidence, rules: set[str], why: str) -> None:
    unjudged = {each.rule: each for each in judge(evidence) if each.cannot_judge}
    assert unjudged.keys() == rules
    for outcome in unjudged.values():
        assert not outcome.holds and outcome.cannot_judge == why and outcome.says.endswith(why)


def test_a_short_run_is_told_to_train_longer_and_nothing_else() -> None:
    config = Config(name="a", model=ModelConfig(dense_dropout_rate=0.5), train=TrainConfig(epochs=3))
    short = made([2.0, 1.9, 1.8], train=0.3, val=0.3, accuracies=[0.2, 0.3, 0.2], config=config)
    result = put_into_words(short)
    assert result["sentence"] == (
        "train 30, val 30: it has only 3 epochs: not enough epochs to judge the rest; next: train longer "
        "(train.epochs 3 → 8)"
    )
    assert [finding["rule"] for finding in result["findings"] if finding["cannot_judge"] is None] == [
        "too short",
        "sensitive",
    ]


def test_a_line_needs_four_epochs_and_is_fitted_to_the_last_ten() -> None:
    line = [2 - 0.05 * k for k in range(11)]
    assert "rate too low" in holding(made(line[:4]))
    assert "rate too low" not in holding(made(line[:3]))
    assert "rate too low" in holding(made([9.0, *line[1:]]))
    assert "rate too low" not in holding(made([line[0], 9.0, *line[2:]]))


SMALL = (
    "--config",
    str(ROOT / "configs" / "run6.py"),
    *("--data.source", "synthetic", "--data.synthetic-examples", "840"),
    *("--model.blocks.0.features", "2", "--model.blocks.1.features", "4", "--model.blocks.2.features", "4"),
    *("--model.dense-features", "8", "--train.batch-size", "64", "--train.epochs", "4"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert train_command.main([*SMALL, "--run-dir", str(folder)]) == 0
    return folder


def test_the_program_writes_what_it_says(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnose.main([str(finished)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    result = json.loads((finished / "diagnosis.json").read_text())
    assert result["sentence"] in shown and "over-regularised" in shown
    assert [finding["rule"] for finding in result["findings"] if finding["holds"]][:1] == ["collapsed"]
    assert set(result["findings"][0]) == {"rule", "holds", "says", "figures", "threshold", "cannot_judge"}
    assert set(result["next"][0]) == {"field", "from", "to", "why"}
    assert result["decomposition"] is None
    said = {finding["rule"]: finding["says"] for finding in result["findings"]}
    assert "how well one person tells drawn faces apart is not known" in said["bias"]
    page = (finished / "report.html").read_text()
    assert "hardly better than always predicting" in page
    study = study_of("run6")
    path = tmp_path / "study.json"
    path.write_text(json.dumps(study))
    assert diagnose.main([str(finished), "--bias-variance", str(path)]) == 0
    assert "at width 0.5, 100 training images" in " ".join(capsys.readouterr().out.split())
    assert json.loads((finished / "diagnosis.json").read_text())["decomposition"] == study
    # A study of one resample cannot say what the data changes.
    smaller = list_own_settings(read_config(finished)) | {"train.max_examples": 100, "train.batch_size": 8}
    path.write_text(json.dumps(study | {"brier_variance": None, "settings": smaller}))
    assert diagnose.main([str(finished), "--bias-variance", str(path), "--overwrite"]) == 0
    # A diagnosis without the study would lose what the study says.
    assert diagnose.main([str(finished)]) == 4
    assert "was made from other inputs: its decomposition is" in capsys.readouterr().err
    assert diagnose.main([str(finished), "--overwrite"]) == 0


def test_a_slip_gives_one_message(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, ours = tmp_path / "other.json", list_own_settings(read_config(finished))
    for content, wanted in (
        ({"name": "run2"}, "was not written by"),
        (study_of("run2"), "about the config run2"),
        (
            study_of("run6") | {"settings": ours | {"train.epochs": 5}},
            "another config of the name run6: train.epochs is 5 in the study, and 4 in the run",
        ),
        (study_of("run6") | {"losses": {"zero_one": {"loss": "a"}}}, f"{other} is damaged"),
        (study_of("run6") | {"losses": {}}, f"{other} is damaged"),
    ):
        other.write_text(json.dumps(content))
        assert diagnose.main([str(finished), "--bias-variance", str(other)]) == 4
        assert wanted in capsys.readouterr().err
    assert diagnose.main([str(finished), "--bias-variance", "nowhere.json"]) == 4
    assert "does not exist" in capsys.readouterr().err
    assert diagnose.main([str(tmp_path)]) == 4
    assert "not the folder of a run" in capsys.readouterr().err
    (tmp_path / "config.json").write_text((finished / "config.json").read_text())
    record = json.loads((finished / "run.json").read_text()) | {"finished": None}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert diagnose.main([str(tmp_path)]) == 4
    assert "not finished" in capsys.readouterr().err


def study_of(name: str) -> dict[str, Any]:
    size = {"images": 30, "width": 0.5, "train_images": 100, "seeds": [0, 1], "resamples": [1]}
    return decomposed(0.5, 0.3) | {"name": name, "part": "val", "command": "python"} | size
