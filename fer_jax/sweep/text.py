"""A sweep in words: a line per trial, the table of the best, and what to do next; its input is JSON."""

from collections import Counter
from typing import Any, Final

import numpy as np

from fer_jax.files import Json
from fer_jax.text import Table, align, counted

FINISHED: Final = ("complete", "pruned", "failed")
"""States of the trials that are done."""
BEST_TRIALS: Final = 10
"""Rows of the table."""
_REASONS: Final = 3
_GIVEN_UP: Final = "given up"


def rank(trials: list[Json]) -> list[Json]:
    """List the complete trials, the best first; of equal ones the earlier first."""
    complete = [trial for trial in trials if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: (-trial["value"], trial["number"]))


def shorten(names: list[str]) -> dict[str, str]:
    """Shorten each field name to its shortest ending that is unique.

    >>> shorten(["optimizer.name", "model.name", "train.epochs"])
    {'optimizer.name': 'optimizer.name', 'model.name': 'model.name', 'train.epochs': 'epochs'}
    """

    def end(name: str, parts: int) -> str:
        return ".".join(name.split(".")[-parts:])

    short = {}
    for name in names:
        ends = (end(name, parts) for parts in range(1, name.count(".") + 2))
        short[name] = next(
            each for each in ends if [end(n, each.count(".") + 1) for n in names].count(each) == 1
        )
    return short


def trial_line(trials: list[Json], number: int, names: dict[str, str]) -> str:
    """Describe the result of a trial in a line, with the names that `shorten` returns."""
    trial = trials[number]
    params = ", ".join(f"{names[name]} {show(value)}" for name, value in trial["params"].items())
    outcome = trial.get("why", "")
    if trial["state"] == "complete":
        best = "  best" if rank(trials)[0] is trial else ""
        outcome = f"val {100 * trial['value']:.1f} %{best}"
        outcome += f", as trial {trial['same_as']}" if "same_as" in trial else ""
    return f"trial {number:<4} {outcome}  ({params}; {trial['seconds']:.1f} s)"


def show(value: Any) -> str:
    """Write a field's value, a float with four significant digits.

    >>> show(0.00031622), show(True), show("sgd")
    ('0.0003162', 'True', 'sgd')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe(result: Json) -> str:
    """Describe a sweep for the terminal, from the content of its JSON."""
    trials = result["trials"]
    states = Counter(trial["state"] for trial in trials)
    in_states = ", ".join(f"{count:,} {state}" for state, count in states.items())
    lines = [f"\n{result['name']}: {counted(len(trials), 'trial')} ({in_states or 'none yet'})"]
    best = [trial for trial in rank(trials) if "same_as" not in trial][:BEST_TRIALS]
    if best:
        lines += [align(_table(best, list(result["space"]))), _caution(result)]
        if result["importances"]:
            shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in result["importances"].items())
            lines.append(f"what determines whether a trial is in the best tenth (PED-ANOVA): {shares}")
        lines += ["train the best:", result["best"]["command"]]
    whys = Counter(trial["why"] for trial in trials if not trial.get("why", _GIVEN_UP).startswith(_GIVEN_UP))
    lines += [f"stopped {counted(count, 'time')}: {why}" for why, count in whys.most_common(_REASONS)]
    return "\n".join(lines)


def _table(best: list[Json], names: list[str]) -> Table:
    short = shorten(names)
    has_spread = len(best[0]["accuracies"]) > 1
    rows = [["trial", "val %", *(["± sd"] if has_spread else []), *(short[name] for name in names), "s"]]
    for trial in best:
        spread = [f"{100 * np.std(trial['accuracies'], ddof=1):.2f}"] if has_spread else []
        params = [show(trial["params"][name]) for name in names]
        accuracy = f"{100 * trial['value']:.2f}"
        rows.append([str(trial["number"]), accuracy, *spread, *params, f"{trial['seconds']:.1f}"])
    return rows


def _caution(result: Json) -> str:
    """Warn how large chance is: the best of many is partly luck."""
    images = result["images"]["val"]
    error = 100 * np.sqrt(0.25 / images)
    return (
        f"Chosen and measured on the same {counted(images, 'image')}, with a standard error of up to "
        f"{error:.1f} points: expect less on other images, and treat small differences as ties."
    )
