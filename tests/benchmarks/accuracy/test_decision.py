"""The rules that decide recipes, at their thresholds, by hand-made counts of 1,000 images."""

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import decision
from benchmarks.accuracy.decision import (
    Arm,
    Decision,
    choose_views,
    decide,
    judge_augmentation,
    judge_change,
    measure_arm,
)
from benchmarks.harness import bench
from fer_jax.errors import ConfigError

OLD = Arm("best", {"single": 690, "flip": 700, "ten-crop": 702}, 1000, 0.95)


def arm(flip: int, loss: float = 0.95, **more: Any) -> Arm:
    correct: dict[Any, int] = {"single": 690, "flip": flip} | more
    return Arm("best100", correct, 1000, loss)


@pytest.mark.parametrize(
    ("new", "holds"),
    [
        (arm(706), True),  # 0.6 points
        (arm(705), False),
        (arm(705, 0.93), True),  # as good, and 0.02 nats lower
        (arm(700, 0.93), True),
        (arm(705, 0.9301), False),
        (arm(699, 0.80), False),  # a lower loss does not excuse a lower accuracy
        (arm(706, 1.20), True),  # nor does a higher one forbid a gain
    ],
)
def test_a_new_augmentation_wins_by_accuracy_or_by_loss_at_no_cost(new: Arm, holds: bool) -> None:
    assert judge_augmentation(OLD, new).holds == holds


def test_other_changes_win_by_accuracy_alone() -> None:
    assert judge_change(OLD, arm(706)).holds and not judge_change(OLD, arm(705, 0.5)).holds
    assert judge_change(OLD, arm(706)).reason == (
        "best100 has 70.60 % (706 of 1,000), best 70.00 % (700 of 1,000): +0.60 points, and 0.6 are wanted"
    )
    with pytest.raises(
        ConfigError, match=r"best was measured on 1,000 images and b on 999; compare arms on one"
    ):
        judge_change(OLD, Arm("b", {"flip": 700}, 999, 0.9))


@pytest.mark.parametrize(
    ("correct", "chosen"),
    [
        ({"single": 690, "flip": 700, "ten-crop": 702}, "flip"),
        ({"single": 690, "flip": 700, "ten-crop": 703}, "ten-crop"),
        ({"single": 705, "flip": 700}, "flip"),  # one view is published anyway
        ({"flip": 700, "shifts": 704, "flip-shifts": 705, "ten-crop": 705}, "flip-shifts"),  # tied: 10 each
    ],
)
def test_more_views_have_to_gain_over_the_mirror_image(correct: dict[Any, int], chosen: str) -> None:
    views, why = choose_views(Arm("a", correct, 1000, 1.0))
    assert views == chosen and why.startswith(f"{chosen}: ") and "70.00 % (700 of 1,000)" in why


def test_the_decision_has_recipe_length_seeds_views_and_reasons() -> None:
    wide = arm(706, **{"ten-crop": 720})
    found = decide(OLD, wide, seconds_per_epoch=0.9)
    assert found == Decision("best100", 100, 4, True, "ten-crop", found.reasons)
    assert [reason.split(".")[0] for reason in found.reasons] == [
        "recipe: best100 for 100 epochs",
        "time: 4 seeds of 100 epochs, a second generation",
        "views: ten-crop: single 69",
    ]
    slow = decide(OLD, wide, seconds_per_epoch=0.91)
    assert (slow.epochs, slow.seeds, slow.has_second_generation) == (70, 3, False)
    old = decide(OLD, arm(705), seconds_per_epoch=0.5)
    assert (old.recipe, old.epochs, old.seeds, old.views) == ("best", 60, 4, "flip")
    assert decide(OLD, arm(705), seconds_per_epoch=2).epochs == 60, "a slow machine makes nothing longer"


def test_the_loss_of_an_arm_is_at_its_own_temperature() -> None:
    """Three of four right with one margin: at the best temperature the confidence is 3/4."""
    labels = np.array([0, 1, 0, 1])
    logits = np.where(np.eye(2)[[0, 1, 0, 0]] > 0, 40.0, 0.0)
    found = measure_arm("a", {"single": logits[:, ::-1], "flip": logits}, labels)
    assert (found.correct, found.total) == ({"single": 1, "flip": 3}, 4)
    assert found.fitted_loss == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), abs=1e-6)


def test_the_page_of_the_rules_has_the_numbers_of_the_code() -> None:
    page = (bench.ROOT / "docs" / "explanation" / "recipe_rules.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    augmentation, tiny, mid, time, views = rows
    assert (
        f"at least {decision.GAIN} points;" in augmentation and f"{decision.LOSS_GAIN} nats" in augmentation
    )
    limit = decision.LIMITS["mid"]
    assert f"at most {decision.LIMITS['tiny'].parameters:,} parameters" in tiny
    assert f"at least {decision.NETWORK_GAIN} points over" in tiny
    assert f"at most {limit.parameters:,} parameters and {limit.macs / 1e6:g} million" in mid
    assert f"{decision.NEW_EPOCHS} epochs, the old one for {decision.OLD_EPOCHS}; four seeds" in time
    assert f"{decision.SLOW_SECONDS} s: three seeds, at most {decision.SLOW_EPOCHS} epochs" in time
    assert (decision.SEEDS, decision.SLOW_SEEDS) == (4, 3)
    assert f"at least {decision.VIEWS_GAIN} points" in views
