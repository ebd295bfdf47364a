"""The text of a verification: a line for each check, and the summary."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from fer_jax.text import counted
from fer_jax.verify.checks import Check

STYLES: Final = {"ok": "green", "DIFFERS": "bold red", "not checked": "yellow", "exception": "yellow"}


def describe_check(check: Check) -> str:
    """Write a check as one line, without its subject.

    >>> describe_check(Check("mid", "tensors", "ok", "SHA-256 1234"))
    'ok           tensors: SHA-256 1234'
    """
    return f"{check.state:<12} {check.what}: {check.detail}"


def summarise(checks: Sequence[Check]) -> str:
    """Count the checks by what came of them.

    >>> summarise([Check("mid", "tensors", "ok", ""), Check("mid", "PrivateTest", "not checked", "")])
    '2 checks: 1 ok, 0 differ, 1 not checked'
    """
    counts = Counter(check.state for check in checks)
    words = f"{counts['ok']} ok, {counts['DIFFERS']} differ, {counts['not checked']} not checked"
    known = f", {counted(counts['exception'], 'exception')}" if counts["exception"] else ""
    return f"{counted(len(checks), 'check')}: {words}{known}"
