"""The machine: processor, device, versions and commit, for records and start-up lines."""

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from fer_jax.runtime.cpu import tune_cpu
from fer_jax.text import counted

CPU: Final = "CPU"


def describe_cpu() -> str:
    """Name the processor and count the cores that this process may use."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        pairs = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
        facts = {key.strip(): value.strip() for key, _, value in pairs}
        name = facts.get("model name", name)
        # Clouds give every generation of a processor one name; speed and bits differ.
        if "cpu family" in facts and "model" in facts:
            name += f" (family {facts['cpu family']}, model {facts['model']})"
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return f"{name}, {counted(cores, 'core')}"


def describe_device() -> str:
    """Name the device that JAX computes on: `CPU`, or platform and kind of the first accelerator."""
    # Imported here so that tune_cpu can run before anything of jax.
    import jax

    device = jax.devices()[0]
    return CPU if device.platform == "cpu" else f"{device.platform.upper()} {device.device_kind}"


def list_versions() -> dict[str, str]:
    """List the versions that decide a run's bits."""
    names = ("fer-jax", "jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def git_commit() -> str | None:
    """Name the commit of the source as `find_commit` does; None where there is none."""
    return find_commit()[0]


def find_commit() -> tuple[str | None, str | None]:
    """Find the commit of the source.

    Returns:
        Its name, with the suffix -dirty where files were changed; None where there is none. And why there is
        none although the source is in a git checkout of its own; None elsewhere (in an environment, say).
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None, None
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(
            describe, cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:
        return None, f"git cannot be started: {error.strerror}"
    commit = done.stdout.strip()
    if done.returncode == 0 and commit:
        return commit, None
    if "dubious ownership" in done.stderr:
        return None, (
            f"git refuses {root}, which belongs to another user; "
            f"`git config --global --add safe.directory {root}` allows it"
        )
    return None, f"git found none in {root}: {' '.join(done.stderr.split()) or f'status {done.returncode}'}"


def now() -> str:
    """Read the clock: ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe_place() -> dict[str, Any]:
    """Gather what decides the bits of a prediction here, except the source; ready for JSON."""
    return {
        "machine": describe_cpu(),
        "device": describe_device(),
        "tuning": tune_cpu(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "versions": list_versions(),
    }


def describe() -> dict[str, Any]:
    """Gather everything that may decide a run's bits here, ready for JSON."""
    commit, why_not = find_commit()
    return {**describe_place(), "git": commit, "git_missing": why_not}
