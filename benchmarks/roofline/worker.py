"""The worker of the roofline benchmark: each part of a config's train step on its own, in one library.

`benchmarks.roofline` starts it. All parts are functions of prepared arrays; one iteration calls each of them
twice, and times the second call.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks.harness import arena
from benchmarks.roofline.operations import Call
from fer_jax.config.files import from_json
from fer_jax.config.run import Config
from fer_jax.runtime import cpu

WARM_UP_CYCLES = 4
"""Over all calls: until the allocator has all the memory that they need."""


class Job(NamedTuple):
    """The worker's task, as JSON on its command line.

    Attributes:
        library: the one it uses.
        config: from `to_json`.
        batch_size: images per step.
        scale_numbers: length of the array that measures the bandwidth.
    """

    library: arena.Library
    config: dict[str, Any]
    batch_size: int
    scale_numbers: int


def main() -> int:
    """Make the parts, call each for the first time, and serve."""
    job = Job(*json.loads(sys.argv[1]))
    # Before the first large array and before the libraries are imported.
    tuning = cpu.tune_cpu()
    config = from_json(Config, job.config, where="the worker's command line")
    start = time.perf_counter()
    # Each process imports only one library.
    if job.library == "jax":
        from benchmarks.roofline.jax_parts import make_parts
    else:
        from benchmarks.roofline.torch_parts import make_parts
    calls, wait, device = make_parts(config, batch_size=job.batch_size, scale_numbers=job.scale_numbers)
    norms = [measure_norm(wait(call.run())) for call in calls]
    facts = {
        "first_calls_s": time.perf_counter() - start,
        "device": device,
        "cores": arena.count_cores(),
        "tuning": tuning,
    }
    serve_calls(calls, wait, norms, facts)
    return 0


def serve_calls(
    calls: Sequence[Call], wait: Callable[[Any], Any], norms: Sequence[float], facts: dict[str, Any]
) -> None:
    """Be a worker of which one iteration calls everything twice, and times the second calls.

    Args:
        calls: what to time.
        wait: waits until a result is computed.
        norms: of the calls' results.
        facts: to report at the start; at the end, `calls` has each call's name, norm and samples.
    """
    cycles: list[list[float]] = []

    def cycle() -> list[float]:
        seconds = []
        for call in calls:
            # Once untimed: it refills the caches, which the other calls have used.
            wait(call.run())
            started = time.perf_counter()
            wait(call.run())
            seconds.append(round(time.perf_counter() - started, 9))
        return seconds

    def last_words() -> dict[str, Any]:
        words = [
            {"layer": call.layer, "name": call.name, "method": call.method, "norm": norm, "samples_s": own}
            for call, norm, *own in zip(calls, norms, *cycles, strict=True)
        ]
        return {"calls": words}

    for _ in range(WARM_UP_CYCLES):
        cycle()
    arena.serve(facts, lambda: cycles.append(cycle()), at_end=last_words)


def measure_norm(result: Any) -> float:
    """Return the root of the summed squares, by which the libraries' results can be compared."""
    arrays = result if isinstance(result, list) else [result]
    return sum(float((array * array).sum()) for array in arrays) ** 0.5


if __name__ == "__main__":
    sys.exit(main())
