"""Whether two runs have the same bits on this card, and one that was interrupted and resumed.

Three runs of `best` with the same seed in one process, whose compiled programs come from the same cache: one
after the other, and one that is stopped in its second epoch and resumed.
"""

import shutil
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.gpu.session import Content, Session
from benchmarks.gpu.trainings import describe, make_config, train
from fer_jax.config.files import to_json
from fer_jax.errors import RunError
from fer_jax.runtime.signals import StopError

EPOCHS: Final = 2
EXAMPLES: Final = 16384
"""Enough for 128 steps of an epoch, which are two calls of the accelerator: a run that is stopped after the
first of them has steps left to take once it is resumed."""


def measure(session: Session) -> Content:
    """Train three times, and compare the hashes of the last states."""
    changes: dict[str, Any] = {
        "train.epochs": EPOCHS,
        "train.max_examples": 0 if session.is_tiny else EXAMPLES,
    }
    config = make_config(session, "best", changes)
    rows = []
    for name in ("first", "second", "resumed"):
        folder = session.runs / f"bits-{name}"
        # A run that is there was made by other bits, or cut off.
        shutil.rmtree(folder, ignore_errors=True)
        if name == "resumed":
            try:
                train(session, folder, config, clock=make_interrupting_clock())
            except StopError:
                session.console.print("stopped on purpose, to be resumed")
            else:
                raise RunError(f"{folder} was to be interrupted in its second epoch, and was not")
        run = describe(train(session, folder, config))
        row = {key: run[key] for key in ("name", "seed", "last_state_sha256", "seconds")}
        rows.append(row | {"objectives": [record["objective"] for record in run["log"]]})
    hashes = [row["last_state_sha256"] for row in rows]
    same = {"are_two_runs_equal": hashes[0] == hashes[1], "is_resumed_equal": hashes[0] == hashes[2]}
    return Content(rows, {"config": to_json(config)}, same)


def make_interrupting_clock() -> Callable[[], float]:
    """Make a clock for a training that sends this process a signal when the second epoch begins."""
    calls = 0

    def clock() -> float:
        nonlocal calls
        calls += 1
        # The loop reads the clock when an epoch begins, when its steps are taken and when it is measured.
        if calls == 4:
            signal.raise_signal(signal.SIGTERM)
        return time.perf_counter()

    return clock
