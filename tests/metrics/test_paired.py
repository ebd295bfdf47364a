"""McNemar's test, the paired interval and Holm's correction, against hand values and plain loops."""

import math

import numpy as np
import pytest

from fer_jax.metrics.paired import Discordant, count_discordant, difference_interval, holm, mcnemar


def test_mcnemar_by_hand() -> None:
    # (1 + 12 + 66) of the 4,096 ways in which 12 images fall, on either side.
    assert mcnemar(Discordant(10, 2, 100)) == pytest.approx(158 / 4096)
    assert mcnemar(Discordant(2, 10, 5000)) == pytest.approx(158 / 4096)
    assert mcnemar(Discordant(0, 5, 9)) == pytest.approx(2 / 32)
    assert mcnemar(Discordant(6, 6, 20)) == 1.0
    assert mcnemar(Discordant(0, 0, 20)) == 1.0


@pytest.mark.parametrize(("first", "second"), [(1, 0), (3, 8), (59, 121), (40, 41)])
def test_mcnemar_is_a_sum_of_binomials(first: int, second: int) -> None:
    total, low = first + second, min(first, second)
    tail = sum(math.comb(total, k) for k in range(low + 1)) / 2**total
    assert mcnemar(Discordant(first, second, 1000)) == pytest.approx(min(1.0, 2 * tail))


def test_discordant_images_are_counted_as_in_a_loop() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(200) < 0.6, rng.random(200) < 0.7
    counts = count_discordant(first, second)
    pairs = list(zip(first, second, strict=True))
    assert counts == Discordant(pairs.count((True, False)), pairs.count((False, True)), 200)
    assert counts.difference == pytest.approx(second.mean() - first.mean())


def test_the_interval_follows_the_cells_with_a_half_added() -> None:
    low, high = difference_interval(Discordant(10, 2, 100))
    # Cells (x, 10.5, 2.5, y) of 102; Wald: sqrt(((b + c) - (c - b)² / n)) / n.
    middle, deviation = -8 / 102, math.sqrt(13 - 64 / 102) / 102
    assert (low, high) == pytest.approx((middle - 1.959964 * deviation, middle + 1.959964 * deviation))
    turned = difference_interval(Discordant(2, 10, 100))
    assert turned == pytest.approx((-high, -low))


def test_the_interval_stays_among_the_possible_values_and_is_never_empty() -> None:
    for total in (1, 2, 5):
        low, high = difference_interval(Discordant(0, total, total))
        assert -1 <= low < 1 == high
    low, high = difference_interval(Discordant(0, 0, 50))
    assert low < 0 < high


def test_the_interval_holds_the_truth_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    # Both right, only the first, only the second, none: the truth is 0.15 - 0.1.
    cells = rng.multinomial(150, (0.5, 0.1, 0.15, 0.25), size=2000)
    ends = [difference_interval(Discordant(int(b), int(c), 150)) for _, b, c, _ in cells]
    assert 0.935 < np.mean([low <= 0.05 <= high for low, high in ends]) < 0.965


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    # Times 4, 3, 2, 1; the last is lifted to the one before it.
    assert holm([0.3, 0.001, 0.02, 0.25]) == pytest.approx([0.5, 0.004, 0.06, 0.5])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_rejects_what_its_steps_reject() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(6) ** 4
        rejected = set()
        for step, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (6 - step):
                break
            rejected.add(int(index))
        assert {index for index, corrected in enumerate(holm(p.tolist())) if corrected <= 0.05} == rejected
