"""The accelerator itself: which card, which driver, how fast it multiplies matrices and copies memory."""

import contextlib
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp

from benchmarks.gpu.session import Content, Session
from fer_jax.randomness import Stream, jax_key

REPEATS: Final = 10
WARM_UP_S: Final = 0.5
"""An idle card runs at a fraction of its clock, and a few products of a millisecond do not wake it."""
ASKED: Final = (
    "name",
    "memory.total",
    "driver_version",
    "clocks.current.sm",
    "clocks.max.sm",
    "clocks.current.memory",
    "power.limit",
    "persistence_mode",
)
"""Fields of `nvidia-smi --query-gpu`, which only reads."""


def measure(session: Session) -> Content:
    """Measure the card: facts, matrix products in bfloat16 and float32 (TF32), and a copy."""
    size, megabytes = (128, 1) if session.is_tiny else (8192, 2048)
    key = jax_key(0, Stream.INIT)
    first, second, third = jax.random.split(key, 3)
    rows = [_measure_product(first, "bfloat16", size), _measure_product(second, "float32", size)]
    rows.append(_measure_copy(third, megabytes))
    device = jax.devices()[0]
    facts = {
        "platform": device.platform,
        "kind": device.device_kind,
        "devices": jax.device_count(),
        "backend": device.client.platform_version,
        "nvidia_smi": ask_nvidia(),
        "memory_stats": device.memory_stats(),
    }
    settings = {"matrix_size": size, "copied_mib": megabytes, "repeats": REPEATS, "warm_up_s": WARM_UP_S}
    return Content(rows, settings, {"facts": facts})


def ask_nvidia() -> dict[str, str] | None:
    """Ask `nvidia-smi` for facts of the first card, with its clocks as they are; None without the program."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        values = done.stdout.splitlines()[0].split(",")
        return {name: value.strip() for name, value in zip(ASKED, values, strict=True)}
    return None


def wake(run: Callable[[], Any]) -> None:
    """Run something until the card is at its clock; it waits for the result."""
    warm_at = time.perf_counter() + WARM_UP_S
    while time.perf_counter() < warm_at:
        run()


def _measure_product(key: jax.Array, dtype: str, size: int) -> dict[str, Any]:
    # Random numbers: a card can be faster on constant ones.
    a = jax.random.normal(key, (size, size), jnp.float32).astype(dtype)
    multiply = jax.jit(jnp.matmul)
    samples = _time(lambda: multiply(a, a))
    return {
        "name": f"product {dtype}",
        "samples_s": samples,
        "flop_per_s": 2 * size**3 / statistics.median(samples),
    }


def _measure_copy(key: jax.Array, megabytes: int) -> dict[str, Any]:
    """Measure what reading and writing once moves: x + 1 over an array much larger than the caches."""
    x = jax.random.normal(key, (megabytes * 2**18,), jnp.float32)
    add = jax.jit(lambda x: x + 1)
    samples = _time(lambda: add(x))
    return {
        "name": "copy float32",
        "samples_s": samples,
        "bytes_per_s": 2 * x.nbytes / statistics.median(samples),
    }


def _time(run: Callable[[], jax.Array]) -> list[float]:
    # The first call compiles.
    run().block_until_ready()
    wake(lambda: run().block_until_ready())
    samples = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run().block_until_ready()
        samples.append(time.perf_counter() - started)
    return samples
