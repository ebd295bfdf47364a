"""The environment variables that JAX reads: what is wrong with one is told before XLA ends the process."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
from typing import Final

from fer_jax.errors import ConfigError
from fer_jax.files import cache_folder, write_text
from fer_jax.runtime import cpu

_TRIAL: Final = "import jax; jax.devices('cpu')"
_TRIAL_S: Final = 120.0
_READ_AT_START: Final = ("/jax/_src/config.py", "/jax/_src/xla_bridge.py")
"""The modules of JAX that read the environment and start the devices."""


@functools.cache
def check_xla_flags() -> None:
    """Refuse flags in `XLA_FLAGS` that this XLA does not know or cannot read: it would end the process.

    They are tried in another process, which takes seconds; flags that were good are remembered with the
    version of jaxlib. Nothing is tried where there are none, or where XLA has read them already.

    Raises:
        ConfigError: XLA would not start.
    """
    flags, jaxlib = os.environ.get("XLA_FLAGS", ""), importlib.metadata.version("jaxlib")
    # A program of ours that starts another one hands its own flags down.
    if not flags or cpu.has_started() or not set(flags.split()).difference(cpu.own_flags()):
        return
    key = f"{jaxlib} {sys.version} {flags}"
    mark = None
    with contextlib.suppress(OSError):
        mark = cache_folder() / "xla_flags" / hashlib.sha256(key.encode(errors="replace")).hexdigest()[:32]
        # What a file named here says may change.
        if flags.lstrip().startswith("--") and mark.exists():
            return
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _TRIAL],
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TRIAL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return  # Nothing is known, so nothing is refused.
    complaint = find_complaint(tried.stderr) if tried.returncode else None
    if complaint is not None:
        raise ConfigError(
            f"the environment variable XLA_FLAGS is {flags!r}, and XLA would not start with it: {complaint}; "
            "correct it, or unset it"
        )
    if mark is not None and not tried.returncode:
        with contextlib.suppress(OSError):
            write_text(mark, f"{key}\n")


def find_complaint(log: str) -> str | None:
    """Find what XLA says of its flags before it ends the process; None where it says nothing of them.

    >>> find_complaint("F1127 19:26:49.358918   27798 parse_flags_from_env.cc:234] Unknown flag: --xla_no")
    'Unknown flag: --xla_no'
    """
    found = re.search(r"^[EF]\d{4} \S+ +\d+ \w*flags\w*\.cc:\d+\] (.*)$", log, re.MULTILINE)
    return None if found is None else found[1].rstrip(". ")


def explain_start(error: BaseException) -> str | None:
    """Explain an error with which JAX refuses a variable of the environment; None for any other error."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    path = "" if last is None else last.tb_frame.f_code.co_filename.replace("\\", "/")
    if not path.endswith(_READ_AT_START):
        return None
    names = sorted(name for name in os.environ if name.startswith("JAX_") or name == "CUDA_VISIBLE_DEVICES")
    listed = ", ".join(f"{name}={os.environ[name]}" for name in names)
    said = str(error) or type(error).__name__
    return f"JAX does not start: {said}; the environment has {listed or 'no variable of JAX'}"
