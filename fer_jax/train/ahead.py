"""Compile what measures the network while the train step is being compiled, on an accelerator.

There a program takes tens of seconds to compile, most of them measuring kernels, and at the end of the first
epoch two more would follow the train step: that of the evaluation, and that of the statistics of an average.
XLA compiles in many threads at the same time. On a CPU they wait for their turn: there they compile in
a second or two, on the cores that the train step needs.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fer_jax.engine.loop import Job, Replica


def measure_ahead(job: Job, replicas: Sequence[Replica]) -> Job:
    """Begin to compile the programs that measure the replicas, each in a thread of its own.

    JAX has no other way to compile what a later call will find than the same call: each program runs once, on
    a state of zeros, the evaluation on a single row, and its result is dropped.

    Args:
        job: of a training that begins or goes on.
        replicas: in any state; they are not touched.

    Returns:
        The job, whose functions wait for their programs, and raise what went wrong with them.
    """
    zeros = [
        jax.tree.map(lambda x: jax.device_put(np.zeros(x.shape, x.dtype)), each.state) for each in replicas
    ]
    rows = [[job.split.train[:1]] for _ in replicas]
    threads = ThreadPoolExecutor(max_workers=2)
    evaluated = threads.submit(_run, job.stepper.evaluate, zeros, rows)
    refreshed = threads.submit(_run, job.refresh, zeros[0], replicas[0].seed)
    threads.shutdown(wait=False)
    stepper = job.stepper._replace(evaluate=_after(evaluated, job.stepper.evaluate))
    return replace(job, stepper=stepper, refresh=_after(refreshed, job.refresh))


def _run(function: Callable[..., Any], *args: Any) -> None:
    """Call a function and drop its result: a future would keep it on the device as long as the job lives."""
    function(*args)


def _after(begun: Future[None], function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function that must wait until its program is compiled: else it would be compiled twice."""

    def call(*args: Any) -> Any:
        begun.result()
        return function(*args)

    return call
