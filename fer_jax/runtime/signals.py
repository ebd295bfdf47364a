"""Graceful stop: a signal is acknowledged and noted, the state is saved, and only then does the program end.

Python runs a signal's handler between two of its own instructions, and so not while XLA compiles, which can
take half a minute. The C part of the handler runs at once; it writes the signal's number into a pipe, and a
thread that waits at the other end answers the user.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPING: Final = "stopping after this step; press again to stop now"
ENDING: Final = "stopping; press again to stop now"
_SHOW_CURSOR: Final = b"\x1b[?25h"


class StopError(Exception):
    """SIGINT or SIGTERM arrived and the state is saved. `signum` is the signal's number."""

    def __init__(self, signum: int) -> None:
        """Remember the signal."""
        super().__init__(signum)
        self.signum = signum


@contextmanager
def watch_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of ending.

    The first one is acknowledged on stderr at once, even while XLA compiles. A second one ends the program
    at once with status 130 or 143; every file is written beside its target and moved there, so the folder
    stays intact. In an interactive session the second one interrupts the cell, and the session goes on.

    Outside the main thread, which alone gets signals, nothing is collected.
    """
    arrived: list[int] = []
    if not _is_main_thread():
        yield arrived
        return

    def note(signum: int, frame: FrameType | None) -> None:
        arrived.append(signum)
        if _is_interactive():  # Elsewhere it is `_answer` that the second one gets to.
            signal.signal(signum, old[signum])

    old = {int(signum): signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        with acknowledge_signals(STOPPING):
            yield arrived
    finally:
        for signum, handler in old.items():
            signal.signal(signum, handler)


@contextmanager
def acknowledge_signals(words: str) -> Iterator[None]:
    """Answer the first signal with a line on stderr at once, and end the program at the second.

    What else a signal does is left to its handler, which has to be a Python function. Blocks may be nested:
    the innermost answers. Outside the main thread this does nothing.
    """
    if not _is_main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    outer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_answer, args=(reader, words), daemon=True, name="signals")
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(outer, warn_on_full_buffer=False)
        os.close(writer)  # The thread reads the end of the pipe.
        thread.join()
        os.close(reader)


def _answer(reader: int, words: str) -> None:
    count = 0
    while number := os.read(reader, 1):
        signum = number[0]
        if signum not in (signal.SIGINT, signal.SIGTERM):
            continue
        count += 1
        if count == 1:
            _write(2, f"\n{words}\n".encode())
        elif not _is_interactive():
            if os.isatty(1):
                _write(1, _SHOW_CURSOR)  # The progress bar hides it.
            _write(2, b"\nstopped\n")
            os._exit(128 + signum)


def _write(descriptor: int, text: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, text)


def _is_interactive() -> bool:
    return hasattr(sys, "ps1")


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
