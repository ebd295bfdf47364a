"""The worker of the start-up benchmark: runs a program to its first step or epoch, and reports the times.

`benchmarks.latency.startup` starts it as `startup_probe ANSWER STARTED PROGRAM END OPTIONS...`: the file to
write, the time at which the process was started (`time.monotonic`, which all processes share), a program,
whether it ends after the first `step` or `epoch`, and its options. The program itself is unchanged; only the
functions named in the probes below are wrapped.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from unittest import mock

ANSWER, STARTED = Path(sys.argv[1]), float(sys.argv[2])

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
"""JAX's own measurement: XLA compiles a program, or it is read from the persistent cache."""
TRACE_EVENTS = ("/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration")
"""Python becomes a program for XLA; what is traced inside of something else is measured with it, too."""
HIT_EVENT = "/jax/compilation_cache/cache_hits"

Interval = tuple[float, float]


def add_up(intervals: list[Interval]) -> float:
    """Add up the seconds of intervals, and count what they have in common once.

    >>> add_up([(1.0, 2.0), (0.0, 3.0), (5.0, 6.0)])
    4.0
    """
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


class Stages:
    """Seconds of each part of a start, filled in step by step."""

    def __init__(self, *, is_whole_epoch: bool) -> None:
        """Start with nothing loaded and nothing compiled; the start ends with the first step or epoch."""
        self.is_whole_epoch = is_whole_epoch
        self.seconds: dict[str, float] = {"data_s": 0.0}
        self.traced: list[Interval] = []
        self.compiled: list[Interval] = []
        self.cache_hits = 0

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
        """Note when JAX traces and when it compiles, as it reports at the end of each."""
        import jax

        def on_duration(event: str, duration_secs: float, **_: Any) -> None:
            end = time.monotonic()
            if event == COMPILE_EVENT:
                self.compiled.append((end - duration_secs, end))
            elif event in TRACE_EVENTS:
                self.traced.append((end - duration_secs, end))

        def on_event(event: str, **_: Any) -> None:
            self.cache_hits += event == HIT_EVENT

        jax.monitoring.register_event_duration_secs_listener(on_duration)
        jax.monitoring.register_event_listener(on_event)

    def step(self, *_: Any) -> None:
        """Note that a step is done; the parts are those of the first one."""
        if "total_s" not in self.seconds:
            parts = {"trace_s": add_up(self.traced), "compile_s": add_up(self.compiled)}
            self.seconds |= {"total_s": time.monotonic() - STARTED, **parts}
            if not self.is_whole_epoch:
                self.end()

    def epoch(self, *_: Any) -> NoReturn:
        """Note that the first epoch is done, and end."""
        self.seconds["epoch_s"] = time.monotonic() - STARTED
        self.end()

    def end(self) -> NoReturn:
        """Write the times and end the process at once."""
        counts = {"programs": len(self.compiled), "cache_hits": self.cache_hits}
        ANSWER.write_text(json.dumps(self.seconds | counts))
        sys.stdout.flush()
        os._exit(0)


def watching(module: ModuleType, name: str, wrap: Callable[..., Any]) -> AbstractContextManager[Any]:
    """Wrap a function of a module; an AttributeError if there is no such function."""
    return mock.patch.object(module, name, wrap(getattr(module, name)))


def probe_ours(words: list[str], *, is_whole_epoch: bool) -> int:
    """Run `python -m fer_jax.train` until its first step, or its first epoch, is done."""
    from fer_jax.runtime.door import collect_rarely
    from fer_jax.train import __main__ as train

    collect_rarely()  # As the program does before it imports the rest.
    from fer_jax.report import terminal
    from fer_jax.train import run as train_run

    stages = Stages(is_whole_epoch=is_whole_epoch)
    stages.imported()
    stages.listen()

    def ending(run_epochs: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            return run_epochs(*args, **options | {"on_step": stages.step, "on_epoch": stages.epoch})

        return run

    with (
        watching(terminal, "load_examples", stages.timing_data),
        watching(train_run, "run_epochs", ending),
    ):
        return train.main(words)


def probe_torch(words: list[str], *, is_whole_epoch: bool) -> int:
    """Run `python -m benchmarks.pytorch.train` until its first step, or its first epoch, is done."""
    import torch

    from benchmarks.pytorch import epochs as torch_epochs
    from benchmarks.pytorch import train as torch_train

    stages = Stages(is_whole_epoch=is_whole_epoch)
    stages.imported()

    def watching_steps(train_epoch: Callable[..., Any]) -> Callable[..., Any]:
        def watch(batches: Iterable[Any]) -> Iterator[Any]:
            for batch in batches:
                yield batch
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                stages.step()

        def train(net: Any, batches: Iterable[Any], *args: Any) -> Any:
            return train_epoch(net, watch(batches), *args)

        return train

    with (
        watching(torch_epochs, "load_examples", stages.timing_data),
        watching(torch_epochs, "train_epoch", watching_steps),
        # Of the line of the log, which is written after evaluating and saving.
        watching(torch_epochs, "json_line", lambda _: stages.epoch),
    ):
        return torch_train.main(words)


PROBES = {"ours": probe_ours, "torch": probe_torch}


if __name__ == "__main__":
    sys.exit(PROBES[sys.argv[3]](sys.argv[5:], is_whole_epoch=sys.argv[4] == "epoch"))
