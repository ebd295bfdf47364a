"""What jax's runtime does when process 0 is gone: it aborts the process, and we end it with one message.

The C++ code logs to the standard error and calls `abort`. There is no other way to hear of it: the callback
that jaxlib has for it cannot be called (0.10 and 0.12: std::bad_cast), and it is not asked first. So the
standard error of C++ goes through a thread that keeps back what is said of the abort, and SIGABRT, which
`abort` sends to its own thread, has a handler in that thread; a handler of Python's would only be noted.
"""

import contextlib
import ctypes
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LOG_LINE: Final = re.compile(rb"^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.]+):\d+\] ")
_OF_THE_STORE: Final = (
    b"coordination_service",
    b"client.h",
    b"client.cc",
    b"service.cc",
    b"grpc_credentials",
)
_OUR_ABORT: Final = b"the JAX distributed service detected fatal errors"
_LISTEN_S: Final = 1.0


class LogFilter:
    """Keeps back the lines that are about an abort; an entry of C++'s log is a line and those below it.

    Attributes:
        fatal: the entry that tells why the process is aborted; empty until there is one.
    """

    def __init__(self) -> None:
        """Begin with no line."""
        self.fatal, self._is_shown = b"", True

    def take(self, line: bytes) -> bytes:
        """Take a line, and return what is shown of it."""
        found = _LOG_LINE.match(line)
        if self.fatal or (found and found[1] == b"F"):
            self.fatal += line
            return b""
        if found:
            self._is_shown = not found[2].startswith(_OF_THE_STORE)
        elif not line.startswith((b" ", b"\t", b":", b"Additional GRPC", b"\n")):
            self._is_shown = True
        return line if self._is_shown else b""


@contextmanager
def told_of_aborts(tell: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call a function, which ends the process, where jax's runtime would abort it over another process.

    Until the block ends, or the function is called, the standard error goes through a `LogFilter`.

    Yields:
        A function that restores the standard error: what has gone into the filter is then written.
    """
    reader, writer = os.pipe()
    shown = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    log, is_ours = LogFilter(), threading.Event()

    def pass_on() -> None:
        with os.fdopen(reader, "rb") as lines:
            for line in lines:
                with contextlib.suppress(OSError):
                    os.write(shown, log.take(line))
                if _OUR_ABORT in log.fatal:
                    is_ours.set()

    def restore() -> None:
        ctypes.CDLL(None).signal(int(signal.SIGABRT), None)
        os.dup2(shown, 2)
        thread.join(_LISTEN_S)

    def handle(signum: int) -> None:
        is_told = is_ours.wait(_LISTEN_S)
        restore()
        if is_told:
            tell()
        with contextlib.suppress(OSError):
            os.write(2, log.fatal)  # Another abort: it goes on.

    thread = threading.Thread(target=pass_on, daemon=True, name="log of C++")
    thread.start()
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(handle)
    ctypes.CDLL(None).signal(int(signal.SIGABRT), handler)
    try:
        yield restore
    finally:
        restore()
        os.close(shown)
