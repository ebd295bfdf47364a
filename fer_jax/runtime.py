"""The machine: what a program sets before the first computation, and what it tells about where it runs."""

import ctypes
import datetime
import functools
import importlib.metadata
import importlib.util
import os
import platform
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from fer_jax.data.cache import cache_folder
from fer_jax.errors import RunError

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
# What each flag does was measured on these versions; another XLA may not know it, and would not start.
_XLA_VERSIONS = ("0.10.2", "0.12.0.1")
_XLA_FLAGS = {
    "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION": (
        "XLA's one-thread convolution fusion is off"
    ),
    # The pass takes out jax.lax.optimization_barrier: what is kept would be computed again at each use.
    "--xla_disable_hlo_passes=cse_barrier_expander": "XLA keeps what it is told to keep",
}


@functools.cache
def tune_cpu() -> list[str]:
    """Set what makes XLA's CPU steps faster; call it before the first computation.

    On glibc: large arrays are kept and used again instead of being given back to the system, which
    would cost up to 124 thousand page faults a step. On x86-64 without GPU or TPU and with a known jaxlib:
    the convolution fusion that runs on one thread is turned off, and optimization barriers are left in. A
    flag that stands in `XLA_FLAGS` stays as it is; `FER_JAX_TUNE=0` in the environment leaves everything.

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
    is_known = importlib.metadata.version("jaxlib") in _XLA_VERSIONS and platform.machine() == "x86_64"
    if is_known and _computes_on_cpu():
        for flag, what in _XLA_FLAGS.items():
            flags = os.environ.get("XLA_FLAGS", "")
            if flag.split("=")[0] not in flags:
                os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()
                settings.append(what)
    return settings


def _computes_on_cpu() -> bool:
    """Tell, without starting JAX, that no GPU or TPU can take part: its compiler reads the same flags."""
    has_plugin = bool(importlib.metadata.entry_points(group="jax_plugins"))
    has_tpu = importlib.util.find_spec("libtpu") is not None
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not (has_plugin or has_tpu)


def compiled_folder() -> Path:
    """Name the folder in which `keep_compiled` keeps programs; it may not be there yet."""
    return cache_folder() / "xla"


def keep_compiled() -> str:
    """Let JAX keep compiled programs in the user's cache folder; call it before the first computation.

    What is read from there runs as code. The folder is therefore made for the user alone, and is refused
    where somebody else could write: in it, or in a folder above it, where it could be exchanged.

    Returns:
        The folder, for the start-up lines.

    Raises:
        RunError: the folder is not safe.
    """
    import jax

    named = compiled_folder()
    named.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = named.resolve()
    danger = find_danger(folder)
    if danger:
        raise RunError(
            f"compiled programs cannot be kept in {folder}: {danger}, and what is read from there is run; "
            "mend that, name another place with $FER_JAX_CACHE, or give --device.no-compile-cache"
        )
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return f"compiled programs are kept in {folder}"


def find_danger(folder: Path) -> str | None:
    """Say who else could write into a folder or exchange it.

    Args:
        folder: without symbolic links in its path.

    Returns:
        The first fault, naming its folder; None where there is none, and on systems without POSIX owners.
    """
    if not hasattr(os, "geteuid"):
        return None
    for place in (folder, *folder.parents):
        found = place.stat()
        # In a sticky folder, such as /tmp, only the owner of an entry may exchange it.
        is_sticky = bool(found.st_mode & stat.S_ISVTX) and place != folder
        if found.st_uid not in ({os.geteuid()} if place == folder else {os.geteuid(), 0}):
            return f"{place} belongs to another user"
        if found.st_mode & 0o022 and not is_sticky:
            return f"{place} is writable by others"
    return None


def describe_cpu() -> str:
    """Name the processor and count the cores that this process may use."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        pairs = (line.partition(":") for line in lines)
        facts = {key.strip(): value.strip() for key, _, value in pairs}
        name = facts.get("model name", name)
        # Clouds call every generation of a processor the same; its speed and its bits are not.
        if "cpu family" in facts and "model" in facts:
            name += f" (family {facts['cpu family']}, model {facts['model']})"
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


def describe_place() -> dict[str, Any]:
    """Gather what decides the bits that a network gives here, but for the source; ready for JSON."""
    return {
        "machine": describe_cpu(),
        "device": describe_device(),
        "tuning": tune_cpu(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "versions": list_versions(),
    }


def describe() -> dict[str, Any]:
    """Gather everything of the place that may decide a run's bits, ready for JSON."""
    return {**describe_place(), "git": git_commit()}
