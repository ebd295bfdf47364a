"""The campaign of a team's sweep: what it has to see; `tests/sweep/test_server.py` has a server."""

from typing import Any

import pytest

from benchmarks.reliability import sweep_team
from benchmarks.reliability.sweep_team import find_wrong, find_wrong_words

Trial = dict[str, Any]


def trial(number: int, state: str = "COMPLETE", *, repeats: int | None = None, params: str = "") -> Trial:
    return {"number": number, "state": state, "repeats": repeats, "params": params or f"rate {number}"}


KILLED = [trial(0), trial(1, "FAIL"), trial(2, "PRUNED"), trial(3, repeats=1, params="rate 1")]


def test_a_sweep_with_a_repeated_trial_is_fine() -> None:
    assert find_wrong(KILLED, [1], wanted=3) == []
    assert (
        find_wrong_words(["trial 0    val 13.3 %  best", "trial 2    given up\ntrial 3    val 1 %"], KILLED)
        == []
    )


@pytest.mark.parametrize(
    ("trials", "killed", "wanted"),
    [
        (KILLED[:3], [1], "2 trials are done, wanted 3"),
        (KILLED[:3], [1], "trial 1, FAIL, is repeated 0 times"),
        ([*KILLED, trial(4)], [1], "4 trials are done"),
        ([*KILLED, trial(4, repeats=1, params="rate 1")], [1], "trial 1, FAIL, is repeated 2 times"),
        ([*KILLED[:3], trial(3, repeats=1)], [1], "trial 3 repeats trial 1 with other parameters"),
        (KILLED, [], "trial 1 was taken back from a worker that lives"),
        (KILLED, [1, 2], "trial 2 was killed and is done"),
        ([*KILLED, trial(4, "RUNNING")], [1], "trial 4 is left RUNNING"),
        ([*KILLED[:2], trial(2, params="rate 0"), KILLED[3]], [1], "done twice: rate 0"),
    ],
)
def test_a_lost_or_doubled_trial_is_seen(trials: list[Trial], killed: list[int], wanted: str) -> None:
    assert any(wanted in each for each in find_wrong(trials, killed, wanted=3))


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        ("Traceback (most recent call last):", "a traceback"),
        (f"postgresql://team:{sweep_team.PASSWORD}@host", "the output shows the password"),
        (
            "trial 0    val 1 %\ntrial 0    val 1 %",
            "printed as done {0: 1} too often, {2: 1, 3: 1} too rarely",
        ),
    ],
)
def test_wrong_words_are_seen(output: str, wanted: str) -> None:
    assert any(wanted in each for each in find_wrong_words([output], KILLED))
