"""The diagnosis of a run: the outcomes of the rules, and a sentence in the style of the notebook."""

from typing import Final

from fer_jax.diagnose.advice import Change
from fer_jax.diagnose.evidence import THRESHOLDS, Evidence
from fer_jax.diagnose.outcome import RuleOutcome
from fer_jax.diagnose.rules import judge
from fer_jax.files import Json
from fer_jax.text import describe_value

MAX_ACTIONS: Final = 3
"""Number of steps in the sentence; the list has all of them."""


def diagnose(evidence: Evidence) -> Json:
    """Diagnose a run.

    Returns:
        The content of `diagnosis.json`: `sentence`; `findings` of `rule`, `holds`, `says`, `figures`,
        `threshold` and `cannot_judge` (why, or None), one for each rule; `next` of
        `field`, `from`, `to` and `why`, each field once; `decomposition`; `epochs`, how many there were.
    """
    outcomes = judge(evidence)
    holding = [each for each in outcomes if each.holds]
    changes: dict[str, Change] = {}
    for change in (change for each in holding for change in each.changes):
        changes.setdefault(change.name, change)
    return {
        "sentence": _sentence(evidence, holding),
        "findings": [
            {
                "rule": each.rule,
                "holds": each.holds,
                "says": each.says,
                "figures": each.figures,
                "threshold": _describe_thresholds(each),
                "cannot_judge": each.cannot_judge,
            }
            for each in outcomes
        ],
        "next": [{"field": c.name, "from": c.old, "to": c.new, "why": c.why} for c in changes.values()],
        "decomposition": evidence.decomposition,
        "epochs": len(evidence.history),
    }


def _describe_thresholds(outcome: RuleOutcome) -> str:
    chosen = [THRESHOLDS[name] for name in outcome.thresholds]
    return "; ".join(f"{value:.3g}: {why}" for value, why in chosen) or "none: only the config counts"


def _sentence(evidence: Evidence, holding: list[RuleOutcome]) -> str:
    clauses = [each.clause for each in holding] or ["nothing stands out"]
    steps: dict[str, Change] = {}
    for each in holding:
        if each.changes:
            steps.setdefault(each.action, each.changes[0])
    actions = [f"{action} ({describe_change(change)})" for action, change in steps.items()]
    said = f"train {100 * evidence.train_accuracy:.0f}, val {100 * evidence.val_accuracy:.0f}: "
    said += "; ".join(clauses)
    return f"{said}; next: {', '.join(actions[:MAX_ACTIONS])}" if actions else said


def describe_change(change: Change) -> str:
    """Write a change as one line.

    >>> describe_change(Change("optimizer.peak_rate", 0.0003, 0.0009, ""))
    'optimizer.peak_rate 0.0003 → 0.0009'
    """
    return f"{change.name} {describe_value(change.old)} → {describe_value(change.new)}"
