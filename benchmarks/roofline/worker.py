"""The worker of the roofline benchmark: the parts of a config's train step, each on its own, in one library.

`benchmarks.roofline.roofline` starts it. All parts are functions of arrays that are ready; one iteration calls each of
them twice, and the second call is its sample.
"""

import json
import sys
import time
from typing import Any, NamedTuple

from benchmarks.harness import arena
from fer_jax.config.files import from_json
from fer_jax.runtime import cpu

WARM_UP_CYCLES = 4
"""Over all calls: until the allocator has been given all the memory that they need."""


class Job(NamedTuple):
    """What a worker is told, as JSON on its command line.

    Attributes:
        library: whose functions.
        config: as `to_json` gives it.
        batch_size: images a step.
        scale_numbers: length of the array on which the bandwidth is measured.
    """

    library: arena.Library
    config: dict[str, Any]
    batch_size: int
    scale_numbers: int


def main() -> int:
    """Make the parts, call each for the first time, and serve."""
    job = Job(*json.loads(sys.argv[1]))
    # Before the first large array, and before the libraries are imported.
    tuning = cpu.tune_cpu()
    config = from_json(job.config, where="the worker's command line")
    start = time.perf_counter()
    # Each process imports one library alone.
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
    cycles: list[list[float]] = []

    def cycle() -> list[float]:
        seconds = []
        for call in calls:
            # Once untimed: it brings back into the caches what the other calls have put out of them.
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
    return 0


def measure_norm(result: Any) -> float:
    """Take the root of the summed squares, by which the libraries' results can be held against each other."""
    arrays = result if isinstance(result, list) else [result]
    return sum(float((array * array).sum()) for array in arrays) ** 0.5


if __name__ == "__main__":
    sys.exit(main())
