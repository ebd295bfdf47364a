"""Settings of a process that have to be made before JAX starts: the allocator and XLA's flags."""

import contextlib
import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from pathlib import Path
from typing import Final

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_LARGE_BYTES = 2**20
# What each flag does was measured on these versions; another XLA may not know it, and would not start.
XLA_VERSIONS = ("0.10.2", "0.12.0.1")
XLA_FLAGS = {
    "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION": (
        "XLA's one-thread convolution fusion is off"
    ),
    # The pass removes jax.lax.optimization_barrier: saved values would be recomputed at each use.
    "--xla_disable_hlo_passes=cse_barrier_expander": "XLA keeps what it is told to keep",
}


AUTOTUNED: Final = Path(__file__).parents[1] / "autotuned"
"""The folder of XLA's choices of kernels, one file for a card and a compiler; none is shipped yet."""
LOAD_AUTOTUNED: Final = "--xla_gpu_load_autotune_results_from"
_CARDS: Final = Path("/proc/driver/nvidia/gpus")
_COMPILERS: Final = ("jax-cuda13-pjrt", "jax-cuda12-pjrt")
"""The packages with XLA's compiler for NVIDIA's GPUs."""


@functools.cache
def tune_cpu() -> list[str]:
    """Apply the settings that make XLA faster; call it before the first computation.

    On glibc: memory of large arrays is reused instead of being returned to the system, which would cost
    up to 124 thousand page faults a step; without GPU or TPU all threads share it. On x86-64 without these
    and with a known jaxlib: the convolution fusion that runs on one thread is turned off, and optimization
    barriers are left in. On a GPU for which there is a file of `AUTOTUNED`: XLA takes its choice of kernels
    from there, instead of measuring them for a minute. A flag that `XLA_FLAGS` sets already is left alone.
    XLA reads them once: where JAX has computed before, in a notebook say, none is set. `FER_JAX_TUNE=0` in
    the environment turns all of it off.

    Returns:
        What was set, for the start-up lines and the record; nothing on other systems.
    """
    settings: list[str] = []
    if os.environ.get("FER_JAX_TUNE") == "0":
        return settings
    if _has_glibc():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        # For a GPU many threads compile at the same time, and would wait for each other at every allocation.
        if _computes_on_cpu():
            libc.mallopt(_M_ARENA_MAX, 1)
        settings.append("glibc keeps freed memory")
    if has_started():
        return settings
    if not _computes_on_cpu():
        return settings + _load_autotuned()
    if platform.machine() == "x86_64":
        jaxlib = importlib.metadata.version("jaxlib")
        if jaxlib not in XLA_VERSIONS:
            settings.append(f"our flags for XLA are left out: they were not tried with jaxlib {jaxlib}")
            return settings
        settings += [what for flag, what in XLA_FLAGS.items() if _add_flag(flag)]
    return settings


def name_autotuned() -> str | None:
    """Name the file of `AUTOTUNED` for this machine, whether it is there or not.

    Kernels are chosen for a card by a version of XLA: another one would refuse the file, or choose otherwise.

    Returns:
        Such as `nvidia-h100-80gb-hbm3_jax-cuda13-pjrt-0.12.0.txt`; None without NVIDIA's driver, with cards
        that differ, and without JAX's packages for them.
    """
    cards = set()
    for path in _CARDS.glob("*/information"):
        with contextlib.suppress(OSError):
            cards.update(re.findall(r"^Model:\s*(.+?)\s*$", path.read_text(errors="replace"), re.MULTILINE))
    for compiler in _COMPILERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(compiler)
            if len(cards) == 1:
                return f"{re.sub('[^a-z0-9]+', '-', cards.pop().lower())}_{compiler}-{version}.txt"
    return None


def own_flags() -> set[str]:
    """List the flags that `tune_cpu` may have set on this machine: XLA is known to accept them."""
    flags = set(XLA_FLAGS) if importlib.metadata.version("jaxlib") in XLA_VERSIONS else set()
    name = name_autotuned()
    return flags if name is None else flags | {f"{LOAD_AUTOTUNED}={AUTOTUNED / name}"}


def _load_autotuned() -> list[str]:
    """Let XLA take its choice of kernels from the file for this machine; return what was set."""
    name = name_autotuned()
    path = None if name is None else AUTOTUNED / name
    # XLA_FLAGS is split at spaces.
    if path is None or not path.is_file() or " " in str(path) or not _add_flag(f"{LOAD_AUTOTUNED}={path}"):
        return []
    return [f"XLA takes its choice of kernels from {path.name}"]


def _add_flag(flag: str) -> bool:
    """Add a flag for XLA, unless it is set already; return whether it was added."""
    flags = os.environ.get("XLA_FLAGS", "")
    if flag.split("=")[0] in flags:
        return False
    os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()
    return True


def return_memory() -> None:
    """Let glibc return a large block to the system when it is freed: for a server, whose requests differ.

    By itself glibc keeps more, the larger the blocks were that it has seen, and a process grows with every
    request. Nothing happens on other systems, or with `FER_JAX_TUNE=0` in the environment.
    """
    if _has_glibc() and os.environ.get("FER_JAX_TUNE") != "0":
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def has_started() -> bool:
    """Whether XLA has started in this process: it has read its flags."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bool(bridge.backends_are_initialized())


def _computes_on_cpu() -> bool:
    """Whether JAX will compute on the CPU alone, without starting it: other compilers read these flags."""
    has_plugin = bool(importlib.metadata.entry_points(group="jax_plugins"))
    has_tpu = importlib.util.find_spec("libtpu") is not None
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not (has_plugin or has_tpu)
