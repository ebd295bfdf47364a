"""The start and the end of a process that is one of our programs, such as `python -m fer_jax.train`.

`leave` ends only such a process; a notebook or a test that calls a program's `main` lives on.
This is the first of ours that such a process imports, so it needs little more than Python has loaded by then.
"""

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

INTERRUPTED = "Interrupted."
SIGNALS = tuple(
    # SIGHUP: the terminal is gone; SIGUSR1: Slurm's warning. Windows has neither.
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)
_COLLECT_AFTER = 200_000
"""New objects between two searches for unused cycles: mypy's number. Python's own is 700 to 2,000."""
_PACKAGES = ("fer_jax", "benchmarks", "web")
_SCRIPT = "fer-jax"

Handler = Callable[[int, FrameType | None], object]


def open_door() -> None:
    """Let a signal end one of our programs with one line while it imports; elsewhere do nothing.

    By itself a signal would break an import, with a traceback of some library's.
    """
    if is_program():
        handle(_end_at_once)
        _open_descriptors()


def collect_rarely() -> None:
    """Let one of our programs search for unused cycles of objects rarely.

    Importing JAX and tracing a network make a million objects that stay. By itself Python would go through
    them again and again, which takes a seventh of the time until the first training step.
    """
    if is_program():
        gc.set_threshold(_COLLECT_AFTER)


def is_program() -> bool:
    """Whether this process was started as one of our programs."""
    return _started_package() in _PACKAGES


def is_command() -> bool:
    """Whether this process was started as one of fer_jax's commands, not as a benchmark or a test."""
    return _started_package() == _PACKAGES[0]


def _started_package() -> str:
    """Name the package that this process was started with; empty for a script that is not ours."""
    if sys.argv[:1] == ["-m"]:  # Python is still importing the packages above the module that it will run.
        words = sys.orig_argv
        name = words[words.index("-m") + 1] if "-m" in words else ""
    else:
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        name = "" if spec is None else spec.name
    script = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119, pathlib is not loaded yet
    return _PACKAGES[0] if script.removesuffix(".exe") == _SCRIPT else name.partition(".")[0]


def handle(handler: Handler) -> dict[int, Handler | int | None]:
    """Handle every signal of `SIGNALS` that is not ignored with a function; return the old handlers.

    What a program around Python (R, Julia) handles itself is left to it: its handler could not be put back.
    Call it in the main thread, which alone gets signals.
    """
    wanted = [signum for signum in SIGNALS if signal.getsignal(signum) not in (signal.SIG_IGN, None)]
    return {signum: signal.signal(signum, handler) for signum in wanted}


def leave(status: int) -> int:
    """Return an exit status; that of a signal ends one of our programs here.

    XLA's threads may be in the middle of a computation, and would crash while Python takes everything down.
    """
    if status - 128 in SIGNALS and is_program():
        for stream in (sys.stdout, sys.stderr):
            # It may be closed, or never have been there.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(status)
    return status


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    """Handle a signal while there is nothing to save or to clean up."""
    try:
        os.write(2, f"\n{INTERRUPTED}\n".encode())
    finally:
        os._exit(128 + signum)


def _open_descriptors() -> None:
    """Open the standard descriptors that are closed: the next file opened would become the output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It takes the lowest number that is free.
