"""How long does a train step take in JAX and in PyTorch on this card? Candidates in one process, in turns."""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu import device, epochs, tiny
from benchmarks.gpu.session import Content, Session
from benchmarks.harness import arena, bench
from benchmarks.throughput import step_worker
from benchmarks.throughput.step_worker import KINDS, Loop
from fer_jax.config.files import load_config, to_json
from fer_jax.config.run import Config

ROUNDS: Final = 7
ITERATIONS: Final = 10
BFLOAT16: Final = ("jax-bf16", "jax-plain-bf16", "torch-bf16", "torch-compile-bf16", "torch-replayed-bf16")
FLOAT32: Final = ("jax", "torch-users", "torch")
"""A piece of its own: nothing is measured before all candidates of a piece are compiled."""
AUTOTUNED: Final = ("jax-bf16", "torch-graphs-bf16")
"""PyTorch's autotuning takes minutes, so it is a piece of its own."""
NETS: Final = {
    "run6": Path("configs/run6.py"),
    "vgg": Path("benchmarks/nets/vgg.py"),
    "best": Path("configs/best.py"),
}


def make_measure(net: str, candidates: Sequence[str]) -> Callable[[Session], Content]:
    """Make the function that measures a network's train step.

    With `best`, both libraries update by SGD: PyTorch's Muon takes no convolutions. A row of ours beside them
    is with Muon. A candidate that cannot be measured, such as PyTorch's compiler without Triton, is left out,
    and the JSON says why. A first step is faster where an earlier call has compiled its program.
    """

    def measure(session: Session) -> Content:
        config = load_config(bench.ROOT / NETS[net])
        if session.is_tiny:
            config = tiny.shrink(config)
        plain = epochs.with_sgd(config) if config.optimizer.name == "muon" else config
        lack = find_lack_of_torch(session)
        names = [name for name in candidates if lack is None or KINDS[name].library == "jax"]
        if session.is_tiny:
            # Compiling for a CPU takes PyTorch a minute, and needs a C++ compiler.
            names = [name for name in names if "compile_mode" not in KINDS[name].options]
        jobs = [(KINDS[name].title, name, plain) for name in names]
        if plain is not config and "jax-bf16" in names:
            jobs.append(("JAX, fast, bfloat16, Muon", "jax-bf16", config))
        rows, problems = take_turns(jobs, rounds=2 if session.is_tiny else ROUNDS)
        missing = [*([] if lack is None else [lack]), *problems]
        settings = {"config": to_json(plain), "batch_size": plain.train.batch_size, "rate": step_worker.RATE}
        flops = 6 * step_worker.count_macs(plain) * plain.train.batch_size
        return Content(
            rows, settings | {"rounds": ROUNDS, "iterations": ITERATIONS}, {"flop": flops, "missing": missing}
        )

    return measure


def find_lack_of_torch(session: Session) -> str | None:
    """Say why PyTorch cannot be compared on the device of JAX; None: it can."""
    if not bench.is_installed("torch"):
        return f"PyTorch is not installed: {bench.HOW_TO_INSTALL}"
    import torch

    # A build for CPUs would be compared with a GPU, and take most of the time.
    if not session.is_tiny and not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} finds no accelerator: install a build for this one"
    return None


def take_turns(
    jobs: Sequence[tuple[str, str, Config]], *, rounds: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Make each candidate's network and step, and let them take turns: rows as of `arena.to_row`.

    Args:
        jobs: title, kind and config of each candidate.
        rounds: turns of each.

    Returns:
        A row for each candidate, with its speed-up over the others of each round in `ratios`; and what is
        wrong with the candidates that did not take their first step.
    """
    loops: list[tuple[str, Loop, dict[str, Any]]] = []
    problems: list[str] = []
    for title, kind, config in jobs:
        try:
            loops.append((title, *_begin(kind, config)))
        except Exception as error:  # One candidate in trouble must not take the others with it.
            problems.append(f"{title}: {type(error).__name__}: {error}")
    samples: dict[str, list[list[float]]] = {title: [] for title, _, _ in loops}
    for _, loop, _ in loops[:1]:  # Compiling has let the card's clock fall.
        loop.begin()
        device.wake(loop.run)
    for _ in range(rounds):
        for title, loop, _ in loops:
            loop.begin()
            for _ in range(step_worker.WARM_UP_STEPS):
                loop.run()
            samples[title].append([_time(loop.run) for _ in range(ITERATIONS)])
    results = [arena.Result(title, facts, samples[title]) for title, _, facts in loops]
    del loops
    _free_memory()
    rows = [
        arena.to_row(result)
        | {"ratios": {other.name: arena.ratios(result, other) for other in results if other is not result}}
        for result in results
    ]
    return rows, problems


def _begin(kind: str, config: Config) -> tuple[Loop, dict[str, Any]]:
    """Make a candidate's step, take the first one, and return it with the facts about it."""
    loop = step_worker.make_loop(step_worker.make_job(kind, "train", config, config.train.batch_size))
    loop.begin()
    started = time.perf_counter()
    outcome = loop.run()
    facts = {"kind": kind, "first_step_s": time.perf_counter() - started, "device": loop.device}
    return loop, facts | {"first_loss": loop.mean_loss(outcome)}


def _free_memory() -> None:
    """Give the card's memory that PyTorch holds back to it, for JAX."""
    # Its networks hold memory in cycles.
    gc.collect()
    if "torch" in sys.modules:
        import torch

        if "torch._dynamo" in sys.modules:
            # Its compiler keeps the memory of its graphs, and from the ninth program of a function on runs
            # without compiling, with no error.
            torch.compiler.reset()
        torch.cuda.empty_cache()


def _time(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
