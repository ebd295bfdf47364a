"""What does each trick of the fast train step gain on a CPU? The step with all tricks, and with all but one.

    python -m benchmarks.throughput.tricks --config configs/run6.py
    python -m benchmarks.throughput.tricks --config benchmarks/nets/vgg.py --tricks allocator block-kernel

Live processes that take turns. In each of them one trick is taken out, and what anybody would write stands in
its place; the last has no trick at all. A trick's gain is how many times as long the step takes without it,
round by round. Gains do not add up: tricks work on the same time. It is checked that taking a trick out
changes the compiled program (of the allocator, the setting) and leaves the loss as it is. Writes
benchmarks/results/tricks-CONFIG.json, raw samples included.
"""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from unittest import mock

from benchmarks.harness import arena
from benchmarks.throughput.step_worker import RATE, Job, draw_batch, serve_steps
from fer_jax import cli
from fer_jax.config.files import load_config, to_json
from fer_jax.config.model import ModelConfig
from fer_jax.config.run import Config
from fer_jax.data.examples import class_counts
from fer_jax.errors import RunError
from fer_jax.runtime import cpu
from fer_jax.text import Table, align, to_markdown

QUESTION = "What does each trick of the fast train step gain on a CPU?"
WORKER = "import sys; from benchmarks import tricks; sys.exit(tricks.work())"
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
    """Measure a config's train step on the CPU with all tricks, with all but one, and with none."""

    config: Path = Path("configs/run6.py")
    """Whose network, loss and optimizer."""
    tricks: tuple[Name, ...] = get_args(Name)
    """Which to take out, one at a time. All processes live at once: name fewer where memory is short."""
    batch_size: int | None = None
    """Images a step; by default the config's."""
    rounds: int = 7
    """How often each candidate has its turn."""
    iterations: int = 5
    """Measured steps of a turn."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/tricks-CONFIG.json."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(
        lambda: _measure(cli.parse(Tricks, argv, prog="python -m benchmarks.throughput.tricks"), argv)
    )


def _measure(options: Tricks, argv: list[str] | None) -> int:
    config = load_config(options.config)
    batch_size = options.batch_size or config.train.batch_size
    candidates = make_candidates(config, batch_size, options.tricks)
    results = arena.compare(candidates, rounds=options.rounds, iterations=options.iterations)
    rows = [make_row(result, results[0], has_dropout=_has_dropout(config.model)) for result in results]
    print(f"{config.name}: train step, batch {batch_size}\n{align(_lines(rows))}")
    check_losses(rows)
    words = sys.argv[1:] if argv is None else argv
    settings = {"config": to_json(config), "batch_size": batch_size, "rate": RATE}
    counts = {"rounds": options.rounds, "iterations": options.iterations}
    out = options.out or arena.RESULTS / f"tricks-{config.name}.json"
    arena.write(
        out,
        question=QUESTION,
        command=shlex.join(["python", "-m", "benchmarks.throughput.tricks", *words]),
        settings=settings | counts,
        results=rows,
        # Where there is a GPU, the workers did not use it.
        extra={"device": results[0].facts["device"]},
    )
    print(f"written to {out}")
    return 0


def make_candidates(config: Config, batch_size: int, tricks: Sequence[str]) -> list[arena.Candidate]:
    """Make the workers: first the one with all tricks, then each without one, last the one without any."""
    # Imported here so that --help need not wait for jax.
    from fer_jax.engine.losses import class_weights

    weights = class_weights(config.loss, class_counts(draw_batch(batch_size).labels)).tolist()
    # Flags of ours come from `tune_cpu` alone; those of others stay.
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if _name_of(flag) not in FLAGS.values()]
    candidates = []
    for name in dict.fromkeys((ALL, *tricks, NONE)):
        is_none = name == NONE
        job = Job("jax-plain" if is_none else "jax", "train", to_json(config), batch_size, weights)
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
    """Be the worker: take out the trick that the command line names, and serve steps."""
    name, job = json.loads(sys.argv[1])
    with _without_setting(name):
        tuning = cpu.tune_cpu()
    if name in KERNELS:
        # For the whole life of the process, and before anything is traced.
        mock.patch(f"fer_jax.models.kernels.{KERNELS[name]}", make_plain_kernels()[KERNELS[name]]).start()
    return serve_steps(Job(*job), tuning)


def _without_setting(name: str) -> contextlib.AbstractContextManager[Any]:
    """Let `tune_cpu` leave one of its settings out."""
    if name == "allocator":
        # It then takes the system's C library for another one, whose allocator it does not know.
        return mock.patch("platform.libc_ver", return_value=("", ""))
    if name in FLAGS:
        kept = {flag: told for flag, told in cpu._XLA_FLAGS.items() if _name_of(flag) != FLAGS[name]}
        return mock.patch.object(cpu, "_XLA_FLAGS", kept)
    return contextlib.nullcontext()


def make_plain_kernels() -> dict[str, Callable[..., Any]]:
    """Make what stands in for each fast kernel, by the kernel's name; they take the same arguments."""
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
        out = jax.nn.relu((x - mean) * slope + bias)
        out = pooling.max_pool_2x2(out) if is_pooled else out
        return kernels.drop(key_words, out, rate=rate), mean, variance

    def keep_mask(key_words: jax.Array, shape: tuple[int, ...], *, rate: float) -> jax.Array:
        key = jax.random.wrap_key_data(key_words, impl="threefry2x32")
        return jax.random.bernoulli(key, 1 - rate, shape)

    def conv_one_channel(x: jax.Array, kernel: jax.Array, *, is_pooled: bool, stride: int = 1) -> jax.Array:
        # Whether images or their windows are the rows, pooling gives the same numbers in the same order.
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    return {each.__name__: each for each in (norm_relu_pool_drop, keep_mask, conv_one_channel)}


