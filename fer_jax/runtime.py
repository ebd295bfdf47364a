"""The machine: what a program sets before the first computation, and what it tells about where it runs."""

import ctypes
import datetime
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_YNN_OFF = "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
_YNN_VERSIONS = ("0.10.2",)


@functools.cache
def tune_cpu() -> list[str]:
    """Set what makes XLA's CPU steps faster; call it before the first computation.

    On glibc: large arrays are kept and used again instead of being given back to the system, which
    would cost up to 124 thousand page faults a step. On jaxlib 0.10.2: the convolution fusion that runs
    on one thread is turned off. `FER_JAX_TUNE=0` in the environment leaves everything as it is.

    Returns:
        What was set, for the start-up lines; nothing on other systems.
    """
    settings: list[str] = []
    if os.environ.get("FER_JAX_TUNE") == "0":
        return settings
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_ARENA_MAX, 1)
        settings.append("glibc keeps freed memory")
    flags = os.environ.get("XLA_FLAGS", "")
    is_known = importlib.metadata.version("jaxlib") in _YNN_VERSIONS and platform.machine() == "x86_64"
    if is_known and "xla_cpu_experimental_ynn_fusion_type" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_YNN_OFF}".strip()
        settings.append("XLA's one-thread convolution fusion is off")
    return settings


def describe_cpu() -> str:
    """Name the processor and count the cores that this process may use."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{name}, {cores} cores"


def describe_device() -> str:
    """Name what JAX computes on: `CPU`, or the platform and kind of its first accelerator."""
    # Imported here so that tune_cpu can run before anything of jax.
    import jax

    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else f"{device.platform.upper()} {device.device_kind}"


def list_versions() -> dict[str, str]:
    """List the versions that decide a run's bits."""
    names = ("fer-jax", "jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def git_commit() -> str | None:
    """Name the commit of the source, with -dirty behind it where files were changed.

    Returns:
        None where the source is not in a git checkout of its own (installed in an environment, say).
    """
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(describe, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def now() -> str:
    """Tell the time: ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe() -> dict[str, Any]:
    """Gather everything of the place that may decide a run's bits, ready for JSON."""
    return {
        "machine": describe_cpu(),
        "device": describe_device(),
        "tuning": tune_cpu(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "versions": list_versions(),
        "git": git_commit(),
    }
