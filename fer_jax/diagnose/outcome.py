"""The outcome of a rule of a diagnosis, and the words that several rules share."""

from dataclasses import dataclass, field

from fer_jax.diagnose.advice import Change
from fer_jax.text import decimal


@dataclass(frozen=True)
class RuleOutcome:
    """The outcome of a rule.

    Attributes:
        rule: name of the rule.
        holds: whether it applies to this run.
        clause: its part of the sentence.
        says: the finding, with its numbers.
        figures: the numbers, by name.
        thresholds: names in `THRESHOLDS` that it used.
        action: what to do next, in a few words; empty if nothing follows from this rule alone.
        changes: the same as changes of the config.
        cannot_judge: why the rule cannot be judged; None if it was.
    """

    rule: str
    holds: bool
    clause: str
    says: str
    figures: dict[str, float]
    thresholds: tuple[str, ...]
    action: str = ""
    changes: list[Change] = field(default_factory=list)
    cannot_judge: str | None = None


def in_points(ratio: float) -> str:
    """Write a difference of two accuracies.

    >>> in_points(0.123)
    '12.3 points'
    """
    return f"{decimal(100 * ratio, digits=1)} points"


def below_human(ratio: float) -> str:
    """Write how far an accuracy is below one human annotator.

    >>> below_human(0.05), below_human(-0.05)
    ('5.0 points below one human annotator', '5.0 points above one human annotator')
    """
    return f"{in_points(abs(ratio))} {'below' if ratio >= 0 else 'above'} one human annotator"
