"""One human rater against the others: small cases by hand, and every rater counted one by one."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from fer_jax.metrics.raters import agreement, agreement_with, measure


def test_five_against_five_is_never_agreement_and_half_right_for_a_network() -> None:
    """Whoever is left out meets four of his kind and five of the other."""
    votes = np.array([[5, 5, 0], [10, 0, 0], [9, 1, 0]])
    assert agreement(votes).tolist() == [0, 1, pytest.approx(0.9)]
    assert agreement_with(votes, np.array([0, 0, 1])).tolist() == [0.5, 1, 0]
    assert agreement_with(votes, np.array([2, 2, 2])).tolist() == [0, 0, 0]


def by_hand(counts: tuple[int, ...], chosen: int | None) -> Fraction:
    """Leave out each rater in turn, and share the target between the choices with the most other votes."""
    raters = [choice for choice, count in enumerate(counts) for _ in range(count)]
    right = Fraction(0)
    for place, own in enumerate(raters):
        others = raters[:place] + raters[place + 1 :]
        most = max(map(others.count, others))
        targets = [choice for choice in set(others) if others.count(choice) == most]
        right += Fraction(int((own if chosen is None else chosen) in targets), len(targets))
    return right / len(raters)


def test_every_way_to_vote_is_as_counted_rater_by_rater() -> None:
    every = [counts for counts in itertools.product(range(5), repeat=3) if sum(counts) >= 2]
    votes = np.array(every)
    assert agreement(votes) == pytest.approx([float(by_hand(each, None)) for each in every])
    chosen = np.arange(len(votes)) % 3
    wanted = [float(by_hand(each, int(choice))) for each, choice in zip(every, chosen, strict=True)]
    assert agreement_with(votes, chosen) == pytest.approx(wanted)


def test_images_with_one_vote_are_left_out_and_none_may_be_left() -> None:
    found = measure(np.array([[1, 0], [0, 0], [2, 1], [0, 10]]), np.array([0, 0, 0, 1]))
    assert found is not None
    assert (found["total"], found["votes"]) == (2, 13)
    assert found["rater"]["expected_correct"] == pytest.approx(1 / 3 + 1)
    assert found["network"] == {"expected_correct": pytest.approx(5 / 3), "accuracy": pytest.approx(5 / 6)}
    assert measure(np.array([[1, 0]]), np.array([0])) is None
