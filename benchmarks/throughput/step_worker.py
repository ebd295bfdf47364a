"""The worker of the step benchmark: one network in one library that steps over one batch on command.

`benchmarks.throughput.step` and others start it, see `make_candidate`; `KINDS` has what it can run.
"""

import hashlib
import importlib.metadata
import json
import platform
import re
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.harness import arena
from fer_jax.config.files import from_json, to_json
from fer_jax.config.model import DeviceConfig
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.synthetic import draw_examples
from fer_jax.images import standardise
from fer_jax.randomness import Stream, jax_key
from fer_jax.runtime import cpu, machine

RATE = 1e-6
"""Learning rate: so small that the random start neither diverges nor affects the time."""
WARM_UP_STEPS = 3

What = Literal["train", "eval"]


class Kind(NamedTuple):
    """How a candidate computes.

    Attributes:
        title: its name in the table.
        library: the one it uses.
        dtype: of the activations; the step is compared with this type's peak.
        options: fields of `DeviceConfig`, or of `torch_nets.Style`.
        is_tuned: whether `runtime.cpu.tune_cpu` is called.
    """

    title: str
    library: arena.Library
    dtype: arena.Dtype
    options: dict[str, Any]
    is_tuned: bool


_HALF = {"compute_dtype": "bfloat16"}
_USERS = {"conv_bias": True, "channels_last": False, "fused_optimizer": False}
_BF16 = {"bfloat16": True}
_COMPILED = {"compile_mode": "default"}
_REPLAYED = {"compile_mode": "reduce-overhead"}
_GRAPHS = {"compile_mode": "max-autotune"}
KINDS = {
    "jax": Kind("JAX, fast kernels", "jax", "float32", {}, True),
    "jax-plain": Kind("JAX, plain kernels", "jax", "float32", {"kernels": "plain"}, True),
    "jax-bf16": Kind("JAX, fast, bfloat16", "jax", "bfloat16", _HALF, True),
    "jax-plain-bf16": Kind("JAX, plain, bfloat16", "jax", "bfloat16", _HALF | {"kernels": "plain"}, True),
    "jax-untuned": Kind("JAX, fast, not tuned", "jax", "float32", {}, False),
    "torch-users": Kind("PyTorch as users run it", "torch", "float32", _USERS, False),
    "torch": Kind("PyTorch tuned", "torch", "float32", {}, True),
    "torch-bf16": Kind("PyTorch tuned, bfloat16", "torch", "bfloat16", _BF16, True),
    "torch-compile": Kind("PyTorch compiled", "torch", "float32", _COMPILED, True),
    "torch-compile-bf16": Kind("PyTorch compiled, bfloat16", "torch", "bfloat16", _COMPILED | _BF16, True),
    "torch-replayed-bf16": Kind(
        "PyTorch compiled, graphs, bf16", "torch", "bfloat16", _REPLAYED | _BF16, True
    ),
    "torch-graphs": Kind("PyTorch autotuned, graphs", "torch", "float32", _GRAPHS, True),
    "torch-graphs-bf16": Kind("PyTorch autotuned, graphs, bf16", "torch", "bfloat16", _GRAPHS | _BF16, True),
}
"""Tuned PyTorch: channels last, no redundant bias, a fused optimizer, and fer_jax's allocator setting. With
graphs, all kernels of a pass are launched at once, as XLA launches those of a step."""


class Job(NamedTuple):
    """The worker's task, as JSON on its command line.

    Attributes:
        name: its kind's.
        what: the step.
        config: from `to_json`.
        batch_size: images per step.
        class_weights: seven; computing them needs jax, which PyTorch's process must not import.
    """

    name: str
    what: What
    config: dict[str, Any]
    batch_size: int
    class_weights: list[float]


class Loop(NamedTuple):
    """One network and its step.

    Attributes:
        run: takes one step, waits until it is done, and returns its output.
        mean_loss: the mean loss from that output.
        device: where it computes.
        device_mib: peak memory on an accelerator; None on the CPU.
        program: the compiled step as text; None from PyTorch.
        begin: to be called before a turn, where candidates of several styles share a process.
    """

    run: Callable[[], Any]
    mean_loss: Callable[[Any], float]
    device: str
    device_mib: Callable[[], float | None]
    program: Callable[[], str | None]
    begin: Callable[[], object] = lambda: None


def make_candidate(
    name: str,
    kind: str,
    what: What,
    config: Config,
    batch_size: int,
    environment: dict[str, str] | None = None,
) -> arena.Candidate:
    """Make a candidate from this worker.

    Args:
        name: its row in the table.
        kind: of `KINDS`.
        what: the step.
        config: the network, loss and optimizer.
        batch_size: images per step.
        environment: of the worker; None: no XLA flags of this process if the kind is not tuned.
    """
    job = json.dumps(make_job(kind, what, config, batch_size))
    if environment is None:
        environment = {} if KINDS[kind].is_tuned else {"XLA_FLAGS": ""}
    argv = (sys.executable, "-m", "benchmarks.throughput.step_worker", job)
    return arena.Candidate(name, argv, environment)


def make_job(kind: str, what: What, config: Config, batch_size: int) -> Job:
    """Make a worker's task, with the class weights of its batch."""
    # Imported here so that --help does not wait for jax.
    from fer_jax.engine.losses import class_weights

    weights = class_weights(config.loss, class_counts(draw_batch(batch_size).labels)).tolist()
    return Job(kind, what, to_json(config), batch_size, weights)


def count_macs(config: Config) -> int:
    """Count the multiply-accumulates of one image's forward pass."""
    from fer_jax.models.cnn import make_model
    from fer_jax.models.summary import list_layers

    return sum(layer.macs for layer in list_layers(make_model(config.model, config.device)))


