"""The concurrency campaign: at tiny size, and what it has to see."""

import sys
from pathlib import Path

import pytest

from benchmarks.reliability.concurrency import Answer, ConcurrencyOptions, find_wrong, try_locks


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
@pytest.mark.parametrize("has_flock", [True, False])
def test_one_of_three_holds_the_lock_and_a_killed_owner_does_not_block(
    tmp_path: Path, *, has_flock: bool
) -> None:
    row, failures = try_locks(ConcurrencyOptions(starts=3, rounds=2), tmp_path, has_flock=has_flock)
    assert failures == []
    assert (row["tried"], row["refused"], row["killed_owners"], row["taken_over"]) == (2, 4, 1, 1)


def test_two_owners_a_late_message_and_one_without_the_owner_are_seen() -> None:
    owner, late = Answer(True, "", 0.0), Answer(False, "another run (process 1 on here)", 1.5)
    assert find_wrong([owner, late._replace(seconds=0.1)], [1, 2]) == []
    assert "2 processes hold the lock" in find_wrong([owner, owner], [1, 2])[0]
    assert "0 processes hold the lock" in find_wrong([late, late], [1, 2])[0]
    assert find_wrong([owner, late], [1, 2]) == ["it took 1.50 s"]
    assert find_wrong([owner, Answer(False, "another run", 0.1)], [1, 2]) == ["it said 'another run'"]
