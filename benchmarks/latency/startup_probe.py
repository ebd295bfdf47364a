"""The worker of the start-up benchmark: runs a real program until its first step, and reports the times.

`benchmarks.latency.startup` starts it as `startup_probe ANSWER STARTED PROGRAM OPTIONS...`: the file to
write, the time at which the process was started (`time.monotonic`, which all processes share), and a program
with its options. The program itself is unchanged; only the functions named in the probes below are wrapped.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from unittest import mock

ANSWER, STARTED = Path(sys.argv[1]), float(sys.argv[2])

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
"""JAX's own measurement: XLA compiles a program, or it is read from the persistent cache."""
HIT_EVENT = "/jax/compilation_cache/cache_hits"


class Stages:
    """Seconds of each part of a start, filled in step by step."""

    def __init__(self) -> None:
        """Start with nothing loaded and nothing compiled."""
        self.seconds: dict[str, float] = {"data_s": 0.0, "compile_s": 0.0}
        self.programs = self.cache_hits = 0

    def imported(self) -> None:
        """Record that everything is imported; this includes the start of Python."""
        self.seconds["import_s"] = time.monotonic() - STARTED

    def timing_data(self, load: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the function that loads the data."""

        def timed(*args: Any, **options: Any) -> Any:
            start = time.monotonic()
            examples = load(*args, **options)
            self.seconds["data_s"] += time.monotonic() - start
            return examples

        return timed

    def listen(self) -> None:
        """Add up the compile times that JAX reports."""
        import jax

        def on_duration(event: str, duration_secs: float, **_: Any) -> None:
            if event == COMPILE_EVENT:
                self.programs += 1
                self.seconds["compile_s"] += duration_secs

        def on_event(event: str, **_: Any) -> None:
            self.cache_hits += event == HIT_EVENT

        jax.monitoring.register_event_duration_secs_listener(on_duration)
        jax.monitoring.register_event_listener(on_event)

    def end(self, *_: Any) -> NoReturn:
        """Write the times and end the process at once: the first step is done."""
        self.seconds["total_s"] = time.monotonic() - STARTED
        counts = {"programs": self.programs, "cache_hits": self.cache_hits}
        ANSWER.write_text(json.dumps(self.seconds | counts))
        sys.stdout.flush()
        os._exit(0)


def watching(module: ModuleType, name: str, wrap: Callable[..., Any]) -> AbstractContextManager[Any]:
    """Wrap a function of a module; an AttributeError if there is no such function."""
    return mock.patch.object(module, name, wrap(getattr(module, name)))


def probe_ours(words: list[str]) -> int:
    """Run `python -m fer_jax.train` until its first step is done."""
    from fer_jax.report import terminal
    from fer_jax.train import __main__ as train
    from fer_jax.train import run as train_run

    stages = Stages()
    stages.imported()
    stages.listen()

    def ending_at_first_step(run_epochs: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, on_step, **options: run_epochs(*args, on_step=stages.end, **options)

    with (
        watching(terminal, "load_examples", stages.timing_data),
        watching(train_run, "run_epochs", ending_at_first_step),
    ):
        return train.main(words)


def probe_torch(words: list[str]) -> int:
    """Run `python -m benchmarks.pytorch.train` until its first step is done."""
    from benchmarks.pytorch import epochs as torch_epochs
    from benchmarks.pytorch import train as torch_train

    stages = Stages()
    stages.imported()
    with watching(torch_epochs, "load_examples", stages.timing_data):
        return torch_train.main([*words, "--max-steps", "1"]) or stages.end()


PROBES = {"ours": probe_ours, "torch": probe_torch}


if __name__ == "__main__":
    sys.exit(PROBES[sys.argv[3]](sys.argv[4:]))