# The figures.


def _has_dropout(model: ModelConfig) -> bool:
    rates = [block.dropout_rate for block in model.blocks]
    return any(rates) or bool(model.dense_features and model.dense_dropout_rate)


def make_row(result: arena.Result, full: arena.Result, *, has_dropout: bool) -> dict[str, Any]:
    """Work out one row of the JSON.

    Args:
        result: of this candidate.
        full: of the one with all tricks.
        has_dropout: whether masks decide the loss.

    Returns:
        What `arena.to_row` gives, and `title`; `gain`, a ratio for each round: how many times as long as with
        all tricks; `is_used`: whether the trick makes another program, or (allocator) another setting, on
        this machine and network; `has_same_masks`; `loss_difference`, relative, of the first or the
        last loss, whichever differs more.
    """
    facts, wanted = result.facts, full.facts
    # A flag that is set but does nothing leaves the program as it is.
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
    """See that each step with the same dropout masks has the same loss.

    Raises:
        RunError: one has another; the message says which.
    """
    for row in rows:
        if row["has_same_masks"] and not row["loss_difference"] <= LOSS_TOLERANCE:
            raise RunError(
                f"{row['title']}, the loss differs by a share of {row['loss_difference']:.1e}; up to "
                f"{LOSS_TOLERANCE} is rounding: this is not the same step, and nothing was written"
            )


def _lines(rows: Sequence[Mapping[str, Any]]) -> Table:
    lines = [["", "ms a step", "times as long", "peak MiB"]]
    for row in rows:
        milliseconds = [1000 * seconds for samples in row["samples_s"] for seconds in samples]
        gain = arena.format_range(row["gain"], 2) if row["is_used"] else "not used here"
        lines.append(
            [
                row["title"],
                arena.format_range(milliseconds, 1),
                "1" if row["name"] == ALL else gain,
                f"{row['facts']['peak_rss_mib']:,.0f}",
            ]
        )
    return lines


def markdown_table(content: Mapping[str, Any]) -> str:
    """Write the table for README in Markdown, with a line below it that says what was measured where.

    Args:
        content: of the JSON file.
    """
    settings = content["settings"]
    place = f"{content['machine']}; jax {content['versions']['jax']}; {content['date'][:10]}"
    return (
        f"{to_markdown(_lines(content['results']), left_columns=1)}\n\n"
        f"Train step of {settings['config']['name']}, {settings['batch_size']} images, each trick taken out "
        f"alone, in turns with all of them; median (smallest..largest), ratios round by round. {place}."
    )


if __name__ == "__main__":
    sys.exit(main())
