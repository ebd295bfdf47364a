"""One line of a verification, and the comparison of what is recorded with what is found."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

TOLERANCE: Final = 1e-4
"""By how much a loss (nats), a probability or what is derived from these may differ, absolute."""
OF_COUNTS: Final = re.compile(
    r"(^|[._])(accuracy|accuracy_low|accuracy_high|low|high|precision|recall|f1)(\.(mean|sd|min|max)|\[\d\])?$"
)
"""Names of numbers that follow from counts, which differ by rounding in float64 alone; with their spread over
seeds and their intervals."""

NEEDED: Final = {"correct", "total", "accuracy"}
"""What is recorded wherever it can be found: a figure that was deleted is a difference."""

State = Literal["ok", "DIFFERS", "not checked", "exception"]


@dataclass(frozen=True)
class Check:
    """What was checked, and what came of it.

    Attributes:
        subject: the run, the weights or the page.
        what: of it, such as "split".
        state: "exception": it differs, and a committed file says why that is known.
        detail: what was found; where something was not checked, why.
    """

    subject: str
    what: str
    state: State
    detail: str


def judge(subject: str, what: str, *, is_same: bool, detail: str) -> Check:
    """Make a check that holds or does not."""
    return Check(subject, what, "ok" if is_same else "DIFFERS", detail)


def compare_hash(subject: str, what: str, recorded: str, found: str) -> Check:
    """Compare two SHA-256, hex."""
    if recorded == found:
        return Check(subject, what, "ok", f"SHA-256 {found[:12]}")
    return Check(subject, what, "DIFFERS", f"SHA-256 {recorded[:12]} is recorded, {found[:12]} was found")


def list_differences(recorded: Any, found: Any, *, name: str = "") -> Iterator[str]:
    """List where two JSON values differ; only what both have is compared, and the counts have to be there.

    Integers and text have to be equal, ratios of counts equal but for rounding, and other numbers within
    `TOLERANCE`.

    >>> list(list_differences({"correct": 3, "loss": 1.00001}, {"correct": 4, "loss": 1.0, "new": 1}))
    ['correct: 3 is recorded, 4 was found']
    >>> list(list_differences({"test": {"correct": 3}}, {"test": {"correct": 3, "total": 9}}))
    ['test.total is not recorded, 9 was found']
    """
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in sorted((found.keys() - recorded.keys()) & NEEDED):
            yield f"{name}.{key}".lstrip(".") + f" is not recorded, {found[key]} was found"
        for key in recorded.keys() & found.keys():
            yield from list_differences(recorded[key], found[key], name=f"{name}.{key}" if name else str(key))
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for number, pair in enumerate(zip(recorded, found, strict=True)):
            yield from list_differences(*pair, name=f"{name}[{number}]")
    elif not _is_same(recorded, found, tolerance=1e-12 if OF_COUNTS.search(name) else TOLERANCE):
        yield f"{name}: {recorded} is recorded, {found} was found"


def _is_same(recorded: Any, found: Any, *, tolerance: float) -> bool:
    numbers = [value for value in (recorded, found) if isinstance(value, int | float)]
    if len(numbers) == 2 and any(isinstance(value, float) for value in numbers):
        return math.isclose(recorded, found, rel_tol=0, abs_tol=tolerance)
    return type(recorded) is type(found) and recorded == found


def compare(subject: str, what: str, recorded: Any, found: Any, *, detail: str) -> Check:
    """Compare two JSON values, see `list_differences`; `detail` is said where they agree."""
    differences = sorted(list_differences(recorded, found))
    if not differences:
        return Check(subject, what, "ok", detail)
    more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
    return Check(subject, what, "DIFFERS", "; ".join(differences[:3]) + more)
