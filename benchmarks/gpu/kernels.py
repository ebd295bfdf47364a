"""Which kernels does our train step spend its time in? From a trace of JAX's profiler.

The trace's planes are devices, its lines are streams or threads. On a GPU the events of a stream are its
kernels; on a CPU the events that name an operation of XLA are. Where no event can be read, the compiled
step's cost by XLA's own analysis is written instead, and why.
"""

import collections
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax

from benchmarks.gpu import device, steps, tiny
from benchmarks.gpu.session import Content, Session
from benchmarks.harness import bench
from benchmarks.throughput import step_worker
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config

TRACED_STEPS: Final = 10
SHOWN: Final = 25
KIND: Final = "jax-bf16"


class Event(NamedTuple):
    """An event of a trace: its name, its nanoseconds, and the operation of XLA that it belongs to."""

    name: str
    ns: float
    operation: str | None


def measure(session: Session) -> Content:
    """Trace train steps of the three networks, and add up their kernels."""
    rows = []
    for net, path in steps.NETS.items():
        config = load_config(bench.ROOT / path)
        if session.is_tiny and net != "best":
            continue
        rows.append({"name": net, **trace(tiny.shrink(config) if session.is_tiny else config)})
    return Content(rows, {"kind": KIND, "traced_steps": TRACED_STEPS})


def trace(config: Config) -> dict[str, Any]:
    """Trace steps of a config, and return their kernels, the longest first, or why there are none."""
    job = step_worker.make_job(KIND, "train", config, config.train.batch_size)
    loop = step_worker.make_loop(job)
    loop.run()
    device.wake(loop.run)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with jax.profiler.trace(folder):
                for _ in range(TRACED_STEPS):
                    loop.run()
            events = [event for path in Path(folder).rglob("*.xplane.pb") for event in read_trace(path)]
            problem = None if events else "the trace has no kernels"
        except Exception as error:  # The profiler needs rights and libraries that a machine may lack.
            events, problem = [], f"{type(error).__name__}: {error}"
    described = {"config": to_json(config), "batch_size": config.train.batch_size, "problem": problem}
    return described | (summarise(events) if events else {"operations": count_operations(loop)})


def read_trace(path: Path) -> Iterator[Event]:
    """Read the kernels of a trace, an .xplane.pb."""
    with warnings.catch_warnings():
        # jaxlib's own types, in some versions.
        warnings.simplefilter("ignore", DeprecationWarning)
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            is_device = plane.name.startswith("/device:")
            for line in plane.lines:
                if is_device and not (line.name or "").startswith("Stream"):
                    # Other lines of a device repeat its kernels by module or by operation.
                    continue
                for event in line.events:
                    found = {str(name): value for name, value in event.stats if name == "hlo_op"}
                    operation = str(found["hlo_op"]) if found else None
                    if is_device or operation is not None:
                        yield Event(event.name, event.duration_ns, operation)


def summarise(events: list[Event]) -> dict[str, Any]:
    """Add up kernels by name, per step: the longest first.

    >>> found = summarise([Event("a", 1e6, "dot.1"), Event("b", 3e6, None), Event("a", 1e6, "dot.2")])
    >>> [(row["kernel"], row["share"], row["calls_per_step"]) for row in found["kernels"]]
    [('b', 0.6, 0.1), ('a', 0.4, 0.2)]
    """
    ns, calls = collections.Counter[str](), collections.Counter[str]()
    operations: dict[str, set[str]] = {}
    for event in events:
        ns[event.name] += round(event.ns)
        calls[event.name] += 1
        operations.setdefault(event.name, set()).update([event.operation] if event.operation else [])
    total = sum(ns.values())
    kernels = [
        {
            "kernel": name,
            "ms_per_step": each / 1e6 / TRACED_STEPS,
            "share": each / total,
            "calls_per_step": calls[name] / TRACED_STEPS,
            "operations": sorted(operations[name])[:3],
        }
        for name, each in ns.most_common(SHOWN)
    ]
    per_step = {
        "busy_ms_per_step": total / 1e6 / TRACED_STEPS,
        "kernels_per_step": len(events) / TRACED_STEPS,
    }
    return per_step | {"kernels": kernels}


def count_operations(loop: step_worker.Loop) -> dict[str, int]:
    """Count the operations of a compiled step by their kind, the most frequent first."""
    counted: collections.Counter[str] = collections.Counter()
    for line in (loop.program() or "").splitlines():
        _, equals, right = line.partition(" = ")
        words = right.split("(")[0].split()
        if equals and words:
            counted[words[-1]] += 1
    return dict(counted.most_common(SHOWN))
