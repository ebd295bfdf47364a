"""What a check found: one outcome with its evidence and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "warned", "failed"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: of the check, for people.
        outcome: "warned" where it may be meant so, "failed" where it cannot be.
        measured: what was measured, in words, with the figure.
        wanted: what a healthy run shows.
        advice: what to do, empty where it passed.
        figures: the numbers behind the words.
    """

    name: str
    outcome: Outcome
    measured: str
    wanted: str
    advice: str
    figures: dict[str, float]


def make_finding(
    name: str,
    *,
    is_failed: bool,
    is_warned: bool,
    measured: str,
    wanted: str,
    advice: str,
    figures: Mapping[str, float],
) -> Finding:
    """Put a finding together; the advice is left out where all is well."""
    outcome: Outcome = "failed" if is_failed else "warned" if is_warned else "passed"
    return Finding(name, outcome, measured, wanted, advice if outcome != "passed" else "", dict(figures))


def percent(share: float) -> str:
    """Write a share, 0..1, in whole percent."""
    return f"{100 * share:.0f} %"
