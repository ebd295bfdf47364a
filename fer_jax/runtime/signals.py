"""What a signal does: it ends a program with one line, or is noted, and the state is saved before the end.

Python runs a signal's handler between two of its own instructions, and so not while XLA compiles, which can
take half a minute. The C part of the handler runs at once; it writes the signal's number into a pipe, and a
thread that waits at the other end answers the user.

A signal that was ignored when the program started stays ignored: `nohup` does so with SIGHUP, and a shell
with SIGINT for what a script starts in the background.
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

from fer_jax.files import abandon_temporaries
from fer_jax.runtime.door import INTERRUPTED, SIGNALS, Handler, handle, is_command

STOPPING: Final = "stopping after this step; press again to stop now"
GRACE_S: Final = 5.0
"""How long an interrupted program may clean up, or stay in the code of a library, before it is ended."""
_SHOW_CURSOR: Final = b"\x1b[?25h"
_IS_SILENT: Final = threading.Event()


class StopError(Exception):
    """A signal arrived and the state is saved. `signum` is the signal's number."""

    def __init__(self, signum: int) -> None:
        """Remember the signal."""
        super().__init__(signum)
        self.signum = signum


def name_signal(signum: int) -> str:
    """Name a signal, such as SIGTERM."""
    return signal.Signals(signum).name


def answer_silently() -> None:
    """Answer signals without a word from now on: another process of the same command says it for all.

    What a signal does to this process stays the same.
    """
    _IS_SILENT.set()


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Handle signals as `door.handle` does until the block ends; outside the main thread do nothing."""
    old = handle(handler) if _is_main_thread() else {}
    try:
        yield
    finally:
        for signum, before in old.items():
            signal.signal(signum, before)


@contextmanager
def watch_signals() -> Iterator[list[int]]:
    """Collect signals instead of ending.

    The first one is acknowledged on stderr at once, even while XLA compiles. A second one ends the program
    at once with status 128 + its number; every file is written beside its target and moved there, so the
    folder stays intact. In an interactive session the second one interrupts the cell; the session goes on.

    Outside the main thread nothing is collected.
    """
    arrived: list[int] = []
    old = {signum: signal.getsignal(signum) for signum in SIGNALS}

    def note(signum: int, frame: FrameType | None) -> None:
        arrived.append(signum)
        if _is_interactive():  # Elsewhere it is `_answer` that the second one gets to.
            signal.signal(signum, old[signum])

    with handled_by(note), acknowledge_signals(STOPPING, grace_s=None):
        yield arrived


@contextmanager
def end_on_signals(words: str) -> Iterator[list[int]]:
    """End one of our commands at the first signal; interrupt the block of any other program.

    A command has nothing to clean up but temporary files, so it ends where it is: an exception in the middle
    of an import or of a computation can be lost, be turned into another one, or crash a library. Elsewhere
    a `KeyboardInterrupt` is raised. Once a signal has arrived, any end of the block is an interruption; after
    `GRACE_S` or at a second signal the process ends.

    Args:
        words: the answer on stderr.

    Yields:
        The numbers of the signals that have arrived.
    """
    arrived: list[int] = []

    def interrupt(signum: int, frame: FrameType | None) -> None:
        arrived.append(signum)
        if not is_command():  # A command is ended by the thread that answers.
            raise KeyboardInterrupt

    with handled_by(interrupt), acknowledge_signals(words, grace_s=GRACE_S):
        yield arrived


@contextmanager
def acknowledge_signals(words: str, *, grace_s: float | None) -> Iterator[None]:
    """Answer the first signal with a line on stderr at once, and end the program at the second.

    What else a signal does is left to its handler, which has to be a Python function. Blocks may be nested:
    the innermost answers. Outside the main thread this does nothing.

    Args:
        words: the line.
        grace_s: seconds after the first signal in which the block has to end, or the program is ended; one of
            our commands is ended at once. None: as long as it takes.
    """
    if not _is_main_thread():
        yield
        return
    reader, writer = os.pipe()
    if hasattr(os, "set_blocking"):  # On Windows since Python 3.12; nothing there asks for it.
        os.set_blocking(writer, False)
    outer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    has_ended = threading.Event()
    thread = threading.Thread(
        target=_answer, args=(reader, words, grace_s, has_ended), daemon=True, name="signals"
    )
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        signal.set_wakeup_fd(outer, warn_on_full_buffer=False)
        os.close(writer)  # The thread reads the end of the pipe.
        thread.join()
        os.close(reader)


def _answer(reader: int, words: str, grace_s: float | None, has_ended: threading.Event) -> None:
    count = 0
    while number := os.read(reader, 1):
        signum = number[0]
        if signum not in SIGNALS:
            continue
        count += 1
        if count == 1:
            _say(words)
            if grace_s is not None and is_command():
                _end(signum)
            elif grace_s is not None:
                late = threading.Thread(target=_end_late, args=(signum, grace_s, has_ended), daemon=True)
                late.start()
        elif not _is_interactive():
            if grace_s is None:
                _say(INTERRUPTED)
            _end(signum)


def _end_late(signum: int, grace_s: float, has_ended: threading.Event) -> None:
    if not has_ended.wait(grace_s) and not _is_interactive():
        _end(signum)


def _end(signum: int) -> None:
    abandon_temporaries()
    if os.isatty(1):
        _write(1, _SHOW_CURSOR)  # The progress bar hides it.
    os._exit(128 + signum)


def _say(words: str) -> None:
    if not _IS_SILENT.is_set():
        _write(2, f"\n{words}\n".encode())


def _write(descriptor: int, text: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, text)


def _is_interactive() -> bool:
    return hasattr(sys, "ps1")


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