def draw_batch(batch_size: int) -> Examples:
    """Draw the batch of synthetic faces, the same for every candidate."""
    return draw_examples(seed=0, examples=batch_size)


def main() -> int:
    """Do the task given on the command line."""
    job = Job(*json.loads(sys.argv[1]))
    # Before the first large array and before the libraries are imported.
    tuning = cpu.tune_cpu() if KINDS[job.name].is_tuned else []
    return serve_steps(job, tuning)


def serve_steps(job: Job, tuning: list[str]) -> int:
    """Make the network, take the first steps, and serve.

    Args:
        job: the task.
        tuning: what was tuned in this process, for the facts.
    """
    loop, library = make_loop(job), KINDS[job.name].library
    start = time.perf_counter()
    outcome = loop.run()
    facts = {
        "first_step_s": time.perf_counter() - start,
        "first_loss": loop.mean_loss(outcome),
        "device": loop.device,
        "python": platform.python_version(),
        "library": f"{library} {importlib.metadata.version(library)}",
        "cores": arena.count_cores(),
        "tuning": tuning,
        "program_sha256": _hash_operations(loop.program()),
    }

    def run() -> None:
        nonlocal outcome
        outcome = loop.run()

    def last_words() -> dict[str, Any]:
        return {"last_loss": loop.mean_loss(outcome), "peak_device_mib": loop.device_mib()}

    for _ in range(WARM_UP_STEPS):
        run()
    arena.serve(facts, run, untimed_iterations=1, at_end=last_words)
    return 0


def make_loop(job: Job) -> Loop:
    """Make the network of a task in this process, and its step."""
    kind = KINDS[job.name]
    config = from_json(Config, job.config, where="the worker's command line")
    make = _make_jax_loop if kind.library == "jax" else _make_torch_loop
    return make(job, config, kind.options)


def _hash_operations(program: str | None) -> str | None:
    """Hash a compiled program without the names of its source files."""
    if program is None:
        return None
    operations = [line for line in program.splitlines() if " = " in line]
    return hashlib.sha256(re.sub(r", metadata=\{[^}]*\}", "", "\n".join(operations)).encode()).hexdigest()


def _make_jax_loop(job: Job, config: Config, options: dict[str, Any]) -> Loop:
    import jax

    from fer_jax.engine.optimizer import make_optimizer
    from fer_jax.engine.state import init_state
    from fer_jax.engine.step import Batch, make_eval_step, make_train_step
    from fer_jax.metrics import counts
    from fer_jax.models.cnn import make_model

    examples = draw_batch(job.batch_size)
    stats = standardise.measure(examples.images)
    weights = np.ones(job.batch_size, np.float32)
    batch = jax.device_put(Batch(examples.images, examples.labels.astype(np.int32), weights))
    model, optimizer = make_model(config.model, DeviceConfig(**options)), make_optimizer(config.optimizer)
    state = init_state(jax_key(0, Stream.INIT), model, optimizer)
    key, rate = jax_key(0, Stream.DROPOUT), jax.numpy.float32(RATE)
    train_step = make_train_step(
        model,
        optimizer,
        config.loss,
        class_weights=np.array(job.class_weights, np.float32),
        pixel_stats=stats,
        sam_radius=config.optimizer.sam_radius,
    )
    eval_step = make_eval_step(model, pixel_stats=stats)
    is_train = job.what == "train"

    def train() -> Any:
        nonlocal state
        state, objective = train_step(key, state, batch, rate)
        jax.block_until_ready((state, objective))
        return objective

    def evaluate() -> Any:
        return jax.block_until_ready(eval_step(state.params, state.batch_stats, batch))

    def program() -> str | None:
        step: Any = train_step if is_train else eval_step
        arguments = (key, state, batch, rate) if is_train else (state.params, state.batch_stats, batch)
        # JAX keeps it from the first call, and does not compile it again.
        return step.lower(*arguments).compile().as_text()

    def device_mib() -> float | None:
        memory = jax.devices()[0].memory_stats() or {}
        return memory["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in memory else None

    return Loop(
        train if is_train else evaluate,
        lambda outcome: (
            float(outcome.loss_sum / outcome.weight_sum) if is_train else counts.mean_loss(outcome)
        ),
        machine.describe_device(),
        device_mib,
        program,
    )


def _make_torch_loop(job: Job, config: Config, options: dict[str, Any]) -> Loop:
    import torch

    from benchmarks.pytorch import nets as torch_nets

    style = torch_nets.Style(**options)
    device = torch_nets.set_up(style)
    is_on_gpu = device.type == "cuda"
    examples = draw_batch(job.batch_size)
    stats = standardise.measure(examples.images)
    images = torch.tensor(examples.images, device=device)
    labels = torch.tensor(examples.labels.astype(np.int64), device=device)
    torch.manual_seed(0)
    net = torch_nets.Net(config.model, style).to(device)
    step: Callable[[Any, Any], Any]
    if job.what == "train":
        class_weights = np.array(job.class_weights, np.float32)
        step = torch_nets.make_train_step(
            net, config, style, rate=RATE, class_weights=class_weights, pixel_stats=stats
        )
    else:
        step = torch_nets.make_eval_step(net, style, pixel_stats=stats)

    def run() -> Any:
        outcome = step(images, labels)
        if is_on_gpu:
            torch.cuda.synchronize()
        return outcome

    return Loop(
        run,
        lambda outcome: float(outcome) if job.what == "train" else float(outcome[0] / outcome[1].sum()),
        f"CUDA {torch.cuda.get_device_name()}" if is_on_gpu else "CPU",
        lambda: torch.cuda.max_memory_allocated() / 2**20 if is_on_gpu else None,
        lambda: None,
        lambda: torch_nets.set_up(style),
    )


if __name__ == "__main__":
    sys.exit(main())
