"""The finding of one check: its outcome, the evidence, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "warned", "failed"]


@dataclass(frozen=True)
class Finding:
    """What one check found, in words, with the numbers behind `measured`; no advice if it passed.

    The outcome is "warned" if what was measured may be intended, "failed" if it cannot be.
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
    """Make a finding; the advice is left out if the check passed."""
    outcome: Outcome = "failed" if is_failed else "warned" if is_warned else "passed"
    return Finding(name, outcome, measured, wanted, advice if outcome != "passed" else "", dict(figures))
