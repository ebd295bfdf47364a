"""A process that was started as one of the project's programs, such as `python -m fer_jax.train`.

Only such a process may be ended with `os._exit`; a notebook or a test that calls a program's `main` lives on.
"""

import contextlib
import os
import sys
from typing import Final

from fer_jax.runtime import output, signals

_PACKAGES: Final = ("fer_jax", "benchmarks", "web")
_SCRIPT: Final = "fer-jax"


def open_door() -> None:
    """Let a signal end one of our programs with one line while it imports; elsewhere do nothing.

    By itself a signal would break an import, with a traceback of some library's.
    """
    if is_program():
        output.open_descriptors()
        signals.handle(signals.end_at_once)


def is_program() -> bool:
    """Whether this process was started as one of our programs."""
    if sys.argv[:1] == ["-m"]:  # Python is still importing the packages above the module that it will run.
        words = sys.orig_argv
        name = words[words.index("-m") + 1] if "-m" in words else ""
    else:
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        name = "" if spec is None else spec.name
    script = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119, pathlib is not imported yet
    return name.partition(".")[0] in _PACKAGES or script.removesuffix(".exe") == _SCRIPT


def leave(status: int) -> int:
    """Return an exit status; that of a signal ends one of our programs here.

    XLA's threads may be in the middle of a computation, and would crash while Python takes everything down.
    """
    if status - 128 in signals.SIGNALS and is_program():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(status)
    return status
