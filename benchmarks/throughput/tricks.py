"""What does each trick of the fast train step gain on a CPU? The step with all tricks, and without one each.

    python -m benchmarks.throughput.tricks --config configs/run6.py
    python -m benchmarks.throughput.tricks --config benchmarks/nets/vgg.py --tricks allocator block-kernel

Live processes that take turns. Each replaces one trick by the plain code; the last has no trick at all. A
trick's gain is how many times as long the step takes without it, in each round. Gains do not add up, because
tricks save parts of the same time. It is checked that removing a trick changes the compiled program (for the
allocator: the setting) and not the loss. Writes benchmarks/results/tricks-CONFIG.json, with all raw samples.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from unittest import mock

from benchmarks.harness import arena, bench
from benchmarks.throughput.step_worker import RATE, Job, make_job, serve_steps
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.model import ModelConfig
from fer_jax.config.run import Config
from fer_jax.errors import RunError
from fer_jax.runtime import cpu
from fer_jax.text import Table, align, to_markdown

PROGRAM = "python -m benchmarks.throughput.tricks"
QUESTION = "What does each trick of the fast train step gain on a CPU?"
WORKER = "import sys; from benchmarks.throughput import tricks; sys.exit(tricks.work())"
ALL, NONE = "all", "none"
LOSS_TOLERANCE = 1e-5
"""Relative; only the order of additions may differ."""

Name = Literal[
    "allocator", "convolution-flag", "barrier-flag", "block-kernel", "hash-masks", "one-channel-convolution"
]
TITLES = {
    ALL: "all tricks",
    "allocator": "without the allocator setting",
    "convolution-flag": "without the flag against one-thread convolutions",
    "barrier-flag": "without the flag that keeps barriers",
    "block-kernel": "without the one-function block",
    "hash-masks": "without hash masks (Threefry instead)",
    "one-channel-convolution": "without the one-channel convolution",
    NONE: "none of them",
}
FLAGS = {
    "convolution-flag": "--xla_cpu_experimental_ynn_fusion_type",
    "barrier-flag": "--xla_disable_hlo_passes",
}
KERNELS = {
    "block-kernel": "norm_relu_pool_drop",
    "hash-masks": "keep_mask",
    "one-channel-convolution": "conv_one_channel",
}
"""The function of `fer_jax.models.kernels` that is the trick."""


@dataclass(frozen=True)
class Tricks:
    """Measure a config's train step on the CPU with all tricks, without one each, and with none."""

    config: Path = Path("configs/run6.py")
    """The config whose network, loss and optimizer are measured."""
    tricks: tuple[Name, ...] = get_args(Name)
    """Tricks to remove, one at a time. All processes live at once: name fewer if memory is short."""
    batch_size: int | None = None
    """Images per step; by default the config's."""
    rounds: int = 7
    """Turns of each candidate."""
    iterations: int = 5
    """Measured steps per turn."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/tricks-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(Tricks, argv, prog=PROGRAM), argv))


def _measure(options: Tricks, argv: list[str] | None) -> int:
    config = load_config(options.config)
    batch_size = options.batch_size or config.train.batch_size
    candidates = make_candidates(config, batch_size, options.tricks)
    results = arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)
    rows = [make_row(result, results[0], has_dropout=_has_dropout(config.model)) for result in results]
    print(f"{config.name}: train step, batch {batch_size}\n{align(_lines(rows))}")
    check_losses(rows)
    settings = {"config": to_json(config), "batch_size": batch_size, "rate": RATE}
    counts = {"rounds": options.rounds, "iterations": options.iterations}
    out = options.out or bench.RESULTS / f"tricks-{config.name}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings=settings | counts,
        results=rows,
        # Even where there is a GPU, the workers do not use it.
        extra={"device": results[0].facts["device"]},
    )
    print(f"written to {out}")
    return 0


def make_candidates(config: Config, batch_size: int, tricks: Sequence[str]) -> list[arena.Candidate]:
    """Make the workers: first with all tricks, then without one each, last with none."""
    # Our own flags may come only from `tune_cpu`; the user's stay.
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if _name_of(flag) not in FLAGS.values()]
    candidates = []
    for name in dict.fromkeys((ALL, *tricks, NONE)):
        is_none = name == NONE
        job = make_job("jax-plain" if is_none else "jax", "train", config, batch_size)
        environment = {
            "XLA_FLAGS": " ".join(flags),
            "FER_JAX_TUNE": "0" if is_none else "1",
            "JAX_PLATFORMS": "cpu",
        }
        argv = (sys.executable, "-c", WORKER, json.dumps([name, job]))
        candidates.append(arena.Candidate(name, argv, environment))
    return candidates


def _name_of(flag: str) -> str:
    return flag.split("=")[0]


# The worker's side.


def work() -> int:
    """Be the worker: remove the trick that the command line names, and serve steps."""
    name, job = json.loads(sys.argv[1])
    with _without_setting(name):
        tuning = cpu.tune_cpu()
    if name in KERNELS:
        # For the life of the process, and before anything is traced.
        mock.patch(f"fer_jax.models.kernels.{KERNELS[name]}", make_plain_kernels()[KERNELS[name]]).start()
    return serve_steps(Job(*job), tuning)


def _without_setting(name: str) -> contextlib.AbstractContextManager[Any]:
    """Make `tune_cpu` leave out one of its settings."""
    if name == "allocator":
        # It then does not recognise the C library, and leaves its allocator alone.
        return mock.patch("platform.libc_ver", return_value=("", ""))
    if name in FLAGS:
        kept = {flag: told for flag, told in cpu.XLA_FLAGS.items() if _name_of(flag) != FLAGS[name]}
        return mock.patch.object(cpu, "XLA_FLAGS", kept)
    return contextlib.nullcontext()


def make_plain_kernels() -> dict[str, Callable[..., Any]]:
    """Make the plain replacement of each fast kernel, with the same arguments, by the kernel's name."""
    # Imported here, after `tune_cpu`.
    import jax
    import jax.numpy as jnp

    from fer_jax.models import kernels, pooling

    def norm_relu_pool_drop(
        x: jax.Array, scale: jax.Array, bias: jax.Array, key_words: jax.Array, is_pooled: bool, rate: float
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean = x.mean((0, 1, 2))
        variance = jnp.maximum((x * x).mean((0, 1, 2)) - mean * mean, 0.0)
        slope = scale * jax.lax.rsqrt(variance + kernels.BATCH_NORM_EPSILON)
        wide = (1, 1, 1, -1)
        out = jax.nn.relu((x - mean.reshape(wide)) * slope.reshape(wide) + bias.reshape(wide))
        out = pooling.max_pool_2x2(out) if is_pooled else out
        return kernels.drop(key_words, out, rate=rate), mean, variance

    def keep_mask(key_words: jax.Array, shape: tuple[int, ...], *, rate: float) -> jax.Array:
        key = jax.random.wrap_key_data(key_words, impl="threefry2x32")
        return jax.random.bernoulli(key, 1 - rate, shape)

    def conv_one_channel(x: jax.Array, kernel: jax.Array, *, is_pooled: bool, stride: int = 1) -> jax.Array:
        # Whether the rows are images or their windows, pooling gives the same numbers in the same order.
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    return {each.__name__: each for each in (norm_relu_pool_drop, keep_mask, conv_one_channel)}


# Rows and the table.


def _has_dropout(model: ModelConfig) -> bool:
    rates = [block.dropout_rate for block in model.blocks]
    return any(rates) or bool(model.dense_features and model.dense_dropout_rate)


def make_row(result: arena.Result, full: arena.Result, *, has_dropout: bool) -> dict[str, Any]:
    """Compute one row of the JSON.

    Args:
        result: of this candidate.
        full: of the one with all tricks.
        has_dropout: whether the network has dropout, so that the loss depends on its masks.

    Returns:
        The entries of `arena.to_row`, and `title`; `gain`, how many times as long as with all tricks, for
        each round; `is_used`, whether the trick changes the program or (allocator) the setting on this
        machine and network; `has_same_masks`; `loss_difference`, relative, of the first or the last loss,
        whichever differs more.
    """
    facts, wanted = result.facts, full.facts
    # A flag that is set but has no effect does not change the program.
    told = ("tuning",) if result.name == "allocator" else ("program_sha256",)
    losses = [(facts[name], wanted[name]) for name in ("first_loss", "last_loss")]
    return arena.to_row(result) | {
        "title": TITLES[result.name],
        "gain": arena.ratios(full, result),
        "is_used": result is full or any(facts[name] != wanted[name] for name in told),
        "has_same_masks": not (has_dropout and result.name in ("hash-masks", NONE)),
        "loss_difference": max(abs(own - other) / abs(other) for own, other in losses),
    }


def check_losses(rows: Sequence[Mapping[str, Any]]) -> None:
    """Check that all steps with the same dropout masks have the same loss.

    Raises:
        RunError: one has another loss; the message names it.
    """
    for row in rows:
        if row["has_same_masks"] and not row["loss_difference"] <= LOSS_TOLERANCE:
            raise RunError(
                f"{row['title']}: the relative difference of the loss is {row['loss_difference']:.1e}, and "
                f"rounding explains only {LOSS_TOLERANCE}; it is not the same step, and nothing was written"
            )


def _lines(rows: Sequence[Mapping[str, Any]]) -> Table:
    lines = [["", "ms/step", "slow-down", "peak MiB"]]
    for row in rows:
        gain = arena.format_range(row["gain"], 2) if row["is_used"] else "not used here"
        lines.append(
            [
                row["title"],
                arena.format_range(arena.milliseconds(row), 1),
                "1" if row["name"] == ALL else gain,
                f"{row['facts']['peak_rss_mib']:,.0f}",
            ]
        )
    return lines


def markdown_table(content: Mapping[str, Any]) -> str:
    """Return the table in Markdown, with a line below it that says what was measured where.

    Args:
        content: the JSON file's.
    """
    settings = content["settings"]
    place = f"{content['machine']}; jax {content['versions']['jax']}; {content['date'][:10]}"
    return (
        f"{to_markdown(_lines(content['results']), left_columns=1)}\n\n"
        f"Train step of {settings['config']['name']}, {settings['batch_size']} images; each trick removed "
        "on its own, alternating with the full step; median (smallest..largest), ratios round by round. "
        f"{place}."
    )


if __name__ == "__main__":
    sys.exit(main())
